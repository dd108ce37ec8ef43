"""/quota: what users, roles and the whole server may spend. For admins, which is checked at every call."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

import discord
from discord import app_commands

from bot.domain.job import Requester
from bot.domain.policy import Window, amount, window_name
from bot.domain.sentence import Sentence, say
from bot.errors import UserError
from bot.services.quotas import Quotas
from bot.store.accounts import Scope, Subject
from bot.ui import caller
from bot.ui.accounts import rule_text
from bot.ui.funnel import tell, think
from bot.ui.park import park

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

Target = discord.Member | discord.Role
Amount = app_commands.Range[int, 1, 2**52]
WHO = "A user or a role; left out, the default for everyone in this server."
DEFAULT = "Say `default` for the default of everyone in this server, in place of a user or a role."
Everyone = Literal["default"]

quota = app_commands.Group(
    name="quota",
    description="Show and change who may paint how much (admins only).",
    guild_only=True,
    default_permissions=discord.Permissions(manage_guild=True),
    allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
)


async def _begin(interaction: discord.Interaction[TesseraClient]) -> tuple[Quotas, Requester]:
    """Check, before anything is read: Discord's own defaults can be changed by any server's admin."""
    who = interaction.client.desk.requester(interaction)
    caller.require_admin(who)
    await think(interaction)
    return interaction.client.services.quotas, who


def _subject(interaction: discord.Interaction[Any], target: Target | None, scope: Everyone | None) -> Subject:
    """@everyone means the server, like ``default`` and like no target at all."""
    if scope and target:
        raise UserError(say("Give a user or a role as target, or `default` as scope, not both."))
    if interaction.guild_id is None:
        raise UserError(say("Quotas belong to a server; use this command in one."))
    if isinstance(target, discord.Role) and target.id != interaction.guild_id:
        return Subject(Scope.ROLE, target.id)
    if isinstance(target, discord.Member):
        return Subject(Scope.USER, target.id, interaction.guild_id)
    return Subject(Scope.GUILD, interaction.guild_id)


def _name(target: Target | None) -> str | Sentence:
    everyone = target is None or (isinstance(target, discord.Role) and target.is_default())
    return say("everyone in this server") if everyone or target is None else target.mention


@quota.command(name="show", description="What a user, a role or everyone may spend, and what is left.")
@app_commands.describe(target=WHO, scope=DEFAULT)
async def show(
    interaction: discord.Interaction[TesseraClient],
    target: Target | None = None,
    scope: Everyone | None = None,
) -> None:
    """For a user, also what is left."""
    quotas, who = await _begin(interaction)
    roles = (
        tuple(role.id for role in target.roles if not role.is_default())
        if isinstance(target, discord.Member)
        else ()
    )
    subject = _subject(interaction, target, scope)
    rule = await park(
        quotas.show(who, subject, role_ids=roles, guild_id=interaction.guild_id), "read a quota"
    )
    await tell(interaction, rule_text(_name(target), rule, time.time()))


@quota.command(name="set", description="Limit what may be spent per hour, day or month.")
@app_commands.rename(limit="amount")
@app_commands.describe(
    window="Which calendar window (UTC) the limit is for.",
    target=WHO,
    scope=DEFAULT,
    limit="Credits per window: 0 is none at all; left out, unlimited.",
)
async def set_limit(
    interaction: discord.Interaction[TesseraClient],
    window: Window,
    target: Target | None = None,
    scope: Everyone | None = None,
    limit: app_commands.Range[int, 0, 2**52] | None = None,
) -> None:
    """Before the configuration, until reset."""
    quotas, who = await _begin(interaction)
    await park(quotas.set(who, _subject(interaction, target, scope), window, limit), "set a quota")
    allowed = say("unlimited") if limit is None else amount(limit, quotas.unit)
    await tell(
        interaction,
        say(
            "Per {window}, {name}: {allowed} from now on.",
            window=window_name(window),
            name=_name(target),
            allowed=allowed,
        ),
    )


@quota.command(name="grant", description="Give credit on top, spent when the ordinary credit is used up.")
@app_commands.rename(credits="amount")
@app_commands.describe(credits="How much to give.", target=WHO, scope=DEFAULT)
async def grant(
    interaction: discord.Interaction[TesseraClient],
    credits: Amount,
    target: Target | None = None,
    scope: Everyone | None = None,
) -> None:
    """Once, however often Discord delivers the command."""
    quotas, who = await _begin(interaction)
    subject = _subject(interaction, target, scope)
    await park(quotas.grant(who, subject, credits, key=str(interaction.id)), "grant credit")
    given = amount(credits, quotas.unit)
    await tell(interaction, say("Gave {amount} to {name}.", amount=given, name=_name(target)))


@quota.command(name="reset", description="Forget what was spent, and the limits that admins set.")
@app_commands.describe(target=WHO, scope=DEFAULT)
async def reset(
    interaction: discord.Interaction[TesseraClient],
    target: Target | None = None,
    scope: Everyone | None = None,
) -> None:
    """Back to the configuration."""
    quotas, who = await _begin(interaction)
    await park(
        quotas.reset(who, _subject(interaction, target, scope), key=str(interaction.id)), "reset a quota"
    )
    await tell(
        interaction,
        say("Reset {name}: full credit again, limits as configured.", name=_name(target)),
    )
