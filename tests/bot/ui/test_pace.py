"""Never more than so many requests in any one second, whichever second one looks at."""

from __future__ import annotations

import asyncio

import pytest

from bot.ui.pace import Pace, counts


async def test_no_second_has_more_than_its_share() -> None:
    now, began = [0.0], []

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    async def one(pace: Pace) -> None:
        await pace.turn()
        began.append(now[0])
        now[0] += 0.003

    pace = Pace(clock=lambda: now[0], sleep=sleep)
    await asyncio.gather(*(one(pace) for _ in range(200)))
    assert len(began) == 200 and now[0] < 8.0
    assert max(sum(at <= other <= at + 1.0 for other in began) for at in began) <= 45


@pytest.mark.parametrize(
    ("path", "counted"),
    [
        ("/api/v10/channels/1/messages", True),
        ("/api/v10/users/@me", True),
        ("/api/v10/applications/1/commands", True),
        ("/api/v10/interactions/1/token/callback", False),
        ("/api/v10/webhooks/1/token/messages/@original", False),
        ("/attachments/1/2/picture.png", False),
        ("/", False),
    ],
)
def test_interactions_are_outside_the_limit(path: str, counted: bool) -> None:
    assert counts(path) is counted
