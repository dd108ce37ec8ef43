"""Who is next, and how long the wait is: the same reckoning as the engine's."""

from __future__ import annotations

import pytest

from bot.services.backlog import ENOUGH, FORGOTTEN_S, PATIENCE_S, Backlog
from bot.store.jobs import Waiting

ANN, BOB, CYD = 1, 2, 3


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backlog(clock: Clock) -> Backlog:
    """Sixteen jobs of ann's."""
    made = Backlog(clock=clock)
    for number in range(16):
        made.queued(f"ann{number}", "fast", ANN, 10.0)
    return made


def test_ones_own_jobs_are_one_after_another(backlog: Backlog) -> None:
    assert backlog.ahead("ann0") == (0, 0.0)
    assert backlog.ahead("ann5") == (5, 50.0)
    assert backlog.ahead("unheard of") == (0, 0.0)


def test_the_last_of_ones_jobs_is_done_when_all_before_it_are(backlog: Backlog) -> None:
    assert backlog.until_done(BOB) == 0.0
    assert backlog.until_done(ANN) == 160.0
    backlog.queued("bob0", "fast", BOB, 30.0)
    assert backlog.until_done(BOB) == backlog.ahead("bob0")[1] + 30.0


def test_a_light_user_waits_for_what_is_at_work_at_most(backlog: Backlog) -> None:
    backlog.handed("ann0")
    backlog.progress("ann0", 0.5)
    backlog.queued("bob0", "fast", BOB, 10.0)
    assert backlog.ahead("bob0") == (1, 5.0), "ann came first, from idling as bob did"
    backlog.gone("ann0")
    backlog.handed("ann1")
    backlog.queued("cyd0", "fast", CYD, 10.0)
    assert backlog.ahead("cyd0") == (1, 10.0), "bob, and not ann's second"
    assert backlog.ahead("ann1") == (2, 20.0)


def test_what_is_yet_to_come_is_reckoned_alike(backlog: Backlog) -> None:
    for number in range(3):
        before = backlog.before("fast", BOB, 10.0)
        backlog.queued(f"bob{number}", "fast", BOB, 10.0)
        assert backlog.ahead(f"bob{number}")[1] == before


def test_lanes_go_one_before_the_other(backlog: Backlog) -> None:
    backlog.queued("relaxed", "relax", BOB, 10.0)
    backlog.queued("turbo", "turbo", CYD, 10.0)
    assert backlog.ahead("relaxed") == (17, 170.0)
    assert backlog.ahead("turbo") == (0, 0.0)


def test_two_devices_halve_the_wait() -> None:
    backlog = Backlog(devices=lambda: 2)
    for number in range(5):
        backlog.queued(str(number), "fast", ANN, 10.0)
    assert backlog.ahead("4") == (4, 20.0)


def test_nobody_waits_while_a_device_is_free() -> None:
    backlog = Backlog(devices=lambda: 2)
    for number in range(2):
        backlog.queued(str(number), "fast", ANN, 10.0)
    assert backlog.ahead("1") == (1, 0.0)


def test_a_weight_brings_turns_sooner() -> None:
    backlog = Backlog()
    for number in range(4):
        backlog.queued(f"ann{number}", "fast", ANN, 10.0)
        backlog.queued(f"bob{number}", "fast", BOB, 10.0, share=2.0)
    assert backlog.ahead("bob3") == (5, 50.0)
    assert backlog.ahead("ann3") == (7, 70.0)


def test_what_is_dropped_lets_the_rest_move_up(backlog: Backlog) -> None:
    backlog.queued("bob0", "fast", BOB, 10.0)
    backlog.queued("bob1", "fast", BOB, 10.0)
    before = backlog.turn("fast", BOB, 1)
    backlog.gone("bob0")
    backlog.gone("bob0")
    assert backlog.turn("fast", BOB) < before


def test_coming_back_at_once_wipes_no_debt(backlog: Backlog) -> None:
    for number in range(3):
        backlog.handed(f"ann{number}")
        backlog.gone(f"ann{number}")
    backlog.queued("bob0", "fast", BOB, 10.0)
    backlog.handed("bob0")
    backlog.gone("bob0")
    backlog.queued("bob1", "fast", BOB, 10.0)
    assert backlog.turn("fast", ANN) <= backlog.turn("fast", BOB)


def test_who_relaxes_for_too_long_goes_one_lane_up(backlog: Backlog, clock: Clock) -> None:
    for number in range(3):
        backlog.queued(f"relaxed{number}", "relax", BOB, 10.0)
    assert backlog.turn("relax", BOB)[0] == 2
    clock.now = PATIENCE_S
    assert backlog.turn("relax", BOB)[0] == 1
    backlog.handed("relaxed0", "fast")
    assert backlog.turn("relax", BOB)[0] == 2, "one job at a time"
    clock.now = 2 * PATIENCE_S
    assert backlog.turn("relax", BOB)[0] == 1


def test_who_has_nothing_with_the_engine(backlog: Backlog) -> None:
    assert backlog.others([])
    assert not backlog.others([ANN])
    backlog.queued("bob0", "fast", BOB, 10.0)
    assert backlog.others([ANN])


def test_after_a_restart_the_rows_say_who_waits(clock: Clock) -> None:
    clock.now = 1000.0
    rows = [
        Waiting("old", "relax", ANN, 10.0, 0.0),
        Waiting("a", "fast", BOB, 10.0, 990.0, (7,)),
        Waiting("b", "fast", BOB, 10.0, 991.0, (7,)),
    ]
    backlog = Backlog(rows, share=lambda roles: 2.0 if 7 in roles else 1.0, clock=clock)
    assert backlog.turn("relax", ANN)[0] == 2
    clock.now += PATIENCE_S
    assert backlog.turn("relax", ANN)[0] == 1
    assert backlog.turn("fast", BOB, 1)[1] - backlog.turn("fast", BOB)[1] == 5.0
    assert backlog.ahead("b") == (1, 10.0)


def day(backlog: Backlog, clock: Clock, number: int) -> tuple[float, float]:
    """Ann orders two pictures; others pass the second. What she was told of it, and how long it took."""
    first, second = f"first{number}", f"second{number}"
    for job in (first, second):
        backlog.queued(job, "fast", ANN, 10.0)
    told = backlog.ahead(second)[1] + backlog.left(second)
    for job, seconds in ((first, 30.0), (second, 10.0)):
        clock.now += seconds
        backlog.handed(job)
        backlog.progress(job, 0.95)
        backlog.gone(job)
    return told, 40.0


def test_whom_others_pass_is_told_so_once_that_is_known(clock: Clock) -> None:
    backlog = Backlog(clock=clock)
    days = [day(backlog, clock, number) for number in range(ENOUGH + 1)]
    assert days[ENOUGH - 1] == (20.0, 40.0)
    assert days[ENOUGH] == (40.0, 40.0)
    backlog.queued("first", "fast", ANN, 10.0)
    assert backlog.ahead("first") == (0, 0.0), "nobody waits for nothing"
    assert backlog.before("fast", ANN, 10.0) == 30.0
    backlog.queued("second", "fast", ANN, 10.0)
    assert backlog.ahead("second") == (1, 30.0)
    assert backlog.until_done(ANN) == 40.0
    backlog.queued("light", "fast", BOB, 10.0)
    assert backlog.ahead("light") == (1, 10.0), "of those with no others before them nothing is known"
    backlog.handed("first")
    backlog.gone("first")
    assert backlog.ahead("second")[1] == 10.0, "the first of its user's now"


def test_a_stall_is_forgotten_when_an_hour_has_passed(clock: Clock) -> None:
    """Else where long waits are refused nobody behind her own jobs is let in, and nothing learned."""
    backlog = Backlog(clock=clock)
    for number in range(ENOUGH):
        day(backlog, clock, number)
    backlog.queued("first", "fast", ANN, 10.0)
    assert backlog.before("fast", ANN, 10.0) == 30.0
    clock.now += FORGOTTEN_S
    assert backlog.before("fast", ANN, 10.0) == 10.0


def test_what_was_dropped_or_waited_before_a_restart_teaches_nothing(clock: Clock) -> None:
    backlog = Backlog(clock=clock)
    for _ in range(ENOUGH):
        for job in ("first", "second", "old"):
            backlog.queued(job, "fast", ANN, 10.0, since=clock.now if job == "old" else None)
        clock.now += 500.0
        backlog.progress("old", 1.0)
        for job in ("old", "second", "first"):
            backlog.gone(job)
    backlog.queued("first", "fast", ANN, 10.0)
    assert backlog.before("fast", ANN, 10.0) == 10.0


def test_waits_that_were_shorter_are_not_promised(clock: Clock) -> None:
    """What a batch saves is told as it comes."""
    backlog = Backlog(clock=clock)
    for _ in range(ENOUGH):
        for job in ("first", "second"):
            backlog.queued(job, "fast", ANN, 10.0)
        clock.now += 1.0
        for job in ("first", "second"):
            backlog.progress(job, 1.0)
            backlog.gone(job)
    backlog.queued("first", "fast", ANN, 10.0)
    assert backlog.before("fast", ANN, 10.0) == 10.0
