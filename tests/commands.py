"""Running the command line inside a test."""

from __future__ import annotations

import contextlib
import io
import sys
from unittest.mock import patch

import pytest

from bpkd.cli import main


def bpkd(*arguments: object) -> tuple[int, str, str]:
    """Run the command in this process: exit code, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["bpkd", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def done(*arguments: object) -> str:
    """What a command prints that has nothing to complain about."""
    code, out, err = bpkd(*arguments)
    assert (code, err) == (0, ""), err
    return out


def refused(*arguments: object) -> str:
    """The line that bad input is met with."""
    code, _, err = bpkd(*arguments)
    assert code == 2
    assert err.startswith("bpkd: ") and err.count("\n") == 1 and err.endswith("\n")
    assert "Traceback" not in err and "Error" not in err
    return err
