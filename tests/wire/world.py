"""What the stand-in remembers: users, one guild and its channels, messages, interactions."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, IntFlag
from io import BytesIO
from typing import Any

from PIL import Image

Json = dict[str, Any]

DISCORD_EPOCH_MS = 1_420_070_400_000
EVERYTHING = (1 << 53) - 1
MEMBER = 1 << 10 | 1 << 11 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 31
ADMINISTRATOR = 1 << 3


class Flag(IntFlag):
    """Message flags, as Discord numbers them."""

    EPHEMERAL = 1 << 6
    LOADING = 1 << 7


class Kind(IntEnum):
    """Interaction types, as Discord numbers them."""

    COMMAND = 2
    COMPONENT = 3
    AUTOCOMPLETE = 4
    MODAL = 5


class Callback(IntEnum):
    """Interaction callback types, as Discord numbers them."""

    MESSAGE = 4
    DEFER = 5
    DEFER_UPDATE = 6
    UPDATE = 7
    CHOICES = 8
    MODAL = 9


class Snowflakes:
    """Ids that carry the time of their making, always growing: clients read the age of a message there."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        now = (int(time.time() * 1000) - DISCORD_EPOCH_MS) << 22
        self._last = max(now, self._last + 1)
        return self._last


@dataclass(eq=False)
class User:
    """A member of the guild, or the bot."""

    id: int
    name: str
    role_ids: tuple[int, ...] = ()
    permissions: int = MEMBER
    bot: bool = False

    @property
    def mention(self) -> str:
        return f"<@{self.id}>"

    def payload(self) -> Json:
        return {
            "id": str(self.id),
            "username": self.name,
            "global_name": self.name.title(),
            "discriminator": "0",
            "avatar": None,
            "bot": self.bot,
        }

    def member(self) -> Json:
        return {
            "user": self.payload(),
            "nick": None,
            "roles": [str(role) for role in self.role_ids],
            "joined_at": "2024-01-01T00:00:00+00:00",
            "deaf": False,
            "mute": False,
            "flags": 0,
            "permissions": str(self.permissions),
        }


@dataclass(eq=False)
class Channel:
    """A text channel of the guild, or a direct-message channel when ``recipient`` is set."""

    id: int
    name: str
    recipient: User | None = None
    closed: bool = False
    """The bot is no member: people use it there because they installed it for themselves."""

    def payload(self) -> Json:
        if self.recipient is not None:
            return {"id": str(self.id), "type": 1, "recipients": [self.recipient.payload()]}
        return {
            "id": str(self.id),
            "type": 0,
            "name": self.name,
            "position": 0,
            "nsfw": False,
            "permission_overwrites": [],
            "permissions": str(EVERYTHING),
        }


@dataclass(eq=False)
class Attachment:
    """A stored file; served by the stand-in under its id."""

    id: int
    filename: str
    data: bytes = field(repr=False)
    content_type: str

    @property
    def image(self) -> Image.Image:
        """The decoded picture; raises what Pillow raises when it is none."""
        picture = Image.open(BytesIO(self.data))
        picture.load()
        return picture

    def payload(self, base: str) -> Json:
        url = f"{base}/attachments/{self.id}/{self.filename}"
        return {
            "id": str(self.id),
            "filename": self.filename,
            "size": len(self.data),
            "url": url,
            "proxy_url": url,
            "content_type": self.content_type,
        }


@dataclass(eq=False)
class Message:
    """A message with everything that ever happened to it."""

    id: int
    channel: Channel
    author: User
    content: str = ""
    embeds: list[Json] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    flags: int = 0
    nonce: str | None = None
    reply_to: int | None = None
    allowed_mentions: Json | None = None
    interaction: Interaction | None = None
    stages: list[str] = field(default_factory=list)
    """The content after the creation and after each edit."""
    previews: int = 0
    """Edits that brought a file."""
    deleted: bool = False

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & Flag.EPHEMERAL)

    @property
    def loading(self) -> bool:
        return bool(self.flags & Flag.LOADING)

    @property
    def buttons(self) -> list[Json]:
        """Every component that carries a custom id, in reading order."""
        return list(with_custom_id(self.components))

    def button(self, wanted: str) -> Json:
        """The component with this label or custom id; AssertionError when there is none."""
        for component in self.buttons:
            if wanted in (component.get("label"), component["custom_id"]):
                return component
        labels = [(component.get("label"), component["custom_id"]) for component in self.buttons]
        raise AssertionError(f"no button {wanted!r} on {self.content!r}; it has {labels}")

    def payload(self, base: str) -> Json:
        made = datetime.fromtimestamp(((self.id >> 22) + DISCORD_EPOCH_MS) / 1000, UTC)
        body: Json = {
            "id": str(self.id),
            "channel_id": str(self.channel.id),
            "author": self.author.payload(),
            "content": self.content,
            "embeds": self.embeds,
            "components": self.components,
            "attachments": [attachment.payload(base) for attachment in self.attachments],
            "flags": int(self.flags),
            "timestamp": made.isoformat(),
            "edited_timestamp": made.isoformat() if len(self.stages) > 1 else None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [],
            "mention_roles": [],
            "pinned": False,
            "type": 19 if self.reply_to else 0,
        }
        if self.nonce is not None:
            body["nonce"] = self.nonce
        if self.reply_to is not None:
            body["message_reference"] = {
                "message_id": str(self.reply_to),
                "channel_id": str(self.channel.id),
            }
        return body


def with_custom_id(components: list[Json]) -> Iterator[Json]:
    """Walk rows, sections and containers down to what a user can press."""
    for component in components:
        if "custom_id" in component:
            yield component
        yield from with_custom_id(component.get("components", []))
        accessory = component.get("accessory")
        if accessory is not None:
            yield from with_custom_id([accessory])


@dataclass(eq=False)
class Interaction:
    """One thing a user did, and everything the bot answered to it."""

    id: int
    token: str
    kind: Kind
    user: User
    channel: Channel
    data: Json
    source: Message | None = None
    """The message whose component was pressed."""
    sent_at: float = 0.0
    acked_at: float | None = None
    callback: Callback | None = None
    original: Message | None = None
    followups: list[Message] = field(default_factory=list)
    choices: list[Json] = field(default_factory=list)
    modal: Json | None = None
    expired: bool = False

    @property
    def latency(self) -> float:
        """Seconds from dispatch to acknowledgement; infinite when there was none."""
        return float("inf") if self.acked_at is None else self.acked_at - self.sent_at

    @property
    def answers(self) -> list[Message]:
        """The visible messages of this interaction, the first answer first."""
        first = [self.original] if self.original is not None else []
        return [message for message in first + self.followups if not message.deleted]

    @property
    def said(self) -> str:
        """The contents of all answers, joined: what the user reads."""
        return "\n".join(message.content for message in self.answers)


class World:
    """All state, and one event that fires whenever any of it changes."""

    def __init__(self) -> None:
        self.ids = Snowflakes()
        self.bot = User(self.ids.next(), "tessera", bot=True)
        self.application_id = self.bot.id
        self.guild_id = self.ids.next()
        self.roles: dict[int, str] = {self.guild_id: "@everyone"}
        self.users: dict[int, User] = {self.bot.id: self.bot}
        self.channels: dict[int, Channel] = {}
        self.messages: list[Message] = []
        self.attachments: dict[int, Attachment] = {}
        self.interactions: list[Interaction] = []
        self.by_token: dict[str, Interaction] = {}
        self.global_commands: list[Json] = []
        self.guild_commands: dict[int, list[Json]] = {}
        self.keeps_nonces = True
        """False: as if the window of every nonce ended before the next request."""
        self._nonces: dict[tuple[int, str], Message] = {}
        self._changed = asyncio.Event()

    def touch(self) -> None:
        """Wake everyone who waits for a condition."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self) -> None:
        """Until the next change."""
        await self._changed.wait()

    def add_user(self, name: str, *role_ids: int, permissions: int = MEMBER) -> User:
        user = User(self.ids.next(), name, role_ids, permissions)
        self.users[user.id] = user
        return user

    def add_role(self, name: str) -> int:
        role_id = self.ids.next()
        self.roles[role_id] = name
        return role_id

    def add_channel(self, name: str, recipient: User | None = None, *, closed: bool = False) -> Channel:
        channel = Channel(self.ids.next(), name, recipient, closed)
        self.channels[channel.id] = channel
        return channel

    def add_attachment(self, filename: str, data: bytes, content_type: str) -> Attachment:
        attachment = Attachment(self.ids.next(), filename, data, content_type)
        self.attachments[attachment.id] = attachment
        return attachment

    def add_message(self, message: Message) -> Message:
        message.stages.append(message.content)
        self.messages.append(message)
        if message.nonce is not None and self.keeps_nonces:
            self._nonces[message.author.id, message.nonce] = message
        self.touch()
        return message

    def with_nonce(self, author: User, nonce: str) -> Message | None:
        """The message this author sent with this nonce within the window."""
        return self._nonces.get((author.id, nonce))

    def end_nonce_window(self) -> None:
        """As if minutes had passed: no nonce is remembered any more."""
        self._nonces.clear()

    def add_interaction(self, interaction: Interaction) -> Interaction:
        self.interactions.append(interaction)
        self.by_token[interaction.token] = interaction
        return interaction

    def new_token(self) -> str:
        return secrets.token_urlsafe(48)

    def message(self, message_id: int) -> Message | None:
        """The message if it still stands."""
        found = (m for m in reversed(self.messages) if m.id == message_id and not m.deleted)
        return next(found, None)

    def standing(self, channel: Channel | None = None) -> list[Message]:
        """Messages everyone can read now, oldest first, in one channel or in all."""
        return [
            message
            for message in self.messages
            if not message.deleted
            and not message.ephemeral
            and (channel is None or message.channel is channel)
        ]

    def commands(self) -> list[Json]:
        """What a member of the guild can call."""
        return list(itertools.chain(self.guild_commands.get(self.guild_id, ()), self.global_commands))

    def guild(self) -> Json:
        """The payload of GUILD_CREATE."""
        return {
            "id": str(self.guild_id),
            "name": "Studio",
            "owner_id": str(self.bot.id),
            "unavailable": False,
            "roles": [self._role(role_id, name) for role_id, name in self.roles.items()],
            "channels": [c.payload() for c in self.channels.values() if c.recipient is None],
            "members": [self.bot.member()],
            "member_count": len(self.users),
            "preferred_locale": "en-US",
            "features": [],
            "emojis": [],
            "stickers": [],
            "premium_tier": 0,
        }

    def _role(self, role_id: int, name: str) -> Json:
        permissions = EVERYTHING if role_id == self.guild_id else MEMBER
        colors = {"primary_color": 0, "secondary_color": None, "tertiary_color": None}
        return {
            "id": str(role_id),
            "name": name,
            "permissions": str(permissions),
            "position": 0,
            "color": 0,
            "colors": colors,
            "hoist": False,
            "managed": False,
            "mentionable": False,
            "flags": 0,
        }

    def role_payload(self, role_id: int) -> Json:
        return self._role(role_id, self.roles[role_id])
