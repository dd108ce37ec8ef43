"""Tiny IP-Adapters of random weights, in the form they are published in, and their image encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
)

HIDDEN, PROJECTED, INNER = 16, 24, 64
SIDE, PATCH = 32, 8


def encoder(folder: Path) -> Path:
    """A CLIP that looks at pictures of 32 pixels."""
    torch.manual_seed(5)
    config = CLIPVisionConfig(
        hidden_size=HIDDEN,
        intermediate_size=32,
        projection_dim=PROJECTED,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=PATCH,
    )
    CLIPVisionModelWithProjection(config).eval().save_pretrained(folder, safe_serialization=True)
    return folder


def siglip(folder: Path) -> Path:
    """A SigLIP that looks at pictures of 32 pixels."""
    torch.manual_seed(6)
    config = SiglipVisionConfig(
        hidden_size=HIDDEN,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=PATCH,
    )
    SiglipVisionModel(config).eval().save_pretrained(folder, safe_serialization=True)
    SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def plain(width: int) -> dict[str, tuple[int, ...]]:
    """ip-adapter_sd15 and _sdxl: a linear layer makes four tokens of what the encoder says."""
    return {"proj.weight": (4 * width, PROJECTED), "proj.bias": (4 * width,), **_norm("norm", width)}


def full(width: int) -> dict[str, tuple[int, ...]]:
    """ip-adapter-full-face: every patch is a token."""
    return {
        "proj.0.weight": (HIDDEN, HIDDEN),
        "proj.0.bias": (HIDDEN,),
        "proj.2.weight": (width, HIDDEN),
        "proj.2.bias": (width,),
        **_norm("proj.3", width),
    }


def plus(width: int) -> dict[str, tuple[int, ...]]:
    """ip-adapter-plus: a resampler asks the patches for six tokens."""
    shapes: dict[str, tuple[int, ...]] = {
        "latents": (1, 6, INNER),
        "proj_in.weight": (INNER, HIDDEN),
        "proj_in.bias": (INNER,),
        "proj_out.weight": (width, INNER),
        "proj_out.bias": (width,),
        **_norm("norm_out", width),
    }
    for layer in range(4):
        attention, wide = f"layers.{layer}.0", f"layers.{layer}.1"
        shapes |= {**_norm(f"{attention}.norm1", INNER), **_norm(f"{attention}.norm2", INNER)}
        shapes |= {f"{attention}.to_{name}.weight": (INNER, INNER) for name in ("q", "out")}
        shapes |= {f"{attention}.to_kv.weight": (2 * INNER, INNER), **_norm(f"{wide}.0", INNER)}
        shapes |= {f"{wide}.1.weight": (4 * INNER, INNER), f"{wide}.3.weight": (INNER, 4 * INNER)}
    return shapes


def face(width: int) -> dict[str, tuple[int, ...]]:
    """ip-adapter-faceid: takes what a face recogniser says."""
    return {"proj.0.weight": (8, 4), "proj.2.weight": (4 * width, 8), **_norm("norm", width)}


KINDS: Mapping[str, Callable[[int], dict[str, tuple[int, ...]]]] = {
    "plain": plain,
    "full": full,
    "plus": plus,
}


def adapter(file: Path, unet: torch.nn.Module, kind: Callable[[int], Mapping[str, tuple[int, ...]]]) -> Path:
    """An adapter for the layers of ``unet`` that look at the text."""
    layers = list(_layers(unet))
    shapes = {f"image_proj.{name}": shape for name, shape in kind(layers[0][1]).items()}
    for number, shape in enumerate(layers):
        shapes |= {f"ip_adapter.{2 * number + 1}.to_{letter}_ip.weight": shape for letter in "kv"}
    return _written(file, shapes)


def _written(file: Path, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    generator = torch.Generator().manual_seed(len(file.name))
    save_file({name: 0.5 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}, file)
    return file


def flux(file: Path, transformer: Any) -> Path:
    """XLabs-AI/flux-ip-adapter: named as its makers name FLUX's own layers."""
    width, inner = transformer.config.joint_attention_dim, transformer.inner_dim
    shapes = {f"ip_adapter_proj_model.{name}": shape for name, shape in plain(width).items()}
    for number in range(len(transformer.transformer_blocks)):
        stem = f"double_blocks.{number}.processor.ip_adapter_double_stream"
        for letter in "kv":
            shapes |= {f"{stem}_{letter}_proj.weight": (inner, width), f"{stem}_{letter}_proj.bias": (inner,)}
    return _written(file, shapes)


def sd3(file: Path, transformer: Any) -> Path:
    """InstantX/SD3.5-Large-IP-Adapter: a resampler told the time, and norms of its own in each layer."""
    inner, head = transformer.inner_dim, transformer.config.attention_head_dim
    shapes = {f"image_proj.{name}": shape for name, shape in timed(inner).items()}
    for number in range(len(transformer.attn_processors)):
        layer = f"ip_adapter.{number}"
        shapes |= {f"{layer}.to_{letter}_ip.weight": (inner, inner) for letter in "kv"}
        shapes |= {f"{layer}.{norm}.weight": (head,) for norm in ("norm_q", "norm_k", "norm_ip_k")}
        shapes |= {
            f"{layer}.norm_ip.linear.weight": (2 * inner, INNER),
            f"{layer}.norm_ip.linear.bias": (2 * inner,),
        }
    return _written(file, shapes)


def timed(width: int) -> dict[str, tuple[int, ...]]:
    """The resampler of SD3's adapters."""
    shapes = {
        **plus(width),
        "time_embedding.linear_1.weight": (INNER, 12),
        "time_embedding.linear_1.bias": (INNER,),
        "time_embedding.linear_2.weight": (INNER, INNER),
        "time_embedding.linear_2.bias": (INNER,),
    }
    for layer in range(4):
        shapes |= {f"layers.{layer}.2.1.weight": (4 * INNER, INNER), f"layers.{layer}.2.1.bias": (4 * INNER,)}
    return shapes


def _layers(unet: torch.nn.Module) -> Iterator[tuple[int, int]]:
    """Shapes of the keys, in diffusers' order."""
    names: Iterator[str] = iter(unet.attn_processors)  # type: ignore[arg-type]
    for name in names:
        if name.endswith("attn2.processor"):
            wide, length = unet.get_parameter(f"{name.removesuffix('.processor')}.to_k.weight").shape
            yield wide, length


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def suited(family: str, file: Path, denoiser: Any) -> Path:
    """An adapter for a family's denoiser, and its image encoder beside it."""
    (siglip if family == "sd3" else encoder)(file.parent / "image_encoder")
    made = {"flux": flux, "sd3": sd3}.get(family)
    return made(file, denoiser) if made else adapter(file, denoiser, plain)
