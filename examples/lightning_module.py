"""A Lightning module of one's own, with two losses: one on logits, one on features.

``python examples/lightning_module.py``
"""

from __future__ import annotations

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from bpkd import SegOutput
from bpkd.datasets.scenes import Scenes
from bpkd.losses.at import AT
from bpkd.losses.cwd import CWD


class Network(nn.Module):
    """Gives what losses on features need: a SegOutput with named maps."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, stride=2, padding=1), nn.ReLU())
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, images: Tensor) -> SegOutput:
        """Images (N, 3, H, W) -> logits and the map that the classifier reads."""
        maps = self.body(images)
        return SegOutput(self.classifier(maps), {"head": maps})


class Student(lightning.LightningModule):
    """Cross-entropy, CWD on logits, AT on features."""

    def __init__(self, teacher: Network, num_classes: int) -> None:
        super().__init__()
        self.student = Network(8, num_classes)
        self.losses = nn.ModuleDict({"cwd": CWD(), "at": AT(feature="head")})
        # In a list: the teacher is not trained, nor saved with every checkpoint.
        self.teacher = [teacher.eval().requires_grad_(False)]

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Images and labels -> the loss; each term is logged by its name."""
        images, labels = batch[0].float() / 255, batch[1].long()
        student = self.student(images)
        with torch.no_grad():
            teacher = self.teacher[0].to(self.device)(images)
        large = F.interpolate(student.logits, labels.shape[-2:], mode="bilinear")
        total = F.cross_entropy(large, labels, ignore_index=255)
        for name, loss in self.losses.items():
            for term, value in loss(student, teacher, labels).items():
                self.log(f"{name}.{term}", value)
                total = total + loss.weights[term] * value
        return total

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The losses' own parameters are among the module's."""
        return torch.optim.SGD(self.parameters(), lr=0.01)


def main(steps: int = 8) -> dict[str, float]:
    """Train for some steps; the last value of each term."""
    lightning.seed_everything(0, verbose=False)
    data = Scenes("train", size=(48, 64), count=8)
    module = Student(Network(32, len(data.classes)), len(data.classes))
    trainer = lightning.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(data, batch_size=4))
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


if __name__ == "__main__":
    for name, value in main().items():
        print(f"{name}: {value:.4f}")
