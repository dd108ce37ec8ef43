"""A hub on this machine: lists a repository and serves its files as the real one does, or fails as it can."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web

REPO, REVISION = "someone/model", "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Asked:
    """A request for a file, as the hub saw it."""

    path: str
    range: str | None
    token: str | None


@dataclass
class Mirror:
    """What one address serves. ``files`` is what it lists; the rest is what goes wrong on the way."""

    files: Mapping[str, bytes]
    address: str = ""
    sends: dict[str, bytes] = field(default_factory=dict)
    """Files sent with another content than listed."""
    headers: dict[str, str] = field(default_factory=dict)
    """Of the listing, beside the usual."""
    endless: set[str] = field(default_factory=set)
    """Files that never end."""
    drips: set[str] = field(default_factory=set)
    """Files that come a byte at a time."""
    lies: dict[str, dict[str, object]] = field(default_factory=dict)
    """What it lists of a file in place of the truth."""
    missing: set[str] = field(default_factory=set)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """After how many bytes the line is cut, one entry per request for the file."""
    status: int = 200
    """Of the listing."""
    names: tuple[str, ...] = ()
    """Further names in the listing."""
    asked: list[Asked] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    def ranges(self, path: str) -> list[str | None]:
        """The Range header of every request for a file."""
        return [asked.range for asked in self.asked if asked.path == path]

    async def tree(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("Authorization"))
        if self.status != 200 or request.match_info["revision"] != REVISION:
            return web.json_response({"error": "no"}, status=self.status if self.status != 200 else 404)
        entries = [_entry(path, content) for path, content in self.files.items()]
        entries += [_entry(name, b"?") for name in self.names]
        entries = [{**entry, **self.lies.get(str(entry["path"]), {})} for entry in entries]
        return web.json_response(entries, headers=self.headers)

    async def file(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        self.asked.append(Asked(path, request.headers.get("Range"), request.headers.get("Authorization")))
        if path in self.missing or path not in self.files:
            return web.json_response({"error": "no"}, status=404, headers={"X-Error-Code": "EntryNotFound"})
        content = self.sends.get(path, self.files[path])
        start = int((request.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        response = web.StreamResponse(status=206 if start else 200)
        if path in self.endless:
            response = web.StreamResponse(headers={"Connection": "close"})
        else:
            response.content_length = len(content) - start
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        await response.prepare(request)
        while path in self.endless:
            await response.write(bytes(1 << 16))
        while path in self.drips:
            await response.write(content[start : start + 1])
            await asyncio.sleep(0.05)
        if cuts := self.cuts.get(path):
            await response.write(content[start : cuts.pop(0)])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(content[start:])
        return response


@contextmanager
def serving(*mirrors: Mirror) -> Iterator[None]:
    """The mirrors answer at their ``address`` from a thread of their own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runners = [asyncio.run_coroutine_threadsafe(_start(mirror), loop).result(60) for mirror in mirrors]
    try:
        yield
    finally:
        for runner in runners:
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


async def _start(mirror: Mirror) -> web.AppRunner:
    app = web.Application()
    app.router.add_get(f"/api/models/{REPO}/tree/{{revision}}", mirror.tree)
    app.router.add_get(f"/{REPO}/resolve/{REVISION}/{{path:.+}}", mirror.file)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    mirror.address = f"http://{host}:{port}"
    return runner


def _entry(path: str, content: bytes) -> dict[str, object]:
    """As the hub lists it: git's blob id, and the SHA-256 of what lies in LFS."""
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(content), "oid": blob}
    if path.endswith(".safetensors"):
        oid = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 134}
    return entry
