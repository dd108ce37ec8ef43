"""Pipelines that run as diffusers wrote them: the same pictures, and yet they behave as any other job."""

from __future__ import annotations

import gc
import io
import warnings
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from engine import stages
from engine.api import (
    Cancelled,
    EngineError,
    GenerationSpec,
    InitImage,
    InvalidSpec,
    Lane,
    OutOfMemory,
    Progress,
)
from engine.checks import check_spec
from engine.fake import gradient
from engine.models.base import OwnCourse
from engine.models.family import FAMILIES
from engine.models.loading import strays
from engine.models.registry import Registry
from engine.models.stock import StockCourse, StockPipeline, _paint
from engine.profile import ModelSource
from engine.samplers import DEFAULT, SCHEDULES
from tests import pipelines, stock_pipelines
from tests.engine.company import disc, encoded, picture
from tests.engine.conftest import Bench
from tests.engine.specs import spec

TOLERANCE = 1e-5
CPU = torch.device("cpu")
ONE = "pixart-sigma"
BenchMaker = Callable[..., Bench]
pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers warns of its deprecated pipelines


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], StockPipeline]:
    """Tiny families by name, each built and loaded once."""
    loaded: dict[str, StockPipeline] = {}

    def get(name: str) -> StockPipeline:
        if name not in loaded:
            folder = stock_pipelines.build(name, tmp_path_factory.mktemp("stock") / name)
            found = Registry({name: ModelSource(name, folder)}).load(name, CPU, torch.float32)
            assert isinstance(found, StockPipeline)
            loaded[name] = found
        return loaded[name]

    return get


def order(family: StockPipeline, init: bool = False, masked: bool = False, **changes: Any) -> GenerationSpec:
    info = family.profile.info
    mask = encoded(disc(info.native_size)) if masked else None
    start = io.BytesIO()
    gradient(3, info.native_size, info.native_size).save(start, "PNG")
    given: dict[str, Any] = {
        "model": info.name,
        "width": info.native_size,
        "height": info.native_size,
        "steps": 2,
        "sampler": DEFAULT,
        "seeds": (1,),
        "guidance_scale": info.guidance_scale,
        "negative_prompt": "bad" if info.negative_prompt else "",
        "init": InitImage(start.getvalue(), 0.9, mask) if init else None,
    }
    return spec(**{**given, **changes})


def painted(family: StockPipeline, job: GenerationSpec) -> torch.Tensor:
    """Pixels (n, 3, H, W) by the engine, turn by turn."""
    course = family.begin(job, job.seeds)
    while not course.done:
        course.take_turn(want_clean=False)
    return torch.cat(course._pixels)


def stock(family: StockPipeline, job: GenerationSpec, seed: int, lora: Path | None = None) -> torch.Tensor:
    """Pixels (1, 3, H, W) by diffusers alone."""
    own = family.profile.family
    masked = job.init is not None and (job.init.mask is not None or own.name == "flux2-klein")
    kind = getattr(diffusers, own.inpainter if masked else own.from_picture if job.init else own.pipelines[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = strays(family.profile, torch.float32)
        pipeline = kind.from_pretrained(
            family.profile.source.path, low_cpu_mem_usage=False, **dict.fromkeys(parts)
        )
        pipeline.register_modules(**parts)
        if lora is not None:
            pipeline.load_lora_weights(str(lora.parent), weight_name=lora.name, adapter_name="ink")
            pipeline.set_adapters(["ink"], [weight for _, weight in job.loras])
    pipeline.set_progress_bar_config(disable=True)
    guided = {
        "unclip": {
            "decoder_num_inference_steps": job.steps,
            "decoder_guidance_scale": job.guidance_scale,
        }
    }.get(own.name, {"num_inference_steps": job.steps, "guidance_scale": job.guidance_scale})
    sized: dict[str, Any] = (
        {} if own.name == "unclip" or job.init else {"width": job.width, "height": job.height}
    )
    if job.init:
        picture = Image.open(io.BytesIO(job.init.data)).convert("RGB")
        sized = {"image": picture, "strength": job.init.strength}
        if masked:
            white = Image.new("L", picture.size, 255)
            sized["mask_image"] = Image.open(io.BytesIO(job.init.mask)) if job.init.mask else white
    elif job.blend:
        sized["image"] = [Image.open(io.BytesIO(data)).convert("RGB") for data in job.blend]
    elif own.inpainter == own.pipelines[0]:
        black, white = (
            Image.new(mode, (job.width, job.height), 255 * (mode == "L")) for mode in ("RGB", "L")
        )
        sized |= {"image": black, "mask_image": white}
    if own.inpainter == own.pipelines[0]:
        sized.pop("strength", None)
    if own.name.startswith("kandinsky2") or own.name == "sana-sprint":
        sized |= {"width": job.width, "height": job.height}
    as_asked = {"hunyuan-dit", "pixart-alpha", "pixart-sigma", "sana", "sana-sprint"}
    frames = pipeline(
        prompt=job.prompt,
        generator=torch.Generator().manual_seed(seed),
        output_type="np",
        **({"negative_prompt": job.negative_prompt} if job.negative_prompt else {}),
        **({"use_resolution_binning": False} if own.name in as_asked else {}),
        **({"clean_caption": False} if own.name in as_asked - {"hunyuan-dit"} | {"if"} else {}),
        **guided,
        **sized,
    ).images
    return torch.from_numpy(np.asarray(frames)).movedim(-1, 1)


FROM_PICTURES = [name for name in stock_pipelines.BUILDERS if FAMILIES[name].image_to_image]
MASKED = [name for name in stock_pipelines.BUILDERS if FAMILIES[name].inpaint]


@pytest.mark.parametrize(
    ("name", "init", "masked"),
    [
        *((name, False, False) for name in stock_pipelines.BUILDERS),
        *((name, True, False) for name in FROM_PICTURES),
        *((name, True, True) for name in MASKED),
    ],
)
def test_the_picture_is_the_stock_pipeline_s(
    family: Callable[[str], StockPipeline], name: str, init: bool, masked: bool
) -> None:
    here = family(name)
    job = order(here, init, masked)
    expected = stock(here, job, 1)
    assert bool(torch.isfinite(expected).all())
    assert float(expected.std()) > 1e-3
    assert float((painted(here, job) - expected).abs().max()) <= TOLERANCE


@pytest.mark.parametrize("name", [family.name for family in FAMILIES.values() if family.looks])
def test_pictures_of_a_blend_are_looked_at_by_those_that_can(
    family: Callable[[str], StockPipeline], name: str
) -> None:
    here = family(name)
    side = here.profile.info.native_size
    blend = (picture(side, side), encoded(gradient(8, side, side)))
    job = order(here, blend=blend)
    check_spec(job, {name: here.profile.info})
    ours = painted(here, job)
    assert float((ours - stock(here, job, 1)).abs().max()) <= TOLERANCE
    assert float((ours - painted(here, order(here))).abs().max()) > 10 * TOLERANCE


@pytest.mark.parametrize("name", stock_pipelines.BUILDERS)
def test_every_sampler_that_is_offered_paints(family: Callable[[str], StockPipeline], name: str) -> None:
    """From a text and, where it can, from a picture; by another spread of its steps too."""
    here = family(name)
    info = here.profile.info
    bases = [sampler for sampler in info.samplers if not sampler.endswith((*SCHEDULES,))]
    for sampler in (*bases, *(each for each in info.samplers if each == "dpm++ 2m karras")):
        for init in {False, info.image_to_image}:
            job = order(here, init, sampler=sampler, steps=2 if name == "sana-sprint" else 4)
            assert bool(painted(here, job).isfinite().all()), (sampler, init)


@pytest.mark.parametrize("name", MASKED)
def test_what_a_mask_keeps_is_given_back(family: Callable[[str], StockPipeline], name: str) -> None:
    here = family(name)
    job = order(here, init=True, masked=True)
    course = here.begin(job, job.seeds)
    while not course.done:
        course.take_turn(want_clean=False)
    assert job.init is not None
    given = Image.open(io.BytesIO(job.init.data)).convert("RGB")
    kept = np.asarray(disc(given.width)) == 0
    assert np.array_equal(np.asarray(course.pictures()[0])[kept], np.asarray(given)[kept])


@pytest.mark.parametrize(
    ("name", "masked"), [*((name, False) for name in FROM_PICTURES), *((name, True) for name in MASKED)]
)
def test_a_picture_that_is_not_square_keeps_its_shape(
    family: Callable[[str], StockPipeline], name: str, masked: bool
) -> None:
    """Kandinsky's mistake its width for its height; IF repaints in a size of its own."""
    here = family(name)
    side = here.profile.info.min_size
    job = order(here, init=True, masked=masked, width=side, height=2 * side)
    course = here.begin(job, job.seeds)
    while not course.done:
        course.take_turn(want_clean=False)
    (made,) = course.pictures()
    assert made.height == 2 * made.width


def test_a_single_step_is_done_by_those_that_can(family: Callable[[str], StockPipeline]) -> None:
    alpha, unclip = family("pixart-alpha"), family("unclip")
    assert bool(painted(alpha, order(alpha, steps=1)).isfinite().all())
    with pytest.raises(InvalidSpec, match="The number of steps must lie between 2 and 150 for unclip, not 1"):
        check_spec(order(unclip, steps=1), {"unclip": unclip.profile.info})


def test_the_prior_of_a_picture_takes_all_its_steps(family: Callable[[str], StockPipeline]) -> None:
    """Only those of the picture itself are fewer where it is to stay like what was given."""
    here = family("kandinsky22")
    job = order(here, init=True, steps=10)
    course = here.begin(job, job.seeds)
    expected = course.end
    while not course.done:
        course.take_turn(want_clean=False)
    assert course.end == expected


@pytest.mark.parametrize("sampler", ["heun", "dpm2"])
def test_what_takes_longer_than_was_guessed_never_goes_back(
    family: Callable[[str], StockPipeline], sampler: str
) -> None:
    here = family("kolors")
    bench = Bench(Registry({"kolors": here.profile.source}))
    bench.run(order(here, seeds=(1, 2), steps=5, sampler=sampler))
    told = [event.step / event.steps for event in bench.events if isinstance(event, Progress)]
    assert told == sorted(told) and told[-1] == 1


def test_a_strength_of_less_than_a_step_is_one_step(family: Callable[[str], StockPipeline]) -> None:
    here = family("amused")
    job = order(here, init=True)
    assert job.init is not None
    weak = replace(job, init=replace(job.init, strength=0.01))
    course = here.begin(weak, weak.seeds)
    while not course.done:
        course.take_turn(want_clean=False)
    assert course.told == (2, 2), "a step and the decoding"


def inked(name: str, root: Path) -> tuple[Registry, Path]:
    """A tiny model with one LoRA of random numbers for its queries, and one of another family."""
    folder, own = stock_pipelines.build(name, root / name), FAMILIES[name]
    generator = torch.Generator().manual_seed(5)
    state: dict[str, torch.Tensor] = {}
    for file in (folder / own.denoiser).glob("*.safetensors"):
        for key, weight in load_file(file).items():
            if key.endswith(("to_q.weight", "to_v.weight")):
                stem = f"{own.denoiser}.{key.removesuffix('.weight')}"
                state[f"{stem}.lora_A.weight"] = torch.randn((2, weight.shape[1]), generator=generator)
                state[f"{stem}.lora_B.weight"] = torch.randn((weight.shape[0], 2), generator=generator)
    save_file(state, root / "ink.safetensors")
    foreign = {"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": torch.ones(2, 9)}
    save_file(foreign, root / "flux.safetensors")
    files = tuple((stem, root / f"{stem}.safetensors") for stem in ("ink", "flux"))
    return Registry({name: ModelSource(name, folder, loras=files)}), root / "ink.safetensors"


@pytest.mark.parametrize("name", [own.name for own in FAMILIES.values() if own.loras and not own.native])
def test_a_lora_is_the_stock_pipeline_s_and_worn_by_its_own_job_alone(name: str, tmp_path: Path) -> None:
    """Whoever steps in between does not wear it."""
    registry, file = inked(name, tmp_path)
    here: Any = registry.load(name, CPU, torch.float32)
    jobs = [order(here), order(here, loras=(("ink", 0.7),)), order(here, prompt="the sea")]
    expected = [stock(here, job, 1, file if job.loras else None) for job in jobs]
    courses = [here.begin(job, job.seeds) for job in jobs]
    while any(not course.done for course in courses):
        for course in courses:
            if not course.done:
                course.take_turn(want_clean=False)
    for course, pixels in zip(courses, expected, strict=True):
        assert float((torch.cat(course._pixels) - pixels).abs().max()) <= TOLERANCE
    assert float((expected[0] - expected[1]).abs().max()) > 10 * TOLERANCE


def test_a_lora_of_another_family_is_refused(tmp_path: Path) -> None:
    registry, _ = inked("sana", tmp_path)
    info = registry.models()["sana"]
    here: Any = registry.load("sana", CPU, torch.float32)
    assert info.loras == ("ink",)
    with pytest.raises(InvalidSpec, match=r"LoRA 'flux' does not fit sana: .* was made for another kind"):
        check_spec(order(here, loras=(("flux", 1.0),)), {"sana": info})


def test_a_lora_that_goes_bad_fails_its_job_alone(tmp_path: Path) -> None:
    registry, file = inked("sana", tmp_path)
    here: Any = registry.load("sana", CPU, torch.float32)
    file.write_bytes(b"no more")
    bench = Bench(registry)
    bench.run(order(here, job_id="a", loras=(("ink", 1.0),)), order(here, job_id="b"))
    assert "The LoRA 'ink' cannot be used with this model" in str(bench.failed("a").error)
    assert bench.finished("b")


def test_every_family_is_here() -> None:
    assert set(stock_pipelines.BUILDERS) == {family.name for family in FAMILIES.values() if not family.native}


def test_every_image_has_its_own_seed_and_courses_may_interleave(
    family: Callable[[str], StockPipeline],
) -> None:
    here = family(ONE)
    first, second = order(here, seeds=(1, 2)), order(here, seeds=(3,), prompt="the sea", steps=4)
    courses = [here.begin(job, job.seeds) for job in (first, second)]
    while any(not course.done for course in courses):
        for course in courses:
            if not course.done:
                course.take_turn(want_clean=False)
                assert torch.is_grad_enabled(), "what a pipeline switches off stays off for itself only"
    pixels = [torch.cat(course._pixels) for course in courses]
    expected = torch.cat([stock(here, first, seed) for seed in first.seeds])
    assert float((pixels[0] - expected).abs().max()) <= TOLERANCE
    assert float((pixels[1] - stock(here, second, 3)).abs().max()) <= TOLERANCE
    assert float((pixels[0][0] - pixels[0][1]).abs().max()) > 1e-3


@pytest.fixture
def mixed(family: Callable[[str], StockPipeline], tmp_path: Path) -> Registry:
    """A pipeline that runs as it is beside a native one."""
    folders = {ONE: family(ONE).profile.source.path, "classic": pipelines.classic(tmp_path / "classic")}
    return Registry({name: ModelSource(name, path) for name, path in folders.items()})


def test_a_job_in_the_loop(mixed: Registry, family: Callable[[str], StockPipeline]) -> None:
    bench = Bench(mixed, preview_interval=0.0)
    bench.core.submit(order(family(ONE), job_id="a", seeds=(1, 2)))
    bench.core.tick()
    bench.run(spec("b", "classic", user="bob", lane=Lane.TURBO))
    told = [event for event in bench.events if isinstance(event, Progress) and event.job_id == "a"]
    assert [event.step for event in told] == [1, 2, 3, 4, 5, 6]
    assert {event.steps for event in told} == {6}
    preview = Image.open(io.BytesIO(told[1].preview or b""))
    assert preview.width > preview.height / 2
    expected = stages.to_pictures(stock(family(ONE), order(family(ONE)), 1))[0]
    assert np.abs(np.asarray(bench.finished("a").images[0], int) - np.asarray(expected, int)).max() <= 1
    kinds = [event.job_id for event in bench.events if isinstance(event, Progress)]
    assert kinds.index("b") < 4, "who goes first steps in between"


def test_a_cancelled_job_unwinds_its_pipeline_at_once(
    mixed: Registry, family: Callable[[str], StockPipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    unwound: list[str] = []

    def watched(*given: Any) -> torch.Tensor:
        try:
            return _paint(*given)
        finally:
            unwound.append("left")

    monkeypatch.setattr("engine.models.stock._paint", watched)
    bench = Bench(mixed)
    bench.core.submit(order(family(ONE), job_id="a", steps=9))
    for _ in range(3):
        bench.core.tick()
    bench.core.cancel("a")
    assert isinstance(bench.events[-1], Cancelled) and unwound == ["left"]
    assert torch.is_grad_enabled()
    assert not bench.core.busy


def test_a_pipeline_that_does_not_unwind_still_ends_its_job(
    mixed: Registry, family: Callable[[str], StockPipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(course: StockCourse) -> None:
        raise RuntimeError("cleaning up went wrong")

    monkeypatch.setattr(StockCourse, "close", refusing)
    bench = Bench(mixed)
    bench.core.submit(order(family(ONE), job_id="a", steps=9))
    bench.core.tick()
    bench.core.cancel("a")
    assert isinstance(bench.events[-1], Cancelled)
    assert not bench.core.busy


def test_a_course_that_is_forgotten_leaves_nothing_behind(family: Callable[[str], StockPipeline]) -> None:
    course = family(ONE).begin(order(family(ONE), steps=9), (1,))
    course.take_turn(want_clean=True)
    gone = weakref.ref(course._turn)
    del course
    gc.collect()
    assert gone() is None


def failing(times: int, error: Exception, monkeypatch: pytest.MonkeyPatch, here: StockPipeline) -> None:
    """The denoiser fails so many times at its second call."""
    forward, calls = here.pipeline.transformer.forward, [0, 0]

    def counted(*given: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] % 2 == 0 and calls[1] < times:
            calls[1] += 1
            raise error
        return forward(*given, **options)

    monkeypatch.setattr(here.pipeline.transformer, "forward", counted)


def test_an_error_ends_its_job_alone(mixed: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    here: Any = mixed.load(ONE, CPU, torch.float32)
    failing(9, ValueError("secret path"), monkeypatch, here)
    bench = Bench(mixed)
    bench.run(order(here, job_id="a", steps=3), spec("b", "classic"))
    assert "ValueError" in str(bench.failed("a").error) and "secret" not in str(bench.failed("a").error)
    bench.finished("b")


def test_out_of_memory_begins_the_image_again_with_less_once(
    mixed: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In tiles, as no other job's pictures are."""
    here: Any = mixed.load(ONE, CPU, torch.float32)
    job = order(here, job_id="a", steps=3)
    decode, tiled = here.pipeline.vae.decode, []

    def noted(*given: Any, **options: Any) -> Any:
        tiled.append(here.pipeline.vae.use_tiling)
        return decode(*given, **options)

    with monkeypatch.context() as patch:
        failing(1, torch.OutOfMemoryError("CUDA out of memory"), patch, here)
        patch.setattr(here.pipeline.vae, "decode", noted)
        bench = Bench(mixed)
        bench.run(job, order(here, job_id="b", steps=3))
    assert sorted(tiled) == [False, True]
    assert not here.pipeline.vae.use_tiling
    for name, tiles in (("a", True), ("b", False)):
        ours = torch.from_numpy(np.array(bench.finished(name).images[0])).movedim(-1, 0) / 255
        with here.sparing(tiles):
            assert float((ours - painted(here, job)[0]).abs().max()) <= 1 / 255
    with monkeypatch.context() as patch:
        failing(9, torch.OutOfMemoryError("CUDA out of memory"), patch, here)
        bench = Bench(mixed)
        bench.run(job)
    assert isinstance(bench.failed("a").error, OutOfMemory)


def test_what_it_cannot_do_is_said_before(family: Callable[[str], StockPipeline]) -> None:
    here = family(ONE)
    models = {ONE: here.profile.info}
    for changes, sentence in (
        ({"stop": 0.5}, f"{ONE} cannot stop early; leave --stop out."),
        ({"init": True}, f"{ONE} cannot start from a picture; leave the picture out."),
        ({"width": 8}, "The width must lie between 32 and 128 pixels"),
    ):
        with pytest.raises(InvalidSpec, match=sentence):
            check_spec(order(here, **changes), models)


def test_a_picture_that_is_none_says_so(family: Callable[[str], StockPipeline]) -> None:
    here = family("amused")
    course = here.begin(replace(order(here), init=InitImage(b"no picture", 0.5)), (1,))
    assert isinstance(course, OwnCourse)
    with pytest.raises(EngineError, match="send it as PNG, JPEG or WebP"):
        course.take_turn(want_clean=False)


def test_pipelines_of_one_size_say_so(family: Callable[[str], StockPipeline]) -> None:
    info = family("unclip").profile.info
    assert (info.min_size, info.max_size) == (info.native_size, info.native_size)


def test_it_computes_on_its_device_while_its_parts_wait_elsewhere(
    family: Callable[[str], StockPipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when parts take turns there; diffusers asks the first part that it finds."""
    here, elsewhere = family(ONE), torch.device("meta")
    monkeypatch.setattr(here, "device", elsewhere)
    pipeline = here.bound(order(here))
    assert pipeline.device == pipeline._execution_device == elsewhere
    assert type(pipeline).__name__ == type(here.pipeline).__name__
    assert isinstance(pipeline, type(here.pipeline))
