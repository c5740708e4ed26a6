"""MATLAB files, read by scipy, which bpkd does without otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bpkd.support.extras import extra


def load_mat(file: Path) -> dict[str, Any]:
    """The variables of a .mat file.

    Raises:
        UserError: scipy is not installed.
    """
    scipy_io = extra("scipy.io", f"{file}, a MATLAB file,", "prepare")
    variables: dict[str, Any] = scipy_io.loadmat(file)
    return variables


def needs_scipy(folder: Path) -> None:
    """Stop before the first of many files rather than at each.

    Raises:
        UserError: scipy is not installed.
    """
    extra("scipy.io", f"{folder}, with MATLAB files,", "prepare")
