"""The loop's body, stepped by hand: joining, leaving, cancelling, failing, previews, charges."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from itertools import count, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import EDMEulerScheduler
from PIL import Image

from engine import stages
from engine.api import (
    Cancelled,
    EngineBroken,
    EngineError,
    Finished,
    GenerationSpec,
    Hires,
    InitImage,
    Lane,
    ModelUnavailable,
    OutOfMemory,
    Progress,
    Variation,
)
from engine.conditioning import Conditioning
from engine.estimates import Estimates
from engine.models.registry import Registry
from engine.models.sd1 import StableDiffusion1
from engine.profile import ModelSource
from engine.queue import JobQueue
from engine.sentence import Sentence, sentence_of
from tests import pipelines
from tests.engine.company import alike
from tests.engine.conftest import Bench
from tests.engine.specs import spec

BenchMaker = Callable[..., Bench]
CPU = torch.device("cpu")


@pytest.fixture
def family(registry: Registry) -> StableDiffusion1:
    loaded = registry.load("classic", CPU, torch.float32)
    assert isinstance(loaded, StableDiffusion1)
    return loaded


def forward_sizes(family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of every forward pass from now on."""
    sizes: list[int] = []
    denoise = family.denoise

    def counted(x: torch.Tensor, t: torch.Tensor, c: Conditioning, tile: bool) -> torch.Tensor:
        sizes.append(len(x))
        return denoise(x, t, c, tile)

    monkeypatch.setattr(family, "denoise", counted)
    return sizes


def test_events_of_a_job_in_order(bench: BenchMaker) -> None:
    here = bench()
    here.run(spec())
    assert here.kinds("job") == ["Started", *["Progress"] * 4, "Finished"]
    steps = [(event.step, event.steps) for event in here.events if isinstance(event, Progress)]
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_second_order_samplers_count_their_half_steps(bench: BenchMaker) -> None:
    here = bench()
    here.run(spec(sampler="heun"))
    last = [event for event in here.events if isinstance(event, Progress)][-1]
    assert last.step == last.steps == 7


def test_jobs_join_and_leave_between_steps(
    bench: BenchMaker, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = forward_sizes(family, monkeypatch)
    here = bench()
    here.core.submit(spec("long", steps=4))
    here.core.tick()
    here.core.submit(spec("short", steps=2, seeds=(1,), user="bob"))
    while here.core.busy:
        here.core.tick()
    assert sizes == [4, 6, 6, 4]
    ends = [event.job_id for event in here.events if isinstance(event, Finished)]
    assert ends == ["short", "long"]


def test_a_cancel_takes_effect_before_the_next_step(
    bench: BenchMaker, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = forward_sizes(family, monkeypatch)
    here = bench()
    here.core.submit(spec("gone", steps=100))
    here.core.submit(spec("stays", user="bob"))
    here.core.tick()
    here.core.cancel("gone")
    assert isinstance(here.events[-1], Cancelled)
    assert here.events[-1].gpu_seconds > 0
    here.core.tick()
    assert sizes == [8, 4]
    here.run()
    assert here.kinds("gone") == ["Started", "Progress", "Cancelled"]
    assert here.kinds("stays")[-1] == "Finished"


def test_slow_encoders_are_not_waited_for_by_a_crowd(
    bench: BenchMaker, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three jobs at once whose texts take a second each: a tick prepares one, and steps those that are."""
    clock = {"now": 0.0}
    condition = family.condition

    def slow(job: GenerationSpec) -> Conditioning:
        clock["now"] += 1.0
        return condition(job)

    monkeypatch.setattr(family, "condition", slow)
    sizes = forward_sizes(family, monkeypatch)
    here = bench(clock=lambda: clock["now"])
    for name in ("a", "b", "c"):
        here.core.submit(spec(name, seeds=(1,), user=name, steps=3))
    here.core.tick()
    assert clock["now"] == 1.0 and sizes == [2]
    here.core.cancel("b")
    assert here.kinds("b") == ["Cancelled"]
    here.run()
    assert sizes == [2, 4, 4, 2]
    assert here.kinds("a")[-1] == here.kinds("c")[-1] == "Finished"


def test_a_waiting_job_is_cancelled_without_having_begun(bench: BenchMaker) -> None:
    here = bench()
    here.core.submit(spec())
    here.core.cancel("job")
    here.core.cancel("job")
    here.core.cancel("unheard of")
    assert here.events == [Cancelled("job", 0.0)]
    assert not here.core.busy


def test_more_images_than_a_plan_holds(bench: BenchMaker, family: StableDiffusion1) -> None:
    whole, parted = bench(max_rows=16), bench(max_rows=2)
    job = spec(seeds=(1, 2, 3, 4, 5))
    whole.run(job)
    parted.run(job)
    steps = [event.step for event in parted.events if isinstance(event, Progress)]
    assert steps == [1, 2, 3, 4]
    for one, other in zip(whole.finished("job").images, parted.finished("job").images, strict=True):
        assert np.abs(np.asarray(one).astype(int) - np.asarray(other)).max() <= 1


def test_parts_that_are_not_equal_are_told_to_the_end(bench: BenchMaker) -> None:
    """Two images and one, each enlarged: four pieces and two steps in all."""
    here = bench(max_rows=2)
    here.run(spec(seeds=(1, 2, 3), steps=2, hires=Hires(2, 0)))
    told = [(event.step, event.steps) for event in here.events if isinstance(event, Progress)]
    assert told[-1] == (4, 4) and sorted(set(told)) == told


def test_fast_jobs_pass_relaxed_ones(bench: BenchMaker) -> None:
    here = bench(max_rows=2)
    here.run(spec("relaxed", lane=Lane.RELAX), spec("fast", user="bob"))
    ends = [event.job_id for event in here.events if isinstance(event, Finished)]
    assert ends == ["fast", "relaxed"]


def test_a_tiled_neighbour_changes_nothing(bench: BenchMaker) -> None:
    alone, beside = bench(), bench()
    alone.run(spec("job"), spec("other"))
    beside.run(spec("job"), spec("tiled", tile=True, user="bob"), spec("other"))
    for job in ("job", "other"):
        for one, other in zip(alone.finished(job).images, beside.finished(job).images, strict=True):
            assert np.abs(np.asarray(one).astype(int) - np.asarray(other)).max() <= 1
    tiled = np.asarray(beside.finished("tiled").images[0]).astype(int)
    assert np.abs(tiled - np.asarray(beside.finished("job").images[0])).max() > 4


def test_a_tile_rolled_is_the_tile_of_rolled_noise(family: StableDiffusion1) -> None:
    """Circular all through: to shift the noise is to shift the picture, which no border allows otherwise."""
    latents = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    time, cond = torch.tensor([500.0]), family.embed("the sea")
    with torch.inference_mode():
        for tile in (True, False):
            one = family.decode(family.denoise(latents, time, cond, tile), tile)
            other = family.decode(family.denoise(latents.roll((2, 4), (2, 3)), time, cond, tile), tile)
            assert torch.allclose(one.roll((16, 32), (2, 3)), other, atol=1e-4) is tile


def test_a_model_that_lays_out_by_borders_closes_them_later(
    bench: BenchMaker, registry: Registry, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiles at different steps share no pass then, and each is the tile that it is alone."""
    passes: list[tuple[int, bool]] = []
    denoise = family.denoise

    def watched(x: torch.Tensor, t: torch.Tensor, c: Conditioning, tile: bool) -> torch.Tensor:
        passes.append((len(x), tile))
        return denoise(x, t, c, tile)

    monkeypatch.setattr(family, "denoise", watched)
    monkeypatch.setattr(family, "profile", replace(family.profile, tile_after=0.5))
    alone, beside = bench(), bench()
    alone.run(spec(tile=True))
    assert passes == [(4, False), (4, False), (4, True), (4, True)]
    passes.clear()
    beside.core.submit(spec(tile=True))
    beside.core.tick()
    beside.run(spec("later", tile=True, user="bob"))
    assert passes == [(4, False), (8, False), (4, False), (4, True), (8, True), (4, True)]
    for one, other in zip(alone.finished("job").images, beside.finished("job").images, strict=True):
        assert np.abs(np.asarray(one).astype(int) - np.asarray(other)).max() <= 1
    # A pass that begins late in the schedule is one of a tile from its first step on.
    passes.clear()
    given = io.BytesIO()
    alone.finished("job").images[0].save(given, "PNG")
    alone.run(spec("late", tile=True, init=InitImage(given.getvalue(), 0.5)))
    assert passes == [(4, True), (4, True)]


def test_stopping_early_decodes_the_estimate(bench: BenchMaker) -> None:
    full, half = bench(), bench()
    full.run(spec(steps=8))
    half.run(spec(steps=8, stop=0.5))
    assert [event.steps for event in half.events if isinstance(event, Progress)] == [4] * 4
    assert half.finished("job").images[0].tobytes() != full.finished("job").images[0].tobytes()


@pytest.mark.parametrize(
    ("model", "sampler"),
    [
        *product(("classic", "sketchy", "sample"), ("ddim", "euler karras", "dpm++ 2m", "unipc")),
        ("edm", "euler"),
        ("edm", "dpm++ 2m"),
    ],
)
def test_the_estimate_of_the_last_step_is_the_picture(
    registry: Registry, tmp_path: Path, model: str, sampler: str
) -> None:
    """At its end a deterministic sampler lands on what the last prediction pointed at."""
    if model == "edm":
        folder = pipelines.classic(tmp_path / "edm", scheduler=EDMEulerScheduler())
        registry = Registry({"edm": ModelSource("edm", folder)})
    job = spec(model=model, sampler=sampler, steps=6)
    rows = stages.prepare(registry.load(model, CPU, torch.float32), job, job.seeds)
    batcher = stages.Batcher()
    while not rows.done:
        (prediction,) = batcher.predict([rows], 8)
        stages.advance(rows, prediction, want_clean=True)
    assert rows.clean is not None
    assert float((rows.clean - rows.latents).abs().max()) <= 0.05 * float(rows.latents.std())


@pytest.mark.parametrize(("strength", "same"), [(0.0, True), (0.4, False), (1.0, False)])
def test_variations_move_from_a_seed_to_another(
    family: StableDiffusion1, strength: float, same: bool
) -> None:
    plain = spec(seeds=(1,))
    moved = replace(plain, variation=Variation(2, strength))
    latents = stages.prepare(family, moved, (1,)).latents
    original = stages.prepare(family, plain, (1,)).latents
    assert torch.allclose(latents, original, atol=1e-5) is same
    if strength == 1.0:
        assert torch.allclose(latents, stages.prepare(family, plain, (2,)).latents, atol=1e-4)
    assert float(latents.std()) == pytest.approx(1.0, abs=0.1)


def test_previews_come_no_more_often_than_asked(bench: BenchMaker) -> None:
    """The clock moves 0.2 s a look; ten steps with a preview each second at most."""
    looks = count()
    here = bench(preview_interval=2.0, clock=lambda: next(looks) * 0.2)
    here.run(spec(steps=10))
    previews = [event.preview for event in here.events if isinstance(event, Progress) and event.preview]
    assert 1 <= len(previews) <= 9
    with Image.open(io.BytesIO(previews[0])) as image:
        assert image.format == "JPEG"
        assert image.size == (512, 256)


def test_a_preview_resembles_the_picture(bench: BenchMaker) -> None:
    """The linear map, on the last step's estimate, against the decoded picture made as small."""
    here = bench(preview_interval=0.0)
    here.run(spec(model="sketchy", seeds=(1,), steps=6, width=64, height=64))
    preview = [event.preview for event in here.events if isinstance(event, Progress)][-1]
    assert preview is not None
    rough = Image.open(io.BytesIO(preview)).resize((16, 16))
    fine = here.finished("job").images[0].resize((16, 16))
    gap = np.abs(np.asarray(rough).astype(float) - np.asarray(fine)).mean()
    assert gap < 16


def test_seconds_are_shared_by_rows(bench: BenchMaker) -> None:
    """Guided images take two rows each; what both jobs took is what went by on the clock in the steps."""
    here = bench()
    here.run(spec("guided", seeds=(1, 2)), spec("plain", seeds=(3,), guidance_scale=0.0, user="bob"))
    assert here.finished("guided").gpu_seconds > here.finished("plain").gpu_seconds > 0


class TestOneFaultOneJob:
    """An error reaches exactly the job that it belongs to."""

    @pytest.fixture(autouse=True)
    def poisoned(self, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch) -> None:
        """A prompt 'bad' makes the model fail, from the second step on."""
        denoise, bad = family.denoise, family.embed("bad").text[0]

        def picky(x: torch.Tensor, t: torch.Tensor, c: Conditioning, tile: bool) -> torch.Tensor:
            if any(torch.equal(row, bad) for row in c.text) and float(t.min()) < 900:
                raise RuntimeError("shapes do not fit")
            return denoise(x, t, c, tile)

        monkeypatch.setattr(family, "denoise", picky)

    def test_in_the_model(self, bench: BenchMaker) -> None:
        clean, here = bench(), bench()
        clean.run(spec("good"))
        here.run(spec("good"), spec("bad", prompt="bad", user="bob"), spec("late", "velocity", user="cyd"))
        failure = here.failed("bad")
        assert str(failure.error) == "The picture could not be painted: a RuntimeError in the engine"
        assert failure.retryable
        assert here.finished("late")
        assert alike(here.finished("good").images, clean.finished("good").images)

    def test_in_the_scheduler(self, bench: BenchMaker, monkeypatch: pytest.MonkeyPatch) -> None:
        advance = stages.advance

        def fragile(rows: stages.Rows, *given: Any) -> None:
            if rows.spec.job_id == "broken":
                raise ValueError("no such step")
            advance(rows, *given)

        monkeypatch.setattr(stages, "advance", fragile)
        here = bench()
        here.run(spec("broken"), spec("good", user="bob"))
        assert str(here.failed("broken").error).endswith("a ValueError in the engine")
        assert here.finished("good")

    def test_in_the_picture_to_start_from(self, bench: BenchMaker) -> None:
        here = bench()
        here.run(spec("broken", init=InitImage(b"not a picture", 0.5)), spec("good", user="bob"))
        assert str(here.failed("broken").error) == (
            "The picture to start from cannot be read; send it as PNG, JPEG or WebP."
        )
        assert here.finished("good")

    def test_a_lost_device_breaks_the_engine(
        self, bench: BenchMaker, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lost(*_: object) -> torch.Tensor:
            raise RuntimeError("CUDA error: device-side assert triggered")

        monkeypatch.setattr(family, "denoise", lost)
        here = bench()
        here.core.submit(spec("a"))
        here.core.submit(spec("b", user="bob"))
        with pytest.raises(EngineBroken, match="device-side assert"):
            here.core.tick()


class TestMemory:
    """Out of memory is answered with smaller batches, then by failing one job."""

    def limit(
        self, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch, most: Callable[[Conditioning], int]
    ) -> list[int]:
        sizes: list[int] = []
        denoise = family.denoise

        def limited(x: torch.Tensor, t: torch.Tensor, c: Conditioning, tile: bool) -> torch.Tensor:
            sizes.append(len(x))
            if len(x) > most(c):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return denoise(x, t, c, tile)

        monkeypatch.setattr(family, "denoise", limited)
        return sizes

    def test_halves_and_remembers(
        self, bench: BenchMaker, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clean, here = bench(), bench()
        clean.run(spec())
        sizes = self.limit(family, monkeypatch, lambda _: 2)
        here.run(spec())
        assert sizes == [4, 2, 2, 2, 2, 2, 2, 2, 2]
        one, other = (np.asarray(each.finished("job").images[0]).astype(int) for each in (clean, here))
        assert np.abs(one - other).max() <= 1

    def test_fails_the_one_job_that_fits_nowhere(
        self, bench: BenchMaker, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bad = family.embed("bad").text[0]
        self.limit(family, monkeypatch, lambda c: 0 if any(torch.equal(row, bad) for row in c.text) else 99)
        here = bench()
        here.run(spec("large", prompt="bad"), spec("good", user="bob"))
        assert isinstance(here.failed("large").error, OutOfMemory)
        assert "not enough memory on the device for 64x64" in str(here.failed("large").error)
        assert here.finished("good")

    def test_decodes_one_by_one(
        self,
        bench: BenchMaker,
        family: StableDiffusion1,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        decode, sizes = family.decode, []

        def limited(latents: torch.Tensor, tile: bool) -> torch.Tensor:
            sizes.append(len(latents))
            if len(latents) > 1:
                raise RuntimeError(
                    "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
                )
            return decode(latents, tile)

        monkeypatch.setattr(family, "decode", limited)
        here = bench()
        here.run(spec(seeds=(1, 2, 3)))
        assert len(here.finished("job").images) == 3
        assert sizes == [1, 2, 1, 1], "it was tried again"
        assert caplog.text.count("out of memory") == 1


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (float("nan"), "The model returned no numbers for this picture; try another seed or fewer flags."),
        (0.0, "The model painted an empty frame; try another seed or another prompt."),
    ],
)
def test_broken_frames_never_leave(
    bench: BenchMaker,
    family: StableDiffusion1,
    monkeypatch: pytest.MonkeyPatch,
    value: float,
    sentence: str,
) -> None:
    monkeypatch.setattr(family, "decode", lambda latents, tile: torch.full((len(latents), 3, 64, 64), value))
    here = bench()
    here.run(spec())
    assert str(here.failed("job").error) == sentence


def test_an_error_that_is_told_holds_no_tensors(
    bench: BenchMaker, family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(latents: torch.Tensor, tile: bool) -> torch.Tensor:
        try:
            raise ValueError("of latents")
        except ValueError as error:
            raise EngineError("A sentence.") from error

    monkeypatch.setattr(family, "decode", refusing)
    here = bench()
    here.run(spec())
    error = here.failed("job").error
    assert str(error) == "A sentence."
    assert [error.__traceback__, error.__cause__, error.__context__] == [None] * 3


def test_what_overflows_in_half_precision_is_decoded_in_whole(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for the model: from then on its VAE stays at float32, and its pictures are pictures."""
    family = StableDiffusion1(registry.profiles["classic"], CPU, torch.bfloat16)
    decode = family._vae.decode
    seen: list[torch.dtype] = []

    def overflowing(latents: torch.Tensor, **options: bool) -> tuple[torch.Tensor]:
        seen.append(latents.dtype)
        (pixels,) = decode(latents, **options)
        return (pixels * float("inf") if latents.dtype == torch.bfloat16 else pixels,)

    monkeypatch.setattr(family._vae, "decode", overflowing)
    latents = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        assert bool(family.decode(latents, False).isfinite().all())
    assert seen == [torch.bfloat16, torch.float32, torch.float32]
    assert not bool(family.decode(latents * float("nan"), False).isfinite().all())


def test_a_model_that_cannot_be_loaded_fails_its_job_alone(
    bench: BenchMaker,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Members read which and what to do, the operator which file."""
    load = registry.load

    def refusing(name: str, *rest: object) -> object:
        if name == "velocity":
            raise ModelUnavailable("/srv/unet/diffusion_pytorch_model.safetensors is gone.")
        return load(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(registry, "load", refusing)
    here = bench()
    here.run(spec("gone", "velocity"), spec("good", user="bob"))
    error = here.failed("gone").error
    assert isinstance(sentence_of(error), Sentence)
    assert str(error) == (
        "The model velocity cannot be used here now, since something that it needs is missing or damaged; "
        "choose another model, and tell those who run this bot."
    )
    place = registry.profiles["velocity"].source.path
    assert f"job gone failed on velocity ({place}): /srv/unet/diffusion_pytorch_model.saf" in caplog.text
    assert here.finished("good")


def test_a_loaded_model_is_a_sign_of_life(bench: BenchMaker) -> None:
    beats: list[str] = []
    here = bench(beat=lambda: beats.append("loaded"))
    here.run(spec())
    assert beats == ["loaded"]


def test_pictures_are_shown_larger_where_the_model_says_so(bench: BenchMaker) -> None:
    here = bench()
    here.run(spec(model="sketchy", width=48, height=32))
    assert [image.size for image in here.finished("job").images] == [(96, 64), (96, 64)]


def test_estimates_follow_what_jobs_took(bench: BenchMaker) -> None:
    from engine.estimates import Estimates

    estimates = Estimates()
    here = bench(estimates=estimates)
    before = estimates.expect(spec())
    here.run(spec())
    took = here.finished("job").gpu_seconds
    assert estimates.expect(spec()) == pytest.approx(took)
    assert estimates.expect(spec(steps=8)) == pytest.approx(2 * took)
    assert estimates.expect(spec(width=128)) == pytest.approx(2 * took)
    assert before > 0


def test_conditioning_is_not_mixed_up_when_jobs_change(bench: BenchMaker) -> None:
    """One job leaves and another of the same shape joins in the same place."""
    alone, here = bench(), bench()
    second: GenerationSpec = spec("second", prompt="the sea")
    alone.run(second)
    here.run(spec("first"))
    here.run(second)
    assert alike(here.finished("second").images, alone.finished("second").images)


def test_a_pass_stays_small_however_many_prompts_are_joined(
    family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight images of eight parts and a negative are 72 rows."""
    sizes: list[int] = []

    def denoise(x: torch.Tensor, *_: object) -> torch.Tensor:
        sizes.append(len(x))
        return torch.zeros_like(x)

    rows = stages.prepare(family, spec(prompt=" AND ".join("abcdefgh"), steps=1), range(8))
    monkeypatch.setattr(family, "denoise", denoise)
    (prediction,) = stages.Batcher().predict([rows], rows.cost)
    assert sizes == [32, 32, 8] and prediction.shape == rows.latents.shape


def test_what_a_lost_device_would_have_done_another_does(
    registry: Registry, family: StableDiffusion1
) -> None:
    """It is left to the one that has the model for as long as that is there."""
    assert registry.loading("classic") == 0.0
    queue = JobQueue(registry.profiles, 8, Estimates())
    lost = Bench(registry, queue=queue)
    other = Bench(registry.for_another_device(), queue=queue, place=1)
    other.core.submit(spec())
    other.core.tick()
    assert other.core.busy and other.core.idle and not other.events
    assert lost.core.abandon() == ()
    other.core.tick()
    assert other.kinds("job")[0] == "Started"
    other.run()


def test_large_models_calculate_in_numbers_of_their_own(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Registry({name: ModelSource(name, folders[name]) for name in ("classic", "xl")}, "classic")
    assert fresh.weight("classic") < fresh.weight("xl")
    monkeypatch.setattr("engine.core.LARGE", fresh.weight("xl"))
    here = Bench(fresh, large_dtype=torch.bfloat16)
    here.run(spec("small"), spec("large", "xl", user="bob"))
    assert here.finished("large").images[0].size == here.finished("small").images[0].size
    assert here.core.family("classic").dtype == torch.float32
    assert here.core.family("xl").dtype == torch.bfloat16
    assert here.core.family("xl", safely=True).dtype == torch.float32
