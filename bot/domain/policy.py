"""Quota, permission and text rules as functions of given facts: no clock, no database, no Discord."""

from __future__ import annotations

import calendar
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from bot.domain.job import ENLARGING, Action, Job, Requester
from bot.domain.sentence import Sentence, say

ENLARGED = 2.0
"""Pictures that an upscale counts as: four times the pixels, and a part of the steps."""
EPSILON = 1e-6
"""Credits are sums of floats; differences below this are none."""


class Window(StrEnum):
    """A calendar span in UTC over which use is counted."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class Unit(StrEnum):
    """What a credit is."""

    IMAGES = "images"
    GPU_SECONDS = "gpu_seconds"


@dataclass(frozen=True, slots=True)
class Limits:
    """Credits per window: None says nothing (the next layer decides), 0 is unlimited."""

    hour: float | None = None
    day: float | None = None
    month: float | None = None

    def of(self, window: Window) -> float | None:
        """This layer's word on a window."""
        return {Window.HOUR: self.hour, Window.DAY: self.day, Window.MONTH: self.month}[window]


@dataclass(frozen=True, slots=True)
class Bucket:
    """One window of one user: ``limit`` credits (0: unlimited), ``used`` of them reserved or spent."""

    window: Window
    limit: float
    used: float

    @property
    def left(self) -> float | None:
        """Credits that may still be spent; None without a limit, never below 0."""
        return max(0.0, self.limit - self.used) if self.limit else None

    def takes(self, cost: float) -> bool:
        """Whether a job of this cost fits; what costs nothing always does."""
        return self.left is None or cost <= self.left + EPSILON or cost <= 0


def resolve(default: Limits, guild: Limits | None, roles: Iterable[Limits], user: Limits | None) -> Limits:
    """Per window the first word of user, most generous role, server, default; unlimited without any."""
    layers = [user or Limits(), most_generous(roles), guild or Limits(), default]
    return merge(*layers, Limits(0, 0, 0))


def merge(*layers: Limits) -> Limits:
    """Per window the word of the first layer that has one."""
    words = {window: [layer.of(window) for layer in layers] for window in Window}
    return _limits({window: next((w for w in said if w is not None), None) for window, said in words.items()})


def most_generous(layers: Iterable[Limits]) -> Limits:
    """Per window the largest limit of several roles; unlimited beats every number."""
    known = tuple(layers)
    return _limits({window: _largest([layer.of(window) for layer in known]) for window in Window})


def _largest(said: Sequence[float | None]) -> float | None:
    numbers = [number for number in said if number is not None]
    return 0 if 0 in numbers else max(numbers, default=None)


def _limits(words: Mapping[Window, float | None]) -> Limits:
    return Limits(words[Window.HOUR], words[Window.DAY], words[Window.MONTH])


def window_start(window: Window, now: float) -> int:
    """Unix second at which the window that holds ``now`` began."""
    moment = datetime.fromtimestamp(now, UTC).replace(minute=0, second=0, microsecond=0)
    if window is not Window.HOUR:
        moment = moment.replace(hour=0)
    return int((moment.replace(day=1) if window is Window.MONTH else moment).timestamp())


def refills_at(window: Window, now: float) -> int:
    """Unix second at which the window that holds ``now`` ends and its bucket is full again."""
    start = datetime.fromtimestamp(window_start(window, now), UTC)
    days = calendar.monthrange(start.year, start.month)[1]
    spans = {
        Window.HOUR: timedelta(hours=1),
        Window.DAY: timedelta(days=1),
        Window.MONTH: timedelta(days=days),
    }
    return int((start + spans[window]).timestamp())


def buckets(limits: Limits, used: Mapping[Window, float]) -> tuple[Bucket, ...]:
    """The three buckets of a user, unlimited ones too (for /info)."""
    return tuple(Bucket(window, limits.of(window) or 0, used.get(window, 0.0)) for window in Window)


def short_of(state: Iterable[Bucket], cost: float) -> Bucket | None:
    """The bucket that refuses the cost, the one that refills last if several do; None when all take it."""
    order = list(Window)
    return max(
        (bucket for bucket in state if not bucket.takes(cost)),
        key=lambda bucket: order.index(bucket.window),
        default=None,
    )


def cost(
    action: Action,
    count: int,
    *,
    relaxed: bool,
    unit: Unit,
    gpu_seconds: float,
    relax_factor: float,
    turbo_factor: float = 1.0,
) -> float:
    """Credits for a job of ``count`` pictures; U is free. ``gpu_seconds`` are estimated or measured.

    ``turbo_factor`` is 1 for jobs that are not in the turbo lane.
    """
    if action is Action.UPSCALE:
        return 0.0
    full = pictures(action, count) if unit is Unit.IMAGES else gpu_seconds
    return full * (relax_factor if relaxed else turbo_factor)


def pictures(action: Action, count: int) -> float:
    """Pictures that a job of ``count`` is charged as, before the lane's factor."""
    return count * (ENLARGED if action in ENLARGING else 1.0)


def quota_sentence(short: Bucket, price: float, unit: Unit, now: float) -> Sentence:
    """Why a job is refused and when there is credit again, for people and as a Discord time stamp."""
    if price > short.limit + EPSILON:
        return say(
            "This job costs {price}, more than the {limit} you have for a whole {window}; ask for fewer "
            "pictures with `--n`. What is spent refills {when}. Nothing was taken.",
            price=amount(price, unit),
            limit=amount(short.limit, unit),
            window=window_name(short.window),
            when=when(refills_at(short.window, now)),
        )
    return say(
        "This job costs {price} and you have {left} left of {limit} for this {window}; it refills {when}. "
        "Nothing was taken.",
        price=amount(price, unit),
        left=amount(short.left or 0, unit),
        limit=amount(short.limit, unit),
        window=window_name(short.window),
        when=when(refills_at(short.window, now)),
    )


def window_name(window: Window) -> Sentence:
    """The window's own word."""
    names = {Window.HOUR: say("hour"), Window.DAY: say("day"), Window.MONTH: say("month")}
    return names[window]


def quota_refill(short: Bucket, price: float, now: float) -> int | None:
    """Unix second from which the refused job would fit; None when it never will."""
    return None if price > short.limit + EPSILON else refills_at(short.window, now)


def when(moment: int) -> Sentence:
    """A Unix time in UTC, followed by the mark that Discord shows as "in 3 hours"."""
    at = datetime.fromtimestamp(moment, UTC)
    return say(
        "{day} at {time} UTC (<t:{moment}:R>)", day=f"{at:%Y-%m-%d}", time=f"{at:%H:%M}", moment=moment
    )


def without_marks(sentence: str) -> str:
    """The sentence for places that are not Discord: without time stamps' marks."""
    return re.sub(r" \(<t:\d+:R>\)", "", sentence)


def amount(credits: float, unit: Unit) -> Sentence:
    """``4 images``, ``1 image``, ``12.5 GPU seconds``."""
    number = f"{credits:.1f}".removesuffix(".0")
    if unit is Unit.IMAGES:
        return (
            say("{number} image", number=number) if number == "1" else say("{number} images", number=number)
        )
    if number == "1":
        return say("{number} GPU second", number=number)
    return say("{number} GPU seconds", number=number)


def too_many_jobs(unfinished: int, running: int, waiting: int) -> Sentence | None:
    """The sentence for a user who has as many jobs as allowed; None for one who may add another."""
    if unfinished < running + waiting:
        return None
    return say(
        "You already have {unfinished} jobs that are not done; {running} may run and {waiting} may wait. "
        "Try again when one is finished, or cancel one. Nothing was taken.",
        unfinished=unfinished,
        running=running,
        waiting=waiting,
    )


def is_admin(role_ids: Iterable[int], admin_role_ids: Iterable[int], administrates: bool) -> bool:
    """Administrators of the server, and holders of a role that the configuration names."""
    return administrates or not set(role_ids).isdisjoint(admin_role_ids)


def may_command(requester: Requester, job: Job) -> bool:
    """Who may cancel or delete a job: its owner, or an admin."""
    return requester.is_admin or requester.user_id == job.requester.user_id


def not_yours(verb: str) -> Sentence:
    """The sentence for someone who may not do this to a job: ``verb`` is "cancel" or "delete"."""
    if verb == "cancel":
        return say("Only the one who asked for this picture, or an admin, may cancel it.")
    return say("Only the one who asked for this picture, or an admin, may delete it.")


ADMINS_ONLY = say("Only admins may see or change quotas; /info shows your own.")


def blocked_word(text: str, blocked: Iterable[str]) -> str | None:
    """The first blocked word or phrase the text holds, however it is spaced, cased or padded with marks."""
    plain = _folded(text)
    return next((word for word in blocked if _holds(plain, _folded(word))), None)


def _holds(plain: str, word: str) -> bool:
    if not word:
        return False
    # Chinese and the like have no spaces between words: there, any occurrence counts.
    edges = [r"(?<!\w)" if _spaced(word[0]) else "", r"(?!\w)" if _spaced(word[-1]) else ""]
    return re.search(edges[0] + re.escape(word) + edges[1], plain) is not None


def _spaced(char: str) -> bool:
    return char.isalnum() and not "\u2e80" <= char <= "\u9fff" and not "\uac00" <= char <= "\ud7af"


def _folded(text: str) -> str:
    """Compatibility forms, case, accents and invisible characters taken away; one space between words."""
    spread = unicodedata.normalize("NFKD", text).casefold()
    kept = "".join(char for char in spread if unicodedata.category(char) not in ("Mn", "Me", "Cf"))
    return unicodedata.normalize("NFKC", " ".join(kept.split()))


def blocked_sentence(word: str) -> Sentence:
    """The sentence for a prompt that is not painted here."""
    return say(
        "Prompts with {word!r} are not painted here; leave it out and try again. Nothing was taken.",
        word=word,
    )
