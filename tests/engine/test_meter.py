"""The loop beside a device that works off what it is told: what steps cost, and how far ahead they are."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import pytest
import torch

from engine.api import Cancelled
from engine.conditioning import Conditioning
from engine.meter import Meter
from engine.models.registry import Registry
from engine.models.sd1 import StableDiffusion1
from tests.engine.conftest import Bench
from tests.engine.specs import spec

CPU = torch.device("cpu")
ROW = 0.25
"""Seconds of a row of 64 pixels' width on the device."""


@dataclass
class Device:
    """Takes its time for what is queued, while its clock stands still for the loop."""

    now: float = 0.0
    idle_at: float = 0.0
    ends: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.idle_at = max(self.idle_at, self.now) + seconds

    def end(self) -> End:
        self.ends.append(self.idle_at)
        return End(self, self.idle_at)


@dataclass
class End:
    device: Device
    at: float

    def synchronize(self) -> None:
        self.device.now = max(self.device.now, self.at)


class Loop(Bench):
    """A core on such a device; ``python`` is what queuing a step takes, in seconds."""

    def __init__(self, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
        self.device, self.python, self.charged = Device(), 0.0, 0.0
        self.steps: list[int] = []
        self.ahead: list[int] = []
        super().__init__(registry, clock=self.device.clock)
        family = registry.load("classic", CPU, torch.float32)
        assert isinstance(family, StableDiffusion1)
        self._denoise = family.denoise
        monkeypatch.setattr(family, "denoise", self.denoise)
        monkeypatch.setattr(Meter, "_end", lambda _: self.device.end())
        scheduler = self.core._queue._scheduler
        charge = scheduler.charge

        def charged(key: Hashable, seconds: float) -> None:
            self.charged += seconds if key in scheduler._entries else 0.0
            charge(key, seconds)

        monkeypatch.setattr(scheduler, "charge", charged)

    def denoise(self, x: torch.Tensor, t: torch.Tensor, c: Conditioning, tile: bool) -> torch.Tensor:
        self.steps.append(len(x))
        self.ahead.append(sum(end > self.device.now for end in self.device.ends))
        self.device.now += self.python
        self.device.work(ROW * len(x) * x.shape[-1] / 8)
        return self._denoise(x, t, c, tile)


@pytest.fixture
def loop(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Loop:
    return Loop(registry, monkeypatch)


def test_each_step_is_charged_to_those_who_made_it(loop: Loop) -> None:
    """Two rows alone, then four more beside them for two steps, then alone again."""
    loop.core.submit(spec("long", steps=5, seeds=(1,)))
    loop.core.tick()
    loop.core.tick()
    loop.core.submit(spec("short", steps=2, user="bob"))
    loop.run()
    assert loop.steps == [2, 2, 6, 6, 2]
    assert loop.finished("long").gpu_seconds == pytest.approx(5 * 2 * ROW)
    assert loop.finished("short").gpu_seconds == pytest.approx(2 * 4 * ROW)
    assert loop.charged == pytest.approx(loop.device.now)


def test_jobs_that_take_turns_pay_for_their_own_steps(loop: Loop) -> None:
    """Sizes that share no pass, the larger of them at eight times the price of the other."""
    loop.python = ROW / 100
    loop.run(spec("small", seeds=(1,)), spec("large", width=256, user="bob"))
    assert loop.steps not in ([2] * 4 + [4] * 4, [4] * 4 + [2] * 4), "one came after the other"
    assert loop.finished("small").gpu_seconds == pytest.approx(4 * 2 * ROW, rel=0.02)
    assert loop.finished("large").gpu_seconds == pytest.approx(4 * 16 * ROW, rel=0.02)
    assert loop.charged == pytest.approx(loop.device.now)


def test_the_next_step_is_queued_while_one_runs_and_no_more_than_that(loop: Loop) -> None:
    loop.python = ROW
    loop.run(spec(steps=6))
    assert loop.ahead == [0, 1, 1, 1, 1, 1]
    assert loop.device.now == pytest.approx(loop.python + 6 * 4 * ROW), "the device waited for Python"
    assert loop.finished("job").gpu_seconds == pytest.approx(loop.device.now)


def test_a_device_that_is_quicker_than_python_costs_what_both_take(loop: Loop) -> None:
    loop.python = 8 * ROW
    loop.run(spec(steps=6))
    assert loop.device.now == pytest.approx(6 * loop.python + 4 * ROW)
    assert loop.finished("job").gpu_seconds == loop.charged == pytest.approx(loop.device.now)


def test_a_cancel_waits_for_the_step_that_is_queued(loop: Loop) -> None:
    loop.core.submit(spec("gone", steps=100))
    for _ in range(3):
        loop.core.tick()
    before = loop.device.now
    loop.core.cancel("gone")
    (end,) = [event for event in loop.events if isinstance(event, Cancelled)]
    assert end.gpu_seconds == pytest.approx(3 * 4 * ROW)
    assert loop.device.now - before == pytest.approx(4 * ROW)
    loop.core.tick()
    assert loop.steps == [4, 4, 4]
    assert loop.charged == pytest.approx(loop.device.now)


def test_a_failure_loses_no_step_that_was_at_work(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    loop.core.submit(spec("bad"))
    loop.core.tick()
    loop.core.tick()
    monkeypatch.setattr(loop.core._batcher, "predict", lambda *_: 1 / 0)
    loop.core.tick()
    assert loop.failed("bad")
    assert loop.charged == pytest.approx(loop.device.now) == pytest.approx(2 * 4 * ROW)


def test_time_without_work_is_nobodys(loop: Loop) -> None:
    loop.run(spec("first"))
    loop.device.now += 1000
    loop.core.tick()
    loop.run(spec("second"))
    assert loop.finished("second").gpu_seconds == pytest.approx(4 * 4 * ROW)


def test_the_learned_pace_is_that_of_the_step(loop: Loop) -> None:
    """By number of rows, though a step's time is known when the next one has been planned."""
    learned: list[tuple[int, float]] = []
    pace = loop.core._queue._scheduler._pace
    pace.learn = lambda group, rows, seconds: learned.append((rows, seconds))  # type: ignore[method-assign]
    loop.core.submit(spec("long", steps=4))
    loop.core.tick()
    loop.core.submit(spec("short", steps=2, seeds=(1,), user="bob"))
    loop.run()
    assert [rows for rows, _ in learned] == [2, 3, 3, 2]
    assert [seconds / rows for rows, seconds in learned] == pytest.approx([2 * ROW] * 4)


def test_what_is_no_step_begins_when_the_last_one_is_over() -> None:
    device = Device()
    meter = Meter(CPU, device.clock)
    meter._end = device.end  # type: ignore[method-assign]
    charges: list[tuple[str, float]] = []

    def to(name: str) -> Callable[[float], None]:
        return lambda seconds: charges.append((name, seconds))

    meter.begin()
    device.work(2.0)
    meter.queued(to("step"))
    assert charges == []
    with pytest.raises(ZeroDivisionError), meter.apart(to("decoding")):
        assert charges == [("step", 2.0)]
        device.work(3.0)
        1 / 0  # noqa: B018
    assert charges == [("step", 2.0), ("decoding", 3.0)]


def test_where_steps_are_over_when_they_return_none_is_pending() -> None:
    device = Device()
    meter, charges = Meter(CPU, device.clock), list[float]()
    meter.begin()
    device.now += 2.0
    meter.queued(charges.append)
    assert charges == [2.0]


def test_on_a_gpu_an_end_stands_in_the_stream_of_that_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several GPUs have a meter each, whatever torch thinks is the present one."""
    told: list[object] = []

    class Recorded:
        def record(self, stream: object) -> None:
            told.append(stream)

        def synchronize(self) -> None:
            told.append("waited")

    monkeypatch.setattr(torch.cuda, "Event", Recorded)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
    meter, charges = Meter(torch.device("cuda:1")), list[float]()
    for _ in range(2):
        meter.begin()
        meter.queued(charges.append)
    assert told == ["stream of cuda:1", "stream of cuda:1", "waited"] and len(charges) == 1
