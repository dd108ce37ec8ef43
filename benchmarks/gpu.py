"""Real architectures with random weights on a CUDA device: ``python -m benchmarks.gpu [--out f.json]``.

Runs unattended, downloads nothing. First whether the engine paints there at all (:mod:`.gpu_checks`). Then,
for the denoisers of SDXL, SD 1.5 and FLUX.1-dev in bfloat16: a step of a grid as diffusers runs it, and with
the same weights as the engine does (:mod:`engine.speed`: layout, fused projections, compiled blocks, CUDA
graphs); SDXL's grid of 20 steps with guidance and its decoding; how long a model takes from the machine's
memory onto the device, beside the time in which the bus carries its bytes; and the engine beside a bare
pipeline of Stable Diffusion's size.

Each section is on its own, in the order of its worth; figures are printed and written as they come, and what
is left when the ``--budget`` is spent is skipped. Without CUDA it says so and ends with status 0; ``--small
--device cpu`` runs all of it on tiny models, to see that it runs.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import gc
import json
import shutil
import signal
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import diffusers
import torch
import transformers

from benchmarks import engine_overhead, throughput
from benchmarks.gpu_checks import CHECKS, Setting, Warnings
from engine import speed
from engine.meter import Charge, Meter
from engine.offload import Depot
from engine.profile import ModelSource
from engine.runtime import LocalEngine
from tests import pipelines

GOALS = {"sd15": 0.60, "sdxl": 0.75, "flux": 0.65}
SDXL_MS, SWITCH = 1.6 * 1423, 3.0
DTYPE = torch.bfloat16
FIRST, CHECKED = 12, 0.7
"""Checks that compile nothing and come before all figures; share of the time that is left for those."""
SD15: dict[str, Any] = {"cross_attention_dim": 768, "attention_head_dim": 8}
SDXL: dict[str, Any] = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
SMALL: dict[str, Any] = {
    "block_out_channels": (32, 64),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "norm_num_groups": 8,
    "cross_attention_dim": 32,
}
SMALL_FLUX: dict[str, Any] = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "num_layers": 1,
    "num_single_layers": 1,
    "joint_attention_dim": 32,
    "pooled_projection_dim": 32,
    "axes_dims_rope": (4, 4, 8),
}
VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
}
SMALL_VAE: dict[str, Any] = {**VAE, "block_out_channels": (32, 32, 32, 32), "layers_per_block": 1}
Inputs = dict[str, Any]
Tell = Callable[[str, Any], None]
Section = tuple[Callable[[Tell], None], float, float]
"""The work, the seconds that must be left for it, and those that it gets."""


class Late(BaseException):
    """A section's time is up; no Exception, so that nothing on the way takes it for a fault of its own."""


class Report:
    """Sections one after another; what they find is printed and written at once."""

    def __init__(self, out: Path | None, budget: float) -> None:
        self.found: dict[str, Any] = {}
        self._out = out
        self._ends = time.monotonic() + budget
        self._began = time.monotonic()

    @property
    def left(self) -> float:
        """Seconds."""
        return self._ends - time.monotonic()

    def section(self, name: str, work: Callable[[Tell], None], least: float, most: float) -> None:
        """Run it where ``least`` seconds are left, for ``most`` of them; its faults are told, and its end."""
        own = self.found[name] = {}

        def tell(key: str, value: Any) -> None:
            own[key] = value
            print(f"[{time.monotonic() - self._began:6.1f}] {name}: {key} = {json.dumps(value)}", flush=True)
            self._write()

        if self.left < least:
            tell("skipped", f"{self.left:.0f} s were left of the budget")
            return
        began = time.monotonic()
        try:
            with at_most(min(most, self.left)):
                work(tell)
        except (Exception, Late) as error:
            tell("failed", told(error))
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        tell("s", round(time.monotonic() - began, 1))

    def _write(self) -> None:
        if self._out is not None:
            self._out.write_text(json.dumps(self.found, indent=1, default=str), encoding="utf-8")


def told(error: BaseException) -> str:
    """An error with where it came from, and what it came from."""
    lines = "".join(traceback.format_exception(error, limit=-6)).splitlines()
    return "\n".join(lines)[-2500:]


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Late is raised inside the block when they are over."""

    def ring(_: int, __: FrameType | None) -> None:
        raise Late(f"{seconds:.0f} s are over")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.1))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def made(kind: type[Any], device: torch.device, **config: Any) -> Any:
    """A network in bfloat16 on the device, its numbers drawn there, so that what passes keeps its spread."""
    with torch.device("meta"):
        network = kind(**config)
    network = network.to(DTYPE).to_empty(device=device).eval()
    with torch.no_grad():
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
            if tensor.ndim > 1:
                tensor.normal_(std=(tensor.numel() / len(tensor)) ** -0.5)
            else:
                tensor.fill_(float(name.endswith("weight")))
    return network.requires_grad_(False)


def unet(rows: int, side: int, device: torch.device, **config: Any) -> tuple[Any, Inputs]:
    """A UNet and a step's inputs: 77 tokens of text, and the sizes that SDXL is told."""

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device=device, dtype=DTYPE)

    inputs: Inputs = {
        "sample": random(rows, 4, side, side),
        "timestep": torch.full((rows,), 500.0, device=device),
        "encoder_hidden_states": random(rows, 77, config["cross_attention_dim"]),
    }
    if config.get("addition_embed_type"):
        pooled = config["projection_class_embeddings_input_dim"] - 6 * config["addition_time_embed_dim"]
        sizes = torch.full((rows, 6), 1024.0, device=device, dtype=DTYPE)
        inputs["added_cond_kwargs"] = {"text_embeds": random(rows, pooled), "time_ids": sizes}
    return made(diffusers.UNet2DConditionModel, device, **config), inputs


def flux(rows: int, side: int, device: torch.device, **config: Any) -> tuple[Any, Inputs]:
    """FLUX.1-dev's transformer (or a small one) and a step's inputs: ``side`` squared packed latents."""
    model = made(diffusers.FluxTransformer2DModel, device, guidance_embeds=True, **config)
    tokens, length = side * side, 512 if side > 16 else 16

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device=device, dtype=DTYPE)

    places = torch.zeros(tokens, 3, device=device)
    places[:, 1], places[:, 2] = torch.arange(tokens, device=device) // side, torch.arange(tokens) % side
    inputs: Inputs = {
        "hidden_states": random(rows, tokens, model.config.in_channels),
        "encoder_hidden_states": random(rows, length, model.config.joint_attention_dim),
        "pooled_projections": random(rows, model.config.pooled_projection_dim),
        "timestep": torch.full((rows,), 0.5, device=device, dtype=DTYPE),
        "guidance": torch.full((rows,), 3.5, device=device, dtype=torch.float32),
        "img_ids": places,
        "txt_ids": torch.zeros(length, 3, device=device),
    }
    return model, inputs


class Bench:
    """What the sections share: the device, the sizes, and a model that one leaves for the next."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.small: bool = options.small
        self.device = torch.device("cuda", 0) if options.device == "cuda" else torch.device(options.device)
        self.folder = folder
        self.setting = Setting(self.device, folder)
        self.model: Any = None
        self.inputs: Inputs = {}

    def build(self, name: str) -> None:
        """A denoiser with the inputs of a grid of four; UNets see each image twice."""
        self.drop()
        if name == "flux":
            rows, side, config = (1, 4, SMALL_FLUX) if self.small else (4, 64, {})
            self.model, self.inputs = flux(rows, side, self.device, **config)
        else:
            rows, side = (2, 8) if self.small else (8, 128 if name == "sdxl" else 64)
            config = SMALL if self.small else SDXL if name == "sdxl" else SD15
            self.model, self.inputs = unet(rows, side, self.device, **config)

    def drop(self) -> None:
        """Let go of the model, and of what was compiled for it."""
        self.model, self.inputs = None, {}
        torch._dynamo.reset()
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def wait(self) -> None:
        """For what was launched."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    @torch.inference_mode()
    def step(self) -> torch.Tensor:
        """The model's answer, as one pass of the engine asks for it."""
        if self.device.type == "cuda":
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        answer: torch.Tensor = self.model(**self.inputs, return_dict=False)[0]
        return answer

    def timed(self, work: Callable[[], object], times: int, warm: int = 3) -> list[float]:
        """Milliseconds of each call, after ``warm`` others."""
        found = []
        for number in range(times + warm):
            self.wait()
            began = time.perf_counter()
            work()
            self.wait()
            if number >= warm:
                found.append((time.perf_counter() - began) * 1e3)
        return found

    def tune(self, mode: str, pick: Callable[[torch.nn.Module], bool] = lambda _: True) -> None:
        """As the engine tunes a loaded model; of its blocks only those that are picked."""
        pipeline = SimpleNamespace(components={"denoiser": self.model}, denoiser=self.model)
        own = SimpleNamespace(denoiser="denoiser")
        profile = SimpleNamespace(family=own, loras={}, info=SimpleNamespace(name="bench"))
        family = SimpleNamespace(pipeline=pipeline, device=self.device, profile=profile)
        compile_block = speed._compiler(mode)
        speed.tune(family, mode, lambda block: compile_block(block) if pick(block) else None)


def spread(values: list[float]) -> list[float]:
    """Median, least and most."""
    return [round(value, 3) for value in (statistics.median(values), min(values), max(values))]


def far(answer: torch.Tensor, expected: torch.Tensor) -> float:
    """Relative difference in norm; 1e-2 is usual between two ways through bfloat16."""
    return float(f"{float((answer.float() - expected.float()).norm() / expected.float().norm()):.3g}")


def ceilings(bench: Bench) -> Callable[[Tell], None]:
    """What this card and its bus give, and attention by each of torch's ways."""

    def work(tell: Tell) -> None:
        device, side = bench.device, 256 if bench.small else 8192
        one = torch.randn(side, side, device=device, dtype=DTYPE)
        other = torch.randn(side, side, device=device, dtype=DTYPE)
        took = statistics.median(bench.timed(lambda: one @ other, 5))
        tell("bf16 TFLOP/s", round(2 * side**3 / took / 1e9, 1))
        shapes = {"flux": (4, 24, 4608, 128), "sdxl": (8, 10, 4096, 64), "sd15": (8, 8, 4096, 40)}
        for name, (rows, heads, tokens, width) in shapes.items():
            tokens = 64 if bench.small else tokens
            query = torch.randn(rows, heads, tokens, width, device=device, dtype=DTYPE)
            tell(f"attention of {name}, ms", attention(bench, query))

    return work


def attention(bench: Bench, query: torch.Tensor) -> dict[str, Any]:
    """Milliseconds by each backend, and by what torch chooses."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def call() -> torch.Tensor:
        return torch.nn.functional.scaled_dot_product_attention(query, query, query)

    found: dict[str, Any] = {"chosen": spread(bench.timed(call, 5))[0]}
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION):
        try:
            with sdpa_kernel([backend]):
                found[backend.name.lower()] = spread(bench.timed(call, 5))[0]
        except RuntimeError as error:
            found[backend.name.lower()] = str(error)[:60]
    return found


def denoiser(bench: Bench, name: str, times: int, modes: tuple[str, ...]) -> Callable[[Tell], None]:
    """A step of diffusers' model and of the tuned one, with the same weights."""

    def work(tell: Tell) -> None:
        tell("goal", GOALS[name])
        bench.build(name)
        tell("parameters", sum(tensor.numel() for tensor in bench.model.parameters()))
        expected = bench.step().clone()
        tell("finite", bool(expected.isfinite().all()))
        plain = bench.timed(bench.step, times)
        tell("stock ms", spread(plain))
        if name != "flux":
            speed.lay_out(bench.model)
            tell("channels last alone, ms", spread(bench.timed(bench.step, max(3, times // 2))))
        if name == "sdxl":
            staged(bench, tell, plain, expected, times)
        for mode in modes:
            torch._dynamo.reset()
            with Warnings.heard() as heard:
                began = time.perf_counter()
                bench.tune(mode)
                bench.step()
                bench.wait()
                tell(f"{mode} first call, s", round(time.perf_counter() - began, 1))
                told_of(bench, tell, mode, plain, expected, times)
            if heard.lines:
                tell(f"{mode} warnings", heard.lines[-3:])

    return work


def staged(bench: Bench, tell: Tell, plain: list[float], expected: torch.Tensor, times: int) -> None:
    """With the blocks of diffusers' own list alone, to see what the others bring."""
    began = time.perf_counter()
    bench.tune("blocks", lambda block: type(block).__name__ not in speed.PIECES)
    bench.step()
    bench.wait()
    tell("listed blocks first call, s", round(time.perf_counter() - began, 1))
    told_of(bench, tell, "listed blocks", plain, expected, times)


def told_of(
    bench: Bench, tell: Tell, way: str, plain: list[float], expected: torch.Tensor, times: int
) -> None:
    """A tuned model's figures."""
    tuned = bench.timed(bench.step, times)
    tell(f"{way} ms", spread(tuned))
    tell(f"{way} / stock", round(statistics.median(tuned) / statistics.median(plain), 3))
    tell(f"{way} away from stock", far(bench.step(), expected))


def sdxl_grid(bench: Bench) -> Callable[[Tell], None]:
    """The tuned SDXL that the section before has left: 20 steps with guidance, and four pictures decoded."""

    def work(tell: Tell) -> None:
        tell("goal ms", SDXL_MS)
        if bench.model is None:
            raise RuntimeError("the section before left no model")
        vae = made(diffusers.AutoencoderKL, bench.device, **(SMALL_VAE if bench.small else VAE))
        tell("ms", spread(bench.timed(lambda: painted(bench, vae), 3, 1)))
        latents = bench.inputs["sample"][:4]
        tell("of that decoding, ms", spread(bench.timed(lambda: decoded(vae, latents), 3, 1)))

    return work


@torch.inference_mode()
def decoded(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Pixels of all pictures together, as the engine decodes a grid."""
    pixels: torch.Tensor = vae.decode(latents, return_dict=False)[0]
    return pixels


@torch.inference_mode()
def painted(bench: Bench, vae: Any) -> torch.Tensor:
    """A whole grid: a solver's arithmetic, guidance and decoding in it."""
    noise = bench.inputs["sample"]
    latents = noise.chunk(2)[0].float()
    try:
        for _ in range(20):
            bench.inputs["sample"] = torch.cat([latents, latents]).to(DTYPE)
            negative, positive = bench.step().float().chunk(2)
            latents = latents - 0.05 * (negative + 5.0 * (positive - negative))
    finally:
        bench.inputs["sample"] = noise
    return (decoded(vae, latents.clamp(-4, 4).to(DTYPE)).clamp(-1, 1) * 127).to(torch.int8).cpu()


def switch(bench: Bench, moves: int) -> Callable[[Tell], None]:
    """The model that the section before has left, from the machine's memory onto the device."""

    def work(tell: Tell) -> None:
        tell("goal", SWITCH)
        if bench.model is None:
            raise RuntimeError("the section before left no model")
        expected = bench.step().clone()
        size = sum(tensor.nbytes for tensor in bench.model.parameters())
        tell("bytes", size)
        depot = Depot(bench.device)
        began = time.perf_counter()
        depot.put_down([bench.model])
        tell("first time off the device, s", round(time.perf_counter() - began, 2))
        block = torch.empty(min(size, 2**30), dtype=torch.uint8, pin_memory=bench.device.type == "cuda")
        copy = bench.timed(lambda: block.to(bench.device, copy=True, non_blocking=True), 5)
        floor = statistics.median(copy) * size / block.nbytes
        tell("floor ms", round(floor, 1))
        found = []
        for number in range(moves):
            if number:
                depot.put_down([bench.model])
            began = time.perf_counter()
            depot.pick_up([bench.model])
            found.append((time.perf_counter() - began) * 1e3)
            tell("ms", spread(found))
            tell("ratio", round(statistics.median(found) / floor, 2))
        tell("away from before", far(bench.step(), expected))
        depot.forget([bench.model])

    return work


def switch_of_flux(bench: Bench) -> Callable[[Tell], None]:
    """As above, of the largest; its 24 GB take a while to be locked in the machine's memory."""

    def work(tell: Tell) -> None:
        bench.build("flux")
        switch(bench, 2)(tell)

    return work


def sd15_folder(bench: Bench) -> Path:
    """A pipeline of Stable Diffusion's size with random weights, written as people have them."""
    path = bench.folder / "bench"
    if path.exists():
        return path
    if bench.small:
        return pipelines.classic(path, channels=16)
    tokenizer = pipelines._clip_tokenizer()
    config = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        bos_token_id=len(tokenizer) - 2,
        eos_token_id=len(tokenizer) - 1,
        pad_token_id=0,
    )
    pipeline = diffusers.StableDiffusionPipeline(
        vae=made(diffusers.AutoencoderKL, bench.device, **VAE, sample_size=512),
        text_encoder=transformers.CLIPTextModel(config).eval().to(bench.device, DTYPE),
        tokenizer=tokenizer,
        unet=made(diffusers.UNet2DConditionModel, bench.device, sample_size=64, **SD15),
        scheduler=diffusers.PNDMScheduler(**pipelines.LATENT, skip_prk_steps=True, set_alpha_to_one=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(path, safe_serialization=True)
    return path


def engine_grid(bench: Bench, mode: str) -> Callable[[Tell], None]:
    """The engine from submit to pictures, beside the bare pipeline's call for the same grid."""

    def work(tell: Tell) -> None:
        tell("goal", engine_overhead.GOAL)
        bench.drop()
        began = time.perf_counter()
        folder = sd15_folder(bench)
        tell("written in s", round(time.perf_counter() - began, 1))
        asyncio.run(_beside(bench, folder, mode, tell))

    return work


async def _beside(bench: Bench, folder: Path, mode: str, tell: Tell) -> None:
    device = "cuda" if bench.device.type == "cuda" else "cpu"
    engine = LocalEngine(
        {"bench": ModelSource("bench", folder)}, device=device, dtype="bfloat16", compile=mode
    )
    began = time.perf_counter()
    await asyncio.wait_for(engine.start(), 60)
    tell("engine ready in s", round(time.perf_counter() - began, 1))
    pipeline = engine_overhead.stock(folder, device, DTYPE)
    ahead = Meter.queued

    def waiting(self: Meter, charge: Charge) -> None:
        ahead(self, charge)
        self.settle()

    try:
        await _in_turns(bench, engine, pipeline, tell, "")
        # What the device gains by having its next step in the queue.
        Meter.queued = waiting  # type: ignore[method-assign]
        await _in_turns(bench, engine, pipeline, tell, ", waiting for each step")
    finally:
        Meter.queued = ahead  # type: ignore[method-assign]
        await engine.close()


async def _in_turns(bench: Bench, engine: LocalEngine, pipeline: Any, tell: Tell, how: str) -> None:
    """Bare and ours, after two rounds to warm up."""
    steps, size, rounds = (4, 64, 2) if bench.small else (20, 512, 5)
    plain, ours = [], []
    for number in range(rounds + 2):
        prompt = f"a red apple {'x' * number}{how}"
        plain.append(engine_overhead.bare(pipeline, prompt, steps, size)[0] * 1e3)
        ours.append((await engine_overhead.ours(engine, prompt, steps, size))[0] * 1e3)
        if number < 2:
            tell(f"warming up {number}{how}, ms", [round(plain[-1]), round(ours[-1])])
    plain, ours = plain[2:], ours[2:]
    tell(f"bare ms{how}", spread(plain))
    tell(f"engine ms{how}", spread(ours))
    tell(f"ratio{how}", spread([one / other for one, other in zip(ours, plain, strict=True)]))


def users(bench: Bench) -> Callable[[Tell], None]:
    """16 users at once and one grid at a time, on a tiny model and on one of Stable Diffusion's size."""

    def work(tell: Tell) -> None:
        asyncio.run(_crowd(bench, tell))

    return work


async def _crowd(bench: Bench, tell: Tell) -> None:
    sources = {
        "tiny": ModelSource("tiny", bench.setting.model("classic")),
        "sd": ModelSource("sd", sd15_folder(bench)),
    }
    engine = LocalEngine(
        sources,
        dtype="bfloat16",
        max_rows=throughput.ROWS,
        device="cuda" if bench.device.type == "cuda" else "cpu",
    )
    await asyncio.wait_for(engine.start(), 60)
    shapes = {"tiny": (64, 10, 1.8, 2), "sd": (64 if bench.small else 512, 4, 1.2, 1)}
    try:
        for model, (side, steps, goal, rounds) in shapes.items():
            tell(f"{model} goal", goal)
            ratios = []
            await throughput.timed(engine, throughput.specs(model, side, steps, f"{model} w"), together=True)
            for number in range(1 if bench.small else rounds):
                times = []
                for together in (False, True):
                    jobs = throughput.specs(model, side, steps, f"{model}{number}{together}")
                    times.append((await throughput.timed(engine, jobs, together))[0])
                ratios.append(times[0] / times[1])
                tell(f"{model} s, one at a time and together", [round(value, 3) for value in times])
            tell(f"{model} ratio", spread(ratios))
    finally:
        await engine.close()


def variants(bench: Bench, name: str) -> Callable[[Tell], None]:
    """What else might make a step fast, with the same weights: more of the model in one compiled piece, and
    kernels that the compiler tries out. What wins here belongs into :mod:`engine.speed`.
    """
    listed = ("BasicTransformerBlock", "ResnetBlock2D")
    pieces = {
        "norms beside attention": ("Transformer2DModel", "ResnetBlock2D"),
        "samplers too": (*listed, "Upsample2D", "Downsample2D"),
        "the whole": ("UNet2DConditionModel",),
    }

    def work(tell: Tell) -> None:
        bench.build(name)
        expected = bench.step().clone()
        plain = bench.timed(bench.step, 8)
        tell("stock ms", spread(plain))
        speed.lay_out(bench.model)
        bench.model.fuse_qkv_projections()
        tell("cudnn's benchmark, ms", spread(_with_benchmark(bench)))
        tries = [(way, names, None) for way, names in pieces.items()]
        for way, names, mode in [
            *tries,
            ("kernels tried out", listed, "max-autotune-no-cudagraphs"),
            ("the whole, tried out", pieces["the whole"], "max-autotune-no-cudagraphs"),
            ("the whole, as graphs", pieces["the whole"], "reduce-overhead"),
        ]:
            torch._dynamo.reset()
            began = time.perf_counter()
            _compile(bench.model, names, None if bench.small else mode)
            bench.step()
            bench.wait()
            tell(f"{way}: first call, s", round(time.perf_counter() - began, 1))
            told_of(bench, tell, way, plain, expected, 8)

    return work


def _with_benchmark(bench: Bench) -> list[float]:
    torch.backends.cudnn.benchmark = True
    try:
        return bench.timed(bench.step, 5)
    finally:
        torch.backends.cudnn.benchmark = False


def _compile(network: torch.nn.Module, names: Iterable[str], mode: str | None) -> None:
    """The parts of these classes alone, each kind once."""
    backend = "inductor" if torch.cuda.is_available() else "aot_eager"
    for part in network.modules():
        part._compiled_call_impl = None
        if type(part).__name__ in names:
            part.compile(dynamic=False, backend=backend, **({"mode": mode} if mode else {}))


def decoding(bench: Bench) -> Callable[[Tell], None]:
    """Four pictures of SDXL's size by its autoencoder: as it is, laid out, and compiled in two ways."""

    def work(tell: Tell) -> None:
        bench.drop()
        side = 8 if bench.small else 128
        vae = made(diffusers.AutoencoderKL, bench.device, **(SMALL_VAE if bench.small else VAE))
        latents = torch.randn(4, 4, side, side, device=bench.device, dtype=DTYPE)
        expected = decoded(vae, latents).clone()
        tell("stock ms", spread(bench.timed(lambda: decoded(vae, latents), 5)))
        speed.lay_out(vae)
        tell("channels last, ms", spread(bench.timed(lambda: decoded(vae, latents), 5)))
        for way, names in {"blocks": ("ResnetBlock2D", "Attention"), "the whole": ("Decoder",)}.items():
            torch._dynamo.reset()
            began = time.perf_counter()
            _compile(vae, names, None)
            decoded(vae, latents)
            bench.wait()
            tell(f"{way}: first call, s", round(time.perf_counter() - began, 1))
            tell(f"{way} ms", spread(bench.timed(lambda: decoded(vae, latents), 5)))
            tell(f"{way} away from stock", far(decoded(vae, latents), expected))

    return work


def whole_graph(bench: Bench, name: str) -> Callable[[Tell], None]:
    """A compiled step recorded as one CUDA graph: what is left to gain between launches. Last, since a
    recording that fails may spoil the device.
    """

    def work(tell: Tell) -> None:
        bench.build(name)
        bench.tune("blocks")
        expected = bench.step().clone()
        tell("blocks ms", spread(bench.timed(bench.step, 10)))
        if bench.device.type != "cuda":
            return
        graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(graph):
            answer = bench.model(**bench.inputs, return_dict=False)[0]
        tell("one graph ms", spread(bench.timed(graph.replay, 10)))
        tell("away", far(answer, expected))

    return work


def check(name: str, setting: Setting) -> Callable[[Tell], None]:
    """One of the checks; its figures."""

    def work(tell: Tell) -> None:
        tell("ok", CHECKS[name](setting))

    return work


def measure(report: Report, bench: Bench, options: argparse.Namespace) -> None:
    """Every section, by worth."""
    few = 3 if options.small else 8
    # Where the device is so slow at the checks that figures are in danger, the rest of them comes last.
    enough = CHECKED * options.budget

    def checks(names: Iterable[str], least: float, most: float) -> dict[str, Section]:
        return {f"check: {name}": (check(name, bench.setting), least, most) for name in names}

    first, (compiled, others, *rest) = list(CHECKS)[:FIRST], list(CHECKS)[FIRST:]
    sections: dict[str, Section] = {
        **checks(first, enough, 25),
        "ceilings": (ceilings(bench), 5, 15),
        "sdxl": (denoiser(bench, "sdxl", few, ("blocks",)), 20, 80),
        "sdxl grid": (sdxl_grid(bench), 5, 20),
        "sdxl switch": (switch(bench, 3), 5, 20),
        "sd15": (denoiser(bench, "sd15", few, ("blocks", "graphs")), 20, 70),
        "sd15 switch": (switch(bench, 5), 5, 15),
        "flux": (denoiser(bench, "flux", 3, ("blocks",)), 20, 50),
        "engine grid": (engine_grid(bench, "off"), 15, 50),
        **checks([compiled, others], 8, 40),
        "throughput": (users(bench), 12, 40),
        "flux switch": (switch_of_flux(bench), 20, 60),
        **checks(rest, 10, 60),
        "decoding": (decoding(bench), 15, 50),
        "variants of sdxl": (variants(bench, "sdxl"), 30, 240),
        "variants of sd15": (variants(bench, "sd15"), 30, 200),
        "engine grid, compiled": (engine_grid(bench, "blocks"), 20, 60),
        "sd15, one graph": (whole_graph(bench, "sd15"), 15, 60),
    }
    if options.only:
        sections = {name: own for name, own in sections.items() if name.startswith(tuple(options.only))}
    for name, (work, least, most) in sections.items():
        report.section(name, work, 0 if options.small else least, most)
    for name, (work, _, most) in sections.items():
        if name.startswith("check") and "skipped" in report.found[name]:
            report.section(name, work, 5, most)


def describe(device: torch.device) -> str:
    """The card, or the processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def main() -> int:
    """Print the figures, and write them where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--budget", type=float, default=1200.0, help="seconds for all of it")
    parser.add_argument("--small", action="store_true", help="tiny models, to see that it runs")
    parser.add_argument("--only", nargs="*", help="sections by their beginnings")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("There is no CUDA device here; its figures stay open. --small --device cpu shows that it runs.")
        return 0
    if options.device == "cpu":
        # No C++ for a rehearsal: its graphs are traced and run as they are.
        speed._compiler = lambda mode: lambda block: block.compile(dynamic=False, backend="aot_eager")
    faulthandler.dump_traceback_later(options.budget + 15, exit=False)
    for library in (diffusers.logging, transformers.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
    report = Report(options.out, options.budget)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, Path(folder))
        report.found["machine"] = {
            "device": describe(bench.device),
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            "transformers": transformers.__version__,
        }
        measure(report, bench, options)
        for picture in bench.folder.glob("sketch-*.png") if options.out is not None else ():
            shutil.copy(picture, options.out.parent)
    faulthandler.cancel_dump_traceback_later()
    print(json.dumps(report.found["machine"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
