"""Trains the autoencoder: AutoencoderTiny, factor 4, 4 latent channels of about unit variance.

    python -m training.vae --minutes 8                # goes on from the checkpoint, or from what ships
    python -m training.vae --minutes 30 --decoder     # later, beside the denoiser: sharper, same latents

Four channels, because the stock inpainting pipeline takes a plain UNet only with four.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from itertools import islice

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor
from torch.nn import functional as F

from training import shards
from training.common import Clock, device, load, log, prepare, save
from training.paths import EXPORT, RUNS
from training.scenes import draw_scene, paint

CHECKPOINT = RUNS / "vae.pt"
RATE, SHARDS = 2e-3, 16


def build() -> AutoencoderTiny:
    """An untrained autoencoder: (B, 3, 128, 128) in -1..1 to (B, 4, 32, 32) and back."""
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
    state = load(CHECKPOINT)
    vae = build()
    if state is None:
        vae.load_state_dict(
            AutoencoderTiny.from_pretrained(EXPORT / "vae", use_safetensors=True).state_dict()
        )
    else:
        vae.load_state_dict(state["vae"])
    return vae.eval().requires_grad_(False)


def pictures(count: int, seed: int) -> Tensor:
    """(count, 3, side, side) scenes as bytes."""
    rng = random.Random(seed)
    stack = np.stack([np.asarray(paint(rng, draw_scene(rng))) for _ in range(count)])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).contiguous()


def painted(number: int) -> Tensor:
    """The pictures of the first so many shards, where the training happens."""
    return torch.cat([one["pictures"] for one in islice(shards.painted(), number)]).to(device())


def as_floats(batch: Tensor) -> Tensor:
    """Bytes to floats in -1..1."""
    floats: Tensor = batch.float().div_(127.5).sub_(1)
    return floats


def edges(y: Tensor, x: Tensor) -> Tensor:
    """The absolute difference of neighbouring pixels' differences."""
    return F.l1_loss(y.diff(dim=2), x.diff(dim=2)) + F.l1_loss(y.diff(dim=3), x.diff(dim=3))


def loss_of(vae: AutoencoderTiny, x: Tensor) -> Tensor:
    """Colour, edges and latent statistics: each channel is pulled to mean 0 and variance 1."""
    z = vae.encoder(x)
    y = vae.decoder(z + 0.04 * torch.randn_like(z)).float()
    z = z.float()
    spread = z.var(dim=(0, 2, 3)).clamp_min(1e-4)
    moments = z.mean(dim=(0, 2, 3)).square().mean() + spread.log().square().mean()
    reach = (z.abs() - 2.7).clamp_min(0).square().mean()  # the decoder squashes latents at 3
    loss: Tensor = F.mse_loss(y, x) * 2 + F.l1_loss(y, x) * 0.5 + edges(y, x) + 0.02 * moments + reach
    return loss


def decoder_loss(vae: AutoencoderTiny, x: Tensor) -> Tensor:
    """Sharpness first: absolute differences of colours and of edges, on slightly noisy latents."""
    with torch.no_grad():
        z = vae.encoder(x)
    y = vae.decoder(z + 0.05 * torch.randn_like(z)).float()
    return F.l1_loss(y, x) + 1.5 * edges(y, x)


def psnr(vae: AutoencoderTiny, bytes_: Tensor) -> float:
    """Peak signal-to-noise ratio in dB on pictures not trained on."""
    with torch.no_grad():
        x = as_floats(bytes_)
        y = vae.decoder(vae.encoder(x)).clamp(-1, 1)
        return float(10 * torch.log10(4 / F.mse_loss(y, x)))


def train(options: argparse.Namespace, loss_of: Callable[[AutoencoderTiny, Tensor], Tensor]) -> None:
    """Train what the loss reaches, until the planned minutes are spent."""
    pictures_, test = painted(SHARDS), pictures(64, 2).to(device())
    vae = trained().requires_grad_(True).to(device(), memory_format=torch.channels_last)
    vae.encoder.requires_grad_(not options.decoder)
    learned = [weight for weight in vae.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    clock, step = Clock(options.minutes), 0
    while clock.share < 1:
        optimiser.param_groups[0]["lr"] = RATE * min(1, (step + 1) / 50) * max(0.02, 1 - clock.share)
        pick = torch.randint(len(pictures_), (options.batch,), device=device())
        x = as_floats(pictures_[pick]).to(memory_format=torch.channels_last)
        with torch.autocast(device().type, dtype=torch.bfloat16):
            loss = loss_of(vae, x)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        step += 1
        if step % 100 == 0 or clock.share >= 1:
            log(RUNS / "vae.log", step=step, spent=clock.spent, loss=loss.item(), psnr=psnr(vae, test))
            save(CHECKPOINT, {"vae": vae.state_dict()})


def main() -> None:
    """Train for the planned minutes; a second call goes on from what the first one reached."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--decoder", action="store_true", help="the decoder alone; latents stay as they are")
    options = parser.parse_args()
    prepare(1)
    train(options, decoder_loss if options.decoder else loss_of)


if __name__ == "__main__":
    main()
