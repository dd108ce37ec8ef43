"""One stand-in for each test, unless a module shares its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.wire.standin import StandIn


@pytest.fixture
async def discord() -> AsyncIterator[StandIn]:
    async with StandIn() as made:
        yield made
