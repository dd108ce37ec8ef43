"""Logging in, telling Discord of commands only when they changed, and what the demo says of itself."""

from __future__ import annotations

import builtins
import logging
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import aiohttp
import discord
import pytest
from pydantic import SecretStr

from bot.config import Data, Settings
from bot.config import Discord as DiscordSettings
from bot.errors import DiscordLoginError, OperatorError, UserError
from bot.ui import caller
from bot.ui.client import NO_TOKEN, WRONG_TOKEN, TesseraClient, run_bot
from bot.ui.demo import live_demo, welcome
from bot.ui.funnel import answer_error
from engine.fake import SKETCH, FakeEngine
from tests.bot.ui.world import World


def told(world: World) -> int:
    """How often Discord was told of the commands."""
    return sum(
        request.method == "PUT" and request.path.endswith("/commands") for request in world.env.http_requests
    )


async def test_commands_are_told_only_when_they_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discord takes 200 a day; a restart is no change."""
    assert told(world) == 1
    await world.restart()
    assert told(world) == 1
    command = world.client.tree.get_command("help")
    monkeypatch.setattr(command, "description", "Something else is said now.")
    await world.restart()
    assert told(world) == 2


async def test_commands_are_taken_back_where_they_belong_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From all servers to two, to one of them, and back to all."""
    said: list[tuple[int | None, bool]] = []

    async def upsert(application_id: int, commands: list[Any]) -> None:
        said.append((None, bool(commands)))

    async def upsert_in(application_id: int, guild_id: int, commands: list[Any]) -> None:
        said.append((guild_id, bool(commands)))

    for guild_ids, expected in [
        ((), [(None, True)]),
        ((), []),
        ((1, 2), [(1, True), (2, True), (None, False)]),
        ((2,), [(2, True), (1, False)]),
        ((), [(None, True), (2, False)]),
    ]:
        client = TesseraClient(Settings(data=Data(dir=tmp_path)))
        monkeypatch.setattr(client.http, "bulk_upsert_global_commands", upsert)
        monkeypatch.setattr(client.http, "bulk_upsert_guild_commands", upsert_in)
        told = await client.tree.sync_if_changed(tmp_path, 7, guild_ids)
        assert (told, said) == (bool(expected), expected)
        said.clear()


async def test_old_commands_stay_where_discord_takes_no_new_ones(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A crash at this point would burn one of the day's logins."""
    monkeypatch.setattr(world.client.tree.get_command("help"), "description", "Something else is said now.")
    world.env.inject_error("PUT", "/applications/*/commands", status=400, code=30034, message="Max creates")
    await world.restart()
    assert "Discord did not take the commands" in caplog.text
    assert (await world.imagine()).response.content.endswith("(Waiting to start)")


async def test_without_a_token_the_sentence_says_where_to_put_it(tmp_path: Path) -> None:
    """Before anything is opened."""
    with pytest.raises(DiscordLoginError) as raised:
        await run_bot(Settings(data=Data(dir=tmp_path / "data")), FakeEngine())
    assert str(raised.value) == NO_TOKEN
    assert not (tmp_path / "data").exists()


async def test_a_wrong_token_is_named_without_being_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Discord says 401; the secret appears nowhere."""
    caplog.set_level(logging.DEBUG)

    async def refused(_: object, __: str) -> None:
        raise discord.LoginFailure("Improper token has been passed.")

    monkeypatch.setattr(TesseraClient, "login", refused)
    settings = Settings(
        data=Data(dir=tmp_path), discord=DiscordSettings(token=SecretStr("canary.secret.token"))
    )
    with pytest.raises(DiscordLoginError) as raised:
        await run_bot(settings, FakeEngine())
    assert str(raised.value) == WRONG_TOKEN
    assert "canary" not in caplog.text + str(raised.value) + repr(settings)


async def test_a_login_that_discord_cannot_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage is no bug of ours."""

    async def down(_: object, __: str) -> None:
        answer: Any = SimpleNamespace(status=503, reason="Service Unavailable")
        raise discord.DiscordServerError(answer, "upstream")

    monkeypatch.setattr(TesseraClient, "login", down)
    settings = Settings(data=Data(dir=tmp_path), discord=DiscordSettings(token=SecretStr("a.b.c")))
    with pytest.raises(DiscordLoginError, match="Discord answered the login with error 503; try again"):
        await run_bot(settings, FakeEngine())


async def test_a_token_that_is_reset_while_the_bot_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway closes with 4004: as wrong a token as one that never worked."""

    async def welcome_in(_: object, __: str) -> None:
        return

    async def closed(_: object, *, reconnect: bool) -> None:
        raise discord.ConnectionClosed(SimpleNamespace(close_code=4004), shard_id=None)  # type: ignore[arg-type]

    monkeypatch.setattr(TesseraClient, "login", welcome_in)
    monkeypatch.setattr(TesseraClient, "connect", closed)
    settings = Settings(data=Data(dir=tmp_path), discord=DiscordSettings(token=SecretStr("a.b.c")))
    with pytest.raises(DiscordLoginError) as raised:
        await run_bot(settings, FakeEngine())
    assert str(raised.value) == WRONG_TOKEN


async def test_a_dead_connection_while_telling_an_error_is_only_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What a button's funnel raises would be a traceback in the log and nothing more."""

    async def send_message(*_: Any, **__: Any) -> None:
        raise aiohttp.ServerDisconnectedError

    asked: Any = SimpleNamespace(
        extras={}, response=SimpleNamespace(is_done=lambda: False, send_message=send_message)
    )
    await answer_error(asked, UserError("No."))
    assert "could not tell the user of an error" in caplog.text


def test_in_a_thread_the_right_to_write_in_threads_counts() -> None:
    """Discord keeps the two rights apart; a job that cannot be delivered would be painted in vain."""
    allowed = discord.Permissions(view_channel=True, attach_files=True, send_messages=True)
    asked: Any = SimpleNamespace(
        guild_id=1,
        is_guild_integration=lambda: True,
        is_user_integration=lambda: False,
        channel=Mock(spec=discord.TextChannel),
        app_permissions=allowed,
    )
    caller.require_delivery(asked)
    asked.channel = Mock(spec=discord.Thread)
    with pytest.raises(UserError, match="missing: send messages in threads"):
        caller.require_delivery(asked)


@pytest.mark.parametrize(
    ("guild_id", "guild", "user", "private", "only"),
    [
        (1, True, False, False, False),
        (1, True, True, False, False),
        (1, False, True, False, True),
        (None, False, False, False, False),
        (None, False, True, True, True),
    ],
)
def test_where_the_token_is_the_only_way(
    guild_id: int | None, guild: bool, user: bool, private: bool, only: bool
) -> None:
    """Where the bot was installed by the user alone; there nobody counts as an admin either."""
    interaction: Any = SimpleNamespace(
        guild_id=guild_id,
        is_guild_integration=lambda: guild,
        is_user_integration=lambda: user,
        context=SimpleNamespace(private_channel=private),
        user=SimpleNamespace(id=7),
        permissions=discord.Permissions(administrator=True),
    )
    assert caller.token_only(interaction) is only
    assert caller.requester(interaction, ()).is_admin is (guild_id is not None and not only)


def test_the_demo_is_honest_about_its_model() -> None:
    """That it is a sketch, and how to put a real one in its place."""
    said = welcome({"sketch": SKETCH})
    assert "simulated Discord" in said and "**sketch model**" in said and "[models.mine]" in said
    assert len(said) <= 2000
    other = welcome({"mine": SKETCH})
    assert "from the model **mine**" in other and "sketch" not in other


async def test_without_simcord_the_demo_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an extra."""
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("simcord"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(OperatorError, match=r"Type: make demo; or: pip install 'tessera\[demo\]'\."):
        async with live_demo(Settings(), 0, FakeEngine(), tmp_path):
            raise AssertionError("it started without")


async def test_the_demo_on_a_port_that_is_taken(tmp_path: Path) -> None:
    """One sentence, and nothing left open."""
    async with live_demo(Settings(), 0, FakeEngine(), tmp_path / "one") as (url, _):
        assert url.startswith("http://127.0.0.1:")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OperatorError, match=f"The demo's page cannot be served: .*{port}"):
            async with live_demo(Settings(), port, FakeEngine(), tmp_path / "two"):
                raise AssertionError("it started on a taken port")
