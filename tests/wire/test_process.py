"""The process as an operator meets it: stopping, wrong tokens, second copies, what the log gives away."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sys
import time
from pathlib import Path

import aiohttp
import pytest
from discord.http import Route

from bot.config import Data, Settings
from bot.store.database import check
from bot.ui.client import TesseraClient
from tests.wire.books import Books
from tests.wire.process import ROOT, BotProcess
from tests.wire.standin import TOKEN, StandIn
from tests.wire.test_kills import grids, leftovers


async def test_sigterm_drains_and_the_next_process_goes_on(discord: StandIn, tmp_path: Path) -> None:
    async with BotProcess(discord, tmp_path, environ={"WIRE_HELD": "1"}) as bot:
        for name in ("ann", "ben"):
            for number in range(3):
                await discord.slash(discord.user(name), "imagine", prompt=f"{name} {number}.")
        books = Books(bot.data)
        await discord.wait_for(lambda: any(job.status == "running" for job in books.jobs()))
        bot.terminate()
        asked = time.monotonic()
        assert await bot.ended() == 0
        assert time.monotonic() - asked <= 30
        assert {job.status for job in books.jobs()} == {"queued"}
        assert {job.attempts for job in books.jobs()} == {0}
    async with BotProcess(discord, tmp_path):
        await discord.wait_for(lambda: books.settled(6))
    assert [len(grids(discord)), leftovers(discord), books.faults()] == [6, [], []]


async def test_sigterm_while_the_model_loads_ends_at_once(discord: StandIn, tmp_path: Path) -> None:
    async with BotProcess(discord, tmp_path, environ={"WIRE_LOADING": "1"}) as bot:
        await discord.slash(discord.user("ann"), "imagine", prompt="a boat")
        books = Books(bot.data)
        await discord.wait_for(lambda: len(books.jobs()) == 1)
        bot.terminate()
        assert await bot.ended(15) == 0
    async with BotProcess(discord, tmp_path):
        await discord.wait_for(lambda: books.settled(1))
    assert len(grids(discord)) == 1


async def test_sigterm_while_discord_does_not_answer_ends_at_once(discord: StandIn, tmp_path: Path) -> None:
    held = discord.faults.hold("GET", r"/users/@me$")
    async with BotProcess(discord, tmp_path, ready=False) as bot:
        await discord.wait_for(lambda: held.met)
        bot.terminate()
        assert await bot.ended(30) == 0
    assert "Traceback" not in bot.log


async def test_sigterm_lets_a_send_under_way_end(discord: StandIn, tmp_path: Path) -> None:
    held = discord.faults.hold("POST", r"/channels/\d+/messages$")
    async with BotProcess(discord, tmp_path) as bot:
        await discord.slash(discord.user("ann"), "imagine", prompt="a boat")
        await discord.wait_for(lambda: grids(discord))
        bot.terminate()
        ended = asyncio.ensure_future(bot.ended())
        done, _ = await asyncio.wait({ended}, timeout=1.0)
        assert not done, "it did not wait for the reply"
        held.released.set()
        assert await ended == 0
    assert [job.status for job in Books(bot.data).jobs()] == ["posted"]
    assert len(grids(discord)) == 1


async def test_nothing_new_is_taken_after_sigterm(discord: StandIn, tmp_path: Path) -> None:
    held = discord.faults.hold("POST", r"/channels/\d+/messages$")
    async with BotProcess(discord, tmp_path) as bot:
        await discord.slash(discord.user("ann"), "imagine", prompt="a boat")
        await discord.wait_for(lambda: grids(discord))
        bot.terminate()
        await discord.wait_for(lambda: "stopping" in bot.log)
        late = await discord.slash(discord.user("ben"), "imagine", prompt="too late", wait=False)
        if discord.gateway.connected:
            await discord.wait_for(lambda: late.said or not discord.gateway.connected)
        held.released.set()
        assert await bot.ended() == 0
    assert [job.user_id for job in Books(bot.data).jobs()] == [discord.user("ann").id]


async def test_a_wrong_token_ends_in_one_sentence_and_code_4(discord: StandIn, tmp_path: Path) -> None:
    async with BotProcess(discord, tmp_path, token="wrong-canary-token", ready=False) as bot:
        assert await bot.ended() == 4
        assert "Discord refused the token." in bot.log
        assert "Traceback" not in bot.log
        assert "wrong-canary-token" not in bot.log
    assert discord.traffic.identifies == []
    assert discord.traffic.invalid == 1


async def test_a_second_process_on_the_same_folder_says_so(discord: StandIn, tmp_path: Path) -> None:
    async with BotProcess(discord, tmp_path) as first:
        async with BotProcess(discord, tmp_path, ready=False) as second:
            assert await second.ended() == 3
            assert str(first.data) in second.log
            assert "Traceback" not in second.log
        await discord.slash(discord.user("ann"), "imagine", prompt="a boat")
        await discord.wait_for(lambda: discord.results_for("a boat"))
    assert len(discord.traffic.identifies) == 1


async def test_a_backup_of_a_bot_at_work_is_a_bot_to_go_on_with(discord: StandIn, tmp_path: Path) -> None:
    """The command beside the bot, then the copy in the place of all that was there."""
    copy = tmp_path / "copy.db"
    async with BotProcess(discord, tmp_path, environ={"WIRE_HELD": "1"}) as bot:
        for number in range(6):
            await discord.slash(discord.user(f"user{number}"), "imagine", prompt=f"a boat {number}.")
        words = ("-m", "bot", "db", "backup", str(copy), "--config", str(tmp_path / "config.toml"))
        command = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=ROOT)
        assert await command.wait() == 0
    assert check(copy) == []
    shutil.rmtree(bot.data)
    bot.data.mkdir()
    copy.rename(bot.data / "tessera.db")
    async with BotProcess(discord, tmp_path) as bot:
        books = Books(bot.data)
        await discord.wait_for(lambda: books.settled(6))
    assert [len(grids(discord)), leftovers(discord), books.faults()] == [6, [], []]


@pytest.mark.parametrize("form", ["text", "json"])
async def test_no_secret_is_logged_at_debug_level(discord: StandIn, tmp_path: Path, form: str) -> None:
    """The bot's token, and the interactions' tokens, which let anyone answer in the bot's name."""
    environ = {"TESSERA_LOG__LEVEL": "debug", "TESSERA_LOG__FORMAT": form, "HF_TOKEN": "hub-canary"}
    async with BotProcess(discord, tmp_path, environ=environ) as bot:
        ann = discord.user("ann")
        alone = discord.world.add_channel("", recipient=ann, closed=True)
        await discord.slash(ann, "imagine", to=alone, prompt="where only the token reaches")
        await discord.slash(ann, "imagine", prompt="a boat")
        await discord.slash(ann, "imagine", prompt="FAIL a boat")
        [result] = await discord.wait_for(lambda: discord.results_for("a boat"))
        await discord.click(ann, result, "U1")
        discord.faults.refuse("*", "/webhooks/", 500, times=1)
        await discord.slash(ann, "info")
        await discord.gateway.drop()
        books = Books(bot.data)
        await discord.wait_for(lambda: books.settled(4) and discord.gateway.connected)
        bot.terminate()
        await bot.ended()
    assert "DEBUG" in bot.log.upper()
    assert TOKEN not in bot.log and "hub-canary" not in bot.log
    leaked = [i.data for i in discord.world.interactions if i.token in bot.log]
    assert leaked == []


async def test_a_broken_line_is_resumed_not_identified_anew(discord: StandIn, tmp_path: Path) -> None:
    async with BotProcess(discord, tmp_path):
        for _ in range(5):
            await discord.gateway.drop()
            await discord.wait_for(lambda: discord.gateway.connected)
        await discord.gateway.drop(code=4000)
        await discord.wait_for(lambda: discord.gateway.connected)
        await discord.slash(discord.user("ann"), "imagine", prompt="a boat")
        await discord.wait_for(lambda: discord.results_for("a boat"))
    assert [len(discord.traffic.identifies), discord.traffic.resumes] == [1, 6]


async def test_commands_are_synced_once_for_all_starts(discord: StandIn, tmp_path: Path) -> None:
    for _ in range(3):
        async with BotProcess(discord, tmp_path):
            pass
    assert discord.traffic.syncs == 1


async def test_the_pages_say_whether_it_is_ready(discord: StandIn, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {"TESSERA_WEB__ENABLED": "true", "TESSERA_WEB__PORT": str(port)}
    async with BotProcess(discord, tmp_path, environ=environ), aiohttp.ClientSession() as web:

        async def page(name: str) -> tuple[int, str]:
            async with web.get(f"http://127.0.0.1:{port}/{name}") as response:
                return response.status, await response.text()

        ann = discord.user("ann")
        await discord.slash(ann, "imagine", prompt="a secret boat")
        await discord.wait_for(lambda: discord.results_for("a secret boat"))
        assert await page("readyz") == (200, "ready\n")
        assert (await page("healthz"))[0] == 200
        status, metrics = await page("metrics")
        assert status == 200
        for secret in (TOKEN, "a secret boat", str(ann.id), str(discord.world.guild_id)):
            assert secret not in metrics


async def test_a_crash_loop_spends_no_more_logins(discord: StandIn, tmp_path: Path) -> None:
    """The logins of the last hour are remembered in the data folder; what is owed is painted meanwhile."""
    async with BotProcess(discord, tmp_path, environ={"WIRE_HELD": "1"}) as bot:
        await discord.slash(discord.user("ann"), "imagine", prompt="a boat")
        await discord.wait_for(lambda: Books(bot.data).jobs())
        bot.kill()
        await bot.killed()
    logins = bot.data / "logins.json"
    [first] = json.loads(logins.read_text())
    logins.write_text(json.dumps([first] * 30))
    async with BotProcess(discord, tmp_path, ready=False) as bot:
        await discord.wait_for(lambda: discord.results_for("a boat"))
        assert "the bot logged in 30 times within an hour" in bot.log
        assert len(discord.traffic.identifies) == 1
        bot.terminate()
        assert await bot.ended() == 0


async def test_requests_keep_to_their_pace(
    discord: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever asks for them, and over all routes together."""
    monkeypatch.setattr(Route, "BASE", discord.api)
    client = TesseraClient(Settings(data=Data(dir=tmp_path)))
    async with client:
        await client.login(TOKEN)
        users = [discord.user(f"user{number}").id for number in range(100)]
        await asyncio.gather(*(client.http.get_user(user) for user in users))
    assert discord.traffic.count("GET", r"/users/\d+$") == 100
    assert discord.traffic.peak <= 45
