"""Hostile recipes, runs and checkpoints: each would leave a mark if a line of its own code ran."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

MODULE = """
from pathlib import Path
Path({mark!r}).mkdir(exist_ok=True)
from torch import nn
class Net(nn.Module):
    def __init__(self, num_classes=3, **more):
        super().__init__()
        self.conv = nn.Conv2d(3, num_classes, 1)
    def forward(self, images):
        return self.conv(images)
class Data:
    def __init__(self, split): pass
    def __len__(self): return 1
    def __getitem__(self, index): raise IndexError
"""

#: Names that a hostile folder may give a module beside the recipe.
BESIDE = ("evil", "setup", "conftest", "sitecustomize_", "student_net")


def commands(mark: Path) -> list[tuple[str, dict[str, Any]]]:
    """Functions that start something, as a component of a recipe: path and arguments."""
    touch = f"mkdir -p {mark}"
    python = f"import os; os.mkdir({str(mark)!r})"
    return [
        ("os.system", {"command": touch}),
        ("os.mkdir", {"path": str(mark)}),
        ("os.makedirs", {"name": str(mark)}),
        ("posix.system", {"command": touch}),
        ("subprocess.run", {"args": ["mkdir", str(mark)]}),
        ("subprocess.Popen", {"args": ["mkdir", str(mark)]}),
        ("subprocess.getoutput", {"cmd": touch}),
        ("builtins.exec", {"source": python}),
        ("builtins.eval", {"source": f"__import__('os').mkdir({str(mark)!r})"}),
        ("runpy.run_path", {"path_name": "evil.py"}),
        ("runpy.run_module", {"mod_name": "evil"}),
        ("importlib.import_module", {"name": "evil"}),
        ("pathlib.Path", {"split": "x"}),
        ("shutil.rmtree", {"path": str(mark.parent / "precious")}),
        ("timeit.timeit", {"stmt": python, "number": 1}),
        ("torch.hub.load", {"repo_or_dir": ".", "model": "evil", "source": "local"}),
        ("torch.load", {"f": "evil.pth", "weights_only": False}),
        ("torch.utils.cpp_extension.load_inline", {"name": "evil", "cpp_sources": ""}),
        ("torch.distributed.run.main", {"args": ["evil.py"]}),
        ("torch.utils.collect_env.run", {"command": touch}),
    ]


def recipe(student: Any, **others: Any) -> dict[str, Any]:
    """A recipe that is in order but for what a case changes."""
    scenes = {"use": "bpkd.datasets.scenes.Scenes", "size": [32, 48], "count": 2}
    return {"name": "evil", "max_iters": 1, "data": scenes, "student": student, **others}


FINE = {
    "use": "bpkd.networks.pspnet.PSPNet",
    "backbone": "test_resnet.r160_in1k",
    "channels": 8,
}
FROM_MODULE = "bpkd.networks.foreign.from_module"


def hostile(mark: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Recipes that would run something, by a name for each."""
    for path, arguments in commands(mark):
        use = {"use": path, **arguments}
        yield f"student {path}", recipe(use)
        yield (
            f"from_module {path}",
            recipe({"use": FROM_MODULE, "module": path, "args": arguments}),
        )
        kd = {"kd": {"use": "bpkd.losses.kd.KD"}}
        yield f"teacher {path}", recipe(FINE, teacher=use, losses=kd)
        yield f"loss {path}", recipe(FINE, teacher=FINE, losses={"x": use})
        yield f"data {path}", recipe(FINE) | {"data": use}
        yield f"optimizer {path}", recipe(FINE, optimizer={**use, "lr": 0.1})
    for name in BESIDE:
        yield f"beside {name}", recipe({"use": f"{name}.Net"})
        yield f"beside {name} as module", recipe({"use": FROM_MODULE, "module": f"{name}.Net"})
        yield f"beside {name} as data", recipe(FINE) | {"data": {"use": f"{name}.Data"}}


class Bomb:
    """Calls a function when it is unpickled."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call, self.arguments


def bombs(mark: Path, folder: Path) -> list[Path]:
    """Checkpoints of which each would make the mark's folder."""
    python = f"__import__('os').mkdir({str(mark)!r})"
    triggers = [
        Bomb(os.mkdir, str(mark)),
        Bomb(os.system, f"mkdir {mark}"),
        Bomb(eval, python),
        Bomb(exec, python),
        Bomb(subprocess.check_output, ["mkdir", str(mark)]),
        Bomb(getattr, os, "getcwd"),
        Bomb(map, Bomb(eval, python), [1]),
    ]
    weights = {"weight": torch.ones(2, 3), "bias": torch.ones(2)}
    files = []
    for index, bomb in enumerate(triggers):
        for old in (False, True):
            for place, content in (
                ("alone", bomb),
                ("beside", {"hook": bomb, "state_dict": weights}),
                ("key", {"state_dict": weights | {"extra": bomb}}),
            ):
                file = folder / f"{index}{place}{old}.pth"
                try:
                    torch.save(content, file, _use_new_zipfile_serialization=not old)
                except (TypeError, pickle.PicklingError, AttributeError):
                    continue  # a trigger that this place cannot hold
                files.append(file)
    raw = folder / "raw.pth"
    raw.write_bytes(pickle.dumps(triggers[0]))
    inner = io.BytesIO()
    pickle.dump(triggers[1], inner)
    with zipfile.ZipFile(folder / "zip.pth", "w") as archive:
        archive.writestr("archive/data.pkl", inner.getvalue())
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    named = folder / "raw.safetensors"
    named.write_bytes(pickle.dumps(triggers[0]))
    return [*files, raw, folder / "zip.pth", named]
