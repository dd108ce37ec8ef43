"""Trains the autoencoder: AutoencoderTiny, factor 4, 4 latent channels of about unit variance.

    python -m training.vae --minutes 8
    python -m training.vae --minutes 30 --decoder     # later, beside the denoiser: sharper, same latents

Four channels, because the stock inpainting pipeline takes a plain UNet only with four.
"""

from __future__ import annotations

import argparse
import random

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor
from torch.nn import functional as F

from training.common import Clock, load, log, prepare, save
from training.paths import EXPORT, RUNS
from training.scenes import draw_scene, paint

CHECKPOINT = RUNS / "vae.pt"
SHARPENED = RUNS / "decoder.pt"
BATCH = 16


def build() -> AutoencoderTiny:
    """An untrained autoencoder: (B, 3, 64, 64) in -1..1 to (B, 4, 16, 16) and back."""
    return AutoencoderTiny(
        encoder_block_out_channels=(48, 48, 48),
        decoder_block_out_channels=(48, 48, 48),
        num_encoder_blocks=(0, 2, 3),
        num_decoder_blocks=(3, 2, 0),
        latent_channels=4,
        upsampling_scaling_factor=2,
        scaling_factor=1.0,
    )


def trained() -> AutoencoderTiny:
    """The autoencoder of the last checkpoint, or the shipped one, in evaluation mode."""
    state = load(SHARPENED) or load(CHECKPOINT)
    vae = build()
    if state is None:
        vae.load_state_dict(
            AutoencoderTiny.from_pretrained(EXPORT / "vae", use_safetensors=True).state_dict()
        )
    else:
        vae.load_state_dict(state["vae"])
    return vae.eval().requires_grad_(False)


def pictures(count: int, seed: int) -> Tensor:
    """(count, 3, 64, 64) scenes as bytes."""
    rng = random.Random(seed)
    stack = np.stack([np.asarray(paint(rng, draw_scene(rng))) for _ in range(count)])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).contiguous()


def as_floats(batch: Tensor) -> Tensor:
    """Bytes to floats in -1..1."""
    floats: Tensor = batch.float().div_(127.5).sub_(1)
    return floats


def loss_of(vae: AutoencoderTiny, x: Tensor) -> Tensor:
    """Colour, edges and latent statistics: each channel is pulled to mean 0 and variance 1."""
    z = vae.encoder(x)
    y = vae.decoder(z + 0.04 * torch.randn_like(z)).float()
    z = z.float()
    edges = sum((F.l1_loss(y.diff(dim=dim), x.diff(dim=dim)) for dim in (2, 3)), torch.zeros(()))
    spread = z.var(dim=(0, 2, 3)).clamp_min(1e-4)
    moments = z.mean(dim=(0, 2, 3)).square().mean() + spread.log().square().mean()
    reach = (z.abs() - 2.7).clamp_min(0).square().mean()  # the decoder squashes latents at 3
    loss: Tensor = F.mse_loss(y, x) * 2 + F.l1_loss(y, x) * 0.5 + edges + 0.02 * moments + reach
    return loss


def psnr(vae: AutoencoderTiny, bytes_: Tensor) -> float:
    """Peak signal-to-noise ratio in dB on pictures not trained on."""
    with torch.no_grad():
        x = as_floats(bytes_)
        y = vae.decoder(vae.encoder(x)).clamp(-1, 1)
        return float(10 * torch.log10(4 / F.mse_loss(y, x)))


def train(minutes: float) -> None:
    """Train encoder and decoder together."""
    train, test = pictures(10000, 1), pictures(64, 2)
    vae = build().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(vae.parameters(), lr=2e-3, weight_decay=0.0, fused=True)
    state = load(CHECKPOINT)
    if state:
        vae.load_state_dict(state["vae"])
        optimiser.load_state_dict(state["optimiser"])
    clock, step = Clock(minutes, state["spent"] if state else 0.0), 0
    while clock.share < 1:
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 50) * max(0.02, 1 - clock.share)
        x = as_floats(train[torch.randint(len(train), (BATCH,))]).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of(vae, x)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        step += 1
        if step % 100 == 0 or clock.share >= 1:
            log(RUNS / "vae.log", step=step, spent=clock.spent, loss=loss.item(), psnr=psnr(vae, test))
            save(
                CHECKPOINT,
                {"vae": vae.state_dict(), "optimiser": optimiser.state_dict(), "spent": clock.spent},
            )


def decoder_loss(vae: AutoencoderTiny, latents: Tensor, x: Tensor) -> Tensor:
    """Sharpness first: absolute differences of colours and of edges, on slightly noisy latents."""
    y = vae.decoder(latents + 0.05 * torch.randn_like(latents)).float()
    edges = sum((F.l1_loss(y.diff(dim=dim), x.diff(dim=dim)) for dim in (2, 3)), torch.zeros(()))
    return F.l1_loss(y, x) + 1.5 * edges


def train_decoder(vae: AutoencoderTiny, minutes: float) -> None:
    """Sharpen the decoder alone, on the denoiser's scenes; latents and denoiser stay as they are."""
    scenes, coded, test = load(RUNS / "scenes.pt"), load(RUNS / "latents.pt"), pictures(64, 2)
    assert scenes is not None and coded is not None
    optimiser = torch.optim.AdamW(vae.decoder.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.0)
    clock, step = Clock(minutes), 0
    while clock.share < 1:
        optimiser.param_groups[0]["lr"] = 1e-3 * min(1, (step + 1) / 50) * max(0.03, 1 - clock.share)
        pick = torch.randint(len(scenes["pictures"]), (BATCH // 2,))
        x = as_floats(scenes["pictures"][pick]).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = decoder_loss(vae, coded["latents"][pick].float(), x)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(vae.decoder.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        step += 1
        if step % 100 == 0 or clock.share >= 1:
            log(RUNS / "vae.log", decoder=step, spent=clock.spent, loss=loss.item(), psnr=psnr(vae, test))
            save(SHARPENED, {"vae": vae.state_dict(), "spent": clock.spent})


def main() -> None:
    """Train until the planned minutes are spent; a second call resumes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--decoder", action="store_true", help="the second stage; the encoder is frozen")
    options = parser.parse_args()
    prepare(1)
    if options.decoder:
        train_decoder(trained().requires_grad_(True).to(memory_format=torch.channels_last), options.minutes)
    else:
        train(options.minutes)


if __name__ == "__main__":
    main()
