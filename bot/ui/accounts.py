"""Quotas in words: what /info and /quota answer."""

from __future__ import annotations

from bot.domain.policy import Bucket, Limits, Unit, Window, amount, refills_at
from bot.services.quotas import Info, Rule, Standing

NOTHING = 1e-6
"""Limits below this are "none at all"; 0 itself means unlimited."""


def info_text(info: Info) -> str:
    """What /info answers."""
    jobs = f"**Jobs** {info.running} running, {info.waiting} waiting"
    life = (
        f"**So far** {info.jobs} jobs, {amount(info.images, Unit.IMAGES)}, "
        f"{amount(info.gpu_seconds, Unit.GPU_SECONDS)}"
    )
    return "\n".join((*standing_lines(info.standing, info.unit, info.now), jobs, life))


def standing_lines(standing: Standing, unit: Unit, now: float) -> list[str]:
    """One line for each window with a limit, one for credit on top."""
    lines = [_bucket_line(bucket, unit, now) for bucket in standing.buckets if bucket.limit]
    if standing.granted > NOTHING:
        lines.append(f"**Granted on top** {amount(standing.granted, unit)}")
    return lines or ["**Credit** unlimited"]


def _bucket_line(bucket: Bucket, unit: Unit, now: float) -> str:
    refill = f"full again <t:{refills_at(bucket.window, now)}:R>"
    return (
        f"**This {bucket.window}** {amount(bucket.left or 0, unit)} left of {_number(bucket.limit)}, {refill}"
    )


def rule_text(name: str, rule: Rule, now: float) -> str:
    """What /quota show answers."""
    lines = [f"Quota of {name}:", *(_limit_line(window, rule) for window in Window)]
    if rule.standing is not None:
        lines += ["Left now:", *standing_lines(rule.standing, rule.unit, now)]
    return "\n".join(lines)


def _limit_line(window: Window, rule: Rule) -> str:
    stored = rule.stored.of(window) is not None
    return f"- per {window}: {_limit(rule.limits, window, rule.unit)}{' (set by an admin)' if stored else ''}"


def _limit(limits: Limits, window: Window, unit: Unit) -> str:
    limit = limits.of(window)
    if limit is None:
        return "not set here"
    if limit == 0:
        return "unlimited"
    return "none at all" if limit <= NOTHING else amount(limit, unit)


def _number(credits: float) -> str:
    return "0" if credits <= NOTHING else f"{credits:.1f}".removesuffix(".0")
