"""A loop of one's own: any two networks that give logits, plain tensors, plain PyTorch.

``python examples/plain_loop.py``
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from bpkd.datasets.scenes import Scenes
from bpkd.losses.bpkd import BPKD


def network(width: int, num_classes: int) -> nn.Module:
    """Whatever gives logits (N, C, h, w); these are at half the images' size."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, num_classes, 3, padding=1),
    )


def main(steps: int = 20) -> list[float]:
    """Train a student for some steps; the loss of each."""
    torch.manual_seed(0)
    data = Scenes("train", size=(48, 64), count=8)
    loader = DataLoader(data, batch_size=4, shuffle=True)
    teacher = network(32, len(data.classes)).eval().requires_grad_(False)
    student = network(8, len(data.classes))

    distill = BPKD(ignore_index=data.ignore_index)
    # A loss may have parameters of its own, such as adapters: they are trained, too.
    optimizer = torch.optim.SGD([*student.parameters(), *distill.parameters()], lr=0.1)
    shown: list[float] = []
    while len(shown) < steps:
        for batch in loader:
            images, labels = batch[0].float() / 255, batch[1].long()
            student_logits = student(images)
            with torch.no_grad():
                teacher_logits = teacher(images)
            large = F.interpolate(student_logits, labels.shape[-2:], mode="bilinear")
            loss = F.cross_entropy(large, labels, ignore_index=data.ignore_index)
            # Terms by name, without weights: BPKD's are "edge" and "body".
            terms = distill(student_logits, teacher_logits, labels)
            distillation = sum(distill.weights[name] * value for name, value in terms.items())
            optimizer.zero_grad()
            total = loss + distillation
            total.backward()
            optimizer.step()
            shown.append(total.item())
    return shown[:steps]


if __name__ == "__main__":
    values = main()
    print(f"loss: {values[0]:.3f} at first, {values[-1]:.3f} after {len(values)} steps")
