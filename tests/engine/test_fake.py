"""The scripted engine does what the real one does, as far as the bot can see."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from engine.api import (
    Cancelled,
    EngineBroken,
    EngineError,
    Event,
    Failed,
    Finished,
    Hires,
    InitImage,
    InvalidSpec,
    Progress,
)
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


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


async def test_a_mask_keeps_and_a_second_pass_enlarges() -> None:
    engine = FakeEngine(manual=True)
    given, mask = Image.new("RGB", (256, 256), "teal"), Image.new("L", (256, 256))
    mask.paste(255, (128, 0, 256, 256))
    init = InitImage(encoded(given), 1.0, encoded(mask))
    engine.submit(spec("masked", "sketch", init=init))
    engine.submit(spec("large", "sketch", init=InitImage(encoded(given), 0.0), hires=Hires(1.5, 0)))
    cut = InitImage(encoded(given)[:60], 0.0)
    engine.submit(spec("unreadable", "sketch", init=cut, hires=Hires(1.5, 0)))
    engine.finish()
    ends = {event.job_id: event for event in await drain(engine) if isinstance(event, Finished | Failed)}
    assert isinstance(ends["unreadable"], Failed)
    masked, large = ends["masked"], ends["large"]
    assert isinstance(masked, Finished) and isinstance(large, Finished)
    left = (0, 0, 128, 256)
    assert masked.images[0].crop(left).tobytes() == given.crop(left).tobytes()
    assert masked.images[0].crop((128, 0, 256, 256)).tobytes() != given.crop(left).tobytes()
    assert large.images[0].size == (384, 384)
    assert large.images[0].getpixel((9, 9)) == given.getpixel((9, 9))


async def test_a_blend_shows_each_of_its_pictures_as_much() -> None:
    engine = FakeEngine(manual=True)
    pictures = [encoded(Image.new("RGB", (40, 30), colour)) for colour in ("black", "white")]
    engine.submit(spec("one", "sketch", blend=tuple(pictures), seeds=(1,)))
    engine.submit(spec("same", "sketch", blend=tuple(reversed(pictures)), seeds=(1,)))
    engine.submit(spec("none", "sketch", seeds=(1,)))
    engine.finish()
    ends = {event.job_id: event for event in await drain(engine) if isinstance(event, Finished)}
    one, same, none = (ends[name].images[0].tobytes() for name in ("one", "same", "none"))
    assert one == same != none
