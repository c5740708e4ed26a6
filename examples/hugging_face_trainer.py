"""Hugging Face's Trainer: a SegFormer learns from another; the losses take the models' outputs.

``pip install 'bpkd[transformers]' accelerate && python examples/hugging_face_trainer.py``
"""

from __future__ import annotations

import tempfile
from typing import Any

import torch
from torch import Tensor
from transformers import (
    SegformerConfig,
    SegformerForSemanticSegmentation,
    Trainer,
    TrainingArguments,
)

from bpkd.datasets.scenes import Scenes
from bpkd.losses.bpkd import BPKD


class Distillation(Trainer):
    """The Trainer, with a term more in its loss."""

    def __init__(self, *args: Any, teacher: torch.nn.Module, distill: BPKD, **options: Any) -> None:
        super().__init__(*args, **options)
        self.teacher = teacher.eval().requires_grad_(False).to(self.args.device)
        self.distill = distill.to(self.args.device)
        self.seen: list[float] = []

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any
    ) -> Tensor | tuple[Tensor, Any]:
        """The model's own loss, and the teacher's."""
        student = model(**inputs)
        with torch.no_grad():
            teacher = self.teacher(inputs["pixel_values"])
        # An output that has ``logits`` serves as it is.
        terms = self.distill(student, teacher, inputs["labels"])
        distillation = sum(self.distill.weights[name] * value for name, value in terms.items())
        self.seen.append(float(distillation))
        total = student.loss + distillation
        return (total, student) if return_outputs else total


def segformer(width: int, num_classes: int) -> SegformerForSemanticSegmentation:
    """A small one with random weights; yours comes from ``from_pretrained``."""
    sizes = [width, 2 * width, 4 * width, 8 * width]
    config = SegformerConfig(
        num_labels=num_classes,
        depths=[1, 1, 1, 1],
        hidden_sizes=sizes,
        decoder_hidden_size=2 * width,
        semantic_loss_ignore_index=255,
    )
    return SegformerForSemanticSegmentation(config)


def gather(pairs: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Pairs of image and labels -> what the models take."""
    images = torch.stack([image for image, _ in pairs]).float() / 255
    return {"pixel_values": images, "labels": torch.stack([labels.long() for _, labels in pairs])}


def main(steps: int = 4) -> list[float]:
    """Train for some steps; the distillation loss of each."""
    torch.manual_seed(0)
    data = Scenes("train", size=(64, 96), count=8)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Distillation(
            model=segformer(8, len(data.classes)),
            args=TrainingArguments(
                folder,
                max_steps=steps,
                per_device_train_batch_size=2,
                remove_unused_columns=False,
                report_to=[],
                save_strategy="no",
                disable_tqdm=True,
                use_cpu=not torch.cuda.is_available(),
            ),
            train_dataset=data,
            data_collator=gather,
            teacher=segformer(16, len(data.classes)),
            distill=BPKD(),
        )
        trainer.train()
    return trainer.seen


if __name__ == "__main__":
    print(" ".join(f"{value:.4f}" for value in main()))
