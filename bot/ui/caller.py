"""Facts about who asks and from where, gathered from an interaction at the moment of asking."""

from __future__ import annotations

from typing import Any

import discord

from bot.domain.job import Place, Requester
from bot.domain.policy import ADMINS_ONLY, is_admin
from bot.domain.sentence import join, say
from bot.errors import NotAllowed, UserError

NEEDED = discord.Permissions(view_channel=True, send_messages=True, attach_files=True)
"""What the bot must be allowed in a channel to deliver pictures there."""
NEEDED_IN_THREAD = discord.Permissions(view_channel=True, send_messages_in_threads=True, attach_files=True)
"""The same in a thread, where Discord asks for a right of its own to write."""


def requester(interaction: discord.Interaction[Any], admin_role_ids: tuple[int, ...]) -> Requester:
    """Discord sends roles and permissions with every interaction, so they are never stale."""
    roles = role_ids(interaction)
    permissions = interaction.permissions
    # Where the bot is no member, people's rights are those of a server that the operator never chose.
    member = interaction.guild_id is not None and not token_only(interaction)
    administrates = member and (permissions.administrator or permissions.manage_guild)
    return Requester(interaction.user.id, roles, is_admin(roles, admin_role_ids, administrates))


def role_ids(interaction: discord.Interaction[Any]) -> tuple[int, ...]:
    """Roles of a member other than @everyone; none in direct messages."""
    if not isinstance(interaction.user, discord.Member):
        return ()
    return tuple(role.id for role in interaction.user.roles if not role.is_default())


def require_admin(who: Requester) -> None:
    """NotAllowed unless an admin asks."""
    if not who.is_admin:
        raise NotAllowed(ADMINS_ONLY)


def place(interaction: discord.Interaction[Any]) -> Place:
    """The guild and channel an answer goes to."""
    if interaction.channel_id is None:
        raise UserError(say("Discord did not say which channel this is; please try again in a text channel."))
    return Place(interaction.guild_id, interaction.channel_id)


def token_only(interaction: discord.Interaction[Any]) -> bool:
    """True where the bot is no member (installed by the user alone) and only the token reaches."""
    if interaction.guild_id is not None:
        return interaction.is_user_integration() and not interaction.is_guild_integration()
    return interaction.context.private_channel


def require_delivery(interaction: discord.Interaction[Any]) -> None:
    """UserError where the bot is a member but may not post, so that no job is painted in vain."""
    if interaction.guild_id is None or token_only(interaction):
        return
    needed = NEEDED_IN_THREAD if isinstance(interaction.channel, discord.Thread) else NEEDED
    lacking = needed & ~interaction.app_permissions
    missing = [_RIGHTS.get(name, name) for name, wanted in lacking if wanted]
    if missing:
        raise UserError(
            say(
                "I may not post pictures in this channel (missing: {missing}). Ask an admin to allow it, or "
                "use another channel.",
                missing=join(missing, ", "),
            )
        )


_RIGHTS = {
    "view_channel": say("view channel"),
    "read_messages": say("view channel"),
    "send_messages": say("send messages"),
    "send_messages_in_threads": say("send messages in threads"),
    "attach_files": say("attach files"),
}
