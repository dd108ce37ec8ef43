"""Quota arithmetic, permissions and text rules, by examples and by the sentences they give."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import policy
from bot.domain.job import Action, Job, JobStatus, Place, Requester
from bot.domain.policy import Bucket, Limits, Unit, Window
from bot.domain.prompt import Prompt

UNLIMITED = Limits(0, 0, 0)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOON = at("2026-11-22T12:34:56")


@pytest.mark.parametrize(
    ("window", "now", "start", "end"),
    [
        (Window.HOUR, "2026-11-22T12:34:56", "2026-11-22T12:00:00", "2026-11-22T13:00:00"),
        (Window.HOUR, "2026-12-31T23:59:59", "2026-12-31T23:00:00", "2027-01-01T00:00:00"),
        (Window.DAY, "2026-11-22T12:34:56", "2026-11-22T00:00:00", "2026-11-23T00:00:00"),
        (Window.DAY, "2026-02-28T23:00:00", "2026-02-28T00:00:00", "2026-03-01T00:00:00"),
        (Window.MONTH, "2026-11-22T12:34:56", "2026-11-01T00:00:00", "2026-12-01T00:00:00"),
        (Window.MONTH, "2028-02-29T00:00:00", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
        (Window.MONTH, "2026-12-01T00:00:00", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_windows_are_calendar_spans_in_utc(window: Window, now: str, start: str, end: str) -> None:
    assert policy.window_start(window, at(now)) == at(start)
    assert policy.refills_at(window, at(now)) == at(end)


@given(st.sampled_from(Window), st.floats(0, 4_000_000_000))
def test_now_lies_in_its_window_and_windows_meet(window: Window, now: float) -> None:
    start, end = policy.window_start(window, now), policy.refills_at(window, now)
    assert start <= now < end
    assert policy.window_start(window, end) == end
    assert policy.window_start(window, end - 1) == start


@pytest.mark.parametrize(
    ("guild", "roles", "user", "expected"),
    [
        (None, [], None, Limits(0, 100, 0)),
        (Limits(day=50), [], None, Limits(0, 50, 0)),
        (Limits(day=50), [Limits(day=20), Limits(day=30)], None, Limits(0, 30, 0)),
        (Limits(day=50), [Limits(day=20), Limits(day=0)], None, Limits(0, 0, 0)),
        (Limits(day=50), [Limits(day=20)], Limits(day=5, hour=2), Limits(2, 5, 0)),
        (Limits(month=9), [Limits(hour=1)], Limits(day=5), Limits(1, 5, 9)),
    ],
)
def test_user_goes_before_role_before_server_before_default(
    guild: Limits | None, roles: list[Limits], user: Limits | None, expected: Limits
) -> None:
    assert policy.resolve(Limits(0, 100, 0), guild, roles, user) == expected


def test_nothing_said_is_unlimited() -> None:
    assert policy.resolve(Limits(), None, [], None) == UNLIMITED


@pytest.mark.parametrize(
    ("action", "relaxed", "unit", "expected"),
    [
        (Action.IMAGINE, False, Unit.IMAGES, 4),
        (Action.VARIATION, False, Unit.IMAGES, 4),
        (Action.REROLL, True, Unit.IMAGES, 1),
        (Action.IMAGINE, False, Unit.GPU_SECONDS, 12.5),
        (Action.IMAGINE, True, Unit.GPU_SECONDS, 3.125),
        (Action.UPSCALE, False, Unit.IMAGES, 0),
        (Action.UPSCALE, False, Unit.GPU_SECONDS, 0),
    ],
)
def test_what_a_job_costs(action: Action, relaxed: bool, unit: Unit, expected: float) -> None:
    price = policy.cost(action, 4, relaxed=relaxed, unit=unit, gpu_seconds=12.5, relax_factor=0.25)
    assert price == expected


def test_buckets_take_what_they_have_and_no_more() -> None:
    state = policy.buckets(Limits(0, 10, 100), {Window.HOUR: 50, Window.DAY: 7})
    assert [bucket.left for bucket in state] == [None, 3, 100]
    assert policy.short_of(state, 3) is None
    assert policy.short_of(state, 3.1) == Bucket(Window.DAY, 10, 7)


def test_free_jobs_pass_even_an_overdrawn_bucket() -> None:
    overdrawn = Bucket(Window.DAY, 10, 12)
    assert overdrawn.left == 0
    assert overdrawn.takes(0) and not overdrawn.takes(1)


def test_sums_of_floats_do_not_cost_the_last_credit() -> None:
    assert Bucket(Window.DAY, 1, 0.1 + 0.2).takes(0.7)


def test_the_bucket_that_refills_last_is_named() -> None:
    state = policy.buckets(Limits(1, 2, 3), {Window.HOUR: 1, Window.DAY: 2, Window.MONTH: 0})
    short = policy.short_of(state, 1)
    assert short is not None and short.window is Window.DAY


def test_going_over_tells_when_it_refills() -> None:
    short = Bucket(Window.DAY, 100, 98)
    midnight = int(at("2026-11-23T00:00:00"))
    sentence = policy.quota_sentence(short, 4, Unit.IMAGES, NOON)
    assert sentence == (
        "This job costs 4 images and you have 2 images left of 100 images for this day; "
        f"it refills 2026-11-23 at 00:00 UTC (<t:{midnight}:R>). Nothing was taken."
    )
    assert policy.quota_refill(short, 4, NOON) == midnight
    assert "<t:" not in policy.without_marks(sentence)


def test_a_job_larger_than_the_bucket_never_fits() -> None:
    short = Bucket(Window.HOUR, 2, 0)
    assert policy.quota_sentence(short, 4, Unit.IMAGES, NOON) == (
        "This job costs 4 images, more than the 2 images you have for a whole hour; "
        "ask for fewer pictures with `--n`. What is spent refills 2026-11-22 at 13:00 UTC "
        "(<t:1795352400:R>). Nothing was taken."
    )
    assert policy.quota_refill(short, 4, NOON) is None


@pytest.mark.parametrize(
    ("credits", "unit", "text"),
    [
        (1, Unit.IMAGES, "1 image"),
        (0, Unit.IMAGES, "0 images"),
        (12.5, Unit.GPU_SECONDS, "12.5 GPU seconds"),
        (1.04, Unit.GPU_SECONDS, "1 GPU second"),
    ],
)
def test_amounts_read_well(credits: float, unit: Unit, text: str) -> None:
    assert policy.amount(credits, unit) == text


def test_a_user_with_as_many_jobs_as_allowed_is_told_to_wait() -> None:
    assert policy.too_many_jobs(12, 3, 10) is None
    assert policy.too_many_jobs(13, 3, 10) == (
        "You already have 13 jobs that are not done; 3 may run and 10 may wait. "
        "Try again when one is finished, or cancel one. Nothing was taken."
    )


@pytest.mark.parametrize(
    ("role_ids", "administrates", "expected"),
    [((1, 2), False, True), ((2,), False, False), ((), True, True), ((), False, False)],
)
def test_who_is_an_admin(role_ids: tuple[int, ...], administrates: bool, expected: bool) -> None:
    assert policy.is_admin(role_ids, (1, 3), administrates) is expected


@pytest.mark.parametrize(
    ("requester", "expected"),
    [(Requester(1), True), (Requester(2), False), (Requester(2, is_admin=True), True)],
)
def test_who_may_cancel_or_delete(requester: Requester, expected: bool) -> None:
    job = Job(
        "a" * 32, 1, Action.IMAGINE, Requester(1), Place(None, 2), Prompt("x"), (), JobStatus.QUEUED, 0.0
    )
    assert policy.may_command(requester, job) is expected


def test_refusals_are_sentences() -> None:
    assert policy.not_yours("delete") == (
        "Only the one who asked for this picture, or an admin, may delete it."
    )
    assert policy.blocked_sentence("gore") == (
        "Prompts with 'gore' are not painted here; leave it out and try again. Nothing was taken."
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a GORE scene", "gore"),
        ("a ｇｏｒｅ scene", "gore"),
        ("go\u200bre", "gore"),
        ("g\u00f6re", "gore"),
        ("gore!", "gore"),
        ("Al Gore's", "gore"),
        ("gorever and forgore", None),
        ("very  bad\nthing", "very bad thing"),
        ("一张血腥的图", "血腥"),
        ("a cat", None),
        ("", None),
    ],
)
def test_blocked_words_are_found_in_disguise_but_not_inside_others(text: str, found: str | None) -> None:
    assert policy.blocked_word(text, ("gore", "very bad thing", "血腥", " ")) == found
