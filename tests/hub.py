"""A small hub of our own, on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

COMMIT = "1" * 40


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as pushing and fetching a model takes."""

    files: dict[str, bytes]
    refusing: bool

    def own(self) -> str:
        return f"http://{self.headers['Host']}"

    def answer(self, content: Any = b"", code: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self) -> None:
        given = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.refusing:
            self.answer({"error": "you may not"}, 403)
        elif self.path.endswith("/repos/create"):
            self.answer({"url": f"{self.own()}/me/{json.loads(given)['name']}"})
        elif self.path.endswith("/validate-yaml"):
            assert "library_name: bpkd" in json.loads(given)["content"]
            self.answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            wanted = json.loads(given)["files"]
            modes = [
                {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                for each in wanted
            ]
            self.answer({"files": modes})
        elif "/commit/" in self.path:
            for line in map(json.loads, given.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            url = f"{self.own()}/me/tiny/commit/{COMMIT}"
            self.answer({"commitUrl": url, "commitOid": COMMIT, "success": True})
        else:
            self.answer({"error": self.path}, 404)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if "/resolve/" in path:
            content = self.files[path.rpartition("/")[2]]
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            self.answer(content, ETag=etag, X_Repo_Commit=COMMIT, Accept_Ranges="none")
        elif "/tree/" in path:
            listed = [
                {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
                for name, content in self.files.items()
            ]
            self.answer(listed)
        elif path.startswith("/api/models/me/"):
            siblings = [{"rfilename": name} for name in self.files]
            self.answer({"id": "me/tiny", "sha": COMMIT, "siblings": siblings, "private": False})
        else:
            self.answer({"error": "Repository Not Found"}, 404, X_Error_Code="RepoNotFound")

    do_HEAD = do_GET

    def log_message(self, *_: Any) -> None:
        """Silent."""


@contextmanager
def serving(patch: pytest.MonkeyPatch, cache: Path) -> Iterator[type[Hub]]:
    """The hub that ``huggingface_hub`` asks meanwhile, and what was sent there."""
    kind = type("OwnHub", (Hub,), {"files": {}, "refusing": False})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    patch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    patch.setenv("HF_TOKEN", "hf_none")
    try:
        yield kind
    finally:
        server.shutdown()
        server.server_close()
