"""The one place through which a Discord callback waits for something that is not Discord."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
Hook = Callable[[Awaitable[object], str], Awaitable[object]]


async def _just_await(awaitable: Awaitable[object], reason: str) -> object:
    return await awaitable


_hook: Hook = _just_await


async def park(awaitable: Awaitable[T], reason: str) -> T:
    """Await ``awaitable``; ``reason`` tells a simulated Discord that this wait is no business of its own."""
    return await _hook(awaitable, reason)  # type: ignore[return-value]


@contextmanager
def parked_by(hook: Hook) -> Iterator[None]:
    """Send every wait through ``hook`` while the block runs (the demo and tests on SimCord)."""
    global _hook
    before, _hook = _hook, hook
    try:
        yield
    finally:
        _hook = before
