"""Quotas in words: what /info and /quota answer."""

from __future__ import annotations

import math

from bot.domain.policy import Bucket, Limits, Unit, Window, amount, refills_at
from bot.domain.sentence import Sentence, join, say
from bot.services.quotas import Info, Rule, Standing

NOTHING = 1e-6
"""Limits below this are "none at all"; 0 itself means unlimited."""


def info_text(info: Info, ready_s: float = 0.0) -> Sentence:
    """What /info answers of credit and jobs; the last of them should be ready in ``ready_s`` seconds."""
    counts = {"running": info.running, "waiting": info.waiting}
    jobs = say("**Jobs** {running} running, {waiting} waiting", **counts)
    if ready_s:
        ready = math.ceil(info.now + ready_s)
        jobs = say(
            "**Jobs** {running} running, {waiting} waiting, all ready about <t:{ready}:R>",
            **counts,
            ready=ready,
        )
    life = say(
        "**So far** jobs: {jobs}, {images}, {seconds}",
        jobs=info.jobs,
        images=amount(info.images, Unit.IMAGES),
        seconds=amount(info.gpu_seconds, Unit.GPU_SECONDS),
    )
    return join((*standing_lines(info.standing, info.unit, info.now), jobs, life))


def standing_lines(standing: Standing, unit: Unit, now: float) -> list[Sentence]:
    """One line for each window with a limit, one for credit on top."""
    lines = [_bucket_line(bucket, unit, now) for bucket in standing.buckets if bucket.limit]
    if standing.granted > NOTHING:
        lines.append(say("**Granted on top** {amount}", amount=amount(standing.granted, unit)))
    return lines or [say("**Credit** unlimited")]


def _bucket_line(bucket: Bucket, unit: Unit, now: float) -> Sentence:
    facts = {
        "left": amount(bucket.left or 0, unit),
        "limit": _number(bucket.limit),
        "refill": refills_at(bucket.window, now),
    }
    match bucket.window:
        case Window.HOUR:
            return say("**This hour** {left} left of {limit}, full again <t:{refill}:R>", **facts)
        case Window.DAY:
            return say("**This day** {left} left of {limit}, full again <t:{refill}:R>", **facts)
        case Window.MONTH:
            return say("**This month** {left} left of {limit}, full again <t:{refill}:R>", **facts)


def rule_text(name: str, rule: Rule, now: float) -> Sentence:
    """What /quota show answers."""
    lines = [say("Quota of {name}:", name=name), *(_limit_line(window, rule) for window in Window)]
    if rule.standing is not None:
        lines += [say("Left now:"), *standing_lines(rule.standing, rule.unit, now)]
    return join(lines)


def _limit_line(window: Window, rule: Rule) -> Sentence:
    limit = _limit(rule.limits, window, rule.unit)
    if rule.stored.of(window) is not None:
        limit = say("{limit} (set by an admin)", limit=limit)
    match window:
        case Window.HOUR:
            return say("- per hour: {limit}", limit=limit)
        case Window.DAY:
            return say("- per day: {limit}", limit=limit)
        case Window.MONTH:
            return say("- per month: {limit}", limit=limit)


def _limit(limits: Limits, window: Window, unit: Unit) -> Sentence:
    limit = limits.of(window)
    if limit is None:
        return say("not set here")
    if limit == 0:
        return say("unlimited")
    return say("none at all") if limit <= NOTHING else amount(limit, unit)


def _number(credits: float) -> str:
    return "0" if credits <= NOTHING else f"{credits:.1f}".removesuffix(".0")
