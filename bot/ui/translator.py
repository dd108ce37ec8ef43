"""Names and descriptions of commands in the languages of Discord's clients."""

from __future__ import annotations

import discord
from discord import app_commands
from discord.app_commands import TranslationContextTypes, locale_str

from bot.ui.locales.zh_commands import COMMANDS


class Translator(app_commands.Translator):
    """Simplified Chinese from one table, by the English words; other clients show these."""

    async def translate(
        self, string: locale_str, locale: discord.Locale, context: TranslationContextTypes
    ) -> str | None:
        """What Discord shows to clients of ``locale``; None leaves the English."""
        return COMMANDS.get(string.message) if locale is discord.Locale.chinese else None
