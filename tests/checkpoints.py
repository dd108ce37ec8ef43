"""Folders written again as one file in the layout that their models are trained in, and traded in.

The inverse of what diffusers does when it reads one: the names of latent-diffusion, of OpenCLIP, and of the
code of Stability, Black Forest Labs and Z-Image.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file

State = Mapping[str, torch.Tensor]
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_VAE = (
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1"),
    (r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2"),
    (r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample"),
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
)
_OPEN_CLIP = (
    (r"^text_model\.embeddings\.position_embedding\.weight$", "positional_embedding"),
    (r"^text_model\.embeddings\.token_embedding", "token_embedding"),
    (r"^text_model\.final_layer_norm", "ln_final"),
    (r"^text_model\.encoder\.layers", "transformer.resblocks"),
    (r"layer_norm(\d)", r"ln_\1"),
    (r"mlp\.fc1", "mlp.c_fc"),
    (r"mlp\.fc2", "mlp.c_proj"),
    (r"self_attn", "attn"),
)


_SD3_ENDS = {
    "pos_embed.proj": "x_embedder.proj",
    "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
    "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
    "context_embedder": "context_embedder",
    "proj_out": "final_layer.linear",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
}
_SD3_BLOCKS = {
    "norm1.linear": "x_block.adaLN_modulation.1",
    "norm1_context.linear": "context_block.adaLN_modulation.1",
    "attn.norm_q": "x_block.attn.ln_q",
    "attn.norm_k": "x_block.attn.ln_k",
    "attn.norm_added_q": "context_block.attn.ln_q",
    "attn.norm_added_k": "context_block.attn.ln_k",
    "attn.to_q": "x_block.attn.qkv",
    "attn.add_q_proj": "context_block.attn.qkv",
    "attn.to_out.0": "x_block.attn.proj",
    "attn.to_add_out": "context_block.attn.proj",
    "ff.net.0.proj": "x_block.mlp.fc1",
    "ff.net.2": "x_block.mlp.fc2",
    "ff_context.net.0.proj": "context_block.mlp.fc1",
    "ff_context.net.2": "context_block.mlp.fc2",
}


_FLUX_ENDS = {
    "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
    "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
    "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
    "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
    "context_embedder": "txt_in",
    "x_embedder": "img_in",
    "proj_out": "final_layer.linear",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
}
_FLUX_BLOCKS = {
    "norm1.linear": "img_mod.lin",
    "norm1_context.linear": "txt_mod.lin",
    "attn.to_q": "img_attn.qkv",
    "attn.add_q_proj": "txt_attn.qkv",
    "attn.norm_q": "img_attn.norm.query_norm",
    "attn.norm_k": "img_attn.norm.key_norm",
    "attn.norm_added_q": "txt_attn.norm.query_norm",
    "attn.norm_added_k": "txt_attn.norm.key_norm",
    "attn.to_out.0": "img_attn.proj",
    "attn.to_add_out": "txt_attn.proj",
    "ff.net.0.proj": "img_mlp.0",
    "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0",
    "ff_context.net.2": "txt_mlp.2",
}
_FLUX_SINGLE = {
    "norm.linear": "modulation.lin",
    "attn.to_q": "linear1",
    "attn.norm_q": "norm.query_norm",
    "attn.norm_k": "norm.key_norm",
    "proj_out": "linear2",
}
_Z_IMAGE = (
    (r"^all_(final_layer|x_embedder)\.2-1\.", r"\1."),
    (r"\.attention\.to_out\.0\.", ".attention.out."),
    (r"\.attention\.norm_([qk])\.", r".attention.\1_norm."),
)


def single_file(folder: Path, file: Path, config: Path | None = None, *, old: bool = True) -> Path:
    """The weights of ``folder`` as ``file``; all the rest goes to ``config``, beside it unless said. ``old``
    is Stable Diffusion 1, whose text encoder is OpenAI's; that of 2 is OpenCLIP's.
    """
    large = "XL" in (folder / "model_index.json").read_text()
    kind: Any = StableDiffusionXLPipeline if large else StableDiffusionPipeline
    pipeline = kind.from_pretrained(folder, low_cpu_mem_usage=False)
    layers = pipeline.unet.config.layers_per_block
    state = {f"model.diffusion_model.{key}": value for key, value in unet(pipeline.unet.state_dict(), layers)}
    state |= {f"first_stage_model.{key}": value for key, value in vae(pipeline.vae.state_dict())}
    prefix = "conditioner.embedders.0" if large else "cond_stage_model"
    first = {f"text_model.{key.removeprefix('text_model.')}": value for key, value in _texts(pipeline)}
    if old:
        state |= {f"{prefix}.transformer.{key}": value for key, value in first.items()}
    else:
        state |= {f"{prefix}.model.{key}": value for key, value in open_clip(first)}
    if large:
        texts = open_clip(pipeline.text_encoder_2.state_dict())
        state |= {f"conditioner.embedders.1.model.{key}": value for key, value in texts}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in state.items()}, file)
    without = shutil.ignore_patterns("*.safetensors")
    shutil.copytree(folder, config or file.with_suffix(""), ignore=without, dirs_exist_ok=True)
    return file


def _texts(pipeline: Any) -> Iterator[tuple[str, torch.Tensor]]:
    yield from pipeline.text_encoder.state_dict().items()


def unet(state: State, layers: int) -> Iterator[tuple[str, torch.Tensor]]:
    """Names of CompVis' openaimodel."""
    for key, value in state.items():
        name, kind = key.rsplit(".", 1)
        yield (_ENDS[name] + "." + kind if name in _ENDS else _block(key, layers, state)), value


def _block(key: str, layers: int, state: State) -> str:
    side, *rest = key.split(".")
    tail = ".".join(rest)
    if side == "mid_block":
        part, index, inner = tail.split(".", 2)
        place = 1 if part == "attentions" else 2 * int(index)
        return f"middle_block.{place}.{_inner(part, inner)}"
    block, part, index, inner = tail.split(".", 3)
    first = int(block) * (layers + 1)
    if part == "downsamplers":
        return f"input_blocks.{first + layers + 1}.0.op.{inner.removeprefix('conv.')}"
    if part == "upsamplers":
        attended = any(name.startswith(f"up_blocks.{block}.attentions") for name in state)
        return f"output_blocks.{first + layers}.{2 if attended else 1}.{inner}"
    number = first + int(index) + (side == "down_blocks")
    where = "input_blocks" if side == "down_blocks" else "output_blocks"
    return f"{where}.{number}.{int(part == 'attentions')}.{_inner(part, inner)}"


def _inner(part: str, name: str) -> str:
    if part == "attentions":
        return name
    head, tail = name.split(".", 1)
    return f"{_RESNET[head]}.{tail}"


def vae(state: State) -> Iterator[tuple[str, torch.Tensor]]:
    """Names of CompVis' autoencoder; its attention is made of convolutions."""
    ups = len({key.split(".")[2] for key in state if key.startswith("decoder.up_blocks.")})
    for key, value in state.items():
        name = key
        for pattern, replacement in _VAE:
            name = re.sub(pattern, replacement, name)
        name = re.sub(
            r"up_blocks\.(\d+)\.(resnets|upsamplers)\.?(\d+)",
            lambda found: (
                f"up.{ups - 1 - int(found[1])}."
                + (f"block.{found[3]}" if found[2] == "resnets" else "upsample")
            ),
            name,
        )
        is_attention = "mid.attn_1" in name and value.ndim == 2
        yield name, value[:, :, None, None] if is_attention else value


def open_clip(state: State) -> Iterator[tuple[str, torch.Tensor]]:
    """Names of OpenCLIP, whose attention has one matrix for queries, keys and values."""
    for key, value in state.items():
        if key == "text_projection.weight":
            yield "text_projection", value.T
            continue
        if re.search(r"\.[kv]_proj\.", key):
            continue
        name = key
        for pattern, replacement in _OPEN_CLIP:
            name = re.sub(pattern, replacement, name)
        if ".q_proj." in key:
            parts = [state[key.replace(".q_proj.", f".{letter}_proj.")] for letter in "qkv"]
            yield re.sub(r"q_proj\.(\w+)$", r"in_proj_\1", name), torch.cat(parts)
        else:
            yield name, value
    yield "logit_scale", torch.tensor(4.6)


_ENCODERS = {"text_encoder": "clip_l", "text_encoder_2": "clip_g", "text_encoder_3": "t5xxl"}


def sd3_file(pipeline: Any, file: Path, inside: Collection[str] = ("text_encoder", "text_encoder_2")) -> Path:
    """SD3's transformer and VAE and the encoders ``inside`` as ``file``; the rest goes to a folder of its
    name.
    """
    state = {f"model.diffusion_model.{key}": value for key, value in mmdit(pipeline.transformer.state_dict())}
    state |= {f"first_stage_model.{key}": value for key, value in vae(pipeline.vae.state_dict())}
    for part in inside:
        prefix, weights = (
            f"text_encoders.{_ENCODERS[part]}.transformer.",
            getattr(pipeline, part).state_dict(),
        )
        state |= {f"{prefix}{key}": own for key, own in weights.items()}
    # It is one, and not written.
    state.pop("text_encoders.clip_l.transformer.text_projection.weight", None)
    return _written(state, pipeline, file, {"transformer", "vae", *inside})


def flux_file(pipeline: Any, file: Path, prefix: str = "", whole: bool = False) -> Path:
    """FLUX's transformer as ``file``, as Black Forest Labs publish it; ``whole`` is the form of ComfyUI, with
    everything inside. The rest goes to a folder of its name.
    """
    state = {f"{prefix}{key}": value for key, value in bfl(pipeline.transformer.state_dict())}
    if whole:
        state |= {f"vae.{key}": value for key, value in vae(pipeline.vae.state_dict())}
        for key, value in _texts(pipeline):
            state[f"text_encoders.clip_l.transformer.text_model.{key.removeprefix('text_model.')}"] = value
        for key, value in pipeline.text_encoder_2.state_dict().items():
            state[f"text_encoders.t5xxl.transformer.{key}"] = value
    inside = {"transformer", *(("vae", "text_encoder", "text_encoder_2") if whole else ())}
    return _written(state, pipeline, file, inside)


def z_image_file(pipeline: Any, file: Path, prefix: str = "") -> Path:
    """Z-Image's transformer as ``file``, with one matrix for queries, keys and values."""
    own, state = pipeline.transformer.state_dict(), {}
    for key, value in own.items():
        name = key
        for pattern, replacement in _Z_IMAGE:
            name = re.sub(pattern, replacement, name)
        if ".attention.to_q." in key:
            parts = [own[key.replace(".to_q.", f".to_{letter}.")] for letter in "qkv"]
            state[prefix + name.replace(".to_q.", ".qkv.")] = torch.cat(parts)
        elif not re.search(r"attention\.to_[kv]\.", key):
            state[prefix + name] = value
    return _written(state, pipeline, file, {"transformer"})


def plain_file(pipeline: Any, file: Path, prefix: str = "") -> Path:
    """A transformer as ``file`` by diffusers' own names, as Qwen-Image's is traded."""
    own = pipeline.transformer.state_dict()
    return _written({prefix + key: value for key, value in own.items()}, pipeline, file, {"transformer"})


def _written(state: State, pipeline: Any, file: Path, inside: Collection[str]) -> Path:
    """``state`` as ``file``, and the folder of its name without the weights of what is ``inside``."""
    pipeline.save_pretrained(file.with_suffix(""))
    for part in inside:
        for weights in (file.with_suffix("") / part).glob("*.safetensors"):
            weights.unlink()
    save_file({key: value.clone().contiguous() for key, value in state.items()}, file)
    return file


def bfl(state: State) -> Iterator[tuple[str, torch.Tensor]]:
    """Names of Black Forest Labs' flux: joined matrices, scales of norms, shift before scale at the end."""
    for key, value in state.items():
        name, kind = key.rsplit(".", 1)
        if name in _FLUX_ENDS:
            yield f"{_FLUX_ENDS[name]}.{kind}", _swapped(value) if name == "norm_out.linear" else value
        elif not re.search(r"attn\.(to_[kv]|add_[kv]_proj)$|proj_mlp$", name):
            stack, block, inner = name.split(".", 2)
            single = stack == "single_transformer_blocks"
            place = f"{'single' if single else 'double'}_blocks.{block}"
            scale = "scale" if ".norm_" in name else kind
            joined = _joined(state, key)
            if single and inner == "attn.to_q":
                joined = torch.cat([joined, state[f"{stack}.{block}.proj_mlp.{kind}"]])
            yield f"{place}.{(_FLUX_SINGLE if single else _FLUX_BLOCKS)[inner]}.{scale}", joined


def mmdit(state: State) -> Iterator[tuple[str, torch.Tensor]]:
    """Names of Stability's sd3: one matrix for queries, keys and values, shift before scale at the end."""
    last = max(int(key.split(".")[1]) for key in state if key.startswith("transformer_blocks."))
    for key, value in state.items():
        name, kind = key.rsplit(".", 1)
        if key == "pos_embed.pos_embed":
            yield "pos_embed", value
        elif name in _SD3_ENDS:
            yield f"{_SD3_ENDS[name]}.{kind}", _swapped(value) if name == "norm_out.linear" else value
        elif not re.search(r"attn\.(to_[kv]|add_[kv]_proj)$", name):
            block, inner = name.removeprefix("transformer_blocks.").split(".", 1)
            place = f"joint_blocks.{block}.{_SD3_BLOCKS[inner]}.{kind}"
            ends = int(block) == last and inner == "norm1_context.linear"
            yield place, _swapped(value) if ends else _joined(state, key)


def _swapped(value: torch.Tensor) -> torch.Tensor:
    return torch.cat(value.chunk(2)[::-1])


def _joined(state: State, key: str) -> torch.Tensor:
    if not re.search(r"attn\.(to_q|add_q_proj)\.", key):
        return state[key]
    return torch.cat([state[re.sub(r"_q(_proj)?\.", rf"_{letter}\1.", key)] for letter in "qkv"])
