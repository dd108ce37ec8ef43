"""The command tree: which commands there are, and when Discord must be told of a change."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands

from bot.ui.commands import COMMANDS
from bot.ui.commands.menus import MENUS
from bot.ui.funnel import answer_error
from bot.ui.translator import Translator

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

log = logging.getLogger(__name__)
STAMP = "commands.json"
"""File in the data folder that remembers which commands Discord was told of, and for which servers."""


class Tree(app_commands.CommandTree["TesseraClient"]):
    """All commands; every error of any of them ends in :func:`answer_error`."""

    def __init__(self, client: TesseraClient) -> None:
        super().__init__(client)
        for command in (*COMMANDS, *MENUS):
            self.add_command(command)

    async def on_error(
        self, interaction: discord.Interaction[TesseraClient], error: app_commands.AppCommandError, /
    ) -> None:
        """The funnel."""
        await answer_error(interaction, error)

    async def payloads(self) -> list[Any]:
        """Every command as Discord is told of it, in both languages."""
        translator = Translator()
        return [await command.get_translated_payload(self, translator) for command in self.get_commands()]

    async def fingerprint(self, application_id: int, guild_ids: tuple[int, ...]) -> str:
        """Changes whenever Discord must be told anew, of a translation too."""
        commands = await self.payloads()
        told = json.dumps([application_id, sorted(guild_ids), commands], sort_keys=True, default=str)
        return hashlib.sha256(told.encode()).hexdigest()

    async def sync_if_changed(self, folder: Path, application_id: int, guild_ids: tuple[int, ...]) -> bool:
        """Tell Discord only of changes: it takes 200 command creations a day and guild. True when told.

        Where commands were told before and belong no longer, they are taken back.
        """
        stamp, fingerprint = folder / STAMP, await self.fingerprint(application_id, guild_ids)
        before = _read(stamp)
        if before.fingerprint == fingerprint:
            return False
        # Not by sync(), which reads the answer too: nothing of it is needed, so nothing of it can fail.
        http, payloads = self.client.http, await self.payloads()
        for guild_id in guild_ids:
            await http.bulk_upsert_guild_commands(application_id, guild_id, payloads)
        if not guild_ids:
            await http.bulk_upsert_global_commands(application_id, payloads)
        for guild_id in set(before.guild_ids) - set(guild_ids):
            await self._take_back(application_id, guild_id)
        if guild_ids and before.fingerprint and not before.guild_ids:
            await http.bulk_upsert_global_commands(application_id, [])
        stamp.write_text(json.dumps(asdict(Told(fingerprint, guild_ids))))
        log.info("told Discord of %d commands", len(self.get_commands()))
        return True

    async def _take_back(self, application_id: int, guild_id: int) -> None:
        try:
            await self.client.http.bulk_upsert_guild_commands(application_id, guild_id, [])
        except discord.HTTPException as error:
            log.info("the commands of server %d could not be taken back: %s", guild_id, error)


@dataclass(frozen=True, slots=True)
class Told:
    """What Discord was told; without servers, for all of them."""

    fingerprint: str = ""
    guild_ids: tuple[int, ...] = ()


def _read(stamp: Path) -> Told:
    try:
        told = json.loads(stamp.read_text())
        return Told(str(told["fingerprint"]), tuple(map(int, told["guild_ids"])))
    except (OSError, ValueError, TypeError, KeyError):
        return Told()
