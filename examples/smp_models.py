"""Two networks of segmentation-models-pytorch and three losses, in a loop of one's own.

``pip install 'bpkd[smp]' && python examples/smp_models.py``
"""

from __future__ import annotations

import segmentation_models_pytorch as smp
import torch
from torch import nn
from torch.utils.data import DataLoader

from bpkd.datasets.scenes import Scenes
from bpkd.losses.bpkd import BPKD
from bpkd.losses.dist import DIST
from bpkd.losses.kd import KD


def main(steps: int = 3) -> dict[str, list[float]]:
    """Train for some steps; the value of each term, step by step."""
    torch.manual_seed(0)
    data = Scenes("train", size=(64, 96), count=8)
    count = len(data.classes)
    # encoder_weights="imagenet" fetches a trained encoder.
    teacher = smp.create_model("FPN", "resnet34", encoder_weights=None, classes=count)
    student = smp.create_model("Unet", "resnet18", encoder_weights=None, classes=count)
    teacher.eval().requires_grad_(False)
    own = smp.losses.DiceLoss("multiclass", ignore_index=data.ignore_index)
    losses = nn.ModuleDict({"bpkd": BPKD(), "dist": DIST(), "kd": KD(temperature=2.0)})
    optimizer = torch.optim.AdamW([*student.parameters(), *losses.parameters()], lr=1e-3)

    shown: dict[str, list[float]] = {}
    batches = iter(DataLoader(data, batch_size=2))
    for _ in range(steps):
        images, labels = next(batches)
        images, labels = images.float() / 255, labels.long()
        student_logits = student(images)
        with torch.no_grad():
            teacher_logits = teacher(images)
        total = own(student_logits, labels)
        for name, loss in losses.items():
            for term, value in loss(student_logits, teacher_logits, labels).items():
                total = total + loss.weights[term] * value
                shown.setdefault(f"{name}.{term}", []).append(float(value))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    return shown


if __name__ == "__main__":
    for name, values in main().items():
        print(f"{name}: {' '.join(f'{value:.4f}' for value in values)}")
