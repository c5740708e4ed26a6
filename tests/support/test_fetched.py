"""Weights by their address: fetched once, from a server in this process."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen

import pytest
import torch
from torch import Tensor

from bpkd import UserError
from bpkd.recipe.loading import dump, load_recipe
from bpkd.runs.environment import read_notes
from bpkd.support.fetched import fetched, place
from bpkd.support.tensors import read_tensors
from tests.commands import done
from tests.runs import run


def packed(tensors: dict[str, Tensor]) -> bytes:
    stream = io.BytesIO()
    torch.save({"state_dict": tensors}, stream)
    return stream.getvalue()


WEIGHTS = packed({"weight": torch.arange(3.0)})
PAGE = b"<!DOCTYPE html><title>Log in</title>"
SUM = hashlib.sha256(WEIGHTS).hexdigest()[:8]


class Server(BaseHTTPRequestHandler):
    """Has the weights under any name that ends in .pth, and counts who asks."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        known = self.path.partition("?")[0].endswith(".pth")
        known = known or self.path.endswith(".safetensors")
        content = PAGE if "login" in self.path or self.path.endswith(".safetensors") else WEIGHTS
        self.send_response(200 if known else 404)
        if "silent" not in self.path:
            self.send_header("Content-Length", str(len(content) if known else 0))
        self.end_headers()
        if known:
            self.wfile.write(content[: 100 if "cut" in self.path else None])

    def log_message(self, *words: object) -> None:
        """Nothing: standard error is the user's."""


@pytest.fixture
def server() -> Iterator[str]:
    Server.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WEIGHTS", str(tmp_path / "new" / "weights"))
    return tmp_path / "new" / "weights"


def test_a_file_is_fetched_once(server: str, folder: Path) -> None:
    address = f"{server}/some/folder/net-{SUM}.pth"
    for _ in range(2):
        assert read_tensors(address)["weight"].tolist() == [0, 1, 2]
    assert Server.asked == [f"/some/folder/net-{SUM}.pth"]
    assert [file.name for file in folder.iterdir()] == [f"net-{SUM}.pth"]


def test_a_file_that_was_put_there_needs_no_net(folder: Path) -> None:
    folder.mkdir(parents=True)
    for address in ("https://nowhere.invalid/net-00000000.pth", "https://nowhere.invalid/net.pth"):
        with pytest.raises(UserError) as caught:
            fetched(address)
        asked = Path(re.search(r"put it there as (\S+),", str(caught.value))[1])  # type: ignore[index]
        asked.write_bytes(WEIGHTS)
        assert fetched(address) == asked
    assert (folder / "net-00000000.pth").is_file()


@pytest.fixture
def secure(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same server under an https address."""

    def answer(address: str, timeout: float) -> Any:
        found = urlopen(address.replace("https://files.test", server), timeout=timeout)
        found.url = address
        return found

    monkeypatch.setattr("bpkd.support.fetched.urlopen", answer)
    return "https://files.test"


def test_files_of_one_name_are_told_apart_by_their_addresses(secure: str, folder: Path) -> None:
    found = {fetched(f"{secure}/{place}/net-20210903.pth?download=1") for place in ("a", "b")}
    assert len(found) == 2 and len(Server.asked) == 2
    assert all(file.name.startswith("net-20210903-") for file in found)


def test_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WEIGHTS", "~/weights")
    assert place("https://example.org/net-5c106cde.pth") == tmp_path / "weights/net-5c106cde.pth"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/net-00000000.pth", f"begins with {SUM}, not as its name says"),
        ("/none.bin", "404"),
        ("/cut.pth", "broke off at 100 of "),
        ("/cut_silent.pth", "are not a whole file of weights"),
        ("/login.pth", "no file of weights: it begins '<!DOCTYPE html>"),
        ("/net.safetensors", "no file of weights"),
    ],
)
def test_what_cannot_be_had_leaves_nothing(
    secure: str, folder: Path, path: str, found: str
) -> None:
    with pytest.raises(UserError, match=found) as caught:
        fetched(secure + path)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
    assert not folder.exists()


def test_a_folders_address_is_refused() -> None:
    with pytest.raises(UserError, match="expected the address of a file"):
        fetched("https://example.org/weights/")


def test_without_a_connection_it_says_what_to_do(folder: Path) -> None:
    with pytest.raises(UserError, match="get it by other means and put it there as"):
        fetched("http://127.0.0.1:9/net.pth")  # nobody listens there
    assert not folder.exists()
    folder.mkdir(parents=True)
    for wrong in ("http://127.0.0.1:9/net.pth", "https://[bad/net.pth"):
        with pytest.raises(UserError, match="cannot be fetched"):
            fetched(wrong)
    assert folder.exists()  # it was there before


def test_the_tables_files_are_named_by_their_addresses() -> None:
    for data in ("ade20k", "cityscapes", "pascal_context"):
        for pair in ("deeplabv3plus", "hrnet", "isanet", "pspnet"):
            recipe = load_recipe(f"table2/{data}/{pair}/bpkd")
            files = (recipe.teacher.checkpoint, recipe.student.argument("weights", None))  # type: ignore[union-attr]
            assert all(file.startswith("https://") and file.endswith(".pth") for file in files)


def test_over_http_a_file_needs_its_sum(server: str, folder: Path) -> None:
    for address in (f"{server}/net.pth", f"{server}/net.pth".replace("http", "HTTP")):
        with pytest.raises(UserError, match="could be anybody's file; give an https address"):
            read_tensors(address)
    assert not folder.exists() and Server.asked == []
    assert fetched(f"{server}/net-{SUM}.pth".replace("http", "HTTP")).is_file()


def test_a_file_without_an_end_is_given_up(
    secure: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIGHTS_LIMIT", "1000")
    for name in ("net.pth", "silent.pth"):
        with pytest.raises(UserError, match="WEIGHTS_LIMIT, 1,000"):
            fetched(f"{secure}/{name}")
    assert not folder.exists()


def test_passwords_are_never_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    address = "https://me:geheim@127.0.0.1:9/net.pth?token=geheim"
    with pytest.raises(UserError) as caught:
        read_tensors(address)
    assert "geheim" not in str(caught.value) + "".join(capsys.readouterr())
    recipe = load_recipe("camvid/bpkd", [f"student.checkpoint={address}", "teacher=x"])
    assert recipe.student.checkpoint == address
    assert "geheim" not in dump(recipe) and "https://127.0.0.1:9/net.pth" in dump(recipe)


def test_passwords_are_not_written_down(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command stands in environment.json, and runs are handed on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEIGHTS", str(tmp_path / "weights"))
    address = "https://me:geheim@127.0.0.1:9/net.pth?token=geheim"
    place(address).parent.mkdir()
    folder = run(recipe, "first", "max_iters=0")
    torch.save(read_tensors(folder / "student.safetensors"), place(address))
    command = ["train", recipe, "run=second", "max_iters=0", f"student.checkpoint={address}"]
    done(*command, "--quiet")
    for file in (tmp_path / "second").iterdir():
        assert b"geheim" not in file.read_bytes(), file.name
    noted = read_notes(tmp_path / "second")
    assert noted is not None and "https://127.0.0.1:9/net.pth" in noted["command"]
