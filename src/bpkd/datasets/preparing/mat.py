"""MATLAB files, read by scipy, which bpkd does without otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bpkd.errors import UserError


def load_mat(file: Path) -> dict[str, Any]:
    """The variables of a .mat file.

    Raises:
        UserError: scipy is not installed.
    """
    try:
        from scipy.io import loadmat  # noqa: PLC0415
    except ImportError:
        raise UserError(
            f"{file} is a MATLAB file, and scipy, which reads it, is not installed: "
            "pip install 'bpkd[prepare]'"
        ) from None
    variables: dict[str, Any] = loadmat(file)
    return variables
