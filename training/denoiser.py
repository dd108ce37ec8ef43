"""Trains the denoiser: a small conditional UNet on precomputed latents, v-prediction, EMA.

    python -m training.denoiser --minutes 100                # starts, or resumes from the checkpoint
    python -m training.denoiser --minutes 30 --from-export   # goes on from the exported fp16 weights

Muon trains the hidden matrices, AdamW the rest. Two processes of one thread each average their weights every
few steps: under other load two threads of one process spend most of their time waiting for each other.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from types import MethodType
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, distributed, multiprocessing
from torch.nn import functional as F

from training import text, vae
from training.captions import caption
from training.common import Clock, load, log, prepare, save
from training.paths import EXPORT, RUNS
from training.scenes import Scene, draw_scene, paint

CHECKPOINT = RUNS / "denoiser.pt"
EARLY = RUNS / "early.pt"  # half-trained on purpose, for the judge
SCENES = RUNS / "scenes.pt"
LATENTS = RUNS / "latents.pt"
CAPTIONS = 4  # per scene
BATCH = 64  # per worker
SYNC_EVERY = 4  # steps between two averagings
SAVE_EVERY = 120  # seconds


def build() -> UNet2DConditionModel:
    """An untrained UNet: (B, 4, 16, 16) latents, (B,) timesteps, (B, 32, 192) text states to a velocity.

    Built by the constructor: `from_config` drops `addition_embed_type` and `resnet_time_scale_shift`.
    """
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 128, 192),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
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


def kind(scene: Scene) -> int:
    """0 for one thing, 1 for several of it, 2 for two things side by side."""
    return 2 if scene.other >= 0 else int(scene.count > 1)


def prepare_scenes(count: int, seed: int) -> dict[str, Tensor]:
    """Paint `count` scenes: bytes (N, 3, 64, 64), ids (N, CAPTIONS, 32) in both languages, kinds (N,)."""
    rng, tokenizer = random.Random(seed), text.load_tokenizer()
    scenes = [draw_scene(rng) for _ in range(count)]
    pictures = torch.from_numpy(np.stack([np.asarray(paint(rng, scene)) for scene in scenes]))
    words = [
        caption(rng, scene, ("en", "zh")[i % 2], rng.random() < 0.04).text
        for scene in scenes
        for i in range(CAPTIONS)
    ]
    ids = text.tokens(tokenizer, words).to(torch.int16).view(-1, CAPTIONS, text.LENGTH)
    return {
        "pictures": pictures.permute(0, 3, 1, 2).contiguous(),
        "ids": ids,
        "kinds": torch.tensor([kind(scene) for scene in scenes]),
    }


def prepare_latents(count: int, seed: int) -> dict[str, Tensor]:
    """What the loop needs: (N, 4, 16, 16) latents of the scenes, their token ids and kinds."""
    scenes = load(SCENES)
    if scenes is None:
        scenes = prepare_scenes(count, seed)
        save(SCENES, scenes)
    encoder = vae.trained().encoder.to(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        latents = [encoder(vae.as_floats(part)).half() for part in scenes["pictures"].split(64)]
    return {"latents": torch.cat(latents), "ids": scenes["ids"], "kinds": scenes["kinds"]}


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


class Training:
    """The UNet in bf16, its fp32 weights, their EMA, the optimisers: what a checkpoint holds."""

    def __init__(self, rate: float, eager: bool) -> None:
        self.unet = build().to(memory_format=torch.channels_last)
        self.unet.set_attn_processor(AttnProcessor())  # the fused kernel's backward pass is slow at this size
        self.names = [name for name, _ in self.unet.named_parameters()]
        self.weights = [p.detach().clone().contiguous() for p in self.unet.parameters()]
        self.ema = [weight.clone() for weight in self.weights]
        self.unet.to(torch.bfloat16)
        for part in self.unet.modules():
            if isinstance(part, Upsample2D):
                part.forward = MethodType(upsampled, part)
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

    def state(self) -> dict[str, Any]:
        """Everything a resume needs; `ema` is keyed by parameter name, ready for the UNet."""
        return {
            "weights": self.weights,
            "ema": dict(zip(self.names, self.ema, strict=True)),
            "adam": self.adam.state_dict(),
            "velocity": self.muon.velocity,
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
        save(EARLY, {"ema": self.state()["ema"], "step": trained["step"], "spent": trained["minutes"] * 60})

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
        decay = min(0.995, (1 + self.step) / (15 + self.step))
        torch._foreach_lerp_(self.ema, self.weights, 1 - decay)


def moments(rows: int) -> Tensor:
    """(rows,) timesteps, stratified: half of them even, half around the middle, where shapes are made.

    None below 50: the last of ten steps starts at 99, and what is finer is the decoder's.
    """
    even = (torch.arange(rows) + torch.rand(rows)) / rows
    middle = torch.sigmoid(0.5 + 0.9 * torch.special.ndtri(even.clamp(1e-4, 1 - 1e-4)))
    times = torch.where(torch.rand(rows) < 0.5, 0.05 + 0.95 * even, middle)
    return (times * 1000).long().clamp(0, 999)


def velocity_loss(unet: Any, clean: Tensor, states: Tensor, alphas: Tensor) -> Tensor:
    """The v-prediction loss (Salimans and Ho 2022)."""
    times = moments(len(clean))
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
    """Write the checkpoint and, once, an early one: the judge shows on it that it can tell."""
    training.spent = clock.spent
    save(CHECKPOINT, training.state())
    if not EARLY.exists() and clock.spent > 300:
        save(EARLY, {"ema": training.state()["ema"], "step": training.step, "spent": clock.spent})


def run(training: Training, data: dict[str, Tensor], clock: Clock, rank: int, workers: int) -> None:
    """The loop: nothing but batches, until the plan is spent; worker 0 keeps the books.

    `data` has latents, token ids, and `odds`: how often each scene is shown, relative to others.
    """
    encoder, empty = text.trained(), text.tokens(text.load_tokenizer(), [""])
    alphas, scale = scheduler().alphas_cumprod, float(1 / data["latents"].float().std())
    saved, mean, done = clock.spent, 0.0, False
    while not done:
        pick, which = torch.multinomial(data["odds"], BATCH, True), torch.randint(CAPTIONS, (BATCH,))
        ids = torch.where(torch.rand(BATCH, 1) < 0.1, empty, data["ids"][pick, which].long())
        with torch.no_grad():
            states = encoder(ids).last_hidden_state
        loss = velocity_loss(training.forward, data["latents"][pick].float() * scale, states, alphas)
        loss.backward()  # type: ignore[no-untyped-call]
        training.update(clock.share)
        mean = loss.item() if mean == 0 else 0.98 * mean + 0.02 * loss.item()
        if training.step % SYNC_EVERY == 0:
            done = sync(training, clock, workers)
        if rank == 0 and training.step % 48 == 0:
            log(RUNS / "denoiser.log", step=training.step, spent=clock.spent, loss=mean)
        if rank == 0 and (done or clock.spent - saved > SAVE_EVERY):
            saved = clock.spent
            keep(training, clock)


def work(rank: int, options: argparse.Namespace) -> None:
    """One worker: `workers` of them train copies on their own batches and average every few steps."""
    prepare(7)
    if options.workers > 1:
        distributed.init_process_group(
            "gloo", f"file://{RUNS.resolve()}/meet", rank=rank, world_size=options.workers
        )
    data = load(LATENTS)
    assert data is not None
    data["odds"] = torch.tensor(options.odds)[data["kinds"]]
    training = Training(options.rate, options.eager)
    if options.from_export:
        training.resume_export()
    else:
        training.resume(CHECKPOINT)
    training.step -= training.step % SYNC_EVERY
    prepare(7 + training.step * options.workers + rank)
    run(training, data, Clock(options.minutes, training.spent), rank, options.workers)


def main() -> None:
    """Prepare the latents once, then train until the plan is spent; a second call resumes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=100, help="the whole plan, earlier runs counted in")
    parser.add_argument("--scenes", type=int, default=32000)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument(
        "--odds", type=float, nargs=3, default=[1.0, 1.0, 1.0], help="of one thing, several, two things"
    )
    parser.add_argument("--from-export", action="store_true")
    parser.add_argument("--eager", action="store_true", help="without torch.compile, where no g++ is at hand")
    options = parser.parse_args()
    prepare(7)
    if not LATENTS.exists():
        save(LATENTS, prepare_latents(options.scenes, 11))
    (RUNS / "meet").unlink(missing_ok=True)
    if options.workers == 1:
        work(0, options)
    else:
        multiprocessing.spawn(work, args=(options,), nprocs=options.workers)  # type: ignore[attr-defined,no-untyped-call]


if __name__ == "__main__":
    main()
