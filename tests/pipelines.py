"""Tiny pipelines with random weights, shaped like Stable Diffusion 1.x, written to disk by seed.

They paint noise, and take milliseconds: enough to compare arithmetic. Nothing is downloaded and no weights
are kept in the repository.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import BertTokenizer, CLIPTextConfig, CLIPTextModel, CLIPTokenizer

WORDS = (
    "a",
    "red",
    "green",
    "apple",
    "cat",
    "house",
    "sea",
    "of",
    "on",
    "the",
    "blue",
    "stone",
    "bad",
    "##s",
)
WIDTH = 32
"""Of the text embedding."""


def classic(
    path: Path, prediction: str = "epsilon", seed: int = 0, channels: int = 16, taken: int = 4
) -> Path:
    """CLIP tokenizer, KL autoencoder of factor 8, PNDM: the shape of Stable Diffusion 1.5. Native size 64."""
    torch.manual_seed(seed)
    tokenizer = _clip_tokenizer()
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
    )
    scheduler = PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction,
    )
    return _save(path, tokenizer, vae, _unet(8, None, channels, taken), scheduler)


def inpainter(path: Path, seed: int = 3) -> Path:
    """As :func:`classic`, but made for inpainting: its UNet takes nine channels."""
    return classic(path, seed=seed, taken=9)


def sketchy(path: Path, prediction: str = "v_prediction", seed: int = 0) -> Path:
    """WordPiece tokenizer, AutoencoderTiny of factor 4, pooled text in the time embedding. Native size 32."""
    torch.manual_seed(seed)
    vae = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8),
        decoder_block_out_channels=(8, 8, 8),
        num_encoder_blocks=(1, 1, 1),
        num_decoder_blocks=(1, 1, 1),
        latent_channels=4,
    )
    scheduler = DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        clip_sample=False,
        prediction_type=prediction,
        set_alpha_to_one=True,
        steps_offset=1,
    )
    folder = _save(path, _wordpiece_tokenizer(path), vae, _unet(8, "text"), scheduler)
    describe(
        folder,
        shown_size=64,
        steps=6,
        guidance_scale=3.0,
        description="Random, for tests.",
        upscaler="lanczos",
    )
    return folder


def describe(folder: Path, **values: Any) -> None:
    """Write the folder's ``tessera.json``."""
    (folder / "tessera.json").write_text(json.dumps(values))


def _clip_tokenizer() -> CLIPTokenizer:
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    pieces = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={piece: index for index, piece in enumerate(pieces)}, merges=[], model_max_length=77
    )


def _wordpiece_tokenizer(path: Path) -> BertTokenizer:
    letters = [letter for code in range(ord("a"), ord("z") + 1) for letter in (chr(code), "##" + chr(code))]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters]
    unique = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    return BertTokenizer(vocab=unique, model_max_length=16)


def _text_encoder(tokenizer: Any) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=0,
        eos_token_id=len(tokenizer) - 1,
        pad_token_id=tokenizer.pad_token_id or 0,
    )
    return CLIPTextModel(config).eval()


def _unet(sample_size: int, addition: str | None, channels: int = 16, taken: int = 4) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=sample_size,
        in_channels=taken,
        out_channels=4,
        block_out_channels=(channels, 2 * channels),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
        addition_embed_type=addition,
        addition_embed_type_num_heads=4,
    ).eval()


def _save(path: Path, tokenizer: Any, vae: Any, unet: UNet2DConditionModel, scheduler: Any) -> Path:
    pipeline = StableDiffusionPipeline(
        vae=vae.eval(),
        text_encoder=_text_encoder(tokenizer),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(path, safe_serialization=True)
    return path
