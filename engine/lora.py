"""Small files that change a model, LoRAs and textual inversions: which fits which, by headers. Torch-free.

LoRA: Low-Rank Adaptation of Large Language Models (Hu et al. 2021, arXiv:2106.09685).
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open

from engine.sentence import say
from engine.weights import PICKLES, Shapes

log = logging.getLogger(__name__)
_DOWN = re.compile(r"(?P<module>.+?)[._]lora(?:_down|_A|\d?\.down)(?:\.[a-z0-9_]+)?\.weight")
_DENOISER = re.compile(
    r"^(?:base_model\.model\.)?(?:lora_unet_|unet\.|lora_transformer_|transformer\.|diffusion_model\.)?"
)
_BLOCK = re.compile(r"(?:single_)?transformer_blocks_\d")
"""Of transformers, several of which name a layer alike; LoRAs for them are not renamed on the way."""
_FLUX = re.compile(r"(double|single)_blocks_(\d+)_(?:img_attn_qkv|processor_qkv|linear1)")
_STACK = re.compile(
    r"(double_blocks|single_blocks|joint_blocks|layers|noise_refiner|context_refiner)_(\d+)_(.+)"
)
_STACKS = {
    "double_blocks": "transformer_blocks",
    "single_blocks": "single_transformer_blocks",
    "joint_blocks": "transformer_blocks",
}
_TRADED = {
    "img_attn_qkv": ("attn_to_q", "attn_to_k", "attn_to_v"),
    "img_attn_proj": ("attn_to_out_0",),
    "img_mlp_0": ("ff_net_0_proj",),
    "img_mlp_2": ("ff_net_2",),
    "img_mod_lin": ("norm1_linear",),
    "txt_attn_qkv": ("attn_add_q_proj", "attn_add_k_proj", "attn_add_v_proj"),
    "txt_attn_proj": ("attn_to_add_out",),
    "txt_mlp_0": ("ff_context_net_0_proj",),
    "txt_mlp_2": ("ff_context_net_2",),
    "txt_mod_lin": ("norm1_context_linear",),
    "linear1": ("attn_to_q", "attn_to_k", "attn_to_v", "proj_mlp"),
    "linear2": ("proj_out",),
    "modulation_lin": ("norm_linear",),
    "x_block_attn_qkv": ("attn_to_q", "attn_to_k", "attn_to_v"),
    "x_block_attn2_qkv": ("attn2_to_q", "attn2_to_k", "attn2_to_v"),
    "x_block_attn_proj": ("attn_to_out_0",),
    "x_block_attn2_proj": ("attn2_to_out_0",),
    "x_block_mlp_fc1": ("ff_net_0_proj",),
    "x_block_mlp_fc2": ("ff_net_2",),
    "x_block_adaLN_modulation_1": ("norm1_linear",),
    "context_block_attn_qkv": ("attn_add_q_proj", "attn_add_k_proj", "attn_add_v_proj"),
    "context_block_attn_proj": ("attn_to_add_out",),
    "context_block_mlp_fc1": ("ff_context_net_0_proj",),
    "context_block_mlp_fc2": ("ff_context_net_2",),
    "context_block_adaLN_modulation_1": ("norm1_context_linear",),
    "attention_qkv": ("attention_to_q", "attention_to_k", "attention_to_v"),
    "attention_out": ("attention_to_out_0",),
}
"""Layers of transformers as single files name them (FLUX, SD3, Z-Image), and what diffusers makes of each."""
_TEXT = re.compile(r"^(?:base_model\.model\.)?(?:lora_te|text_encoder)(?P<number>_?[2-9])?")
_LIKE_LORA = re.compile(r".*\.(?:hada_w|lokr_w|oft_|a1\.weight|dora_scale)")
"""LoHa, LoKr, OFT and GLoRA, and the scales of kohya's DoRA, which diffusers leaves out without a word."""
EMBEDDING_KEYS = ("clip_l", "clip_g")
"""Of a textual inversion for two text encoders, in the encoders' order."""


def files_in(folder: Path) -> dict[str, Path]:
    """Small files of a folder by their names without ending; pickles too, so that they can be refused."""
    kinds = {".safetensors", *PICKLES}
    return {file.stem: file for file in sorted(folder.glob("*")) if file.suffix.lower() in kinds}


def sorted_out(
    files: Iterable[tuple[str, Path]], denoiser: Path, weights: Sequence[Path]
) -> tuple[dict[str, Path], dict[str, str]]:
    """LoRAs by name that fit the denoiser whose configuration lies in a folder and whose layers are in files,
    and of the others the reason why not.
    """
    fit: dict[str, Path] = {}
    unfit: dict[str, str] = {}
    own: Shapes | None = None
    for name, file in files:
        own = _modules(weights) if own is None else own
        reason = lora_misfit(file, own, denoiser)
        if reason is None:
            fit[name] = file
        else:
            log.info("LoRA %s is left out for %s: %s", file, denoiser.parent, reason)
            unfit[name] = reason
    return fit, unfit


def lora_misfit(file: Path, own: Shapes, denoiser: Path) -> str | None:
    """Why a LoRA does not fit a denoiser with the layers ``own`` (by name, dots as underscores), whose
    configuration lies in a folder beside those of the text encoders; or None.
    """
    shapes = shapes_of(file)
    if isinstance(shapes, str):
        return shapes
    if any(map(_LIKE_LORA.match, shapes)):
        return say(
            "{file} is a LoHa, LoKr, DoRA of kohya's or the like, which is not read here; choose a LoRA or "
            "LoCon",
            file=file.name,
        )
    takes = {_renamed(module, own): size for module, size in _taken(shapes)}
    if not takes:
        return _text_misfit(file, shapes, denoiser.parent)
    shared = [module for module in takes if module in own]
    wrong = next((module for module in shared if own[module][1] != takes[module]), None)
    if wrong:
        return say(
            "{file} was made for another kind of model: its {layer} takes {taken} values, and this model's "
            "{own}",
            file=file.name,
            layer=wrong,
            taken=takes[wrong],
            own=own[wrong][1],
        )
    strange = next((name for name in takes if _BLOCK.match(name) and name not in own), None)
    if strange:
        return say(
            "{file} was made for another kind of model: its {layer} is not in this one",
            file=file.name,
            layer=strange,
        )
    if shared or _number(denoiser, "cross_attention_dim") in {
        size for name, size in takes.items() if name.endswith("attn2_to_k")
    }:
        return None
    return say("{file} was made for another kind of model: none of its layers is in this one", file=file.name)


def _text_misfit(file: Path, shapes: Shapes, model: Path) -> str | None:
    """Why a LoRA that only changes text encoders does not fit those of a model's folder, or None."""
    takes = {
        f"text_encoder_{(found['number'] or '')[-1:]}".rstrip("_"): shape[1]
        for key, shape in shapes.items()
        if (found := _TEXT.match(key)) and _DOWN.fullmatch(key) and key.split(".lora")[0].endswith("q_proj")
    }
    if not takes:
        return say("{file} holds no LoRA", file=file.name)
    for encoder, taken in takes.items():
        own = _number(model / encoder, "hidden_size")
        if own != taken:
            return say(
                "{file} was made for another kind of model: its {layer} takes {taken} values, and this "
                "model's {own}",
                file=file.name,
                layer=encoder,
                taken=taken,
                own=own or 0,
            )
    return None


def _renamed(module: str, own: Shapes) -> str:
    """A layer of FLUX by the name that its makers gave it, as one of diffusers' that takes as many values."""
    found = _FLUX.fullmatch(module)
    if not found:
        return module
    ours = f"{'' if found[1] == 'double' else 'single_'}transformer_blocks_{found[2]}_attn_to_q"
    return ours if ours in own else module


def embedding_misfit(file: Path, widths: Sequence[int]) -> str | None:
    """Why a textual inversion does not fit text encoders of the hidden sizes ``widths``, or None."""
    shapes = shapes_of(file)
    if isinstance(shapes, str):
        return shapes
    found = [shape[-1] for _, shape in sorted(shapes.items(), key=_place) if shape]
    if found == list(widths) and (len(widths) == 1 or set(shapes) == set(EMBEDDING_KEYS)):
        return None
    wanted, told = (" and ".join(map(str, values)) or "none" for values in (widths, sorted(set(found))))
    encoders = "encoder" if len(widths) == 1 else "encoders"
    return (
        f"{file.name} holds no embedding of {wanted} values for this model's text {encoders}, but of {told}"
    )


def _place(item: tuple[str, object]) -> int:
    return EMBEDDING_KEYS.index(item[0]) if item[0] in EMBEDDING_KEYS else len(EMBEDDING_KEYS)


def _taken(shapes: Shapes) -> Iterator[tuple[str, int]]:
    """Layers of the denoiser that a LoRA changes, with the length of what they take."""
    for key, shape in shapes.items():
        found = _DOWN.fullmatch(key)
        if found and len(shape) >= 2 and not _TEXT.match(key):
            module = _DENOISER.sub("", found["module"]).replace(".processor.to_", ".to_")
            yield module.replace(".", "_"), shape[1]


def is_lora(shapes: Shapes) -> bool:
    """Whether a file with these tensors is one."""
    return any(_DOWN.fullmatch(key) for key in shapes)


def _modules(weights: Sequence[Path]) -> dict[str, tuple[int, ...]]:
    """Layers by name; those of a single file have the names of the layout that it is in, and diffusers' too
    where one layer of it is several of theirs or has another name.
    """
    own: dict[str, tuple[int, ...]] = {}
    for file in weights:
        shapes = shapes_of(file)
        if not isinstance(shapes, str):
            named = {
                _DENOISER.sub("", key.removeprefix("model.")).removesuffix(".weight").replace(".", "_"): shape
                for key, shape in shapes.items()
                if len(shape) >= 2
            }
            own |= named | {alias: shape for name, shape in named.items() for alias in _aliases(name)}
    return own


def _aliases(name: str) -> Iterator[str]:
    if (found := _STACK.fullmatch(name)) is not None:
        stack, number, layer = found.groups()
        yield from (f"{_STACKS.get(stack, stack)}_{number}_{alias}" for alias in _TRADED.get(layer, ()))


def _number(folder: Path, key: str) -> int | None:
    """What the configuration of a component says of a size."""
    try:
        size = json.loads((folder / "config.json").read_text(encoding="utf-8")).get(key)
    except (OSError, ValueError, AttributeError):
        return None
    return size if isinstance(size, int) else None


def shapes_of(file: Path) -> dict[str, tuple[int, ...]] | str:
    """Shapes of a safetensors file's tensors by its header, or why it is not read."""
    if file.suffix.lower() in PICKLES:
        return say("{file} is a pickle, which is never loaded; convert it to safetensors", file=file.name)
    try:
        with safe_open(file, "np") as opened:
            return {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118
    except FileNotFoundError:
        return say("{file} is missing; put it there, or mend its path", file=file.name)
    except (SafetensorError, OSError):
        return say("{file} is not a whole safetensors file; copy it again", file=file.name)
