"""Replies that never come, tokens that have died, storms of refusals: results arrive, once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.wire.books import Books
from tests.wire.faults import Fault, Way
from tests.wire.process import BotProcess
from tests.wire.standin import StandIn
from tests.wire.test_kills import grids, leftovers

SEND = r"/channels/\d+/messages$"


async def order_pictures(discord: StandIn, users: int, each: int) -> list[str]:
    """The texts of the ordered prompts, none of them part of another."""
    texts = []
    for user in range(users):
        for number in range(each):
            texts.append(f"picture {user}-{number}.")
            prompt = f"{texts[-1]} --steps 4"
            await discord.slash(discord.user(f"user{user}"), "imagine", prompt=prompt)
    return texts


@pytest.mark.parametrize("window", ["within", "beyond"])
async def test_replies_dropped_after_acceptance_make_no_duplicates(
    discord: StandIn, tmp_path: Path, window: str
) -> None:
    discord.world.keeps_nonces = window == "within"
    dropped = discord.faults.drop("POST", SEND, times=24)
    async with BotProcess(discord, tmp_path, environ={"TESSERA_QUOTA__DAY": "0"}) as bot:
        texts = await order_pictures(discord, 8, 3)
        books = Books(bot.data)
        await discord.wait_for(lambda: books.settled(24), 60.0)
    assert dropped.met == 24
    assert {text: len(discord.results_for(text)) for text in texts} == dict.fromkeys(texts, 1)
    assert len(grids(discord)) == 24
    assert [leftovers(discord), books.faults()] == [[], []]


@pytest.mark.parametrize("way", [Way.RESET, Way.DROP])
async def test_a_reset_at_any_other_request_loses_nothing(discord: StandIn, tmp_path: Path, way: Way) -> None:
    """Edits, deletes, histories and follow-ups: one in three of the first sixty goes wrong."""
    path = re.compile(r"/(webhooks|channels)/")
    async with BotProcess(discord, tmp_path) as bot:
        for method in ("PATCH", "DELETE", "GET"):
            discord.faults.add(Fault(way, method, path, times=20, every=3))
        await order_pictures(discord, 4, 3)
        books = Books(bot.data)
        await discord.wait_for(lambda: books.settled(12), 60.0)
    assert len(grids(discord)) == len(discord.results()) == 12
    assert books.faults() == []


async def test_delivered_long_after_the_token_died(discord: StandIn, tmp_path: Path) -> None:
    async with BotProcess(discord, tmp_path, environ={"WIRE_HELD": "1"}) as bot:
        order = await discord.slash(discord.user("ann"), "imagine", prompt="a slow boat")
        await discord.wait_for(lambda: "Waiting" in order.said or "%" in order.said)
        discord.expire_all()
        discord.end_nonce_window()
        bot.go()
        result = await discord.wait_for(lambda: discord.results_for("a slow boat"))
        pressed = await discord.click(discord.user("ben"), result[0], "V1")
        await discord.wait_for(lambda: discord.results_for("Variations"))
        books = Books(bot.data)
        await discord.wait_for(lambda: books.settled(2))
    assert pressed.callback is not None
    assert [one.status for one in discord.traffic.seen if one.status == 401] == []
    assert leftovers(discord) == []


async def test_a_storm_of_429_ends_in_delivery_and_no_ban(discord: StandIn, tmp_path: Path) -> None:
    storm = discord.faults.rate_limit("*", r"/channels/", 0.1, times=40)
    async with BotProcess(discord, tmp_path) as bot:
        texts = await order_pictures(discord, 4, 3)
        books = Books(bot.data)
        await discord.wait_for(lambda: books.settled(12), 60.0)
    assert storm.met > 0
    assert {text: len(discord.results_for(text)) for text in texts} == dict.fromkeys(texts, 1)
    assert discord.traffic.invalid < 100
    assert discord.traffic.peak <= 45


async def test_a_storm_of_5xx_ends_in_delivery(discord: StandIn, tmp_path: Path) -> None:
    discord.faults.refuse("POST", SEND, 503, times=6)
    async with BotProcess(discord, tmp_path) as bot:
        await order_pictures(discord, 2, 2)
        books = Books(bot.data)
        await discord.wait_for(lambda: books.settled(4), 60.0)
    assert len(grids(discord)) == 4


async def test_a_channel_that_was_taken_away_costs_few_requests(discord: StandIn, tmp_path: Path) -> None:
    """Missing access, for good: the bot does not knock again and again, and other places are served."""
    other = discord.world.add_channel("other")
    async with BotProcess(discord, tmp_path, environ={"WIRE_HELD": "1"}) as bot:
        await order_pictures(discord, 4, 3)
        discord.faults.refuse("*", rf"/channels/{discord.channel.id}/", 403, times=10_000, code=50001)
        bot.go()
        await discord.slash(discord.user("zoe"), "imagine", to=other, prompt="elsewhere")
        await discord.wait_for(lambda: discord.results(other))
        books = Books(bot.data)
        await discord.wait_for(lambda: all(job.told for job in books.jobs()), 60.0)
    assert discord.traffic.invalid < 100
    assert books.faults() == []
