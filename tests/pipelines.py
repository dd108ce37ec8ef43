"""Tiny pipelines with random weights, shaped like Stable Diffusion and SDXL, written to disk by seed.

They paint noise, and take milliseconds: enough to compare arithmetic. Nothing is downloaded and no weights
are kept in the repository.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    EulerDiscreteScheduler,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    PNDMScheduler,
    SchedulerMixin,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    BertTokenizer,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

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


WIDTH_2 = 40
"""Of SDXL's second text encoder."""
POOLED, SIZED = 24, 8
"""Lengths of SDXL's pooled text and of each embedded size."""
LATENT: Mapping[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
}
"""The noise schedule of latent diffusion."""


def classic(
    path: Path,
    prediction: str = "epsilon",
    seed: int = 0,
    channels: int = 16,
    taken: int = 4,
    scheduler: SchedulerMixin | None = None,
) -> Path:
    """CLIP tokenizer, KL autoencoder of factor 8, PNDM: the shape of Stable Diffusion 1.5. Native size 64."""
    torch.manual_seed(seed)
    tokenizer = _clip_tokenizer()
    scheduler = scheduler or PNDMScheduler(
        **LATENT,
        skip_prk_steps=True,
        set_alpha_to_one=False,
        prediction_type=prediction,
    )
    return _save(path, tokenizer, _kl(), _unet(8, None, channels, taken), scheduler)


def second(path: Path, seed: int = 9) -> Path:
    """Stable Diffusion 2.1: velocity, linear projections, heads by level, OpenCLIP's activation."""
    torch.manual_seed(seed)
    tokenizer = _clip_tokenizer(pad_token="!")
    unet = _unet(8, None, use_linear_projection=True, attention_head_dim=[2, 4])
    scheduler = DDIMScheduler(
        **LATENT, clip_sample=False, set_alpha_to_one=False, prediction_type="v_prediction"
    )
    return _save(path, tokenizer, _kl(), unet, scheduler, hidden_act="gelu")


def zero_terminal(path: Path, seed: int = 5) -> Path:
    """Velocity, a schedule that ends in pure noise, guidance rescaled: as Stable Diffusion 2.x may be tuned
    (Lin et al. 2023, arXiv:2305.08891).
    """
    scheduler = DDIMScheduler(
        **LATENT,
        clip_sample=False,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        set_alpha_to_one=False,
        timestep_spacing="trailing",
    )
    folder = classic(path, seed=seed, scheduler=scheduler)
    describe(folder, guidance_rescale=0.7)
    return folder


def consistent(path: Path, seed: int = 6, named: bool = True) -> Path:
    """A latent consistency model of Stable Diffusion's shape: its UNet is told the guidance scale. ``named``
    says whether the folder names the pipeline of its own, or the usual one.
    """
    torch.manual_seed(seed)
    unet = _unet(8, None, time_cond_proj_dim=12)
    kind = LatentConsistencyModelPipeline if named else StableDiffusionPipeline
    return _save(path, _clip_tokenizer(), _kl(), unet, LCMScheduler(**LATENT), kind)


def xl(
    path: Path,
    seed: int = 7,
    taken: int = 4,
    scheduler: SchedulerMixin | None = None,
    guided: int | None = None,
) -> Path:
    """Two CLIP encoders, pooled text and sizes beside the timestep: the shape of SDXL. Native size 64.

    ``guided`` is the length of the embedded guidance scale, where the UNet takes one.
    """
    torch.manual_seed(seed)
    tokenizers = _clip_tokenizer(), _clip_tokenizer(pad_token="!")
    unet = _unet(
        8,
        "text_time",
        taken=taken,
        cross_attention_dim=WIDTH + WIDTH_2,
        addition_time_embed_dim=SIZED,
        projection_class_embeddings_input_dim=6 * SIZED + POOLED,
        use_linear_projection=True,
        time_cond_proj_dim=guided,
    )
    pipeline = StableDiffusionXLPipeline(
        vae=_kl().eval(),
        text_encoder=_text_encoder(tokenizers[0]),
        text_encoder_2=_text_encoder(tokenizers[1], CLIPTextModelWithProjection, WIDTH_2),
        tokenizer=tokenizers[0],
        tokenizer_2=tokenizers[1],
        unet=unet,
        scheduler=scheduler or EulerDiscreteScheduler(**LATENT, timestep_spacing="leading"),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )
    pipeline.save_pretrained(path, safe_serialization=True)
    return path


def lightning(path: Path, prediction: str = "epsilon", seed: int = 8) -> Path:
    """SDXL for few steps: trailing timesteps, the noise or the picture itself predicted."""
    scheduler = EulerDiscreteScheduler(**LATENT, timestep_spacing="trailing", prediction_type=prediction)
    return xl(path, seed, scheduler=scheduler)


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


def _kl() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
    )


def _clip_tokenizer(**options: str) -> CLIPTokenizer:
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    pieces = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocab = {piece: index for index, piece in enumerate(pieces)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=77, **options)


def _wordpiece_tokenizer(path: Path) -> BertTokenizer:
    letters = [letter for code in range(ord("a"), ord("z") + 1) for letter in (chr(code), "##" + chr(code))]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters]
    unique = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    return BertTokenizer(vocab=unique, model_max_length=16)


def _text_encoder(tokenizer: Any, kind: type[Any] = CLIPTextModel, width: int = WIDTH, **options: Any) -> Any:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=0,
        eos_token_id=len(tokenizer) - 1,
        pad_token_id=tokenizer.pad_token_id or 0,
        projection_dim=POOLED,
        **options,
    )
    return kind(config).eval()


def _unet(
    sample_size: int, addition: str | None, channels: int = 16, taken: int = 4, **options: Any
) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=sample_size,
        in_channels=taken,
        out_channels=4,
        block_out_channels=(channels, 2 * channels),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        **{"cross_attention_dim": WIDTH, "attention_head_dim": 4, **options},
        norm_num_groups=8,
        addition_embed_type=addition,
        addition_embed_type_num_heads=4,
    ).eval()


def _save(
    path: Path,
    tokenizer: Any,
    vae: Any,
    unet: UNet2DConditionModel,
    scheduler: Any,
    kind: type[Any] = StableDiffusionPipeline,
    **options: Any,
) -> Path:
    pipeline = kind(
        vae=vae.eval(),
        text_encoder=_text_encoder(tokenizer, **options),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(path, safe_serialization=True)
    return path
