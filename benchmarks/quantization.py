"""Does BPKD keep int8's outlines better than plain fine-tuning does?

    python -m benchmarks.quantization [demo|camvid] [--seeds 0 1 2] [--runs FOLDER] [KEY=VALUE ...]

For each seed a student learns alone (``plain``) and from the teacher (``bpkd``), by the recipes of
that name. Each leaves as int8 in three ways: calibrated after training; fine-tuned with ``quantize:
true`` on the labels alone; fine-tuned so under the teacher and BPKD. A fine-tuning begins with the
student's weights, at a tenth of its learning rate, for half its iterations. For what fine-tuning
alone is worth, the BPKD student is fine-tuned in float as well. Every int8 row is the ONNX file,
calibrated on 64 training images, on the test split.

Training that is done in FOLDER is not done again, so the command may be stopped. Means over the
seeds, in points; behind them what int8 lost against the float network of the row's first column.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from bpkd import evaluate, train
from bpkd.export.run import Wish, export
from bpkd.recipe.loading import load_recipe
from bpkd.tasks import Scores

KEYS = {
    "mIoU": "mIoU",
    "trimap_mIoU@1": "trimap 1 px",
    "trimap_mIoU@3": "trimap 3 px",
    "boundary_mIoU": "boundary IoU",
}
#: Title, the run that it is measured against, the run, whether it leaves as int8.
Row = tuple[str, str, str, bool]
ROWS: list[Row] = [
    ("plain, fp32", "plain", "plain", False),
    ("plain, calibrated after", "plain", "plain", True),
    ("plain, fine-tuned on labels", "plain", "plain-labels", True),
    ("plain, fine-tuned by BPKD", "plain", "plain-bpkd", True),
    ("BPKD, fp32", "bpkd", "bpkd", False),
    ("BPKD, calibrated after", "bpkd", "bpkd", True),
    ("BPKD, fine-tuned on labels", "bpkd", "bpkd-labels", True),
    ("BPKD, fine-tuned by BPKD", "bpkd", "bpkd-bpkd", True),
    ("BPKD, fine-tuned by BPKD in fp32", "bpkd", "bpkd-float", False),
    ("BPKD, fine-tuned by BPKD in fp32, calibrated after", "bpkd", "bpkd-float", True),
]


def trained(folder: Path, recipe: str, *overrides: str) -> Path:
    """A run, trained if it is not."""
    if not (folder / "student.safetensors").is_file():
        print(f"training {folder}", flush=True)
        begun = (folder / "recipe.yaml").is_file()
        train(recipe, *overrides, f"run={folder}", resume=begun, progress=False)
    return folder


def runs_of(group: str, seed: int, runs: Path, overrides: Sequence[str]) -> dict[str, Path]:
    """The runs of a seed by name."""
    teacher = trained(runs / "teacher", f"{group}/teacher", *overrides)
    recipes = {
        "labels": (f"{group}/plain", *overrides),
        "bpkd": (f"{group}/bpkd", f"teacher={teacher}", *overrides),
    }
    more = f"seed={seed}"
    found = {
        "plain": trained(runs / f"plain-{seed}", *recipes["labels"], more),
        "bpkd": trained(runs / f"bpkd-{seed}", *recipes["bpkd"], more),
    }
    for start in ("plain", "bpkd"):
        weights = f"student.checkpoint={found[start] / 'student.safetensors'}"
        for by, given in recipes.items():
            known = load_recipe(given[0], given[1:])
            shorter = [
                f"max_iters={max(known.max_iters // 2, 1)}",
                f"optimizer.lr={float(known.optimizer.arguments['lr']) / 10:g}",
                "student.weights=null" if known.student.accepts("weights") else weights,
            ]
            tuned = [*given, *shorter, weights, more]
            name = f"{start}-{by}"
            found[name] = trained(runs / f"{name}-{seed}", *tuned, "quantize=true")
            if name == "bpkd-bpkd":
                found["bpkd-float"] = trained(runs / f"bpkd-float-{seed}", *tuned)
    return found


def scores_of(run: Path, int8: bool, overrides: Sequence[str]) -> Scores:
    """What a run, or its int8 file, is worth on the test split."""
    data = [each for each in overrides if each.startswith(("data.", "evaluation."))]
    source = run
    if int8:
        source = run.with_name(f"{run.name}.int8.onnx")
        if not source.is_file():
            export(run, Wish(precision="int8", verify=1, tolerance=1.0), *data, out=source)
    return evaluate(source, *data, say=lambda _: None)


def lines(found: dict[int, dict[Row, Scores]]) -> Iterator[str]:
    """The table in Markdown."""
    yield f"| | {' | '.join(KEYS.values())} |"
    yield f"| --- |{' ---: |' * len(KEYS)}"
    for row in ROWS:
        cells = []
        for key in KEYS:
            base = next(each for each in ROWS if each[2] == row[1] and not each[3])
            values = [100 * scores[row][key] for scores in found.values()]
            gains = [100 * (scores[row][key] - scores[base][key]) for scores in found.values()]
            behind = "" if row == base else f" ({_mean(gains)})"
            cells.append(f"{statistics.mean(values):.1f}{behind}")
        yield f"| {row[0]} | {' | '.join(cells)} |"


def _mean(values: list[float]) -> str:
    """Mean and standard deviation over the seeds.

    >>> _mean([-1.0]), _mean([1.0, 2.0])
    ('-1.0', '+1.5 ± 0.7')
    """
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):+.1f}{spread}"


def main() -> None:
    """Train what is missing, export, measure, print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("group", nargs="?", default="demo")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=None, metavar="FOLDER")
    given = parser.parse_args()
    torch.set_num_threads(1)
    runs = given.runs or Path("runs/quantization") / given.group
    found = {}
    for seed in given.seeds:
        folders = runs_of(given.group, seed, runs, given.overrides)
        found[seed] = {row: scores_of(folders[row[2]], row[3], given.overrides) for row in ROWS}
        print("\n".join(lines(found)), flush=True)


if __name__ == "__main__":
    main()
