"""The paper's figures, of any runs: one module a figure."""

from __future__ import annotations

from typing import Any

from bpkd.errors import UserError


def check_label_maps(data: Any) -> None:
    """Refuse a data set whose targets are no label maps: these figures are of outlines of classes.

    Raises:
        UserError: names its task.
    """
    task = getattr(data, "task", "semantic")
    if task != "semantic":
        raise UserError(f"the data set is for the task {task!r}; this figure is of label maps")
