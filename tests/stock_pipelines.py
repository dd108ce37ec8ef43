"""Tiny pipelines of random weights, of the families that run as diffusers wrote them; one function each."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderDC, AutoencoderKL, UNet2DConditionModel, UNet2DModel, VQModel
from transformers import (
    BertConfig,
    BertModel,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    Gemma2Config,
    Gemma2Model,
    GemmaTokenizer,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    Qwen2TokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
    XLMRobertaTokenizer,
)

from tests.pipelines import _clip_tokenizer, _wordpiece_tokenizer, describe

WIDTH = 32
"""Of every text embedding."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def build(name: str, path: Path) -> Path:
    """The tiny pipeline of a family's name, in diffusers' folder format."""
    torch.manual_seed(0)
    pipeline, size = BUILDERS[name](path)
    pipeline.save_pretrained(path, safe_serialization=True)
    describe(path, native_size=size, steps=2)
    return path


def _t5() -> dict[str, Any]:
    pieces = ["<pad>", "</s>", "<unk>", "▁", *LETTERS]
    tokenizer = T5Tokenizer(
        vocab=[(piece, -float(place > 2)) for place, piece in enumerate(pieces)],
        extra_ids=0,
        model_max_length=16,
    )
    config = T5Config(vocab_size=40, d_model=WIDTH, d_kv=8, d_ff=32, num_layers=1, num_heads=4)
    return {"tokenizer": tokenizer, "text_encoder": T5EncoderModel(config).eval()}


def _clip_text() -> CLIPTextModelWithProjection:
    config = CLIPTextConfig(
        vocab_size=200,
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=WIDTH,
        eos_token_id=189,
        bos_token_id=188,
        pad_token_id=1,
    )
    return CLIPTextModelWithProjection(config).eval()


def _kl(channels: int = 4) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=channels,
        norm_num_groups=4,
        sample_size=32,
    ).eval()


def _vq(channels: int = 4, width: int = 16, **options: Any) -> VQModel:
    return VQModel(
        block_out_channels=(width, width),
        down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
        latent_channels=channels,
        norm_num_groups=8,
        num_vq_embeddings=12,
        vq_embed_dim=channels,
        layers_per_block=1,
        **options,
    ).eval()


def kolors(path: Path) -> tuple[Any, int]:
    """ChatGLM text encoder, SDXL's UNet behind a projection of the text."""
    import sentencepiece
    from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig, ChatGLMModel
    from diffusers.pipelines.kolors.tokenizer import ChatGLMTokenizer

    model = io.BytesIO()
    words = iter([f"{a}{b} {b}{a}" for a in LETTERS for b in LETTERS])
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=words, model_writer=model, vocab_size=60, hard_vocab_limit=False, minloglevel=2
    )
    path.mkdir(parents=True, exist_ok=True)
    (path / "made.model").write_bytes(model.getvalue())
    encoder = ChatGLMModel(
        ChatGLMConfig(
            num_layers=2,
            padded_vocab_size=80,
            hidden_size=WIDTH,
            ffn_hidden_size=32,
            kv_channels=8,
            num_attention_heads=4,
            multi_query_attention=True,
            multi_query_group_num=2,
            seq_length=256,
            rmsnorm=True,
            original_rope=True,
            post_layer_norm=True,
            add_bias_linear=False,
            add_qkv_bias=True,
            apply_residual_connection_post_layernorm=False,
        )
    ).eval()
    for weight in encoder.parameters():
        torch.nn.init.normal_(weight, std=0.1)  # its layers skip that
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 1),
        projection_class_embeddings_input_dim=8 * 6 + WIDTH,
        cross_attention_dim=24,
        encoder_hid_dim=WIDTH,
        encoder_hid_dim_type="text_proj",
        norm_num_groups=4,
    ).eval()
    scheduler = diffusers.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.014, num_train_timesteps=1100, beta_schedule="scaled_linear"
    )
    tokenizer = ChatGLMTokenizer(str(path / "made.model"))
    return (
        diffusers.KolorsPipeline(
            _kl(), encoder, tokenizer, unet, scheduler, force_zeros_for_empty_prompt=False
        ),
        64,
    )


def hunyuan_dit(path: Path) -> tuple[Any, int]:
    """Two text encoders, DDPM with learned variance."""
    tokenizer = _wordpiece_tokenizer(path)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=77,
    )
    transformer = diffusers.HunyuanDiT2DModel(
        sample_size=8,
        num_layers=2,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=3,
        in_channels=4,
        cross_attention_dim=WIDTH,
        cross_attention_dim_t5=WIDTH,
        pooled_projection_dim=16,
        hidden_size=24,
        activation_fn="gelu-approximate",
    ).eval()
    second = _t5()
    pipeline = diffusers.HunyuanDiTPipeline(
        vae=_kl(),
        text_encoder=BertModel(config).eval(),
        tokenizer=tokenizer,
        transformer=transformer,
        scheduler=diffusers.DDPMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        text_encoder_2=second["text_encoder"],
        tokenizer_2=second["tokenizer"],
    )
    return pipeline, 64


def cogview3(path: Path) -> tuple[Any, int]:
    """T5 and a DiT with sizes as conditions."""
    transformer = diffusers.CogView3PlusTransformer2DModel(
        patch_size=2,
        in_channels=4,
        num_layers=1,
        attention_head_dim=4,
        num_attention_heads=2,
        out_channels=4,
        text_embed_dim=WIDTH,
        time_embed_dim=8,
        condition_dim=2,
        pos_embed_max_size=8,
        sample_size=8,
    ).eval()
    scheduler = diffusers.CogVideoXDDIMScheduler()
    return diffusers.CogView3PlusPipeline(
        **_t5(), vae=_kl(), transformer=transformer, scheduler=scheduler
    ), 64


def _pixart(kind: Any) -> tuple[Any, int]:
    transformer = diffusers.PixArtTransformer2DModel(
        sample_size=8,
        num_layers=2,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=3,
        caption_channels=WIDTH,
        in_channels=4,
        cross_attention_dim=24,
        out_channels=8,
        attention_bias=True,
        activation_fn="gelu-approximate",
        num_embeds_ada_norm=1000,
        norm_type="ada_norm_single",
        norm_elementwise_affine=False,
        norm_eps=1e-6,
        use_additional_conditions=False,
    ).eval()
    scheduler = diffusers.DPMSolverMultistepScheduler()
    return kind(**_t5(), vae=_kl(), transformer=transformer, scheduler=scheduler), 64


def pixart_alpha(path: Path) -> tuple[Any, int]:
    """T5 and a DiT with learned variance."""
    return _pixart(diffusers.PixArtAlphaPipeline)


def pixart_sigma(path: Path) -> tuple[Any, int]:
    """The same with longer texts."""
    return _pixart(diffusers.PixArtSigmaPipeline)


def _sana_parts(sprint: bool) -> dict[str, Any]:
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *LETTERS]
    tokenizer = GemmaTokenizer(vocab={piece: place for place, piece in enumerate(pieces)}, merges=[])
    config = Gemma2Config(
        vocab_size=40,
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    vae = AutoencoderDC(
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.41407,
    ).eval()
    transformer = diffusers.SanaTransformer2DModel(
        patch_size=1,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=4,
        num_cross_attention_heads=2,
        cross_attention_head_dim=4,
        cross_attention_dim=8,
        caption_channels=WIDTH,
        sample_size=32,
        qk_norm="rms_norm_across_heads" if sprint else None,
        guidance_embeds=sprint,
    ).eval()
    encoder = Gemma2Model(config).eval()
    return {"tokenizer": tokenizer, "text_encoder": encoder, "vae": vae, "transformer": transformer}


def sana(path: Path) -> tuple[Any, int]:
    """Gemma and a deep autoencoder."""
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0)
    return diffusers.SanaPipeline(**_sana_parts(False), scheduler=scheduler), 32


def sana_sprint(path: Path) -> tuple[Any, int]:
    """Distilled to two steps, with a scheduler of its own."""
    return diffusers.SanaSprintPipeline(**_sana_parts(True), scheduler=diffusers.SCMScheduler()), 32


def _chat_tokenizer() -> Qwen2TokenizerFast:
    pieces = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "Ġ", "Ċ", "<", ">", "/", *LETTERS]
    tokenizer = Qwen2TokenizerFast(vocab={piece: place for place, piece in enumerate(pieces)}, merges=[])
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    return tokenizer


def _flux2_parts(guidance_embeds: bool) -> dict[str, Any]:
    vae = diffusers.AutoencoderKLFlux2(
        sample_size=32,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        latent_channels=1,
        norm_num_groups=4,
        use_quant_conv=False,
        use_post_quant_conv=False,
    ).eval()
    transformer = diffusers.Flux2Transformer2DModel(
        patch_size=1,
        in_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=48,
        timestep_guidance_channels=256,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=guidance_embeds,
    ).eval()
    return {"vae": vae, "transformer": transformer}


def flux2(path: Path) -> tuple[Any, int]:
    """Mistral as text encoder, of which three layers are heard."""
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "head_dim": 8}
    config = Mistral3Config(
        text_config={
            "model_type": "mistral",
            **shape,
            "vocab_size": 60,
            "num_hidden_layers": 31,
            "num_key_value_heads": 1,
        },
        vision_config={
            "model_type": "pixtral",
            **shape,
            "num_hidden_layers": 1,
            "image_size": 28,
            "patch_size": 14,
        },
    )
    pipeline = diffusers.Flux2Pipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        text_encoder=Mistral3ForConditionalGeneration(config).eval(),
        tokenizer=_chat_tokenizer(),
        **_flux2_parts(guidance_embeds=True),
    )
    return pipeline, 64


def flux2_klein(path: Path) -> tuple[Any, int]:
    """Qwen3 as text encoder, packed latents."""
    config = Qwen3Config(
        vocab_size=60,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=28,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        pad_token_id=0,
    )
    pipeline = diffusers.Flux2KleinPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        text_encoder=Qwen3ForCausalLM(config).eval(),
        tokenizer=_chat_tokenizer(),
        **_flux2_parts(guidance_embeds=False),
    )
    return pipeline, 64


def _kandinsky_prior() -> dict[str, Any]:
    """From a text to the embedding of a picture."""
    prior = diffusers.PriorTransformer(
        num_attention_heads=2,
        attention_head_dim=12,
        embedding_dim=WIDTH,
        num_layers=1,
        num_embeddings=77,
    ).eval()
    with torch.no_grad():
        prior.clip_std.fill_(1.0)
    vision = CLIPVisionConfig(
        hidden_size=WIDTH,
        image_size=32,
        projection_dim=WIDTH,
        intermediate_size=32,
        num_attention_heads=4,
        num_hidden_layers=1,
        patch_size=16,
    )
    return {
        "prior_prior": prior,
        "prior_image_encoder": CLIPVisionModelWithProjection(vision).eval(),
        "prior_text_encoder": _clip_text(),
        "prior_tokenizer": _clip_tokenizer(),
        "prior_scheduler": diffusers.UnCLIPScheduler(
            variance_type="fixed_small_log", prediction_type="sample", clip_sample=True, clip_sample_range=5.0
        ),
        "prior_image_processor": CLIPImageProcessor(crop_size=32, size=32),
    }


def _kandinsky_decoder(channels: int, **options: Any) -> dict[str, Any]:
    """From the embedding to the picture; of nine channels, it sees a mask and what that keeps."""
    unet = UNet2DConditionModel(
        in_channels=channels,
        out_channels=8,
        sample_size=8,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        block_out_channels=(16, 32),
        layers_per_block=1,
        encoder_hid_dim=WIDTH,
        attention_head_dim=4,
        resnet_time_scale_shift="scale_shift",
        norm_num_groups=8,
        **{"cross_attention_dim": 16, **options},
    ).eval()
    scheduler = diffusers.DDIMScheduler(
        beta_schedule="linear", clip_sample=False, set_alpha_to_one=False, prediction_type="epsilon"
    )
    return {"unet": unet, "scheduler": scheduler, "movq": _vq(width=32, norm_type="spatial")}


def _kandinsky21(kind: Any, channels: int) -> tuple[Any, int]:
    """With a multilingual text encoder beside the prior's."""
    from diffusers.pipelines.kandinsky.text_encoder import MCLIPConfig, MultilingualCLIP

    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", *LETTERS, "<mask>"]
    vocab = [(piece, -float(place > 3)) for place, piece in enumerate(pieces)]
    config = MCLIPConfig(
        numDims=WIDTH,
        transformerDimensions=WIDTH,
        vocab_size=len(pieces) + 10,
        hidden_size=WIDTH,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=1,
    )
    decoder = _kandinsky_decoder(
        channels,
        addition_embed_type="text_image",
        encoder_hid_dim_type="text_image_proj",
        cross_attention_dim=WIDTH,
    )
    pipeline = kind(
        text_encoder=MultilingualCLIP(config).eval(),
        tokenizer=XLMRobertaTokenizer(vocab=vocab, model_max_length=77),
        **decoder,
        **_kandinsky_prior(),
    )
    return pipeline, 64


def kandinsky21(path: Path) -> tuple[Any, int]:
    """A prior as unCLIP has it, and a decoder that reads the text too."""
    return _kandinsky21(diffusers.KandinskyCombinedPipeline, 4)


def kandinsky21_inpaint(path: Path) -> tuple[Any, int]:
    """Its decoder sees what is kept."""
    return _kandinsky21(diffusers.KandinskyInpaintCombinedPipeline, 9)


def _kandinsky22(kind: Any, channels: int) -> tuple[Any, int]:
    decoder = _kandinsky_decoder(channels, addition_embed_type="image", encoder_hid_dim_type="image_proj")
    return kind(**decoder, **_kandinsky_prior()), 64


def kandinsky22(path: Path) -> tuple[Any, int]:
    """A prior from text to a picture's embedding, and a decoder of it."""
    return _kandinsky22(diffusers.KandinskyV22CombinedPipeline, 4)


def kandinsky22_inpaint(path: Path) -> tuple[Any, int]:
    """Its decoder sees what is kept."""
    return _kandinsky22(diffusers.KandinskyV22InpaintCombinedPipeline, 9)


def kandinsky3(path: Path) -> tuple[Any, int]:
    """T5 and a UNet of its own, without a prior."""
    unet = diffusers.Kandinsky3UNet(
        in_channels=4,
        time_embedding_dim=8,
        groups=2,
        attention_head_dim=4,
        layers_per_block=3,
        block_out_channels=(8, 16),
        cross_attention_dim=8,
        encoder_hid_dim=WIDTH,
    ).eval()
    scheduler = diffusers.DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, steps_offset=1, beta_schedule="squaredcos_cap_v2"
    )
    pipeline = diffusers.Kandinsky3Pipeline(
        **_t5(), unet=unet, scheduler=scheduler, movq=_vq(width=32, norm_type="spatial")
    )
    return pipeline, 64


def unclip(path: Path) -> tuple[Any, int]:
    """A prior, a decoder in pixels and two networks that enlarge; a scheduler for each."""
    from diffusers.pipelines.deprecated.unclip.text_proj import UnCLIPTextProjModel

    def enlarger() -> UNet2DModel:
        return UNet2DModel(
            sample_size=64,
            in_channels=6,
            out_channels=3,
            layers_per_block=1,
            down_block_types=("ResnetDownsampleBlock2D",) * 2,
            up_block_types=("ResnetUpsampleBlock2D",) * 2,
            block_out_channels=(8, 16),
            norm_num_groups=4,
        ).eval()

    decoder = UNet2DConditionModel(
        sample_size=16,
        in_channels=3,
        out_channels=6,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        block_out_channels=(16, 32),
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=4,
        resnet_time_scale_shift="scale_shift",
        class_embed_type="identity",
        norm_num_groups=8,
    ).eval()
    pipeline = diffusers.UnCLIPPipeline(
        prior=diffusers.PriorTransformer(
            num_attention_heads=2, attention_head_dim=12, embedding_dim=WIDTH, num_layers=1, num_embeddings=77
        ).eval(),
        decoder=decoder,
        text_encoder=_clip_text(),
        tokenizer=_clip_tokenizer(),
        text_proj=UnCLIPTextProjModel(
            clip_extra_context_tokens=2, clip_embeddings_dim=WIDTH, time_embed_dim=64, cross_attention_dim=16
        ).eval(),
        super_res_first=enlarger(),
        super_res_last=enlarger(),
        prior_scheduler=diffusers.UnCLIPScheduler(
            variance_type="fixed_small_log", prediction_type="sample", clip_sample_range=5.0
        ),
        decoder_scheduler=diffusers.UnCLIPScheduler(variance_type="learned_range", prediction_type="epsilon"),
        super_res_scheduler=diffusers.UnCLIPScheduler(
            variance_type="fixed_small_log", prediction_type="epsilon"
        ),
    )
    return pipeline, 64


def amused(path: Path) -> tuple[Any, int]:
    """Tokens in place of latents."""
    transformer = diffusers.UVit2DModel(
        hidden_size=8,
        use_bias=False,
        hidden_dropout=0.0,
        cond_embed_dim=WIDTH,
        micro_cond_encode_dim=2,
        micro_cond_embed_dim=10,
        encoder_hidden_size=WIDTH,
        vocab_size=12,
        codebook_size=12,
        in_channels=8,
        block_out_channels=8,
        num_res_blocks=1,
        downsample=True,
        upsample=True,
        block_num_heads=1,
        num_hidden_layers=1,
        num_attention_heads=1,
        attention_dropout=0.0,
        intermediate_size=8,
        layer_norm_eps=1e-6,
        ln_elementwise_affine=True,
    ).eval()
    pipeline = diffusers.AmusedPipeline(
        vqvae=_vq(8, lookup_from_codebook=True),
        tokenizer=_clip_tokenizer(),
        text_encoder=_clip_text(),
        transformer=transformer,
        scheduler=diffusers.AmusedScheduler(mask_token_id=11),
    )
    return pipeline, 32


def deepfloyd(path: Path) -> tuple[Any, int]:
    """In pixels, with T5."""
    unet = UNet2DConditionModel(
        sample_size=32,
        layers_per_block=1,
        block_out_channels=(16, 32),
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        in_channels=3,
        out_channels=6,
        cross_attention_dim=WIDTH,
        encoder_hid_dim=WIDTH,
        attention_head_dim=8,
        addition_embed_type="text",
        addition_embed_type_num_heads=2,
        cross_attention_norm="group_norm",
        resnet_time_scale_shift="scale_shift",
        act_fn="gelu",
        norm_num_groups=8,
    ).eval()
    scheduler = diffusers.DDPMScheduler(
        beta_schedule="squaredcos_cap_v2", thresholding=True, variance_type="learned_range"
    )
    pipeline = diffusers.IFPipeline(
        **_t5(),
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )
    return pipeline, 32


BUILDERS: Mapping[str, Callable[[Path], tuple[Any, int]]] = {
    "kolors": kolors,
    "hunyuan-dit": hunyuan_dit,
    "cogview3": cogview3,
    "pixart-alpha": pixart_alpha,
    "pixart-sigma": pixart_sigma,
    "sana": sana,
    "sana-sprint": sana_sprint,
    "flux2": flux2,
    "flux2-klein": flux2_klein,
    "kandinsky21": kandinsky21,
    "kandinsky21-inpaint": kandinsky21_inpaint,
    "kandinsky22": kandinsky22,
    "kandinsky22-inpaint": kandinsky22_inpaint,
    "kandinsky3": kandinsky3,
    "unclip": unclip,
    "amused": amused,
    "if": deepfloyd,
}
