"""The one way in: an order becomes a job row with its quota reserved, in one transaction, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bot.domain.job import Action, Job, Place, Requester
from bot.domain.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture the user attached; ``size`` is what the sender claims, ``read`` brings the bytes."""

    name: str
    content_type: str | None
    size: int
    read: Callable[[], Awaitable[bytes]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Order:
    """What one interaction asks for; ``attachment:<n>`` in ``prompt.images`` stands for ``uploads[n]``."""

    interaction_id: int
    """Unique per request: a Discord snowflake, or any unused positive 63-bit number of the command line."""
    requester: Requester
    place: Place
    action: Action
    prompt: Prompt | None = None
    """None takes the parent's prompt."""
    uploads: tuple[Upload, ...] = ()
    parent_id: str | None = None
    """The job whose button was pressed (U, V, re-roll)."""
    index: int | None = None
    """Zero-based picture of the parent (U, V)."""
    token: str | None = field(default=None, repr=False)
    """The interaction's webhook token, stored for places the bot can reach by no other way."""
    token_expires_at: float | None = None
    """Unix seconds; 15 minutes after the interaction."""
    token_only: bool = False
    """True where the token is the only way to answer: refused when the wait would outlast it."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """``ahead`` jobs are to be started before it, ``wait_s`` seconds is when it should be finished."""

    job: Job
    ahead: int
    wait_s: float
    fresh: bool
    """False: this interaction was admitted before, ``job`` is the one made then."""
