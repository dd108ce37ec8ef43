"""One file a command; this is the list of them."""

from __future__ import annotations

from typing import Any

from discord import app_commands

from bot.ui.commands.help import help_command
from bot.ui.commands.imagine import imagine
from bot.ui.commands.info import info
from bot.ui.commands.quota import quota

COMMANDS: tuple[app_commands.Command[Any, ..., Any] | app_commands.Group, ...] = (
    imagine,
    info,
    quota,
    help_command,
)
