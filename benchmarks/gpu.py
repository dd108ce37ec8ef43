"""Real architectures with random weights on a CUDA device: ``python -m benchmarks.gpu [--out f.json]``.

Runs unattended and downloads nothing. For the denoisers of SD 1.5, SDXL and FLUX.1-dev in bfloat16: a step of
a grid as diffusers runs it, and as the engine does (:mod:`engine.speed`: layout, fused projections, compiled
blocks); SDXL's grid of 20 steps with guidance and its decoding; and how long a model takes from the machine's
memory onto the device, beside the time in which the bus could carry its bytes. Without CUDA it says so and
ends with status 0; ``--small`` runs all of it on tiny ones, on a CPU too, to see that it runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import torch

from engine import speed
from engine.offload import Depot

GOALS = {"sd15": 0.60, "sdxl": 0.75, "flux": 0.65}
SDXL_MS, SWITCH = 1.6 * 1423, 3.0
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
}
Inputs = dict[str, Any]


def unet(rows: int, side: int, device: torch.device, **config: Any) -> tuple[Any, Inputs]:
    """A UNet and a step's inputs: 77 tokens of text, and the sizes that SDXL is told."""
    model = diffusers.UNet2DConditionModel(**config)
    text = torch.randn(rows, 77, config["cross_attention_dim"], device=device, dtype=model.dtype)
    inputs: Inputs = {
        "sample": torch.randn(rows, 4, side, side, device=device, dtype=model.dtype),
        "timestep": torch.full((rows,), 500.0, device=device),
        "encoder_hidden_states": text,
    }
    if config.get("addition_embed_type"):
        pooled = config["projection_class_embeddings_input_dim"] - 6 * config["addition_time_embed_dim"]
        inputs["added_cond_kwargs"] = {
            "text_embeds": torch.randn(rows, pooled, device=device, dtype=model.dtype),
            "time_ids": torch.full((rows, 6), 1024.0, device=device, dtype=model.dtype),
        }
    return model, inputs


def flux(rows: int, side: int, device: torch.device, **config: Any) -> tuple[Any, Inputs]:
    """FLUX.1-dev's transformer (or a small one) and a step's inputs: ``side`` squared packed latents."""
    model = diffusers.FluxTransformer2DModel(guidance_embeds=True, **config)
    tokens, length = side * side, 512 if side > 16 else 16

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device=device, dtype=model.dtype)

    inputs: Inputs = {
        "hidden_states": random(rows, tokens, model.config.in_channels),
        "encoder_hidden_states": random(rows, length, model.config.joint_attention_dim),
        "pooled_projections": random(rows, model.config.pooled_projection_dim),
        "timestep": torch.full((rows,), 0.5, device=device, dtype=model.dtype),
        "guidance": torch.full((rows,), 3.5, device=device, dtype=torch.float32),
        "img_ids": torch.zeros(tokens, 3, device=device),
        "txt_ids": torch.zeros(length, 3, device=device),
    }
    return model, inputs


def models(small: bool, device: torch.device) -> dict[str, Callable[[], tuple[Any, Inputs]]]:
    """Denoisers with the inputs of a grid of four; UNets see each image twice."""
    if small:
        tiny = {"num_attention_heads": 2, "attention_head_dim": 16, "num_layers": 1, "num_single_layers": 1}
        return {
            "sd15": lambda: unet(2, 8, device, **SMALL, cross_attention_dim=32),
            "flux": lambda: flux(
                1,
                4,
                device,
                **tiny,
                joint_attention_dim=32,
                pooled_projection_dim=32,
                axes_dims_rope=(4, 4, 8),
            ),
        }
    return {
        "sd15": lambda: unet(8, 64, device, cross_attention_dim=768),
        "sdxl": lambda: unet(8, 128, device, **SDXL),
        "flux": lambda: flux(4, 64, device),
    }


def family(model: Any, device: torch.device) -> Any:
    """As much of a loaded model as tuning asks for."""
    pipeline = SimpleNamespace(components={"denoiser": model}, denoiser=model)
    own = SimpleNamespace(denoiser="denoiser")
    profile = SimpleNamespace(family=own, loras={}, info=SimpleNamespace(name="bench"))
    return SimpleNamespace(pipeline=pipeline, device=device, profile=profile)


def synchronize(device: torch.device) -> None:
    """Wait for what was launched."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(work: Callable[[], object], device: torch.device, times: int) -> list[float]:
    """Milliseconds of each call, after three to warm up."""
    found = []
    for number in range(times + 3):
        synchronize(device)
        began = time.perf_counter()
        with torch.inference_mode():
            work()
        synchronize(device)
        if number >= 3:
            found.append((time.perf_counter() - began) * 1e3)
    return found


def step(build: Callable[[], tuple[Any, Inputs]], mode: str, options: argparse.Namespace) -> dict[str, Any]:
    """A step of diffusers' model and of the tuned one; the same weights are not needed."""
    device = torch.device(options.device)
    with torch.device(device):
        stock, inputs = build()
    plain = timed(lambda: stock(**inputs), device, options.times)
    began = time.perf_counter()
    speed.tune(family(stock.eval(), device), mode)
    tuned = timed(lambda: stock(**inputs), device, options.times)
    took = time.perf_counter() - began
    ratio = statistics.median(tuned) / statistics.median(plain)
    return {"stock_ms": spread(plain), "engine_ms": spread(tuned), "ratio": ratio, "first_s": took}


def grid(options: argparse.Namespace, milliseconds: float) -> float:
    """Milliseconds of SDXL's grid: 20 steps with guidance, and four pictures decoded one by one."""
    device = torch.device(options.device)
    with torch.device(device):
        vae = diffusers.AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
        ).eval()
        latents = torch.randn(1, 4, 128, 128, dtype=vae.dtype)
    decode = statistics.median(timed(lambda: vae.decode(latents), device, options.times))
    return 20 * milliseconds + 4 * decode


def switch(build: Callable[[], tuple[Any, Inputs]], options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds from the machine's memory onto the device, and those of one copy of as many bytes."""
    device = torch.device(options.device)
    with torch.device(device):
        model, _ = build()
    size = sum(tensor.nbytes for tensor in model.parameters())
    depot = Depot(device)
    depot.put_down([model])
    moves = []
    for _ in range(3):
        began = time.perf_counter()
        depot.pick_up([model])
        depot.put_down([model])
        moves.append((time.perf_counter() - began) * 1e3)
    block = torch.empty(min(size, 2**30), dtype=torch.uint8, pin_memory=device.type == "cuda")
    floor = statistics.median(timed(lambda: block.to(device, copy=True), device, 5)) * size / block.nbytes
    return {
        "switch_ms": statistics.median(moves),
        "floor_ms": floor,
        "ratio": statistics.median(moves) / floor,
    }


def spread(values: list[float]) -> list[float]:
    """Median, least and most."""
    return [round(value, 3) for value in (statistics.median(values), min(values), max(values))]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures; what fails is named, and the rest goes on."""
    device = torch.device(options.device)
    found: dict[str, Any] = {"device": describe(device), "torch": torch.__version__}
    torch.set_default_dtype(torch.bfloat16)
    for name, build in models(options.small, device).items():
        try:
            found[name] = {**step(build, options.mode, options), "goal": GOALS[name]}
            found[f"{name} switch"] = {**switch(build, options), "goal": SWITCH}
            if name == "sdxl":
                found["sdxl grid"] = {"ms": grid(options, found[name]["engine_ms"][0]), "goal": SDXL_MS}
        except Exception as error:
            found[name] = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps({name: found[name]}), flush=True)
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return found


def describe(device: torch.device) -> str:
    """The card, or the processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def main() -> int:
    """Print the figures, and write them where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--mode", default="blocks", choices=speed.MODES)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--small", action="store_true", help="tiny models, to see that it runs")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("There is no CUDA device here; its figures stay open. --small --device cpu shows that it runs.")
        return 0
    found = measure(options)
    print(json.dumps(found, indent=1))
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
