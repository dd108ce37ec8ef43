"""One file a command; this is the list of them."""

from __future__ import annotations

from typing import Any

from discord import app_commands

from bot.ui.commands.blend import blend
from bot.ui.commands.describe import describe
from bot.ui.commands.help import help_command
from bot.ui.commands.history import history
from bot.ui.commands.imagine import imagine
from bot.ui.commands.info import info
from bot.ui.commands.modes import fast, public, relax, stealth, turbo
from bot.ui.commands.prefer import prefer
from bot.ui.commands.privacy import privacy
from bot.ui.commands.quota import quota
from bot.ui.commands.remix import remix
from bot.ui.commands.settings import settings
from bot.ui.commands.shorten import shorten
from bot.ui.commands.show import show

COMMANDS: tuple[app_commands.Command[Any, ..., Any] | app_commands.Group, ...] = (
    imagine,
    blend,
    describe,
    shorten,
    remix,
    history,
    show,
    info,
    settings,
    prefer,
    fast,
    relax,
    turbo,
    stealth,
    public,
    privacy,
    quota,
    help_command,
)
