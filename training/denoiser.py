"""Trains the denoiser: a small conditional UNet on precomputed latents, v-prediction, EMA.

    python -m training.denoiser --minutes 100                # starts, or resumes from the checkpoint
    python -m training.denoiser --minutes 30 --from-export   # goes on from the exported fp16 weights

Muon trains the hidden matrices, AdamW the rest. Two processes of one thread each average their weights every
few steps: under other load two threads of one process spend most of their time waiting for each other.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, distributed, multiprocessing
from torch.nn import functional as F

from training import shards, text, vae
from training.common import Clock, device, load, log, prepare, save
from training.paths import EXPORT, RUNS

CHECKPOINT = RUNS / "denoiser.pt"
EARLY = RUNS / "early.pt"  # half-trained on purpose, for the judge
LATENTS = RUNS / "latents.pt"
SYNC_EVERY = 4  # steps between two averagings
SAVE_EVERY = 120  # seconds
HALF_TRAINED = 0.1  # of the plan, when the early checkpoint is written


def build() -> UNet2DConditionModel:
    """An untrained UNet: (B, 4, 32, 32) latents, (B,) timesteps, (B, 32, 192) text states to a velocity.

    Built by the constructor: `from_config` drops `addition_embed_type` and `resnet_time_scale_shift`.
    """
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 96, 128, 160),
        layers_per_block=1,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * 3),
        up_block_types=(*("CrossAttnUpBlock2D",) * 3, "UpBlock2D"),
        attention_head_dim=(2, 3, 4, 5),  # numbers of heads, in truth: each is 32 wide
        cross_attention_dim=text.WIDTH,
        norm_num_groups=16,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        resnet_time_scale_shift="scale_shift",
    )


def scheduler() -> DDIMScheduler:
    """The noise schedule: cosine, down to no signal at all, so that flat backgrounds come out right."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        clip_sample=False,
        set_alpha_to_one=True,
    )


def coded() -> dict[str, Tensor]:
    """What the loop needs of all shards: latents (N, 4, 32, 32), token ids, kinds of scene."""
    encoder = vae.trained().encoder.to(device(), memory_format=torch.channels_last)
    found: dict[str, list[Tensor]] = {"latents": [], "ids": [], "kinds": []}
    for shard in shards.painted():
        with torch.no_grad(), torch.autocast(device().type, dtype=torch.bfloat16):
            parts = [encoder(vae.as_floats(part.to(device()))).half() for part in shard["pictures"].split(64)]
        found["latents"].append(torch.cat(parts).cpu())
        for name in ("ids", "kinds"):
            found[name].append(shard[name])
    return {name: torch.cat(tensors) for name, tensors in found.items()}


# Polar Express (Amsel et al. 2025): the best quintics for the first three rounds of Newton-Schulz.
QUINTICS = ((8.2872, -23.5959, 17.3004), (4.1071, -2.9478, 0.5448), (3.9487, -2.9089, 0.5518))


def orthogonal(stack: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrix to each of a (b, m, n) stack, roughly: Muon needs no more."""
    x = stack.bfloat16()
    flip = x.shape[1] > x.shape[2]
    x = x.mT if flip else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) * 1.02 + 1e-7)
    for linear, cubic, quintic in QUINTICS:
        gram = x @ x.mT
        x = linear * x + (cubic * gram + quintic * gram @ gram) @ x
    turned: Tensor = (x.mT if flip else x).float()
    return turned


class Muon:
    """Muon (Jordan et al. 2024) on fp32 copies of kernels and matrices, flattened to (out, rest)."""

    def __init__(self, weights: list[Tensor], momentum: float = 0.95, decay: float = 0.01) -> None:
        self.weights, self.momentum, self.decay = weights, momentum, decay
        self.velocity = [torch.zeros_like(weight) for weight in weights]
        shapes: dict[tuple[int, int], list[int]] = {}
        for index, weight in enumerate(weights):
            shapes.setdefault((len(weight), weight.numel() // len(weight)), []).append(index)
        self.groups = list(shapes.items())  # matrices of one shape are turned together

    def step(self, gradients: list[Tensor], rate: float) -> None:
        """One update; `rate` is comparable to AdamW's thanks to the 0.2 sqrt(max(m, n)) factor."""
        floats = [gradient.float() for gradient in gradients]
        torch._foreach_lerp_(self.velocity, floats, 1 - self.momentum)
        looks = torch._foreach_lerp(floats, self.velocity, self.momentum)
        for shape, members in self.groups:
            turned = orthogonal(torch.stack([looks[i].reshape(shape) for i in members]))
            scale = 0.2 * max(shape) ** 0.5
            for i, matrix in zip(members, turned, strict=True):
                weight = self.weights[i]
                weight.mul_(1 - rate * self.decay).add_(matrix.view(weight.shape), alpha=-rate * scale)


def upsampled(self: Upsample2D, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
    """Nearest-neighbour doubling without `interpolate`, whose gradient comes out zero compiled for CPUs."""
    rows, channels, height, width = hidden_states.shape
    doubled = hidden_states[:, :, :, None, :, None].expand(rows, channels, height, 2, width, 2)
    convolved: Tensor = self.conv(doubled.reshape(rows, channels, 2 * height, 2 * width))
    return convolved


def fit_for_cpu(unet: UNet2DConditionModel) -> None:
    """Leave out what a processor trains slowly, or wrongly."""
    unet.set_attn_processor(AttnProcessor())  # the fused kernel's backward pass is slow at this size
    for part in unet.modules():
        if isinstance(part, Upsample2D):
            part.forward = MethodType(upsampled, part)


class Training:
    """The UNet in bf16, its fp32 weights, their EMA, the optimisers: what a checkpoint holds."""

    def __init__(self, rate: float, eager: bool) -> None:
        self.unet = build().to(device(), memory_format=torch.channels_last)
        if device().type == "cpu":
            fit_for_cpu(self.unet)
        self.names = [name for name, _ in self.unet.named_parameters()]
        self.weights = [p.detach().clone().contiguous() for p in self.unet.parameters()]
        self.ema = [weight.clone() for weight in self.weights]
        self.unet.to(torch.bfloat16)
        self.forward = self.unet if eager else torch.compile(self.unet)  # twice as fast on two cores
        hidden = [
            w.ndim >= 2 and not n.startswith(("conv_in", "conv_out"))
            for n, w in zip(self.names, self.weights, strict=True)
        ]
        self.hidden = hidden
        self.muon = Muon([w for w, h in zip(self.weights, hidden, strict=True) if h])
        self.rest = [w for w, h in zip(self.weights, hidden, strict=True) if not h]
        self.adam = torch.optim.AdamW(self.rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
        self.rate, self.step, self.spent = rate, 0, 0.0
        self.scale = 1.0  # of the latents, to unit variance

    def state(self) -> dict[str, Any]:
        """Everything a resume needs; `ema` is keyed by parameter name, ready for the UNet."""
        return {
            "weights": self.weights,
            "ema": dict(zip(self.names, self.ema, strict=True)),
            "adam": self.adam.state_dict(),
            "velocity": self.muon.velocity,
            "scale": self.scale,
            "step": self.step,
            "spent": self.spent,
        }

    def resume(self, path: Path) -> None:
        """Take up a checkpoint, if there is one."""
        state = load(path)
        if state is None:
            return
        torch._foreach_copy_(self.weights, state["weights"])
        torch._foreach_copy_(self.ema, [state["ema"][name] for name in self.names])
        torch._foreach_copy_(self.muon.velocity, state["velocity"])
        self.adam.load_state_dict(state["adam"])
        self.step, self.spent = state["step"], state["spent"]
        self.publish()

    def resume_export(self) -> None:
        """Take up the exported weights, without optimiser state; they are kept, as the half-trained model."""
        unet = UNet2DConditionModel.from_pretrained(EXPORT / "unet", use_safetensors=True)
        shipped = dict(unet.named_parameters())
        for target in (self.weights, self.ema):
            torch._foreach_copy_(target, [shipped[name].detach().float() for name in self.names])
        self.publish()
        trained = json.loads((EXPORT / "tessera.json").read_text(encoding="utf-8"))["trained"]
        scale = json.loads((EXPORT / "vae" / "config.json").read_text(encoding="utf-8"))["scaling_factor"]
        early = {"scale": scale, "step": trained["step"], "spent": trained["minutes"] * 60}
        save(EARLY, {"ema": self.state()["ema"], **early})

    @torch.no_grad()
    def publish(self) -> None:
        """Copy the fp32 weights into the bf16 UNet."""
        torch._foreach_copy_(list(self.unet.parameters()), self.weights)

    @torch.no_grad()
    def update(self, share: float) -> None:
        """One step of both optimisers and of the EMA; the rate falls linearly to zero over the plan."""
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.unet.parameters()]
        pairs = list(zip(gradients, self.hidden, strict=True))
        rate = self.rate * min(1.0, (self.step + 1) / 50) * max(0.03, 1 - share)
        self.muon.step([g for g, hidden in pairs if hidden], rate)
        for weight, gradient in zip(self.rest, [g for g, hidden in pairs if not hidden], strict=True):
            weight.grad = gradient.float()
        self.adam.param_groups[0]["lr"] = rate
        self.adam.step()
        self.unet.zero_grad()
        self.publish()
        self.step += 1
        decay = min(0.999, (1 + self.step) / (15 + self.step))
        torch._foreach_lerp_(self.ema, self.weights, 1 - decay)


def moments(rows: int, place: torch.device) -> Tensor:
    """(rows,) timesteps, stratified: half of them even, half around the middle, where shapes are made.

    None below 50: there the last of twenty steps starts, and what is finer is the decoder's.
    """
    even = (torch.arange(rows, device=place) + torch.rand(rows, device=place)) / rows
    middle = torch.sigmoid(0.5 + 0.9 * torch.special.ndtri(even.clamp(1e-4, 1 - 1e-4)))
    times = torch.where(torch.rand(rows, device=place) < 0.5, 0.05 + 0.95 * even, middle)
    return (times * 1000).long().clamp(0, 999)


def velocity_loss(unet: Any, clean: Tensor, states: Tensor, alphas: Tensor) -> Tensor:
    """The v-prediction loss (Salimans and Ho 2022)."""
    times = moments(len(clean), clean.device)
    signal = alphas[times].sqrt().view(-1, 1, 1, 1)
    sigma = (1 - alphas[times]).sqrt().view(-1, 1, 1, 1)
    noise = torch.randn_like(clean)
    noisy = (signal * clean + sigma * noise).contiguous(memory_format=torch.channels_last)
    guess = unet(noisy.bfloat16(), times, states.bfloat16()).sample
    return F.mse_loss(guess.float(), signal * noise - sigma * clean)


def sync(training: Training, clock: Clock, workers: int) -> bool:
    """Average weights and momenta over the workers; True when the plan is spent, for all at the same step."""
    done = torch.tensor([float(clock.share >= 1)])
    if workers > 1:
        shared = [*training.weights, *training.muon.velocity, done]
        flat = torch.cat([tensor.reshape(-1) for tensor in shared])
        distributed.all_reduce(flat)
        pieces = torch.split(flat / workers, [tensor.numel() for tensor in shared])
        for tensor, piece in zip(shared, pieces, strict=True):
            tensor.copy_(piece.view(tensor.shape))
        training.publish()
    return bool(done > 0)


def keep(training: Training, clock: Clock) -> None:
    """Write the checkpoint."""
    training.spent = clock.spent
    save(CHECKPOINT, training.state())


def run(
    training: Training, data: dict[str, Tensor], clock: Clock, options: argparse.Namespace, rank: int
) -> None:
    """The loop: nothing but batches, until the plan is spent; worker 0 keeps the books.

    `data` has latents, token ids, and `odds`: how often each scene is shown, relative to others.
    """
    place, batch = device(), options.batch
    encoder, empty = text.trained().to(place), text.tokens(text.load_tokenizer(), [""]).to(place)
    alphas, training.scale = scheduler().alphas_cumprod.to(place), float(1 / data["latents"].float().std())
    saved, mean, done = clock.spent, torch.zeros((), device=place), False
    while not done:
        pick = torch.multinomial(data["odds"], batch, True)
        ids = data["ids"][pick, torch.randint(shards.CAPTIONS, (batch,), device=place)].long()
        ids = torch.where(torch.rand(batch, 1, device=place) < 0.1, empty, ids)
        with torch.no_grad():
            states = encoder(ids).last_hidden_state
        loss = velocity_loss(training.forward, data["latents"][pick].float() * training.scale, states, alphas)
        loss.backward()  # type: ignore[no-untyped-call]
        training.update(clock.share)
        mean.lerp_(loss.detach(), 1 / min(training.step, 50))
        if training.step % SYNC_EVERY == 0:
            done = sync(training, clock, options.workers)
        if rank > 0:
            continue
        if training.step % 48 == 0:
            log(RUNS / "denoiser.log", step=training.step, spent=clock.spent, loss=mean.item())
        if clock.share > HALF_TRAINED and not EARLY.exists():
            training.spent = clock.spent
            save(EARLY, training.state())
        if done or clock.spent - saved > SAVE_EVERY:
            saved = clock.spent
            keep(training, clock)


def work(rank: int, options: argparse.Namespace) -> None:
    """One worker: `workers` of them train copies on their own batches and average every few steps."""
    prepare(7)
    if options.workers > 1:
        distributed.init_process_group(
            "gloo", f"file://{RUNS.resolve()}/meet", rank=rank, world_size=options.workers
        )
    latents = load(LATENTS)
    assert latents is not None
    data = {name: tensor.to(device()) for name, tensor in latents.items()}
    data["odds"] = torch.tensor(options.odds, device=device())[data["kinds"]]
    training = Training(options.rate, options.eager)
    if options.from_export:
        training.resume_export()
    else:
        training.resume(CHECKPOINT)
    training.step -= training.step % SYNC_EVERY
    prepare(7 + training.step * options.workers + rank)
    run(training, data, Clock(options.minutes, training.spent), options, rank)


def main() -> None:
    """Encode the scenes once, then train until the plan is spent; a second call resumes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    workers = 1 if device().type == "cuda" else 2
    parser.add_argument("--minutes", type=float, default=100, help="the whole plan, earlier runs counted in")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--batch", type=int, default=64, help="pictures a step and worker")
    parser.add_argument("--workers", type=int, default=workers, help="processes of one thread each")
    parser.add_argument(
        "--odds", type=float, nargs=3, default=[1.0, 1.0, 1.0], help="of one thing, several, two things"
    )
    parser.add_argument("--from-export", action="store_true")
    parser.add_argument("--eager", action="store_true", help="without torch.compile, where no g++ is at hand")
    options = parser.parse_args()
    prepare(7)
    if not LATENTS.exists():
        save(LATENTS, coded())
    (RUNS / "meet").unlink(missing_ok=True)
    if options.workers == 1:
        work(0, options)
    else:
        multiprocessing.spawn(work, args=(options,), nprocs=options.workers)  # type: ignore[attr-defined,no-untyped-call]


if __name__ == "__main__":
    main()
