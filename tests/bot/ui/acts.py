"""Everything a person can do to the bot: each command, menu, button, window, reaction and suggestion, once.

``test_structure`` holds the table against what is registered, so whatever is new must be entered here, and
is thereby tried in every way that file has.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any

import discord
from discord import ui

from bot.ui import batch, components, ideas, region
from bot.ui.buttons import JobButton
from bot.ui.commands.describe import AgainButton
from bot.ui.commands.history import ExportButton, JobMenu, PageButton, PostButton
from bot.ui.commands.menus import ReportWindow
from bot.ui.commands.privacy import DeleteDataButton, ExportDataButton, SureButton
from bot.ui.commands.remix import ReproduceButton, VaryPictureButton
from bot.ui.commands.settings import ModelMenu, SettingButton
from bot.ui.forms import Form
from bot.ui.panel import PanelButton, PanelSelect
from tests.bot.ui.test_ideas import LONG, told
from tests.bot.ui.test_imagine import picture
from tests.bot.ui.world import World, answers

Scene = Callable[[World], Awaitable[Any]]
"""What lin does first; its value is what is pressed."""
Item = type[JobButton] | type[PanelButton] | type[PanelSelect]


class Who(StrEnum):
    """Who may do it."""

    ANYONE = auto()
    """Whoever sees it; it is done to and for themselves."""
    OWNER = auto()
    """Of the job, or an admin."""
    ADMIN = auto()
    SELF = auto()
    """Nobody else ever sees it."""


JOBS_A_PAGE = 5


@dataclass(frozen=True)
class Act:
    """``do(world, who, scene's value)`` is what SimCord has of it; ``item`` is the class of a button or menu.

    ``looks_first``: a look at settings or at one job decides what the first answer is (a window or not).
    """

    do: Callable[[World, Any, Any], Awaitable[Any]]
    scene: Scene
    who: Who = Who.ANYONE
    looks_first: bool = False
    item: Item | None = None


async def nothing(world: World) -> None:
    """No scene."""


async def waiting(world: World) -> Any:
    """A job that has not begun."""
    return (await world.imagine("a cat")).response


async def grid(world: World) -> discord.Message:
    """Four pictures."""
    return await world.grid("a red apple --n 2 --steps 1")


async def single(world: World) -> discord.Message:
    """One that is not square: it has every button that works on one picture."""
    return await world.grid("a red apple --ar 3:2 --n 1 --steps 1")


async def fields(world: World) -> Any:
    """The numbered fields, one of them chosen."""
    opened = await press(components.RegionButton, world.lin, await single(world))
    panel = opened.followups[0]
    await press(region.CellButton, world.lin, panel)
    return panel


async def question(world: World) -> Any:
    """An order of two jobs."""
    return (await world.imagine("a {red, blue} bird")).response


async def described(world: World) -> Any:
    """Four prompts."""
    return answers(await world.lin.slash(world.channel, "describe", image=("a.png", picture())))[0]


async def remixed(world: World) -> Any:
    """A picture's own parameters."""
    return answers(await world.lin.slash(world.channel, "remix", image=("a.png", told())))[0]


async def private(world: World) -> Any:
    """/privacy."""
    return (await world.lin.slash(world.channel, "privacy")).response


async def unsure(world: World) -> Any:
    """/privacy, asked once more."""
    return (await press(DeleteDataButton, world.lin, await private(world))).response


async def settled(world: World) -> Any:
    """/settings."""
    return answers(await world.lin.slash(world.channel, "settings"))[0]


async def page(world: World) -> Any:
    """/history."""
    await grid(world)
    return (await world.lin.slash(world.channel, "history")).response


async def pages(world: World) -> Any:
    """/history of so many jobs that a page can be turned."""
    for number in range(JOBS_A_PAGE):
        await world.grid(f"apple {number} --n 1 --steps 1")
    return await page(world)


async def looked_at(world: World) -> Any:
    """One job of the history."""
    return answers(await press(JobMenu, world.lin, await page(world)))[0]


def found(item: Item, message: Any) -> Any:
    """The component of this class on a message."""
    message = getattr(message, "message", message)
    for row in message.components:
        for child in row.children:
            if not child.disabled and item.__discord_ui_compiled_template__.fullmatch(child.custom_id or ""):
                return child
    raise AssertionError(f"no {item.__name__} on {message.content!r}")


async def press(item: Item, who: Any, message: Any) -> Any:
    """Press the first button of this class, or choose the last entry of the menu."""
    child = found(item, message)
    message = getattr(message, "message", message)
    if isinstance(child, discord.SelectMenu):
        return await who.select(message, [child.options[-1].value], custom_id=child.custom_id)
    return await who.click(message, custom_id=child.custom_id)


def pressing(item: Item, scene: Scene, who: Who = Who.ANYONE, *, looks_first: bool = False) -> Act:
    async def do(world: World, who: Any, message: Any) -> Any:
        return await press(item, who, message)

    return Act(do, scene, who, looks_first, item)


def typing(command: str, by: Who = Who.ANYONE, /, *, looks_first: bool = False, **options: Any) -> Act:
    async def do(world: World, who: Any, _: Any) -> Any:
        return await who.slash(world.channel, command, **options)

    return Act(do, nothing, by, looks_first)


def choosing(name: str, who: Who, scene: Scene = grid) -> Act:
    async def do(world: World, who: Any, message: Any) -> Any:
        return await who.context_menu(world.channel, name, getattr(message, "message", message))

    return Act(do, scene, who)


def reacting(emoji: str, scene: Scene) -> Act:
    async def do(world: World, who: Any, message: Any) -> None:
        await who.react(getattr(message, "message", message), emoji)

    return Act(do, scene, Who.OWNER)


def suggesting(command: str, option: str, value: str) -> Act:
    async def do(world: World, who: Any, _: Any) -> Any:
        return await who.autocomplete(world.channel, command, option, value)

    return Act(do, grid, looks_first=True)


async def show(world: World, who: Any, message: discord.Message) -> Any:
    """/show of a grid."""
    return await who.slash(world.channel, "show", job_id=message.attachments[0].filename)


async def remix_window(world: World, who: Any) -> Any:
    """What V opens with remix on."""
    await world.services.preferences.change(who.id, remix=True)
    return await press(components.VariationButton, who, await grid(world))


async def prompt_window(world: World, who: Any) -> Any:
    """What Remix opens under /remix."""
    return await press(ideas.EditIdeaButton, who, await remixed(world))


async def report_window(world: World, who: Any) -> Any:
    """What Report Job opens."""
    return await who.context_menu(world.channel, "Report Job", await grid(world))


WINDOWS: Mapping[type[ui.Modal], tuple[Callable[[World, Any], Awaitable[Any]], dict[str, str]]] = {
    Form: (remix_window, {"prompt": "a blue pear"}),
    ideas.PromptWindow: (prompt_window, {"prompt": "a blue fox"}),
    ReportWindow: (report_window, {"reason": "bad"}),
}
"""Each kind with how it is opened, and what is typed."""


def sending(window: type[ui.Modal]) -> Act:
    opened, values = WINDOWS[window]

    async def scene(world: World) -> Any:
        return await opened(world, world.lin)

    async def do(world: World, who: Any, shown: Any) -> Any:
        return await who.submit_modal(shown, values)

    return Act(do, scene, Who.SELF, looks_first=window is not ReportWindow)


ONE_JOB: tuple[Item, ...] = (
    components.VarySubtleButton,
    components.VaryButton,
    components.ZoomOutButton,
    components.ZoomLessButton,
    components.CustomZoomButton,
    components.PanLeftButton,
    components.PanRightButton,
    components.PanUpButton,
    components.PanDownButton,
    components.RerollButton,
)
"""With remix on they open a window, so they look first."""
AT_ONCE: tuple[Item, ...] = (
    components.RegionButton,
    components.UpscaleSubtleButton,
    components.UpscaleCreativeButton,
    components.SquareButton,
    components.FavouriteButton,
    components.ParametersButton,
    components.ExplainButton,
)
COMMANDS = {
    "imagine": typing("imagine", looks_first=True, prompt="a cat"),
    "blend": typing("blend", looks_first=True, image1=("a.png", picture()), image2=("b.png", picture())),
    "describe": typing("describe", image=("a.png", picture())),
    "shorten": typing("shorten", prompt=LONG),
    "remix": typing("remix", image=("a.png", told())),
    "history": typing("history"),
    "show": Act(show, grid, Who.OWNER),
    **{name: typing(name) for name in ("info", "settings", "fast", "relax", "turbo", "stealth", "public")},
    "prefer option set": typing("prefer option set", name="mine", value="--ar 3:2"),
    "prefer suffix": typing("prefer suffix", value="--tile"),
    **{f"prefer {name}": typing(f"prefer {name}") for name in ("remix", "variability", "auto_dm")},
    "prefer option list": typing("prefer option list"),
    "privacy": typing("privacy"),
    "help": typing("help"),
    "quota show": typing("quota show", Who.ADMIN),
    "quota set": typing("quota set", Who.ADMIN, window="day", amount=1000),
    "quota grant": typing("quota grant", Who.ADMIN, amount=5),
    "quota reset": typing("quota reset", Who.ADMIN),
    "Cancel Job": choosing("Cancel Job", Who.OWNER, waiting),
    "DM Results": choosing("DM Results", Who.ANYONE),
    "Report Job": choosing("Report Job", Who.ANYONE),
    "Use as Image Prompt": choosing("Use as Image Prompt", Who.ANYONE),
    "Describe & Parameters": choosing("Describe & Parameters", Who.ANYONE),
}
ITEMS = (
    pressing(components.UpscaleButton, grid),
    pressing(components.VariationButton, grid, looks_first=True),
    *(pressing(item, single, looks_first=True) for item in ONE_JOB),
    *(pressing(item, single) for item in AT_ONCE),
    pressing(components.CancelButton, waiting, Who.OWNER),
    pressing(components.DeleteButton, grid, Who.OWNER),
    *(pressing(item, fields, Who.SELF, looks_first=True) for item in region.REGION_BUTTONS),
    pressing(batch.PaintButton, question, Who.SELF),
    pressing(batch.DropButton, question, Who.SELF),
    pressing(AgainButton, described),
    *(pressing(item, described, looks_first=True) for item in (ideas.IdeaButton, ideas.AllIdeasButton)),
    *(
        pressing(item, remixed, Who.SELF, looks_first=True)
        for item in (ideas.EditIdeaButton, ReproduceButton, VaryPictureButton)
    ),
    pressing(PageButton, pages, Who.SELF),
    pressing(ExportButton, page, Who.SELF),
    pressing(JobMenu, page, Who.SELF),
    pressing(PostButton, looked_at, Who.SELF),
    pressing(ExportDataButton, private, Who.SELF),
    pressing(DeleteDataButton, private, Who.SELF),
    pressing(SureButton, unsure, Who.SELF),
    *(pressing(item, settled, Who.SELF) for item in (ModelMenu, SettingButton)),
)
SUGGESTIONS = {
    ("imagine", "prompt"): suggesting("imagine", "prompt", "a cat --ar 3:2 "),
    ("history", "model"): suggesting("history", "model", ""),
}
REACTIONS = {"ENVELOPES": reacting("✉️", grid), "CROSSES": reacting("❌", waiting)}
"""By the name of the set that the emoji is one of."""
