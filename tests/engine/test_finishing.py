"""After the last step: one piece of a picture a turn; a cancel and other people's jobs come between."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from engine import stages
from engine.api import Cancelled, Finished, Hires, InitImage, Progress
from engine.estimates import Estimates
from engine.models.registry import Registry
from engine.models.sd1 import StableDiffusion1
from engine.upscale import Upscaler
from tests.engine.conftest import Bench
from tests.engine.specs import spec

BenchMaker = Callable[..., Bench]
CPU = torch.device("cpu")
WIDE = Image.fromarray(np.random.default_rng(3).integers(0, 255, (64, 1024, 3), np.uint8))
"""Four pieces of the upscaler."""


def enlargement(job_id: str = "large", **changes: Any) -> Any:
    buffer = io.BytesIO()
    WIDE.save(buffer, "PNG")
    init = InitImage(buffer.getvalue(), 0.0)
    return spec(job_id, init=init, hires=Hires(4, 0), seeds=(1,), width=1024, height=64, **changes)


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each piece, which is enlarged in a quick way."""
    run: list[int] = []

    def quick(upscaler: Upscaler, piece: torch.Tensor) -> torch.Tensor:
        run.append(1)
        return (torch.nn.functional.interpolate(piece, scale_factor=4)[0] * 255).round().to(torch.uint8)

    monkeypatch.setattr(Upscaler, "_run", quick)
    return run


@pytest.fixture
def family(registry: Registry) -> StableDiffusion1:
    loaded = registry.load("classic", CPU, torch.float32)
    assert isinstance(loaded, StableDiffusion1)
    return loaded


class Decodings(list[int]):
    """Pictures of each decoding, which takes so long for each by this clock."""

    seconds, now = 1.0, 0.0

    def clock(self) -> float:
        return self.now


@pytest.fixture
def decoded(family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch) -> Decodings:
    decodings = Decodings()
    decode = family.decode

    def slow(latents: torch.Tensor, tile: bool) -> torch.Tensor:
        decodings.append(len(latents))
        decodings.now += decodings.seconds * len(latents)
        return decode(latents, tile)

    monkeypatch.setattr(family, "decode", slow)
    return decodings


def ends(bench: Bench) -> list[str]:
    return [event.job_id for event in bench.events if isinstance(event, Finished | Cancelled)]


def test_a_turn_is_one_piece(bench: BenchMaker, pieces: list[int]) -> None:
    here, seen = bench(), []
    here.core.submit(enlargement())
    while here.core.busy:
        before = len(pieces)
        here.core.tick()
        seen.append(len(pieces) - before)
    assert max(seen) == 1 and sum(seen) == 4
    picture = np.asarray(here.finished("large").images[0])
    assert (picture == np.asarray(WIDE).repeat(4, 0).repeat(4, 1)).all()


def test_progress_is_told_piece_by_piece(bench: BenchMaker, pieces: list[int]) -> None:
    here = bench()
    here.run(enlargement())
    told = [(event.step, event.steps) for event in here.events if isinstance(event, Progress)]
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_cancel_waits_for_one_piece(bench: BenchMaker, pieces: list[int]) -> None:
    here = bench()
    here.core.submit(enlargement())
    while not pieces:
        here.core.tick()
    here.core.cancel("large")
    assert isinstance(here.events[-1], Cancelled) and here.events[-1].gpu_seconds > 0
    assert not here.core.busy
    here.core.tick()
    assert len(pieces) == 1


@pytest.mark.parametrize("model", ["classic", "velocity"])
def test_others_come_in_between(bench: BenchMaker, pieces: list[int], model: str, registry: Registry) -> None:
    """A light user's whole job, begun later, is painted while the enlargement of who had more goes on."""
    registry.load(model, CPU, torch.float32)
    estimates = Estimates()
    for job, seconds in ((spec(), 1.0), (spec(model=model), 1.0), (enlargement(), 4.0)):
        estimates.learn(job, seconds)
    here = bench(clock=count(0, 0.05).__next__, estimates=estimates)
    here.core.submit(spec("first"))
    here.core.submit(enlargement())
    while not pieces:
        here.core.tick()
    here.core.submit(spec("light", model, user="bob"))
    while "Finished" not in here.kinds("light"):
        here.core.tick()
    assert len(pieces) < 4 + 2
    here.run()
    assert ends(here) == ["first", "light", "large"]


def test_what_shared_a_pass_is_enlarged_alone(bench: BenchMaker, pieces: list[int]) -> None:
    """Two jobs step together to the end; then a turn is a piece of one of them."""
    here, most = bench(), 0
    here.core.submit(spec("one", hires=Hires(2, 0)))
    here.core.submit(spec("two", hires=Hires(2, 0), user="bob"))
    while here.core.busy:
        before = len(pieces)
        here.core.tick()
        most = max(most, len(pieces) - before)
    assert (most, len(pieces)) == (1, 4)
    assert here.finished("one") and here.finished("two")


def test_slow_pictures_are_decoded_one_a_turn(bench: BenchMaker, decoded: Decodings) -> None:
    here = bench(clock=decoded.clock)
    here.run(spec("first", seeds=(1, 2)))
    assert decoded == [1] * 2
    decoded.clear()
    here.core.submit(spec("second", seeds=tuple(range(1, 9))))
    while not decoded:
        here.core.tick()
    here.core.submit(spec("light", seeds=(5,), user="bob"))
    here.run()
    assert ends(here) == ["first", "light", "second"]
    assert decoded == [1] * 9
    for one, other in zip(here.finished("first").images, here.finished("second").images[:2], strict=True):
        assert np.abs(np.asarray(one).astype(int) - np.asarray(other)).max() <= 1


def test_quick_pictures_stay_together(bench: BenchMaker, decoded: Decodings) -> None:
    """Once the first of their size has shown that they are quick."""
    here = bench(clock=decoded.clock)
    decoded.seconds = 0.1
    here.run(spec("first"), spec("second"))
    assert decoded == [1, 2, 1]


def test_quick_pictures_of_several_jobs_share_a_pass(bench: BenchMaker, decoded: Decodings) -> None:
    """Each is the picture that it is alone, and each job is charged for its own."""
    here = bench(clock=decoded.clock)
    decoded.seconds = 0.01
    here.run(spec("alone", seeds=(3, 4, 5)))
    decoded.clear()
    here.run(spec("one", prompt="x"), spec("two", seeds=(3, 4, 5), user="bob"))
    assert decoded == [5]
    for one, other in zip(here.finished("alone").images, here.finished("two").images, strict=True):
        assert np.abs(np.asarray(one).astype(int) - np.asarray(other)).max() <= 1
    seconds = [here.finished(job).gpu_seconds for job in ("one", "two")]
    assert seconds == pytest.approx([0.02, 0.03])


@pytest.mark.parametrize("seconds", [0.1, 0.3])
def test_what_takes_more_than_a_turn_is_not_shared(
    bench: BenchMaker, decoded: Decodings, seconds: float
) -> None:
    here = bench(clock=decoded.clock)
    decoded.seconds = seconds
    here.run(spec("first", seeds=(1,)))
    decoded.clear()
    here.run(spec("one", seeds=(1, 2, 3)), spec("two", seeds=(1, 2, 3), user="bob"))
    assert max(decoded) <= 3 and sum(decoded) == 6


def test_a_shared_decoding_that_fails_is_tried_job_by_job(
    bench: BenchMaker, decoded: Decodings, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = bench(clock=decoded.clock)
    decoded.seconds = 0.01
    here.run(spec("first"))
    decode = family.decode

    def crowded(latents: torch.Tensor, tile: bool) -> torch.Tensor:
        if len(latents) > 2:
            raise torch.OutOfMemoryError("injected")
        return decode(latents, tile)

    monkeypatch.setattr(family, "decode", crowded)
    tries: list[int] = []
    here.run(spec("one"), spec("two", user="bob"))
    assert here.finished("one") and here.finished("two")
    monkeypatch.setattr(stages, "decode_together", lambda finished: tries.append(len(finished)))
    here.run(spec("three"), spec("four", user="bob"))
    assert not tries, "it was tried again"


def test_a_broken_frame_among_shared_ones_is_its_own_job_s(
    bench: BenchMaker, decoded: Decodings, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = bench(clock=decoded.clock)
    decoded.seconds = 0.01
    here.run(spec("first"))
    decode = family.decode

    def spoiled(latents: torch.Tensor, tile: bool) -> torch.Tensor:
        pixels = decode(latents, tile)
        pixels[0] = torch.nan
        return pixels

    monkeypatch.setattr(family, "decode", spoiled)
    here.run(spec("broken"), spec("whole", user="bob"))
    assert "no numbers" in str(here.failed("broken").error) and here.finished("whole")


def test_a_cancel_waits_for_one_slow_picture(bench: BenchMaker, decoded: Decodings) -> None:
    here = bench(clock=decoded.clock)
    here.core.submit(spec("first"))
    while not decoded:
        here.core.tick()
    here.core.cancel("first")
    here.run()
    assert ends(here) == ["first"] and decoded == [1]


def test_a_model_that_was_put_aside_between_turns_comes_back(
    bench: BenchMaker, registry: Registry, decoded: Decodings, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    load = registry.load

    def counted(name: str, *rest: Any) -> object:
        loads.append(name)
        return load(name, *rest)

    here = bench(clock=decoded.clock)
    here.core.submit(spec("first"))
    while not decoded:
        here.core.tick()
    monkeypatch.setattr(registry, "load", counted)
    here.core.tick()
    assert loads == ["classic"] and here.finished("first")
