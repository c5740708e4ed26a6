"""Tiny runs on instances, for tests."""

from __future__ import annotations

TINY = """
max_iters: 4
batch_size: 2
workers: 0
data:
  use: bpkd.datasets.instance_scenes.InstanceScenes
  size: [48, 64]
  count: 4
  objects: [1, 4]
student:
  use: bpkd.networks.SOLOv2
  backbone: test_efficientnet.r160_in1k
  channels: 32
  stacked_convs: 1
  kernel_channels: 32
  mask_channels: 32
  pyramid_channels: 32
  num_grids: [8, 7, 5, 4, 3]
  scale_ranges: [[1, 16], [8, 24], [16, 48], [24, 96], [48, 999]]
evaluation: {every: 2, size_limits: [8, 24]}
schedule: {floor: 0.0}
clip_grad: 35
"""
