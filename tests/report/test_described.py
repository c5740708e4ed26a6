"""What is read of the losses' files is what importing them gives."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import bpkd.losses
from bpkd.report.described import NEEDED, losses


def test_reading_is_as_good_as_importing() -> None:
    imported = {}
    for info in pkgutil.walk_packages(bpkd.losses.__path__, "bpkd.losses."):
        module = importlib.import_module(info.name)
        for _, loss in inspect.getmembers(module, inspect.isclass):
            if loss.__module__ == info.name and isinstance(getattr(loss, "weights", None), dict):
                imported[f"{info.name}.{loss.__name__}"] = loss
    assert {loss.use for loss in losses()} == set(imported)
    for described in losses():
        loss = imported[described.use]
        assert described.weights == loss.weights
        assert described.doc == inspect.getdoc(loss)
        found = inspect.signature(loss).parameters.items()
        assert described.arguments == {
            name: NEEDED if each.default is each.empty else each.default for name, each in found
        }, described.use
