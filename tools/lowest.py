"""The lower bounds of pyproject.toml as pip's constraints: what the oldest installation has.

``python -m tools.lowest > lowest.txt && pip install -c lowest.txt -e '.[smp]'``
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
#: What a person's work rests on; tools of the development are taken as they come.
NOT = ("dev", "docs")


def lowest(file: Path = PYPROJECT) -> list[str]:
    """``name==version`` for each requirement, those of the extras too.

    Raises:
        ValueError: a requirement has no lower bound.
    """
    project = tomllib.loads(file.read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(line for name, lines in extras.items() if name not in NOT for line in lines),
    ]
    pins: dict[str, str] = {}
    for line in wanted:
        if line.startswith(f"{project['name']}["):
            continue
        found = re.match(r"([\w.-]+)(?:\[[\w,-]+\])?>=([\w.]+)", line)
        if found is None:
            raise ValueError(f"{line}: expected NAME>=VERSION, a bound that the oldest job can try")
        pins[found[1]] = found[2]
    return [f"{name}=={version}" for name, version in pins.items()]


if __name__ == "__main__":
    print("\n".join(lowest()))
