"""The engine with its thread: one crossing a tick, the loop never waits, nothing is lost when it dies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import torch

from engine.api import (
    Cancelled,
    EngineBroken,
    EngineError,
    Event,
    Failed,
    Finished,
    InvalidSpec,
    ModelUnavailable,
    Started,
)
from engine.core import Core
from engine.profile import ModelSource
from engine.runtime import LocalEngine
from engine.sentence import Sentence, sentence_of
from tests.engine.specs import spec

Start = Callable[..., Awaitable[LocalEngine]]


@pytest.fixture
async def start(folders: dict[str, Path]) -> AsyncIterator[Start]:
    """Starts engines on the tiny models and closes them."""
    engines: list[LocalEngine] = []

    async def started(**options: object) -> LocalEngine:
        engine = LocalEngine(sources(folders), threads=1, **options)  # type: ignore[arg-type]
        engines.append(engine)
        await engine.start()
        return engine

    yield started
    for engine in engines:
        await engine.close()


def sources(folders: dict[str, Path]) -> dict[str, ModelSource]:
    return {name: ModelSource(name, path) for name, path in folders.items()}


async def until(engine: LocalEngine, kind: type[Event], job_id: str = "job") -> list[Event]:
    """Events up to the first of ``kind`` for the job."""
    seen: list[Event] = []
    async for event in engine.events():
        seen.append(event)
        if isinstance(event, kind) and event.job_id == job_id:
            break
    return seen


async def test_paints(start: Start) -> None:
    engine = await start()
    engine.submit(spec())
    events = await until(engine, Finished)
    assert [type(event).__name__ for event in events] == ["Started", *["Progress"] * 4, "Finished"]
    assert isinstance(events[-1], Finished)
    assert [image.size for image in events[-1].images] == [(64, 64)] * 2
    health = engine.health()
    assert (health.running, health.waiting, health.stalled_for, health.alive) == (0, 0, 0.0, True)
    assert health.device.startswith("cpu")
    assert engine.estimate(spec()) == pytest.approx(events[-1].gpu_seconds)


def test_models_are_known_before_the_start(folders: dict[str, Path]) -> None:
    engine = LocalEngine(sources(folders), default="sketchy")
    assert next(iter(engine.models())) == "sketchy"
    info = engine.models()["sketchy"]
    assert (info.native_size, info.upscale, info.steps, info.sampler) == (32, 2, 6, "ddim")
    assert not engine.health().alive
    engine.check(spec())


async def test_the_loops_thread_never_computes(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Structural, so that no clock decides: ticks on the engine's thread, events on the loop's."""
    threads: set[str] = set()
    tick, receive = Core.tick, LocalEngine._receive
    crossings: list[int] = []

    def watched(core: Core) -> None:
        threads.add(threading.current_thread().name)
        tick(core)

    def counted(engine: LocalEngine, events: tuple[Event, ...]) -> None:
        assert threading.current_thread() is threading.main_thread()
        crossings.append(len(events))
        receive(engine, events)

    monkeypatch.setattr(Core, "tick", watched)
    monkeypatch.setattr(LocalEngine, "_receive", counted)
    engine = await start()
    engine.submit(spec(seeds=(1,)))
    await until(engine, Finished)
    assert threads == {"tessera-engine"}
    assert crossings == [2, 1, 1, 2]


async def test_a_cancel_reaches_the_thread(start: Start) -> None:
    engine = await start()
    engine.submit(spec(steps=150))
    await until(engine, Started)
    assert engine.health().running == 1
    engine.cancel("job")
    events = await until(engine, Cancelled)
    assert len(events) < 150
    engine.submit(spec())
    assert await until(engine, Finished)


async def test_a_job_is_taken_once_at_a_time(start: Start) -> None:
    engine = await start()
    engine.submit(spec(steps=150))
    with pytest.raises(InvalidSpec, match="already in the engine"):
        engine.submit(spec())
    engine.cancel("job")
    await until(engine, Cancelled)
    engine.submit(spec())
    assert await until(engine, Finished)


async def test_what_cannot_be_queued_leaves_nothing_behind(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a job that can never be handed over again nor work that never ends."""
    engine = await start()
    with monkeypatch.context() as broken:
        broken.setattr(engine._estimates, "expect", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            engine.submit(spec())
    assert engine.health().waiting == engine._queue.waiting == 0
    engine.submit(spec())
    assert await until(engine, Finished)


async def test_a_dead_thread_gives_every_job_back(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = await start()

    def dies(core: Core) -> None:
        raise EngineBroken("The device cannot go on: CUDA error: device-side assert triggered")

    monkeypatch.setattr(Core, "tick", dies)
    engine.submit(spec("one"))
    engine.submit(spec("two"))
    failures = [event for event in await until(engine, Failed, "two") if isinstance(event, Failed)]
    assert {failure.job_id for failure in failures} == {"one", "two"}
    assert all(isinstance(failure.error, EngineBroken) and failure.retryable for failure in failures)
    assert {str(failure.error) for failure in failures} == {
        "The engine stopped working; tell those who run this bot."
    }
    assert not engine.health().alive
    assert engine.health().waiting == 0
    with pytest.raises(EngineBroken, match="restart"):
        engine.submit(spec())


async def test_close_joins_the_thread_and_ends_the_events(start: Start) -> None:
    engine = await start()
    engine.submit(spec(steps=150))
    await until(engine, Started)
    await engine.close()
    assert "tessera-engine" not in {thread.name for thread in threading.enumerate()}
    async with asyncio.timeout(60):
        rest = [event async for event in engine.events()]
    assert not any(isinstance(event, Finished | Failed | Cancelled) for event in rest)


async def test_a_broken_model_beside_whole_ones(folders: dict[str, Path], tmp_path: Path) -> None:
    engine = LocalEngine({**sources(folders), "lost": ModelSource("lost", tmp_path / "nowhere")})
    assert "lost" not in engine.models()
    assert str(tmp_path / "nowhere") in str(engine.faults["lost"])
    with pytest.raises(ModelUnavailable) as refusal:
        engine.check(spec(model="lost"))
    said = sentence_of(refusal.value)
    assert isinstance(said, Sentence) and said.startswith("The model lost cannot be used here now")
    assert str(tmp_path) not in said


async def test_a_default_that_memory_does_not_hold(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    family, tried = Core.family, []

    def limited(core: Core, name: str) -> object:
        tried.append(name)
        if len(tried) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return family(core, name)

    monkeypatch.setattr(Core, "family", limited)
    engine = await start()
    assert engine.health().alive and len(tried) == 2


def test_no_model_at_all(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="there is no folder"):
        LocalEngine({"lost": ModelSource("lost", tmp_path / "nowhere")})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"device": "warp"}, "There is no device 'warp' here"),
        ({"device": "cuda:99"}, "There is no device 'cuda:99' here"),
        ({"device": "cpu", "dtype": "float16"}, "float16 is many times slower on a CPU"),
        ({"dtype": "int3"}, "There is no dtype 'int3'"),
    ],
)
async def test_what_cannot_start_says_why(
    folders: dict[str, Path], options: dict[str, str], sentence: str
) -> None:
    engine = LocalEngine(sources(folders), **options)  # type: ignore[arg-type]
    with pytest.raises(EngineError, match=sentence):
        await engine.start()
    await engine.close()


async def test_bfloat16_on_a_cpu(start: Start) -> None:
    engine = await start(dtype="bfloat16")
    engine.submit(spec(model="sketchy"))
    assert isinstance((await until(engine, Finished))[-1], Finished)


async def ended(engine: LocalEngine, count: int) -> dict[str, Event]:
    """The last events of so many jobs."""
    last: dict[str, Event] = {}
    async for event in engine.events():
        if isinstance(event, Finished | Failed | Cancelled):
            last[event.job_id] = event
        if len(last) == count:
            break
    return last


class TestSeveralDevices:
    """Two of them: the same processor twice, which is all that the loop sees of it."""

    async def test_both_paint_from_one_queue(self, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        threads: dict[str, set[str]] = {}
        tick = Core.tick

        def watched(core: Core) -> None:
            for job_id in core._jobs:
                threads.setdefault(job_id, set()).add(threading.current_thread().name)
            tick(core)

        monkeypatch.setattr(Core, "tick", watched)
        engine = await start(device="cpu,cpu", max_rows=2)
        assert engine.health().devices == 2
        for number in range(8):
            engine.submit(spec(f"job{number}", steps=8, user=f"user{number % 3}"))
        events = await ended(engine, 8)
        assert all(isinstance(event, Finished) for event in events.values())
        assert all(len(names) == 1 for names in threads.values()), "a job stays where it began"
        assert {name for names in threads.values() for name in names} == {
            "tessera-engine",
            "tessera-engine-1",
        }

    async def test_a_cancel_is_told_once(self, start: Start) -> None:
        engine = await start(device="cpu,cpu", max_rows=2)
        for number in range(4):
            engine.submit(spec(f"job{number}", steps=150))
        for number in range(4):
            engine.cancel(f"job{number}")
        events = await ended(engine, 4)
        assert all(isinstance(event, Cancelled) for event in events.values())
        engine.submit(spec("last"))
        assert isinstance((await ended(engine, 1))["last"], Finished)

    async def test_the_other_goes_on_when_one_is_lost(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        engine = await start(device="cpu,cpu", max_rows=2)
        tick = Core.tick

        def dies(core: Core) -> None:
            if "poison" in core._jobs:
                raise EngineBroken("The device cannot go on: CUDA error: device-side assert triggered")
            tick(core)

        monkeypatch.setattr(Core, "tick", dies)
        engine.submit(spec("poison", steps=150))
        events = await ended(engine, 1)
        failed = events["poison"]
        assert isinstance(failed, Failed) and failed.retryable and isinstance(failed.error, EngineBroken)
        assert engine.health().alive and engine.health().devices == 1
        for number in range(3):
            engine.submit(spec(f"job{number}"))
        assert all(isinstance(event, Finished) for event in (await ended(engine, 3)).values())

    async def test_a_lost_device_is_no_stall(self, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        engine = await start(device="cpu,cpu")
        lost, other = engine._workers
        lost.beat, lost.broken, other.beat = -1e6, True, None
        engine._active["job"] = True
        assert engine.health().stalled_for == 0.0

    def test_a_gpu_is_its_threads_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from engine.device import claim

        claimed: list[torch.device] = []
        monkeypatch.setattr(torch.cuda, "set_device", claimed.append)
        for name in ("cpu", "cuda:1"):
            claim(torch.device(name))
        assert claimed == [torch.device("cuda:1")]

    def test_their_names(self) -> None:
        from engine.device import pick_devices

        assert [str(device) for device in pick_devices("cpu, cpu")] == ["cpu", "cpu"]
        with pytest.raises(EngineError, match="There is no device 'cuda:99' here"):
            pick_devices("cpu,cuda:99")


async def test_what_jobs_cost_outlives_the_engine(start: Start, tmp_path: Path) -> None:
    first = await start(learned=tmp_path / "learned.json")
    first.submit(spec())
    await until(first, Finished)
    await first.close()
    second = await start(learned=tmp_path / "learned.json")
    assert second.estimate(spec()) == first.estimate(spec())
