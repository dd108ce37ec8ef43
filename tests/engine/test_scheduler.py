"""Plans: fair by cost, fast before relaxed, nobody starves. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api import Lane
from engine.scheduler import Scheduler, Ticket


def ticket(
    key: Hashable, user: str = "ada", rows: int = 4, lane: Lane = Lane.FAST, group: Hashable = "square"
) -> Ticket:
    return Ticket(key, user, lane, rows, group)


def keys(scheduler: Scheduler) -> list[Hashable]:
    return [chosen.key for chosen in scheduler.plan()]


def serve(
    scheduler: Scheduler, steps: dict[Hashable, int], seconds_per_row: float = 1.0
) -> Counter[Hashable]:
    """Run plans until each ticket has done its steps; the tick in which each one ended."""
    ended: Counter[Hashable] = Counter()
    tick = 0
    while len(scheduler) and tick < 10_000:
        tick += 1
        plan = scheduler.plan()
        scheduler.update({chosen.key: chosen.rows * seconds_per_row for chosen in plan})
        for chosen in plan:
            steps[chosen.key] -= 1
            if not steps[chosen.key]:
                scheduler.remove(chosen.key)
                ended[chosen.key] = tick
    return ended


def test_nothing_waits() -> None:
    assert Scheduler(8).plan() == ()


def test_rows_of_one_group_ride_together() -> None:
    scheduler = Scheduler(8)
    for item in (ticket("a"), ticket("b", "bob"), ticket("c", "cyd")):
        scheduler.add(item)
    assert keys(scheduler) == ["a", "b"]


def test_groups_are_never_mixed() -> None:
    scheduler = Scheduler(8)
    scheduler.add(ticket("a", rows=1))
    scheduler.add(ticket("b", "bob", rows=1, group="wide"))
    scheduler.add(ticket("c", "cyd", rows=1))
    assert keys(scheduler) == ["a", "c"]


def test_a_small_ticket_uses_the_room_that_a_large_one_leaves() -> None:
    scheduler = Scheduler(8)
    for item in (ticket("a", rows=6), ticket("b", "bob", rows=4), ticket("c", "cyd", rows=2)):
        scheduler.add(item)
    assert keys(scheduler) == ["a", "c"]


def test_a_ticket_larger_than_a_plan_runs_alone() -> None:
    scheduler = Scheduler(2)
    scheduler.add(ticket("a", rows=4))
    assert keys(scheduler) == ["a"]


def test_who_was_served_least_goes_first() -> None:
    scheduler = Scheduler(4)
    scheduler.add(ticket("a"))
    scheduler.add(ticket("b", "bob"))
    scheduler.update({"a": 3.0})
    assert keys(scheduler) == ["b"]
    scheduler.update({"b": 5.0})
    assert keys(scheduler) == ["a"]


def test_service_is_counted_in_seconds_not_in_turns() -> None:
    """Bob's steps cost three times as much, so ada takes three turns to his one."""
    scheduler = Scheduler(4)
    scheduler.add(ticket("a"))
    scheduler.add(ticket("b", "bob"))
    turns: Counter[Hashable] = Counter()
    for _ in range(400):
        (chosen,) = keys(scheduler)
        turns[chosen] += 1
        scheduler.update({chosen: 3.0 if chosen == "b" else 1.0})
    assert turns["a"] == pytest.approx(300, abs=4)


def test_one_users_jobs_end_one_after_another() -> None:
    scheduler = Scheduler(4)
    for key in ("first", "second", "third"):
        scheduler.add(ticket(key))
    ended = serve(scheduler, {"first": 5, "second": 5, "third": 5})
    assert ended == {"first": 5, "second": 10, "third": 15}


def test_a_light_user_passes_a_heavy_one() -> None:
    scheduler = Scheduler(4)
    for number in range(16):
        scheduler.add(ticket(number))
    scheduler.add(ticket("light", "bob"))
    ended = serve(scheduler, {**dict.fromkeys(range(16), 20), "light": 20})
    assert ended["light"] <= 41


def test_fast_goes_before_relaxed_whatever_was_served() -> None:
    scheduler = Scheduler(4)
    scheduler.add(ticket("relaxed", "bob", lane=Lane.RELAX))
    scheduler.add(ticket("fast"))
    scheduler.update({"fast": 100.0})
    assert keys(scheduler) == ["fast"]


def test_relaxed_rows_fill_the_room_that_fast_ones_leave() -> None:
    scheduler = Scheduler(8)
    scheduler.add(ticket("relaxed", "bob", lane=Lane.RELAX))
    scheduler.add(ticket("fast"))
    assert keys(scheduler) == ["fast", "relaxed"]


def test_relaxed_use_is_not_held_against_fast_use() -> None:
    scheduler = Scheduler(4)
    scheduler.add(ticket("long ago", lane=Lane.RELAX))
    scheduler.update({"long ago": 1000.0})
    scheduler.add(ticket("bob's", "bob"))
    scheduler.add(ticket("now"))
    scheduler.update({"bob's": 1.0})
    assert keys(scheduler) == ["now"]


def test_idling_saves_nothing_up() -> None:
    scheduler = Scheduler(4)
    scheduler.add(ticket("a"))
    scheduler.update({"a": 1000.0})
    scheduler.add(ticket("b", "bob"))
    turns: Counter[Hashable] = Counter()
    for _ in range(10):
        (chosen,) = keys(scheduler)
        turns[chosen] += 1
        scheduler.update({chosen: 1.0})
    assert turns["a"] == pytest.approx(5, abs=1)


def test_coming_back_at_once_wipes_no_debt() -> None:
    scheduler = Scheduler(4)
    scheduler.add(ticket("a"))
    scheduler.add(ticket("b", "bob"))
    scheduler.update({"a": 50.0})
    scheduler.remove("a")
    scheduler.add(ticket("a again"))
    assert keys(scheduler) == ["b"]


def test_a_key_is_scheduled_once() -> None:
    scheduler = Scheduler(4)
    scheduler.add(ticket("a"))
    with pytest.raises(ValueError, match="already scheduled"):
        scheduler.add(ticket("a"))


def test_removing_what_is_not_there_is_nothing() -> None:
    scheduler = Scheduler(4)
    scheduler.remove("a")
    scheduler.update({"a": 1.0})
    assert len(scheduler) == 0


jobs = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.integers(1, 4),
        st.integers(1, 6),
        st.sampled_from(list(Lane)),
        st.sampled_from(["square", "wide", "high"]),
    ),
    min_size=1,
    max_size=20,
)


@given(jobs)
def test_everything_ends_and_no_tick_is_idle_or_overfull(
    drawn: list[tuple[str, int, int, Lane, str]],
) -> None:
    scheduler = Scheduler(4)
    steps: dict[Hashable, int] = {}
    for number, (user, rows, count, lane, group) in enumerate(drawn):
        scheduler.add(Ticket(number, user, lane, rows, group))
        steps[number] = count
    for _ in range(sum(steps.values())):
        plan = scheduler.plan()
        if not plan:
            break
        assert sum(chosen.rows for chosen in plan) <= 4
        assert len({chosen.group for chosen in plan}) == 1
        assert len({chosen.key for chosen in plan}) == len(plan)
        scheduler.update({chosen.key: float(chosen.rows) for chosen in plan})
        for chosen in plan:
            steps[chosen.key] -= 1
            if not steps[chosen.key]:
                scheduler.remove(chosen.key)
    assert len(scheduler) == 0


@given(st.lists(st.integers(1, 4), min_size=2, max_size=5))
def test_backlogged_users_stay_within_one_job_step_of_each_other(rows: list[int]) -> None:
    """The gap in seconds between any two users who always wait is at most twice the dearest step."""
    scheduler = Scheduler(4)
    served = dict.fromkeys(range(len(rows)), 0.0)
    for user, count in enumerate(rows):
        scheduler.add(Ticket(user, str(user), Lane.FAST, count, user))
    for _ in range(200):
        for chosen in scheduler.plan():
            assert isinstance(chosen.key, int)
            served[chosen.key] += chosen.rows
            scheduler.update({chosen.key: float(chosen.rows)})
        assert max(served.values()) - min(served.values()) <= 2 * max(rows)
