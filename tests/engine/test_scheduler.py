"""Plans: fair by cost, fast before relaxed, nobody starves. No torch."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.api import Lane
from engine.scheduler import LOOKS, Scheduler, Ticket
from engine.turns import Line


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


def test_what_is_set_apart_keeps_its_turn_and_shares_no_pass() -> None:
    scheduler = Scheduler(8)
    for item in (ticket("a"), ticket("b", "bob"), ticket("c", "bob")):
        scheduler.add(item)
    assert keys(scheduler) == ["a", "b"]
    scheduler.set_apart("a")
    assert keys(scheduler) == ["a"]
    scheduler.remove("a")
    assert keys(scheduler) == ["b", "c"]


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


class House:
    """Jobs of equal steps on a device of ``fixed + each * rows`` seconds a step, in virtual time."""

    def __init__(self, fixed: float = 0.0, each: float = 1.0, max_rows: int = 8, **options: object) -> None:
        self.now = 0.0
        self.scheduler = Scheduler(max_rows, clock=lambda: self.now, **options)  # type: ignore[arg-type]
        self.ended: dict[Hashable, float] = {}
        self.served: defaultdict[str, float] = defaultdict(float)
        self.plans: list[list[Hashable]] = []
        self._left: dict[Hashable, int] = {}
        self._fixed, self._each = fixed, each

    def order(self, key: Hashable, user: str, rows: int = 4, steps: int = 10, **changes: Any) -> None:
        """A job whose cost is known."""
        cost = steps * (self._fixed + self._each * rows)
        values: dict[str, Any] = {"lane": Lane.FAST, "group": "square", "cost": cost, "model": "m"}
        lane, group = (changes.pop(name, values.pop(name)) for name in ("lane", "group"))
        self._left[key] = steps
        self.scheduler.add(Ticket(key, user, lane, rows, group, **{**values, **changes}))

    def tick(self, place: int = 0) -> list[Hashable]:
        """One plan, done."""
        plan = self.scheduler.plan(place)
        rows = sum(chosen.rows for chosen in plan)
        took = self._fixed + self._each * rows
        self.now += took
        self.scheduler.update({chosen.key: took * chosen.rows / rows for chosen in plan})
        for chosen in plan:
            self.served[chosen.user] += took * chosen.rows / rows
            self._left[chosen.key] -= 1
            if not self._left[chosen.key]:
                self.scheduler.remove(chosen.key)
                self.ended[chosen.key] = self.now
        self.plans.append([chosen.key for chosen in plan])
        return self.plans[-1]

    def run(self, ticks: int = 100_000) -> None:
        """Until nothing waits."""
        while len(self.scheduler) and ticks:
            self.tick()
            ticks -= 1


@pytest.mark.parametrize(("fixed", "each"), [(0.0, 1.0), (2.0, 1.0), (40.0, 1.0)])
def test_a_light_user_hardly_waits_behind_a_long_queue(fixed: float, each: float) -> None:
    """On a saturated device and on one with room: beyond its own time, a quarter of a grid's at most."""
    house = House(fixed, each)
    grid = 10 * (fixed + 4 * each)
    for number in range(16):
        house.order(number, "heavy")
    for _ in range(25):
        house.tick()
    came = house.now
    house.order("light", "bob")
    house.run()
    assert house.ended["light"] - came - grid <= 0.25 * grid


def test_equals_end_one_after_another() -> None:
    """Not all of them late, as they would by taking turns at every step."""
    house = House(max_rows=4)
    for user in "abc":
        house.order(user, user)
    house.run()
    assert house.ended == {"a": 40.0, "b": 80.0, "c": 120.0}


def test_who_comes_again_and_again_gets_no_more_than_a_share() -> None:
    """A job at a time with a breath between, beside somebody whose queue never ends."""
    house = House(max_rows=4)
    for number in range(40):
        house.order(number, "heavy")
    for number in range(20):
        house.order(("light", number), "bob")
        while ("light", number) not in house.ended:
            house.tick()
    assert house.served["heavy"] >= 0.45 * house.now


def test_a_long_job_gives_way_in_between() -> None:
    house = House(max_rows=4)
    for number in range(5):
        house.order(("before", number), "cyd")
    house.order("long", "ada", steps=200)
    house.order("short", "bob")
    house.run()
    assert house.ended["short"] < house.ended["long"] / 2


@pytest.mark.parametrize("weight", [0.5, 3.0])
def test_a_user_of_weight_gets_as_many_times_the_service(weight: float) -> None:
    house = House(max_rows=4)
    for number in range(60):
        house.order(("plain", number), "ada")
        house.order(("heavy", number), "bob", share=weight)
    house.run(400)
    assert house.served["bob"] / house.served["ada"] == pytest.approx(weight, rel=0.15)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(2, 30)), min_size=2, max_size=4))
def test_the_gap_of_service_is_at_most_two_of_the_dearest_jobs(shapes: list[tuple[int, int]]) -> None:
    """Users whose queues never empty, each with jobs of one kind that no other can share."""
    house = House(max_rows=4)
    dearest = max(rows * steps for rows, steps in shapes)
    for user, (rows, steps) in enumerate(shapes):
        for number in range(1 + 200 // (rows * steps)):
            house.order((user, number), str(user), rows, steps, group=user)
    while all(house.served[str(user)] < 150 for user in range(len(shapes))):
        house.tick()
        served = [house.served[str(user)] for user in range(len(shapes))]
        assert max(served) - min(served) <= 2 * dearest


def test_relaxed_jobs_age() -> None:
    """Fast work never ends, and yet every user who relaxes gets a job through now and then."""
    house = House(max_rows=4, patience=200.0)
    for user in ("bob", "cyd"):
        for number in range(3):
            house.order((user, number), user, lane=Lane.RELAX)
    for number in range(60):
        house.order(number, "ada")
    house.run(150)
    assert {("bob", 0), ("cyd", 0), ("bob", 1)} <= house.ended.keys()
    assert 200 < house.ended["bob", 0] < 400
    assert house.served["ada"] > 0.6 * house.now


def test_a_crowd_does_not_move_up_in_one_plan() -> None:
    house = House(max_rows=4, patience=50.0)
    for number in range(1000):
        house.order(("relaxed", number), f"user {number}", lane=Lane.RELAX)
    relaxed = [1000]
    for number in range(40):
        house.order(number, "ada", lane=Lane.TURBO)
        for _ in range(10):
            house.tick()
            relaxed.append(house.scheduler._crowd[None, 2])
    assert max(before - later for before, later in pairwise(relaxed)) <= LOOKS
    assert relaxed[-1] == 0


def test_a_relaxed_job_that_began_ages_too() -> None:
    house = House(max_rows=4, patience=100.0)
    house.order("relaxed", "bob", lane=Lane.RELAX)
    house.tick()
    for number in range(60):
        house.order(number, "ada")
    house.run(100)
    assert house.ended["relaxed"] < 300


@pytest.mark.parametrize("lane", [Lane.FAST, Lane.RELAX])
def test_who_rides_along_uses_up_nobodys_turn(lane: Lane) -> None:
    """A lane whose jobs fill up the passes of the one before has not been served by that."""
    house = House(40.0, 1.0, patience=2000.0)
    house.order("other", "cyd", lane=lane, group="wide")
    for number in range(40):
        house.order(number, "ada", lane=Lane.TURBO)
        house.order(("rider", number), "bob", lane=lane)
        while number not in house.ended:
            house.tick()
    assert house.served["bob"] > 0
    assert house.ended["other"] < 5000


@pytest.mark.parametrize(("steps", "share"), [(1, 1.0), (10, 1.0), (10, 3.0)])
def test_nobody_is_passed_by_all_who_come_later(steps: int, share: float) -> None:
    """New users' grids come as fast as they are painted; a cheaper job among them has its turn."""
    house = House(max_rows=4)
    for number in range(200):
        if number == 20:
            house.order("mine", "bob", steps=steps, share=share)
        house.order(number, f"new {number}")
        house.order(-1 - number, f"also new {number}")
        for _ in range(10):
            house.tick()
    assert house.ended["mine"] < 2 * 20 * 40 + 40 * 3


def test_a_wrong_guess_is_no_credit() -> None:
    """At first a job is thought a hundred times too dear, and that is nobody's advantage."""
    house = House(max_rows=4)
    for number in range(30):
        house.order(number, "heavy", cost=4000.0)
    for _ in range(30):
        house.tick()
    house.order("light", "bob")
    house.run()
    assert house.ended["light"] <= 40 * 4


def test_a_model_that_others_never_want_is_loaded_in_the_end() -> None:
    """Those who come anew are always ahead by less than loading costs."""
    loaded = ["m"]
    house = House(max_rows=4, patience=500.0, loading=lambda model, place: 0.0 if model in loaded else 120.0)
    house.order("rare", "bob", model="n", group="other")
    for number in range(100):
        house.order(number, f"new {number}")
        house.order(-1 - number, f"also new {number}")
        for _ in range(10):
            loaded[:] = ["n" if house.tick() == ["rare"] else "m"]
    assert house.ended["rare"] < 700


def test_what_was_spent_before_moving_up_is_not_paid_for_again() -> None:
    now = 0.0
    scheduler = Scheduler(8, patience=100.0, clock=lambda: now)
    scheduler.add(Ticket("old", "bob", Lane.RELAX, 4, "square", cost=40.0))
    scheduler.plan()
    scheduler.update({"old": 30.0})
    scheduler.add(Ticket("new", "ada", Lane.FAST, 8, "square", cost=40.0))
    now = 200.0
    scheduler.plan()
    entry = scheduler._entries["old"]
    assert entry.lane < list(Lane).index(Lane.RELAX)
    assert entry.account.finish - entry.rank == 10.0


def test_a_model_is_not_swapped_for_a_small_lag() -> None:
    """Loading takes as long as three jobs: so long work on the loaded model goes on, and then it is due."""
    loaded = ["m"]
    house = House(max_rows=4, loading=lambda model, place: 0.0 if model in loaded else 120.0)
    for number in range(20):
        house.order(number, "ada")
        house.order(("other", number), "bob", model="n", group="other")
    swaps = 0
    while len(house.scheduler):
        (key, *_) = house.tick()
        model = "m" if isinstance(key, int) else "n"
        swaps += model not in loaded
        loaded[:] = [model]
    assert 1 <= swaps <= 14
    assert house.ended["other", 0] < 400


class TestSeveralDevices:
    """Two of them, 0 and 1; ``costs`` says how long a model takes to load where it is not loaded."""

    def two(self, costs: dict[tuple[str, int], float] | None = None, **options: Any) -> House:
        house = House(loading=lambda model, place: (costs or {}).get((model, place), 0.0), **options)
        for place in (0, 1):
            house.scheduler.join(place)
        return house

    def test_what_waits_is_left_to_a_device_that_idles(self) -> None:
        house = self.two()
        for number in range(3):
            house.order(number, "ada", rows=2)
        assert house.tick(0) == [0]
        assert house.tick(1) == [1, 2]

    @pytest.mark.parametrize(
        ("steps", "waiting", "loads"), [(3, 1, []), (10, 1, [1]), (3, 2, [1])], ids=["short", "long", "many"]
    )
    def test_a_model_is_loaded_twice_only_where_that_is_sooner(
        self, steps: int, waiting: int, loads: list[int]
    ) -> None:
        house = self.two({("m", 1): 30.0})
        house.order(0, "ada", steps=steps)
        assert house.tick(1) == []
        house.tick(0)
        for number in range(waiting):
            house.order(1 + number, "ada", group=number)
        assert house.tick(1) == loads

    def test_a_device_that_is_lost_is_left_nothing(self) -> None:
        house = self.two({("m", 1): 30.0})
        house.order(0, "ada")
        house.scheduler.leave(0)
        assert house.tick(1) == [0]

    def test_who_kept_waiting_long_enough_is_left_to_none(self) -> None:
        house = self.two({("m", 1): 30.0}, patience=100.0)
        house.order(0, "ada", lane=Lane.TURBO)
        house.now = 100.0
        assert house.tick(1) == [0]

    def test_what_could_not_be_loaded_is_left_to_who_can(self) -> None:
        costs = {("m", 1): math.inf, ("m", 0): 1000.0}
        house = self.two(costs)
        house.order(0, "ada")
        assert house.tick(1) == []
        costs["m", 0] = math.inf
        assert house.tick(1) == [0]

    def test_no_rounding_makes_them_leave_a_job_to_each_other(self) -> None:
        house = self.two()
        for number, seconds in enumerate((28.034, 8.476, 32.357)):
            house.order(number, str(number), group=number, cost=seconds)
        for place in (0, 1):
            house.scheduler.remove(house.scheduler.plan(place)[0].key)
        assert len(house.scheduler.plan(0)) == 1

    def test_a_device_whose_job_takes_longer_than_expected_is_not_about_to_be_free(self) -> None:
        house = self.two({("m", 1): 40.0})
        house.order("long", "ada", steps=3)
        house.tick(0)
        house.scheduler.update({"long": 60.0})
        house.order("next", "bob", group="other")
        assert house.tick(1) == ["next"]

    def test_those_at_work_elsewhere_keep_nobody_from_riding(self) -> None:
        house = self.two()
        house.order("elsewhere", "bob", group="wide")
        house.tick(1)
        for number in range(8):
            house.order(number, "ada", rows=1)
        assert house.tick(0) == list(range(8))


def test_rows_share_a_pass_only_where_that_saves_time() -> None:
    saturated, roomy = House(0.0, 1.0), House(4.0, 1.0)
    for house in (saturated, roomy):
        for user in "abcd":
            house.order(user, user, steps=40)
        house.run()
    assert saturated.ended["a"] < 0.4 * saturated.now
    assert len([plan for plan in roomy.plans if len(plan) == 2]) > 0.8 * len(roomy.plans)


class TestPlaces:
    """Several devices, one scheduler."""

    def test_what_began_on_a_device_stays_there(self) -> None:
        house = House(max_rows=4)
        for number in range(3):
            house.order(number, "ada")
        assert [house.tick(0), house.tick(1), house.tick(1), house.tick(0)] == [[0], [1], [1], [0]]

    def test_the_parts_of_a_job_stay_together(self) -> None:
        house = House(max_rows=4)
        house.order("one", "ada", job="job")
        house.order("two", "ada", job="job")
        assert house.tick(1) == ["one"]
        assert house.scheduler.plan(0) == ()
        house.order("three", "ada", job="job")
        assert house.scheduler.plan(0) == ()

    def test_what_is_replaced_stays_where_it_is(self) -> None:
        house = House(max_rows=4)
        house.order("a", "ada")
        house.tick(1)
        house.scheduler.replace(ticket("a", group="larger"))
        assert house.scheduler.plan(0) == ()
        assert [chosen.group for chosen in house.scheduler.plan(1)] == ["larger"]

    def test_two_devices_serve_two_users(self) -> None:
        house = House(max_rows=4)
        for number in range(6):
            house.order(number, "ada")
            house.order(("b", number), "bob")
        users = {"ada" if isinstance(house.tick(place)[0], int) else "bob" for place in (0, 1)}
        assert users == {"ada", "bob"}


@pytest.mark.parametrize("users", [1, 10, 10_000])
def test_a_plan_looks_at_no_more_for_a_longer_queue(users: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks are counted, since a clock would say more of the machine."""
    looks: list[object] = []
    turn = Line._turn

    def counted(line: Line, who: Hashable) -> tuple[float, int]:
        looks.append(who)
        return turn(line, who)

    monkeypatch.setattr(Line, "_turn", counted)
    needed = []
    for length in (10, 10_000):
        house = House()
        for number in range(length):
            house.order(number, str(number % users))
        looks.clear()
        for _ in range(100):
            house.tick()
        needed.append(len(looks))
    assert needed[1] <= 1.5 * needed[0] + 200


def test_thousands_of_users_who_come_and_go_are_forgotten_not_missed() -> None:
    scheduler = Scheduler(8)
    scheduler.add(ticket("stays", user="stays"))
    for number in range(1500):
        scheduler.add(ticket(f"job {number}", user=f"user {number}"))
        scheduler.remove(f"job {number}")
    assert len(scheduler) == 1


def test_who_orders_and_drops_for_ever_leaves_nothing_behind() -> None:
    """Somebody else is first in turn all the while."""
    scheduler = Scheduler(8)
    scheduler.add(Ticket("first", "ada", Lane.FAST, 8, "square", 10.0))
    for user in "bc":
        scheduler.add(Ticket(user, user, Lane.FAST, 8, "square", 10.0))
        scheduler.add(Ticket((user, 0), user, Lane.FAST, 8, "square", 10.0))
    for _ in range(3):
        (chosen,) = scheduler.plan()
        scheduler.update({chosen.key: 10.0})
        scheduler.remove(chosen.key)
    scheduler.add(Ticket("first again", "ada", Lane.FAST, 8, "square", 10.0))
    for number in range(1000):
        scheduler.remove(("c", number))
        scheduler.add(Ticket(("c", number + 1), "c", Lane.FAST, 8, "square", 10.0))
    lines = [*scheduler._models.values(), *scheduler._groups.values()]
    assert sum(len(line._heap) for line in lines) < 200
    assert keys(scheduler) == [("b", 0)]
    scheduler.remove(("b", 0))
    assert keys(scheduler) == ["first again"]
