"""A hub on loopback: the metadata and files of one repository, served as the real one serves them, or badly on purpose."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

REPOSITORY = "GoodBaiBai88/M3D-CLIP"
COMMIT = "a" * 40


@dataclass
class Hub:
    """What is served, how, and what was asked for.

    Parameters
    ----------
    files : dict
        Name -> content as recorded.
    served : dict
        Name -> content that comes instead.
    cut_after : int or None
        Bytes after which the next download of the weights breaks off; once.
    slow : float
        Seconds between blocks of 64 kB.
    hashes, known : bool
        Whether the metadata have hashes; whether the repository exists.
    page : bytes or None
        Answer to everything.
    """

    files: dict[str, bytes]
    served: dict[str, bytes] = field(default_factory=dict)
    cut_after: int | None = None
    slow: float = 0.0
    hashes: bool = True
    known: bool = True
    commit: str = COMMIT
    page: bytes | None = None
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    port: int = 0

    def metadata(self) -> dict[str, Any]:
        siblings = []
        for name, data in self.files.items():
            entry: dict[str, Any] = {"rfilename": name, "size": len(data)}
            if self.hashes:
                entry["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
                if name.endswith(".safetensors"):
                    entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            siblings.append(entry)
        return {"id": REPOSITORY, "sha": self.commit, "siblings": siblings, "cardData": {"license": "apache-2.0"}}


def read_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def serve(hub: Hub) -> ThreadingHTTPServer:
    """Start serving on a free port of loopback; also answers as an HTTP proxy for any host."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_args: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            parts = urlsplit(self.path)
            hub.requests.append((self.command, self.path, self.headers.get("Range")))
            if hub.page is not None:
                self._send(200, hub.page, "text/html", body)
            elif not hub.known:
                self._send(404, b"{}", "application/json", body, {"X-Error-Code": "RepoNotFound"})
            elif parts.path.startswith("/api/models/"):
                revision = parts.path.partition("/revision/")[2]
                if revision not in ("", "main", hub.commit):
                    self._send(404, b"{}", "application/json", body, {"X-Error-Code": "RevisionNotFound"})
                else:
                    self._send(200, json.dumps(hub.metadata()).encode(), "application/json", body)
            else:
                name = parts.path.rpartition("/")[2]
                self._send_file(name, hub.served.get(name, hub.files[name]), body)

        def _send_file(self, name: str, data: bytes, body: bool) -> None:
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
            headers = {"X-Repo-Commit": hub.commit, "ETag": f'"{hashlib.sha256(data).hexdigest()}"'}
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self._send(206 if start else 200, data[start:], "application/octet-stream", body, headers, name)

        def _send(
            self, status: int, data: bytes, kind: str, body: bool, headers: dict[str, str] | None = None, name: str = ""
        ) -> None:
            self.send_response(status)
            for key, value in {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if not body:
                return
            cut = None
            if name.endswith(".safetensors") and hub.cut_after is not None:
                cut, hub.cut_after = hub.cut_after, None
            for place in range(0, len(data), 65536):
                if cut is not None and place >= cut:
                    self.close_connection = True
                    self.connection.close()
                    return
                self.wfile.write(data[place : place + 65536])
                self.wfile.flush()
                if name.endswith(".safetensors"):
                    time.sleep(hub.slow)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
