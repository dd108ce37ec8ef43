"""Tiny pipelines of random weights, of the families that were trained by flow matching; one function each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler
from tokenizers.processors import TemplateProcessing
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    GlmConfig,
    GlmModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2TokenizerFast,
    Qwen3Config,
    Qwen3Model,
)

from tests.pipelines import _clip_tokenizer, describe
from tests.stock_pipelines import LETTERS, _t5

WIDTH = 32
"""Of T5's hidden states, and of what the transformers take."""
SIDE = 32
"""Native size in pixels: of a VAE of factor 4, two latents to a patch."""


def build(name: str, path: Path, **options: Any) -> Path:
    """The tiny pipeline of a family's name, in diffusers' folder format."""
    torch.manual_seed(0)
    pipeline = BUILDERS[name](**options)
    pipeline.save_pretrained(path, safe_serialization=True)
    describe(path, native_size=SIDE, steps=4)
    return path


def _vae(shift: bool = True, channels: int = 16) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=4,
        sample_size=SIDE,
        scaling_factor=0.3611,
        shift_factor=0.1159 if shift else None,
        use_quant_conv=False,
        use_post_quant_conv=False,
    ).eval()


def _clip(kind: Any, width: int) -> Any:
    config = CLIPTextConfig(
        vocab_size=200,
        hidden_size=width,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=width,
        eos_token_id=189,
        bos_token_id=188,
        pad_token_id=1,
    )
    return kind(config).eval()


def _tokenizer() -> Qwen2TokenizerFast:
    pieces = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "Ġ", "Ċ", *"<>/:,.'", *LETTERS, *LETTERS.upper()]
    tokenizer = Qwen2TokenizerFast(vocab={piece: place for place, piece in enumerate(pieces)}, merges=[])
    # As GLM's has it: there is a token even where there is no text.
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
    )
    tokenizer.chat_template = "{% for message in messages %}<|im_start|>{{ message['content'] }}{% endfor %}"
    return tokenizer


def sd3(missing: tuple[str, ...] = (), twice: tuple[int, ...] = ()) -> Any:
    """Two CLIP encoders of different width and T5; ``missing`` names those that are not there. Layers
    ``twice`` attend twice, as SD3.5 medium's do.
    """
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        caption_projection_dim=16,
        pooled_projection_dim=28,
        out_channels=16,
        pos_embed_max_size=8,
        qk_norm="rms_norm",
        dual_attention_layers=twice,
    ).eval()
    third = _t5()
    parts = {
        "text_encoder": _clip(CLIPTextModelWithProjection, 12),
        "tokenizer": _clip_tokenizer(),
        "text_encoder_2": _clip(CLIPTextModelWithProjection, 16),
        "tokenizer_2": _clip_tokenizer(),
        "text_encoder_3": third["text_encoder"],
        "tokenizer_3": third["tokenizer"],
    }
    return diffusers.StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(),
        **{**parts, **dict.fromkeys(missing)},
    )


def flux(embedded: bool = True, layers: int = 1) -> Any:
    """Guidance as an input, and steps shifted by the size; or neither."""
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=layers,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=12,
        guidance_embeds=embedded,
        axes_dims_rope=(2, 2, 4),
    ).eval()
    second = _t5()
    return diffusers.FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(
            shift=3.0 if embedded else 1.0, use_dynamic_shifting=embedded
        ),
        vae=_vae(channels=4),
        text_encoder=_clip(CLIPTextModel, 12),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=second["text_encoder"],
        tokenizer_2=second["tokenizer"],
        transformer=transformer,
    )


def schnell(layers: int = 1) -> Any:
    """FLUX without a guidance."""
    return flux(embedded=False, layers=layers)


def z_image() -> Any:
    """Qwen3 as text encoder; texts of their own length."""
    config = Qwen3Config(
        vocab_size=80,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=1024,
    )
    transformer = diffusers.ZImageTransformer2DModel(
        all_patch_size=(2,),
        all_f_patch_size=(1,),
        in_channels=16,
        dim=16,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=1,
        cap_feat_dim=16,
        axes_dims=[2, 2, 4],
        axes_lens=[640, 8, 8],
    ).eval()
    for token in (transformer.x_pad_token, transformer.cap_pad_token):
        torch.nn.init.normal_(token)  # these come without any numbers
    return diffusers.ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(),
        text_encoder=Qwen3Model(config).eval(),
        tokenizer=_tokenizer(),
        transformer=transformer,
    )


def qwen_image() -> Any:
    """Qwen2.5-VL as text encoder, an autoencoder of films, steps that end above zero."""
    shape = {"hidden_size": 16, "intermediate_size": 16}
    config = Qwen2_5_VLConfig(
        text_config={
            **shape,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
            "vocab_size": 80,
        },
        vision_config={
            **shape,
            "depth": 1,
            "num_heads": 2,
            "out_hidden_size": 16,
        },
        vocab_size=80,
    )
    vae = diffusers.AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True],
        latents_mean=[0.1, -0.2, 0.3, 0.0],
        latents_std=[1.5, 0.7, 1.0, 2.0],
    ).eval()
    transformer = diffusers.QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=16,
        axes_dims_rope=(2, 2, 4),
    ).eval()
    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True,
        base_shift=0.5,
        max_shift=0.9,
        max_image_seq_len=8192,
        shift_terminal=0.02,
    )
    return diffusers.QwenImagePipeline(
        scheduler=scheduler,
        vae=vae,
        text_encoder=Qwen2_5_VLForConditionalGeneration(config).eval(),
        tokenizer=_tokenizer(),
        transformer=transformer,
    )


def cogview4() -> Any:
    """GLM as text encoder; timesteps that are not the noise levels."""
    config = GlmConfig(
        vocab_size=80,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        pad_token_id=0,
        eos_token_id=0,
    )
    transformer = diffusers.CogView4Transformer2DModel(
        patch_size=2,
        in_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        out_channels=16,
        text_embed_dim=16,
        time_embed_dim=8,
        condition_dim=4,
        pos_embed_max_size=8,
        sample_size=8,
        rope_axes_dim=(16, 16),
    ).eval()
    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.25, max_shift=0.75, time_shift_type="linear"
    )
    return diffusers.CogView4Pipeline(
        tokenizer=_tokenizer(),
        text_encoder=GlmModel(config).eval(),
        vae=_vae(shift=False),
        transformer=transformer,
        scheduler=scheduler,
    )


BUILDERS: Mapping[str, Callable[..., Any]] = {
    "sd3": sd3,
    "flux": flux,
    "schnell": schnell,
    "z-image": z_image,
    "qwen-image": qwen_image,
    "cogview4": cogview4,
}
