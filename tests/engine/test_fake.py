"""The scripted engine does what the real one does, as far as the bot can see."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from engine.api import Cancelled, EngineBroken, EngineError, Event, Failed, Finished, InvalidSpec, Progress
from engine.fake import Failure, FakeEngine, gradient
from tests.engine.specs import spec


async def drain(engine: FakeEngine) -> list[Event]:
    await engine.close()
    return [event async for event in engine.events()]


async def test_runs_by_itself() -> None:
    engine = FakeEngine()
    await engine.start()
    engine.submit(spec(model="sketch"))
    async for event in engine.events():
        if isinstance(event, Finished):
            await engine.close()
            assert [image.size for image in event.images] == [(256, 256)] * 2
            assert event.gpu_seconds == engine.estimate(spec(model="sketch"))
    assert not engine.health().alive


async def test_moves_only_when_told() -> None:
    engine = FakeEngine(manual=True)
    await engine.start()
    engine.submit(spec(model="sketch"))
    assert engine.health().waiting == 1
    engine.step()
    assert engine.health().running == 1
    engine.finish("job")
    kinds = [type(event).__name__ for event in await drain(engine)]
    assert kinds == ["Started", *["Progress"] * 4, "Finished"]


async def test_fails_by_prompt_as_often_as_told() -> None:
    engine = FakeEngine(manual=True, failures={"bad": Failure(EngineError("no"), 2, True, times=1)})
    for _ in range(2):
        engine.submit(spec(model="sketch", prompt="a bad apple"))
        engine.finish()
    ends = [event for event in await drain(engine) if isinstance(event, Failed | Finished)]
    assert [type(event).__name__ for event in ends] == ["Failed", "Finished"]


async def test_cancels_and_crashes() -> None:
    engine = FakeEngine(manual=True)
    for name in ("a", "b"):
        engine.submit(spec(name, "sketch"))
    with pytest.raises(InvalidSpec):
        engine.submit(spec("a", "sketch"))
    engine.step()
    engine.cancel("a")
    engine.cancel("a")
    engine.crash()
    with pytest.raises(EngineBroken):
        engine.submit(spec("c", "sketch"))
    assert not engine.health().alive
    ends = [event for event in await drain(engine) if isinstance(event, Failed | Cancelled)]
    assert [(type(event).__name__, event.job_id) for event in ends] == [("Cancelled", "a"), ("Failed", "b")]


async def test_previews_are_jpegs() -> None:
    engine = FakeEngine(manual=True)
    engine.submit(spec(model="sketch"))
    engine.step()
    (preview,) = [event.preview for event in await drain(engine) if isinstance(event, Progress)]
    assert preview is not None
    assert Image.open(io.BytesIO(preview)).format == "JPEG"


def test_a_seed_decides_the_colours() -> None:
    assert gradient(1, 8, 8).tobytes() == gradient(1, 8, 8).tobytes()
    assert gradient(1, 8, 8).tobytes() != gradient(2, 8, 8).tobytes()
