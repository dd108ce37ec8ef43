"""A job: one interaction's order of pictures, and the states it may go through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from bot.domain.change import Change, Layout
from bot.domain.prompt import Prompt


class JobStatus(StrEnum):
    """``queued -> running -> rendered -> posting -> posted``, or ``failed`` or ``cancelled``."""

    QUEUED = "queued"
    RUNNING = "running"
    RENDERED = "rendered"
    """Image files fsynced and rows committed; quota settled. Owed to Discord."""
    POSTING = "posting"
    """A send may be under way: a restart looks for the message before it sends again."""
    POSTED = "posted"
    FAILED = "failed"
    CANCELLED = "cancelled"


TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.RUNNING, JobStatus.FAILED, JobStatus.CANCELLED}),
    JobStatus.RUNNING: frozenset(
        {JobStatus.QUEUED, JobStatus.RENDERED, JobStatus.FAILED, JobStatus.CANCELLED}
    ),
    JobStatus.RENDERED: frozenset({JobStatus.POSTING}),
    JobStatus.POSTING: frozenset({JobStatus.POSTED, JobStatus.RENDERED}),
    JobStatus.POSTED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
}
UNFINISHED = frozenset({JobStatus.QUEUED, JobStatus.RUNNING})


class Action(StrEnum):
    """What made the job."""

    IMAGINE = "imagine"
    UPSCALE = "upscale"
    """U1-U4: one picture of the parent at full size; free."""
    VARIATION = "variation"
    """V1-V4, Vary (Strong): a grid around one picture of the parent."""
    REROLL = "reroll"
    VARY_SUBTLE = "vary_subtle"
    VARY_REGION = "vary_region"
    """A marked part of the picture painted anew."""
    ZOOM_OUT = "zoom_out"
    PAN_LEFT = "pan_left"
    PAN_RIGHT = "pan_right"
    PAN_UP = "pan_up"
    PAN_DOWN = "pan_down"
    MAKE_SQUARE = "make_square"
    UPSCALE_SUBTLE = "upscale_subtle"
    """The picture at twice its size, as it is."""
    UPSCALE_CREATIVE = "upscale_creative"
    """The same, with details painted anew."""


ENLARGE = 2.0
"""Times that the two upscales make a picture larger."""
DETAIL = 0.3
"""How far the creative one leaves the picture."""
CHANGES: Mapping[Action, Change] = MappingProxyType(
    {
        Action.ZOOM_OUT: Change(Layout.ZOOM, factor=2.0),
        Action.PAN_LEFT: Change(Layout.LEFT),
        Action.PAN_RIGHT: Change(Layout.RIGHT),
        Action.PAN_UP: Change(Layout.UP),
        Action.PAN_DOWN: Change(Layout.DOWN),
        Action.MAKE_SQUARE: Change(Layout.SQUARE),
        Action.UPSCALE_SUBTLE: Change(enlarge=ENLARGE),
        Action.UPSCALE_CREATIVE: Change(enlarge=ENLARGE, detail=DETAIL),
    }
)
"""What an action does to the picture, where the order says no more."""
VARIATIONS = frozenset({Action.VARIATION, Action.VARY_SUBTLE})
ENLARGING = frozenset({Action.UPSCALE_SUBTLE, Action.UPSCALE_CREATIVE})
PAINTS_FROM = VARIATIONS | CHANGES.keys() | {Action.VARY_REGION}
"""Actions that start from one picture of the parent."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the answer goes. ``guild_id`` is None in direct messages; ids are Discord snowflakes."""

    guild_id: int | None
    channel_id: int


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks and pays; facts are gathered by the caller at the moment of asking."""

    user_id: int
    role_ids: tuple[int, ...] = ()
    is_admin: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the jobs table, as a value. Times are Unix seconds (UTC)."""

    id: str
    """uuid4 in hex; part of file names and custom ids."""
    interaction_id: int
    """UNIQUE: Discord may deliver an interaction twice, a job exists once."""
    action: Action
    requester: Requester
    place: Place
    prompt: Prompt
    seeds: tuple[int, ...]
    status: JobStatus
    created_at: float
    parent_id: str | None = None
    index: int | None = None
    """Zero-based picture of the parent that U and V refer to."""
    attempts: int = 0
    """Times it was handed to the engine, less those that ended in a kill from outside."""
    kills: int = 0
    """Times the process died without a trace while the engine held it: kill -9, a power cut."""
    message_id: int | None = None
    """The waiting/progress message while one stands."""
    result_message_id: int | None = None
    posting_at: float | None = None
    """When its latest send began."""
    error: str | None = None
    model: str = ""
    """Name of the model that paints it, settled at admission."""
    token: str | None = field(default=None, repr=False)
    """Webhook token of the interaction, for places that can be reached by no other way."""
    token_expires_at: float | None = None
    gpu_seconds: float = 0.0
    """Device seconds it took, known once rendered."""
    change: Change | None = None
    """What is done to the picture it starts from; of a U, what made the picture it shows."""

    @property
    def deaths(self) -> int:
        """Times it was with the engine when something went down; it may have been the cause."""
        return self.attempts + self.kills

    def hidden_from(self, user_id: int) -> bool:
        """Whether it is somebody else's, and hidden."""
        return self.requester.user_id != user_id and self.prompt.get("visibility") == "stealth"

    def moved(self, to: JobStatus) -> Job:
        """The same job in another state; ValueError when the table of transitions forbids it."""
        if to not in TRANSITIONS[self.status]:
            raise ValueError(f"a {self.status} job cannot become {to}")
        return replace(self, status=to)
