"""/settings: what holds for all of one's prompts, as a panel of buttons; flags of a prompt go before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands, ui

from bot.domain.preferences import STYLIZE_LEVELS, Preferences, Variability
from bot.domain.prompt import quoted
from bot.domain.sentence import Sentence, join, say
from bot.errors import UserError
from bot.ui.commands.everywhere import everywhere
from bot.ui.funnel import language, tell, think
from bot.ui.locales import translated
from bot.ui.panel import PanelButton, PanelSelect, panel, view_of
from bot.ui.park import park

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

SERVER = "-"
"""Value of the menu's first entry: whatever the server has as default."""
MOST_MODELS = 24
LEVELS = {
    "low": say("Stylize low"),
    "med": say("Stylize med"),
    "high": say("Stylize high"),
    "very_high": say("Stylize very high"),
}
SPEEDS = {"turbo": say("Turbo"), "fast": say("Fast"), "relax": say("Relax")}
SIGHTS = {"public": say("Public"), "stealth": say("Stealth")}
VARIATIONS = {"strong": say("Strong variation"), "subtle": say("Subtle variation")}
ON, OFF = say("on"), say("off")


class ModelMenu(PanelSelect, template=panel("settings-model")):
    """Which model paints."""

    key = "settings-model"

    async def chosen(self, interaction: discord.Interaction[TesseraClient], value: str) -> None:
        await interaction.response.defer()
        client = interaction.client
        name = "" if value == SERVER else value
        models = client.services.engine.models()
        kept = await park(
            client.services.preferences.choose_model(interaction.user.id, name, models), "choose a model"
        )
        await show_again(interaction, kept)


class SettingButton(PanelButton, template=panel("settings")):
    """Sets one value: ``argument`` is ``name=value``."""

    key = "settings"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await interaction.response.defer()
        book, user = interaction.client.services.preferences, interaction.user.id
        name, _, value = self.argument.partition("=")
        if name == "reset":
            kept = await park(book.reset(user), "reset settings")
        else:
            kept = await park(book.change(user, **_change(name, value)), "change a setting")
        await show_again(interaction, kept)


def _change(name: str, value: str) -> dict[str, Any]:
    """The field that a button sets; UserError for one of an older panel that is no longer there."""
    known: dict[str, Any] = {
        "stylize": STYLIZE_LEVELS.get(value),
        "speed": value if value in SPEEDS else None,
        "visibility": value if value in SIGHTS else None,
        "variation": Variability(value) if value in VARIATIONS else None,
        "remix": value == "on",
    }
    if known.get(name) is None:
        raise UserError(say("This panel is out of date; use /settings again."))
    return {name: known[name]}


ITEMS = (ModelMenu, SettingButton)


async def show_again(interaction: discord.Interaction[TesseraClient], kept: Preferences) -> None:
    """The same message with what holds now."""
    client, locale = interaction.client, language(interaction)
    await interaction.edit_original_response(
        content=translated(summary(kept, client), locale),
        view=settings_view(kept, client, locale),
        allowed_mentions=discord.AllowedMentions.none(),
    )


def summary(kept: Preferences, client: TesseraClient) -> Sentence:
    """What holds, line by line."""
    default = client.settings.engine.default_model
    lines = [
        say("**Your settings.** Flags in a prompt go before them."),
        say("Model: {name}", name=kept.model)
        if kept.model
        else say("Model: the server's ({name})", name=default),
        say("Stylize: {value}", value=100 if kept.stylize is None else kept.stylize),
        mode_line(kept),
        say(
            "Variations: {strength} · Remix: {remix} · Results by direct message: {auto_dm}",
            strength=VARIATIONS[kept.variation],
            remix=ON if kept.remix else OFF,
            auto_dm=ON if kept.auto_dm else OFF,
        ),
    ]
    if kept.suffix:
        lines.append(say("Suffix: {text}", text=quoted(kept.suffix)))
    if kept.options:
        lines.append(say("Options: {names}", names=", ".join(f"`--{name}`" for name in kept.options)))
    return join(lines)


def mode_line(kept: Preferences) -> Sentence:
    """Speed and visibility, for /info too."""
    return say(
        "Mode: {speed}, {visibility}",
        speed=SPEEDS[kept.speed or "fast"],
        visibility=SIGHTS[kept.visibility or "public"],
    )


def settings_view(kept: Preferences, client: TesseraClient, locale: str) -> ui.View:
    """The panel; what holds is green."""
    stylize = 100 if kept.stylize is None else kept.stylize
    speed, sight = kept.speed or "fast", kept.visibility or "public"

    def button(name: str, value: str, label: Sentence, holds: bool) -> SettingButton:
        style = discord.ButtonStyle.success if holds else discord.ButtonStyle.secondary
        return SettingButton(f"{name}={value}", translated(label, locale), style=style)

    return view_of(
        [
            [_model_menu(kept, client, locale)],
            [
                button("stylize", level, label, STYLIZE_LEVELS[level] == stylize)
                for level, label in LEVELS.items()
            ],
            [
                *(button("variation", v, label, v == kept.variation) for v, label in VARIATIONS.items()),
                button("remix", "off" if kept.remix else "on", say("Remix"), kept.remix),
            ],
            [
                *(button("visibility", value, label, value == sight) for value, label in SIGHTS.items()),
                *(button("speed", value, label, value == speed) for value, label in SPEEDS.items()),
            ],
            [SettingButton("reset", translated(say("Reset"), locale), style=discord.ButtonStyle.danger)],
        ]
    )


def _model_menu(kept: Preferences, client: TesseraClient, locale: str) -> ModelMenu:
    models = client.services.engine.models()
    server = translated(say("The server's default model"), locale)
    entries = [discord.SelectOption(label=server, value=SERVER, default=kept.model not in models)]
    for name, info in list(models.items())[:MOST_MODELS]:
        described = info.description[:100] or None
        entries.append(
            discord.SelectOption(label=name, value=name, description=described, default=name == kept.model)
        )
    return ModelMenu("", entries)


@app_commands.command(name="settings", description="Model, style, speed and more for all of your prompts.")
@everywhere
async def settings(interaction: discord.Interaction[TesseraClient]) -> None:
    """For the asking user's eyes only."""
    await think(interaction)
    client = interaction.client
    kept = await park(client.services.preferences.of(interaction.user.id), "read settings")
    view = settings_view(kept, client, language(interaction))
    await tell(interaction, summary(kept, client), view=view)
