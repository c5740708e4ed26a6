"""The table of a search's trials, written and read again."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from bpkd.errors import UserError
from bpkd.support.files import replacing_csv
from bpkd.training.tuning.draws import Settings


@dataclass(frozen=True)
class Trial:
    """One run of a search.

    Attributes:
        number: from 0; trial 0 is the recipe as it is.
        settings: what it changed, by dotted key.
        scores: means on val; empty where training ended in numbers that are not finite.
        seconds: it took.
    """

    number: int
    settings: Settings
    scores: dict[str, float]
    seconds: float


def write_trials(file: Path, trials: Sequence[Trial], keys: Sequence[str]) -> None:
    """Write the table: settings as JSON, so that 0.5, true and "labels" stay what they are."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.scores))
    with replacing_csv(file) as stream:
        writer = csv.writer(stream)
        writer.writerow(["trial", *keys, *names, "seconds"])
        for trial in trials:
            settings = [
                json.dumps(trial.settings[key]) if key in trial.settings else "" for key in keys
            ]
            scores = [trial.scores.get(name, "") for name in names]
            writer.writerow([trial.number, *settings, *scores, round(trial.seconds, 1)])


def read_trials(file: Path, keys: Sequence[str]) -> list[Trial]:
    """Read the table again; no trials where there is none.

    Raises:
        UserError: it is damaged.
    """
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    try:
        return [
            Trial(
                int(row["trial"]),
                {key: yaml.safe_load(row[key]) for key in keys if row[key]},
                {
                    name: float(value)
                    for name, value in row.items()
                    if name not in ("trial", "seconds", *keys) and value
                },
                float(row["seconds"]),
            )
            for row in rows
        ]
    except (KeyError, ValueError, TypeError, yaml.YAMLError) as error:
        raise UserError(
            f"{file} is damaged; put back a whole copy, or give another --out"
        ) from error
