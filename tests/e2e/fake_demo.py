"""The command line with the scripted engine: ``python -m tests.e2e.fake_demo demo``."""

from __future__ import annotations

import asyncio
import sys

import bot.__main__
from engine.fake import FakeEngine


async def _pause() -> None:
    """Slow enough to be seen painting."""
    await asyncio.sleep(0.1)


if __name__ == "__main__":
    bot.__main__.build_engine = lambda *_: FakeEngine(pause=_pause)
    sys.argv[0] = "tessera"
    bot.__main__.main()
