"""The contents of a job's messages, in the formats that clients of Midjourney's bot already parse."""

from __future__ import annotations

import math

from bot.domain.job import Action, Job
from bot.domain.sentence import Sentence, say
from bot.ui.echo import CONTENT_LIMIT, prompt_echo, units

_SPEEDS = {"turbo": "turbo", "fast": "fast", "relax": "relaxed"}


def mention(user_id: int) -> str:
    """The markdown that names a user."""
    return f"<@{user_id}>"


def speed(job: Job) -> str:
    """``fast`` or ``relaxed``, as it stands in the messages; ``fast, stealth`` of what is hidden."""
    named = _SPEEDS[str(job.prompt.get("speed"))]
    return f"{named}, stealth" if job.prompt.get("visibility") == "stealth" else named


def waiting(job: Job, wait: str = "") -> str:
    """Before the first step: ``**prompt** - <@uid> (Waiting to start)``; below it how long, in small."""
    return _message(job, f"{_owner(job)} (Waiting to start)" + (f"\n-# {wait}" if wait else ""))


def wait_line(ahead: int, seconds: float, now: float) -> Sentence:
    """How many jobs begin before this one, and when it should be finished."""
    ready = math.ceil(now + seconds)
    if ahead == 1:
        return say("1 job before it; ready about <t:{ready}:R>", ready=ready)
    return say("{ahead} jobs before it; ready about <t:{ready}:R>", ahead=ahead, ready=ready)


def progress(job: Job, percent: int) -> str:
    """While it is painted: ``**prompt** - <@uid> (31%) (fast)``."""
    return _message(job, f"{_owner(job)} ({percent}%) ({speed(job)})")


def done(job: Job) -> str:
    """The result's content; U names the picture, everything else the speed."""
    if job.action is Action.UPSCALE:
        return _message(job, _owner(job))
    return _message(job, f"{_owner(job)} ({speed(job)})")


def ended(job: Job, sentence: str) -> str:
    """A job that failed or was cancelled: whose it was, what was asked for, and what happened."""
    return _message(job, f"{mention(job.requester.user_id)}\n{sentence}")


_MADE = {
    Action.VARIATION: "Variations (Strong)",
    Action.VARY_SUBTLE: "Variations (Subtle)",
    Action.VARY_REGION: "Variations (Region)",
    Action.ZOOM_OUT: "Zoom Out",
    Action.PAN_LEFT: "Pan Left",
    Action.PAN_RIGHT: "Pan Right",
    Action.PAN_UP: "Pan Up",
    Action.PAN_DOWN: "Pan Down",
    Action.MAKE_SQUARE: "Make Square",
    Action.UPSCALE_SUBTLE: "Upscaled (Subtle)",
    Action.UPSCALE_CREATIVE: "Upscaled (Creative)",
}
_REMIXED = {Action.VARIATION: "Remix (Strong)", Action.VARY_SUBTLE: "Remix (Subtle)"}


def _owner(job: Job) -> str:
    who = mention(job.requester.user_id)
    if job.action is Action.UPSCALE:
        return f"Image #{(job.index or 0) + 1} {who}"
    remixed = job.change is not None and job.change.remixed
    made = _REMIXED.get(job.action) if remixed else None
    made = made or _MADE.get(job.action)
    return f"{made} by {who}" if made else who


def _message(job: Job, rest: str) -> str:
    rest = rest[: CONTENT_LIMIT // 2]
    room = CONTENT_LIMIT - units(rest) - len("**** - ")
    return f"**{prompt_echo(job.prompt, room)}** - {rest}"
