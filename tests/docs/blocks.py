"""The pages that people read, taken apart: fenced blocks, indented blocks, command lines."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples/notebooks").glob("*.ipynb"))
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
        *NOTEBOOKS,
    ]
)
#: What a command line of a page may begin with. Programs of ours are parsed by their own parsers.
OURS = ("bpkd", "python", "make")
OTHERS = (
    "pip",
    "hf",
    "pre-commit",
    "mlflow",
    "tensorboard",
    "torchrun",
    "docker",
    "git",
    "scontrol",
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and its reason where it is not run."""

    page: Path
    number: int
    language: str
    text: str

    @property
    def not_run(self) -> str:
        """Why the page says that this block is not run by a test: its first line."""
        found = re.match(r"# not run by a test: (.+)\n", self.text)
        return found[1] if found else ""

    def __str__(self) -> str:
        return f"{short(self.page)}-{self.number}"


def short(page: Path) -> str:
    """A page as messages name it."""
    return page.relative_to(ROOT).as_posix()


def text(page: Path) -> str:
    """A page as Markdown; of a notebook its cells, programs fenced."""
    content = page.read_text("utf-8")
    if page.suffix != ".ipynb":
        return content
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(content)["cells"]]
    return "\n\n".join(
        f"```python\n{each}\n```" if kind == "code" else each for kind, each in cells
    )


def fenced(page: Path) -> list[Block]:
    """Its fenced blocks in their order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL)
    return [Block(page, number, *each) for number, each in enumerate(found)]


def indented(page: Path) -> list[str]:
    """Its indented blocks; the notes that go with them begin at the margin."""
    prose = re.sub(r"^```.*?^```$", "", text(page), flags=re.MULTILINE | re.DOTALL)
    parts = re.findall(r"(?:\A|\n\n)((?:    [^\n]*\n|\n(?=    ))+)", prose)
    return ["\n".join(line[4:] for line in part.splitlines()) for part in parts]


def commands(page: Path) -> list[list[str]]:
    """The command lines of a page, in words: loops run once, variables and comments are gone."""
    shell = [block.text for block in fenced(page) if block.language in ("sh", "bash")]
    shell += indented(page)
    shell += re.findall(r"^[%!](.*)$", text(page), re.MULTILINE) if page.suffix == ".ipynb" else []
    return [words for block in shell for words in _commands(block)]


def _commands(block: str) -> Iterator[list[str]]:
    known: dict[str, str] = {}
    for line in re.sub(r"\s*\\\n\s*", " ", block).splitlines():
        known.update(
            re.findall(r"\bfor (\w+) in ([^\s;]+)", line) + re.findall(r"^(\w+)=(\S+)$", line)
        )
        for part in re.split(r";\s+(?:do\s+)?", re.sub(r"(^|\s)#\s.*", "", line)):
            words = _words(_filled(part.strip().removeprefix("do "), known))
            if words and Path(words[0]).name in (*OURS, *OTHERS):
                yield [Path(words[0]).name, *words[1:]]


def _filled(line: str, known: dict[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda found: known.get(found[1], found[0]), line)


def _words(line: str) -> list[str]:
    """The words of a line without what the shell does: a comment, another program's input."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a line of a table, with one quotation mark
        return []
    for sign in ("|", ">", "2>", "&&", "&"):
        words = words[: words.index(sign)] if sign in words else words
    while words and re.fullmatch(r"[A-Z_]+=.*|srun", words[0]):
        words = words[1:]
    return words
