"""Every act there is, by what is registered: named in both languages, answered at once, allowed, caught."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import discord
import pytest
import pytest_asyncio
from discord import app_commands, ui

from bot.config import Quota
from bot.domain.job import Job, JobStatus
from bot.errors import NotAllowed, StoreError
from bot.store.database import Database
from bot.ui import funnel, reactions
from bot.ui.client import TesseraClient
from bot.ui.commands import COMMANDS as ROOTS
from bot.ui.commands.menus import MENUS
from bot.ui.forms import Form
from bot.ui.panel import PanelSelect
from bot.ui.park import parked_by
from bot.ui.studio import Studio
from tests.bot.ui.acts import (
    COMMANDS,
    ITEMS,
    REACTIONS,
    SUGGESTIONS,
    WINDOWS,
    Act,
    Who,
    found,
    nothing,
    sending,
)
from tests.bot.ui.test_authorisation import effects
from tests.bot.ui.world import World, answers, playing

pytestmark = pytest.mark.asyncio(loop_scope="module")
ACTS: dict[Any, Act] = {
    **COMMANDS,
    **{act.item: act for act in ITEMS if act.item},
    **{window: sending(window) for window in WINDOWS},
    **REACTIONS,
    **SUGGESTIONS,
}
LOOKS = {"PreferenceBook.of", "Services.job", "HistoryBook.models", "History.models"}
"""One row read by its key, which may decide between a window and another answer."""
ANSWERS = ("defer", "send_message", "edit_message", "send_modal", "autocomplete")
CHINESE = re.compile(r"[\u3000-\u9fff]")
ALIKE = re.compile(r"[UV]?\d+")
"""Labels that are the same everywhere."""
JOB_MESSAGE = re.compile(r"\*\*.*\*\* - .*<@\d+>", re.DOTALL)
"""Read by clients of Midjourney's bot, so in English for all."""
APOLOGY = re.compile(r"抱歉，我这边出了问题.*`[0-9a-f]{8}`", re.DOTALL)
LOST = re.compile(r"我的磁盘已满或无法写入.*`[0-9a-f]{8}`", re.DOTALL)


class Boom(Exception):
    """What nobody expects."""


def named(name: Any) -> str:
    return name.__name__ if isinstance(name, type) else "-".join(name) if isinstance(name, tuple) else name


def every(acts: dict[Any, Act]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", list(acts), ids=named)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def theatre(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One world for all acts; nothing in it knows a region by its name but this."""
    async with playing(tmp_path_factory.mktemp("theatre"), quota=Quota(day=0)) as world:
        world.forgive(Boom)
        world.forgive(StoreError)
        world.engine.segmentation = lambda: None  # type: ignore[method-assign]
        yield world


_numbers = itertools.count()


def enter(world: World, locale: str = "en-US") -> None:
    """A channel that is empty, and people that nobody has met, in this language."""
    number = next(_numbers)
    world.channel = world.guild.create_text_channel(f"stage-{number}")
    for name in ("lin", "max"):
        setattr(world, name, world.guild.add_member(world.env.create_user(f"{name}{number}")))
    for who in (world.lin, world.max, world.ada):
        world.speaks(who, locale)


@pytest_asyncio.fixture(loop_scope="module")
async def world(theatre: World) -> AsyncIterator[World]:
    """The theatre, entered; no job is under way when it is left."""
    enter(theatre)
    yield theatre
    while await unfinished(theatre):
        theatre.engine.finish()
        await asyncio.sleep(0)


@dataclass
class Notes:
    """What happened inside each task: waits by the name of what is waited for, and answers."""

    events: list[tuple[Any, str]] = field(default_factory=list)

    def add(self, what: str) -> None:
        self.events.append((asyncio.current_task(), what))

    async def waited(self, awaitable: Awaitable[object], reason: str) -> object:
        code = getattr(awaitable, "cr_code", None)
        self.add(code.co_qualname if code else reason)
        return await awaitable

    def early(self) -> set[str]:
        """What was waited for before an answer, in tasks that gave one."""
        found = set()
        for task in {task for task, what in self.events if what in ANSWERS}:
            mine = [what for one, what in self.events if one is task]
            first = min(place for place, what in enumerate(mine) if what in ANSWERS)
            found |= set(mine[:first])
        return found


@contextmanager
def noting() -> Iterator[Notes]:
    """Take notes while the block runs."""
    notes = Notes()

    def note(patch: pytest.MonkeyPatch, kind: type[Any], name: str) -> None:
        plain = getattr(kind, name)

        async def noted(self: Any, *args: Any, **options: Any) -> Any:
            notes.add(name)
            return await plain(self, *args, **options)

        patch.setattr(kind, name, noted)

    with pytest.MonkeyPatch.context() as patch, parked_by(notes.waited):
        for name in ANSWERS:
            note(patch, discord.InteractionResponse, name)
        note(patch, Database, "write")
        yield notes


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """What the funnel was given."""
    caught: list[Exception] = []
    plain = funnel._words_for

    def noted(interaction: Any, error: Exception) -> Any:
        caught.append(error)
        return plain(interaction, error)

    monkeypatch.setattr(funnel, "_words_for", noted)
    return caught


def leaves(kind: type[Any]) -> set[type[Any]]:
    """The classes of the bot that nothing is derived from."""
    below = {leaf for one in kind.__subclasses__() for leaf in leaves(one)}
    return below or ({kind} if kind.__module__.startswith("bot.") else set())


def commands(client: TesseraClient) -> dict[str, Any]:
    """As the tree has them, menus too."""
    menus: list[Any] = client.tree.get_commands(type=discord.AppCommandType.message)
    slash = [one for one in client.tree.walk_commands() if isinstance(one, app_commands.Command)]
    return {one.qualified_name: one for one in (*slash, *menus)}


async def test_everything_that_is_registered_is_tried(theatre: World) -> None:
    """And everything that could be is registered: a class that is not would be a dead button."""
    items = set(theatre.client._connection._view_store._dynamic_items.values())
    assert items == leaves(ui.DynamicItem) == {act.item for act in ITEMS}
    assert leaves(ui.Modal) == set(WINDOWS)
    assert leaves(ui.View) == set(), "a view with a class of its own would forget its buttons at a restart"
    assert set(commands(theatre.client)) == set(COMMANDS)
    assert set(REACTIONS) == {
        name
        for name, value in vars(reactions).items()
        if isinstance(value, frozenset) and all(len(emoji) == 1 for emoji in value)
    }
    assert set(SUGGESTIONS) == {
        (command.qualified_name, parameter.display_name)
        for command in commands(theatre.client).values()
        for parameter in getattr(command, "parameters", ())
        if parameter.autocomplete
    }


@pytest.mark.parametrize("name", [name for name, act in COMMANDS.items() if name[0].islower()])
async def test_every_command_is_described(theatre: World, name: str) -> None:
    """As are its parameters; no command has an error handler of its own beside the funnel."""
    command = commands(theatre.client)[name]
    assert 10 <= len(command.description) <= 100 and command.description[-1] == "."
    assert command.on_error is None
    for parameter in command.parameters:
        assert str(parameter.description) not in ("", "…")


LIMITS = {"name": 32, "description": 100}
VALUES_OF_CHOICES = {"default", "HOUR", "DAY", "MONTH"}
"""Choices that discord.py makes of types; it asks no translator for those."""
COMMANDS_WITH_SPACES = {"portrait 2:3", "landscape 3:2"}
"""Choices, whose names may have spaces."""


def told_of(payload: Any) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Every name and description that Discord is told, with its translations."""
    if isinstance(payload, dict):
        for key in LIMITS:
            if isinstance(payload.get(key), str) and payload[key]:
                yield key, payload[key], payload.get(f"{key}_localizations") or {}
        for value in payload.values():
            yield from told_of(value)
    elif isinstance(payload, list):
        for value in payload:
            yield from told_of(value)


@pytest.mark.parametrize("name", [one.name for one in (*ROOTS, *MENUS)])
async def test_every_command_is_there_in_both_languages(theatre: World, name: str) -> None:
    """Names, descriptions, parameters and choices, within Discord's limits; slash names as Discord wants."""
    (payload,) = [one for one in await theatre.client.tree.payloads() if one["name"] == name]
    found = list(told_of(payload))
    assert found
    for key, english, translations in found:
        chinese = translations.get("zh-CN", "")
        if english not in VALUES_OF_CHOICES:
            assert CHINESE.search(chinese), f"{english!r} has no Chinese"
        assert len(english) <= LIMITS[key] and len(chinese) <= LIMITS[key]
        if key == "name" and payload["type"] == discord.AppCommandType.chat_input.value:
            assert " " not in chinese or english in COMMANDS_WITH_SPACES, chinese


@every(ACTS)
async def test_it_is_answered_at_once_in_both_languages(
    world: World, errors: list[Exception], name: Any
) -> None:
    """Label, window and answer, within Discord's limits; before any work, and without a fault."""
    act, said = ACTS[name], []
    for locale in ("en-US", "zh-CN"):
        enter(world, locale)
        scene = await act.scene(world)
        words = labelled(act, scene)
        with noting() as notes:
            asked = await act.do(world, entitled(world, act), scene)
        assert notes.early() <= (LOOKS if act.looks_first else set())
        assert name in {*REACTIONS, *SUGGESTIONS} or asked.acknowledged
        said.append(words + spoken(world, asked, scene))
    assert errors == []
    english, chinese = said
    assert not [text for text in english if CHINESE.search(text)]
    assert [text for text in chinese if not CHINESE.search(text)] == list(filter(ALIKE.fullmatch, english))


@every(
    {name: act for name, act in ACTS.items() if act.who in (Who.OWNER, Who.ADMIN) or act.scene is not nothing}
)
async def test_nobody_has_what_is_not_theirs(world: World, errors: list[Exception], name: Any) -> None:
    """And what anyone may do works for anyone, at their own cost."""
    act = ACTS[name]
    allow_quota(world)
    scene = await act.scene(world)
    if act.who is Who.SELF:
        assert getattr(scene, "ephemeral", False) or getattr(scene, "modal", None)
        return
    before, theirs = await effects(world), {row.id for row in await unfinished(world)}
    shown = len(world.messages())
    asked = await act.do(world, world.max, scene)
    if act.who is Who.ANYONE:
        assert errors == []
        made = [row for row in await unfinished(world) if row.id not in theirs]
        assert {row.requester.user_id for row in made} <= {world.max.id}
        return
    assert await effects(world) == before
    if name in REACTIONS:
        assert len(world.messages()) == shown and not list(world.max.user.dm_channel.history())
    assert [type(getattr(error, "original", error)) for error in errors] == [NotAllowed] * (asked is not None)
    assert [told.ephemeral for told in fresh_answers(asked, scene)] == [True] * (asked is not None)


@every({name: act for name, act in ACTS.items() if name not in SUGGESTIONS})
async def test_what_fails_is_told_in_a_sentence(
    world: World, monkeypatch: pytest.MonkeyPatch, errors: list[Exception], name: Any
) -> None:
    """Once, in the language of whoever did it, and for her alone; nothing of it is left in the channel.

    First what the act itself raises, then the store, in whatever that is needed for.
    """
    act = ACTS[name]
    enter(world, "zh-CN")
    scene = await act.scene(world)
    seen = {message.id for message in world.messages()}
    with monkeypatch.context() as patch:
        break_act(world, patch, name)
        asked = await act.do(world, entitled(world, act), scene)
    if name in REACTIONS:
        (told,) = [message for message in world.messages() if message.id not in seen]
        assert told.content.startswith(world.lin.mention) and APOLOGY.search(told.content)
        return
    assert_told(asked, scene, APOLOGY)
    if name in WINDOWS:
        scene = await act.scene(world)
    errors.clear()
    seen |= {message.id for message in world.messages()}
    with monkeypatch.context() as patch:
        break_store(patch)
        asked = await act.do(world, entitled(world, act), scene)
    assert asked.acknowledged
    if errors:
        assert_told(asked, scene, LOST)
        assert {message.id for message in world.messages()} <= seen


def assert_told(asked: Any, scene: Any, words: re.Pattern[str]) -> None:
    (told,) = fresh_answers(asked, scene)
    assert told.ephemeral and words.search(told.content)


def entitled(world: World, act: Act) -> Any:
    return world.ada if act.who is Who.ADMIN else world.lin


async def unfinished(world: World) -> list[Job]:
    return [*await world.rows(JobStatus.QUEUED), *await world.rows(JobStatus.RUNNING)]


def fresh_answers(asked: Any, scene: Any) -> list[Any]:
    """Without the message that was pressed, which an answer may have changed."""
    pressed = getattr(scene, "id", None)
    return [] if asked is None else [told for told in answers(asked) if told.id != pressed]


def allow_quota(world: World) -> None:
    """As an admin can in Discord's own settings; who may use it is our business."""
    for command in world.env.backend.visible_commands(user_id=world.ada.id, channel_id=world.channel.id):
        if command["name"] == "quota":
            world.guild.set_command_permissions(int(command["id"]), {world.max: True})


def break_act(world: World, patch: pytest.MonkeyPatch, name: Any) -> None:
    """What this act does raises from here on."""

    async def boom(*_: Any, **__: Any) -> NoReturn:
        raise Boom

    if name in COMMANDS:
        patch.setattr(commands(world.client)[name], "_callback", boom)
    elif name in REACTIONS:
        patch.setattr(reactions, "mail", boom)
        patch.setattr(reactions, "_cross_out", boom)
    elif name is Form:
        patch.setattr(Studio, "_submit", boom)
    elif name in WINDOWS:
        patch.setattr(name, "on_submit", boom)
    else:
        patch.setattr(name, "chosen" if issubclass(name, PanelSelect) else "pressed", boom)


def break_store(patch: pytest.MonkeyPatch) -> None:
    """Nothing can be read or written."""

    async def gone(*_: Any) -> NoReturn:
        raise StoreError("gone")

    for verb in ("read", "write"):
        patch.setattr(Database, verb, gone)


def labelled(act: Act, scene: Any) -> list[str]:
    """The words on a button or menu, or in a window; emoji need none."""
    if modal := getattr(scene, "modal", None):
        inner = [row.get("component") or row["components"][0] for row in modal["components"]]
        words = [modal["title"], *(part["label"] for part in inner)]
        assert all(1 <= len(word) <= 45 for word in words)
        return words
    if act.item is None:
        return []
    child = found(act.item, scene)
    if isinstance(child, discord.SelectMenu):
        assert all(1 <= len(option.label) <= 100 for option in child.options)
        return [child.placeholder or child.options[0].label]
    assert child.label or child.emoji
    assert len(child.label or "") <= 80
    return [child.label] if child.label else []


def spoken(world: World, asked: Any, scene: Any) -> list[str]:
    """The sentences of an answer, without what is in English for all."""
    if asked is None:
        direct = world.lin.user.dm_channel
        contents = [message.content.partition("**\n")[2] for message in direct.history()] if direct else []
    elif isinstance(asked, list):
        contents = [choice["name"] for choice in asked if "--" in choice["name"]][:1]
    else:
        contents = [asked.modal["title"]] if asked.modal else [told.content for told in answers(asked)]
    return [content for content in contents if content and not JOB_MESSAGE.match(content)]
