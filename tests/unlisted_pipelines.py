"""Tiny pipelines of random weights, of classes that the engine's table does not list; one function each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel, VQModel
from transformers import UMT5Config, UMT5EncoderModel

from tests.pipelines import (
    LATENT,
    WIDTH,
    _clip_tokenizer,
    _text_encoder,
    _unet,
    _wordpiece_tokenizer,
    describe,
)
from tests.stock_pipelines import _clip_text, _kl, _sana_parts, _t5, hunyuan_dit


def build(name: str, path: Path) -> Path:
    """The tiny pipeline of a class's name, in diffusers' folder format."""
    torch.manual_seed(0)
    pipeline, size = BUILDERS[name](path)
    assert type(pipeline).__name__ == name
    pipeline.save_pretrained(path, safe_serialization=True)
    if size:
        describe(path, native_size=size)
    return path


def _shifted(levels: int) -> AutoencoderKL:
    """Of factor 2 to the power of ``levels - 1``, its latents not around zero."""
    return AutoencoderKL(
        block_out_channels=(8,) * levels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        latent_channels=4,
        norm_num_groups=4,
        shift_factor=0.1,
        scaling_factor=1.3,
        use_quant_conv=False,
        use_post_quant_conv=False,
    ).eval()


def _lively(network: Any) -> Any:
    """Weights so large that a text tells in the picture."""
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return network.eval()


def aura_flow(path: Path) -> tuple[Any, int]:
    """Trained by flow matching, with a table of positions that it cannot leave."""
    config = UMT5Config(vocab_size=40, d_model=WIDTH, d_kv=8, d_ff=32, num_layers=1, num_heads=4)
    transformer = diffusers.AuraFlowTransformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        num_mmdit_layers=1,
        num_single_dit_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_projection_dim=32,
        joint_attention_dim=WIDTH,
        out_channels=4,
        pos_embed_max_size=16,
    ).eval()
    return diffusers.AuraFlowPipeline(
        tokenizer=_t5()["tokenizer"],
        text_encoder=UMT5EncoderModel(config).eval(),
        vae=_kl(),
        transformer=_lively(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.73),
    ), 0


def chroma(path: Path) -> tuple[Any, int]:
    """FLUX without CLIP: packed latents, and pipelines that start from a picture."""
    transformer = diffusers.ChromaTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(4, 4, 8),
        approximator_hidden_dim=32,
        approximator_layers=1,
        approximator_num_channels=16,
    ).eval()
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    return diffusers.ChromaPipeline(
        **_t5(), vae=_shifted(3), transformer=transformer, scheduler=scheduler
    ), 48


def perturbed(path: Path) -> tuple[Any, int]:
    """Perturbed-attention guidance, which changes the attention of a UNet while it paints."""
    tokenizer = _clip_tokenizer()
    scheduler = diffusers.DDIMScheduler(**LATENT, set_alpha_to_one=False, clip_sample=False)
    return diffusers.StableDiffusionPAGPipeline(
        vae=_kl(),
        text_encoder=_text_encoder(tokenizer),
        tokenizer=tokenizer,
        unet=_unet(8, None),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        pag_applied_layers=["mid", "up"],
    ), 0


def latent_diffusion(path: Path) -> tuple[Any, int]:
    """The first of its kind: an encoder of its own, and no negative prompt."""
    from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion import LDMBertConfig, LDMBertModel

    tokenizer = _wordpiece_tokenizer(path)
    config = LDMBertConfig(
        vocab_size=len(tokenizer),
        d_model=WIDTH,
        encoder_layers=1,
        encoder_ffn_dim=32,
        encoder_attention_heads=4,
        head_dim=8,
    )
    return diffusers.LDMTextToImagePipeline(
        vqvae=_kl(),
        bert=LDMBertModel(config).eval(),
        tokenizer=tokenizer,
        unet=_unet(8, None),
        scheduler=diffusers.DDIMScheduler(**LATENT, set_alpha_to_one=False, clip_sample=False),
    ), 0


def cascade(path: Path) -> tuple[Any, int]:
    """Two stages and an autoencoder of its own; its steps and its guidance belong to different stages."""
    from diffusers.pipelines.deprecated.wuerstchen import PaellaVQModel

    def unet(**options: Any) -> Any:
        return _lively(
            diffusers.StableCascadeUNet(
                conditioning_dim=16,
                block_out_channels=(16, 16),
                num_attention_heads=(2, 2),
                down_num_layers_per_block=(1, 1),
                up_num_layers_per_block=(1, 1),
                clip_text_pooled_in_channels=WIDTH,
                dropout=(0.0, 0.0),
                **options,
            )
        )

    pipeline = diffusers.StableCascadeCombinedPipeline(
        tokenizer=_clip_tokenizer(),
        text_encoder=_clip_text(),
        decoder=unet(in_channels=4, out_channels=4, effnet_in_channels=16, patch_size=2),
        scheduler=diffusers.DDPMWuerstchenScheduler(),
        vqgan=PaellaVQModel(bottleneck_blocks=1, embed_dim=8, num_vq_embeddings=16).eval(),
        prior_prior=unet(
            in_channels=16,
            out_channels=16,
            clip_text_in_channels=WIDTH,
            clip_image_in_channels=24,
            switch_level=(False,),
        ),
        prior_text_encoder=_clip_text(),
        prior_tokenizer=_clip_tokenizer(),
        prior_scheduler=diffusers.DDPMWuerstchenScheduler(),
    )
    return pipeline, 128


def lumina2(path: Path) -> tuple[Any, int]:
    """A language model's hidden states, positions by tables along each axis."""
    parts = _sana_parts(False)
    transformer = diffusers.Lumina2Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        hidden_size=24,
        num_layers=1,
        num_refiner_layers=1,
        num_attention_heads=3,
        num_kv_heads=1,
        multiple_of=2,
        axes_dim_rope=(4, 2, 2),
        axes_lens=(300, 16, 16),
        cap_feat_dim=WIDTH,
    ).eval()
    return diffusers.Lumina2Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_shifted(4),
        text_encoder=parts["text_encoder"],
        tokenizer=parts["tokenizer"],
    ), 0


def quantized(path: Path) -> tuple[Any, int]:
    """Discrete diffusion on the tokens of a picture, in one size."""
    from diffusers.pipelines.deprecated.vq_diffusion import LearnedClassifierFreeSamplingEmbeddings

    vqvae = VQModel(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=3,
        norm_num_groups=4,
        num_vq_embeddings=12,
        vq_embed_dim=3,
        layers_per_block=1,
    ).eval()
    transformer = diffusers.Transformer2DModel(
        attention_bias=True,
        cross_attention_dim=WIDTH,
        attention_head_dim=12,
        num_attention_heads=2,
        num_vector_embeds=12 + 1,
        num_embeds_ada_norm=12,
        norm_type="ada_norm",
        sample_size=4,
        activation_fn="geglu-approximate",
    )
    tokenizer = _clip_tokenizer()
    return diffusers.VQDiffusionPipeline(
        vqvae=vqvae,
        text_encoder=_text_encoder(tokenizer),
        tokenizer=tokenizer,
        transformer=_lively(transformer),
        scheduler=diffusers.VQDiffusionScheduler(num_vec_classes=13),
        learned_classifier_free_sampling_embeddings=LearnedClassifierFreeSamplingEmbeddings(learnable=False),
    ), 16


def hunyuan_perturbed(path: Path) -> tuple[Any, int]:
    """The same parts as of a family that is listed, under another pipeline."""
    pipeline, size = hunyuan_dit(path)
    return diffusers.HunyuanDiTPAGPipeline(
        **pipeline.components, requires_safety_checker=False, pag_applied_layers="blocks.0"
    ), size


def alternative(path: Path) -> tuple[Any, int]:
    """Another text encoder on Stable Diffusion, in a module that was moved."""
    from diffusers.pipelines.deprecated.alt_diffusion.modeling_roberta_series import (
        RobertaSeriesConfig,
        RobertaSeriesModelWithTransformation,
    )

    tokenizer = _clip_tokenizer()
    config = RobertaSeriesConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        project_dim=WIDTH,
        intermediate_size=37,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=100,
    )
    unet: UNet2DConditionModel = _unet(8, None)
    return diffusers.AltDiffusionPipeline(
        vae=_kl(),
        text_encoder=RobertaSeriesModelWithTransformation(config).eval(),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=diffusers.DDIMScheduler(**LATENT, set_alpha_to_one=False, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ), 0


BUILDERS: Mapping[str, Callable[[Path], tuple[Any, int]]] = {
    "AuraFlowPipeline": aura_flow,
    "ChromaPipeline": chroma,
    "StableDiffusionPAGPipeline": perturbed,
    "LDMTextToImagePipeline": latent_diffusion,
    "StableCascadeCombinedPipeline": cascade,
    "Lumina2Pipeline": lumina2,
    "VQDiffusionPipeline": quantized,
    "HunyuanDiTPAGPipeline": hunyuan_perturbed,
    "AltDiffusionPipeline": alternative,
}
