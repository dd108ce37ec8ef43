"""Faults to inject into REST traffic, and the record of that traffic."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import time
from dataclasses import dataclass, field
from enum import StrEnum

from aiohttp import web

INTERACTION_PATHS = re.compile(r"^/api/v10/(interactions|webhooks)/")
"""Outside Discord's global rate limit."""


class Way(StrEnum):
    """How a request goes wrong."""

    REFUSE = "refuse"
    """Nothing happens but the status code."""
    RESET = "reset"
    """The connection is reset before anything happens."""
    DROP = "drop"
    """The request is carried out, then the connection is reset: the client cannot know."""
    HOLD = "hold"
    """The request is carried out, the reply waits for ``released``."""


@dataclass(eq=False)
class Fault:
    """One rule: of the requests that match, each ``every``-th goes wrong in this ``way``, ``times`` times."""

    way: Way
    method: str
    path: re.Pattern[str]
    times: int
    status: int = 500
    body: dict[str, object] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    every: int = 1
    seen: int = 0
    met: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def strikes(self, request: web.Request) -> bool:
        """Whether this request is one that goes wrong; counts it."""
        if self.method not in ("*", request.method) or not self.path.search(request.path):
            return False
        self.seen += 1
        due = self.met < self.times and self.seen % self.every == 0
        self.met += due
        return due


class Faults:
    """The rules in force, first match wins."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []

    def take(self, request: web.Request) -> Fault | None:
        """The rule this request runs into, if any."""
        return next((rule for rule in self._rules if rule.strikes(request)), None)

    def clear(self) -> None:
        for rule in self._rules:
            rule.released.set()
        self._rules.clear()

    def add(self, fault: Fault) -> Fault:
        self._rules.append(fault)
        return fault

    def drop(self, method: str, path: str, times: int = 1) -> Fault:
        return self.add(Fault(Way.DROP, method, re.compile(path), times))

    def reset(self, method: str, path: str, times: int = 1) -> Fault:
        return self.add(Fault(Way.RESET, method, re.compile(path), times))

    def hold(self, method: str, path: str, times: int = 1) -> Fault:
        return self.add(Fault(Way.HOLD, method, re.compile(path), times))

    def refuse(self, method: str, path: str, status: int, times: int = 1, code: int = 0) -> Fault:
        body: dict[str, object] = {"message": f"{status}: injected", "code": code}
        return self.add(Fault(Way.REFUSE, method, re.compile(path), times, status, body))

    def rate_limit(self, method: str, path: str, retry_after: float, times: int = 1) -> Fault:
        body: dict[str, object] = {
            "message": "You are being rate limited.",
            "retry_after": retry_after,
            "global": False,
        }
        headers = {"Via": "1.1 google", "Retry-After": str(retry_after)}
        return self.add(Fault(Way.REFUSE, method, re.compile(path), times, 429, body, headers))


def reset_connection(request: web.Request) -> None:
    """Close with RST, so that the client meets ECONNRESET and not a polite end."""
    transport = request.transport
    if transport is None:
        return
    raw: socket.socket | None = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


@dataclass(frozen=True, slots=True)
class Seen:
    """One answered request."""

    at: float
    method: str
    path: str
    status: int


class Traffic:
    """Every request, for the promises about rates."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.identifies: list[float] = []
        self.resumes = 0
        self.syncs = 0

    def record(self, request: web.Request, status: int) -> None:
        self.seen.append(Seen(time.monotonic(), request.method, request.path, status))

    def count(self, method: str, path: str) -> int:
        pattern = re.compile(path)
        return sum(1 for one in self.seen if one.method == method and pattern.search(one.path))

    @property
    def invalid(self) -> int:
        """What Discord counts towards a ban: 401, 403 and 429."""
        return sum(1 for one in self.seen if one.status in (401, 403, 429))

    @property
    def peak(self) -> int:
        """The most requests in any one second, interaction endpoints aside."""
        times = [one.at for one in self.seen if not INTERACTION_PATHS.match(one.path)]
        first, peak = 0, 0
        for last, at in enumerate(times):
            while at - times[first] > 1.0:
                first += 1
            peak = max(peak, last - first + 1)
        return peak
