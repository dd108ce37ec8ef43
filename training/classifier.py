"""The judge of shapes: a small classifier in grey, and outlines. It has never seen the style it judges.

    python -m training.classifier      # writes the outlines that tests/e2e/test_sketch.py judges by

It is trained on the other vendors' drawings (Noto, Twemoji, OpenMoji, EmojiOne) under heavy
jitter of tone, tilt, scale and place. What they have no drawing of (a lighthouse) is judged by outline.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor, nn
from torch.nn import functional as F

from training import measure
from training.common import load, prepare, save
from training.fetch import JUDGING
from training.measure import SIDE
from training.paths import OUTLINES, RUNS, SPRITES
from training.scenes import Scene, as_floats, paint
from training.things import ALL, NO_COLOUR, THINGS

CHECKPOINT = RUNS / "judge.pt"
Floats = NDArray[np.float32]
STEPS, BATCH = 3000, 64
GROUNDS = (3, 5, 9, 4, 6, 10)
"""Backgrounds of the outlines: some thing may vanish before one, but before no others."""


def drawings() -> list[tuple[int, Image.Image]]:
    """(index in ALL, drawing at 64 px) of every other vendor."""
    found = []
    for label, thing in enumerate(ALL):
        for vendor in JUDGING:
            path = SPRITES / vendor / f"{THINGS[thing].key}.png"
            if path.exists():
                found.append(
                    (label, Image.open(path).convert("RGBA").resize((64, 64), Image.Resampling.LANCZOS))
                )
    return found


def jittered(rng: random.Random, drawing: Image.Image) -> Floats:
    """A (48, 48) grey picture: tilted, scaled, moved, mirrored, with random tones, perhaps blurred."""
    grey = ImageOps.mirror(drawing) if rng.random() < 0.3 else drawing
    grey = grey.rotate(rng.gauss(0, 9), Image.Resampling.BILINEAR)
    width, height = rng.randint(34, 50), rng.randint(34, 50)
    grey = grey.resize(
        ((width + height) // 2 + rng.randint(-3, 3), (width + height) // 2), Image.Resampling.BILINEAR
    )
    if rng.random() < 0.5:
        grey = grey.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.2)))
    tone = as_floats(grey.convert("L"))
    alpha = as_floats(grey.getchannel("A"))
    tone = (tone ** rng.uniform(0.5, 2)) * rng.uniform(0.5, 1) + rng.uniform(-0.15, 0.3)
    canvas = np.full((96, 96), rng.random(), np.float32)
    top = (96 - grey.height) // 2 + rng.randint(-5, 5)
    left = (96 - grey.width) // 2 + rng.randint(-5, 5)
    place = canvas[top : top + grey.height, left : left + grey.width]
    place += (tone - place) * alpha
    return normal(canvas[24:72, 24:72])


def normal(grey: Floats) -> Floats:
    """Zero mean, unit variance: tone tells nothing."""
    return np.asarray((grey - grey.mean()) / (grey.std() + 1e-3), np.float32)


def centred(rgb: Floats) -> Floats:
    """A (64, 64, 3) picture as the classifier sees it: grey, 48 px, cropped around what stands out."""
    grey = Image.fromarray(
        (rgb @ np.array([0.3, 0.59, 0.11], np.float32) * 255).clip(0, 255).astype(np.uint8)
    )
    found = measure.mask(rgb)
    ys, xs = np.nonzero(found if found.any() else np.ones_like(found))
    reach = max(int(np.ptp(ys)), int(np.ptp(xs))) / 2 * 48 / 42 + 1
    y, x = (int(ys.min()) + int(ys.max())) / 2, (int(xs.min()) + int(xs.max())) / 2
    padded = ImageOps.expand(grey, SIDE, int(np.median(np.asarray(grey)[[0, -1]])))
    box = (x - reach + SIDE, y - reach + SIDE, x + reach + SIDE, y + reach + SIDE)
    return normal(as_floats(padded.resize((48, 48), Image.Resampling.BILINEAR, box=box)))


def network() -> nn.Sequential:
    """(B, 1, 48, 48) to (B, things) scores."""

    def stage(a: int, b: int) -> list[nn.Module]:
        return [
            nn.Conv2d(a, b, 3, 2, 1),
            nn.BatchNorm2d(b),
            nn.ReLU(),
            nn.Conv2d(b, b, 3, 1, 1),
            nn.BatchNorm2d(b),
            nn.ReLU(),
        ]

    return nn.Sequential(
        *stage(1, 48),
        *stage(48, 96),
        *stage(96, 192),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(192 * 36, len(ALL)),
    )


def train() -> nn.Sequential:
    """Train the classifier; every batch is drawn afresh."""
    rng, net, known = random.Random(70), network(), drawings()
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.05)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=STEPS)
    for step in range(STEPS):
        picked = rng.choices(known, k=BATCH)
        x = torch.from_numpy(np.stack([jittered(rng, drawing) for _, drawing in picked]))[:, None]
        x = x + 0.1 * torch.randn_like(x)
        loss = F.cross_entropy(net(x), torch.tensor([label for label, _ in picked]), label_smoothing=0.1)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        plan.step()
        if step % 200 == 0:
            print(f"judge: step {step} of {STEPS}, loss {loss.item():.2f}", flush=True)
    return net.eval()


def outlines() -> Floats:
    """(things * len(GROUNDS), 24, 24): every thing as drawn, a little tilted, scaled and moved."""
    rng = random.Random(71)
    scenes = [Scene(t, NO_COLOUR, 1, -1, NO_COLOUR, ground) for t in ALL for ground in GROUNDS]
    pictures = measure.reduced(np.stack([as_floats(paint(rng, scene)) for scene in scenes]))
    return np.stack([measure.silhouette(picture) for picture in pictures])


@dataclass
class Judge:
    """The classifier, and the outlines of every thing as drawn, jittered."""

    net: nn.Sequential
    outlines: Floats  # (things * samples, 24, 24)
    samples: int

    @classmethod
    def trained(cls) -> Judge:
        """Trained once, then kept beside the other checkpoints."""
        state, net = load(CHECKPOINT), network()
        if state is None:
            net = train()
            save(CHECKPOINT, {"net": net.state_dict()})
        else:
            net.load_state_dict(state["net"])
        return cls(net.eval(), outlines(), len(GROUNDS))

    def rank(self, pictures: Floats) -> NDArray[np.intp]:
        """(N, things): THINGS indices, best first, by the classifier."""
        x = torch.from_numpy(np.stack([centred(picture) for picture in pictures]))[:, None]
        with torch.no_grad():
            scores: Tensor = self.net(x)
        order: NDArray[np.intp] = scores.argsort(dim=1, descending=True).numpy()
        return np.asarray(np.asarray(ALL)[order])

    def rank_outline(self, pictures: Floats) -> NDArray[np.intp]:
        """(N, things): THINGS indices, best first, by the nearest outline."""
        near = measure.overlap(np.stack([measure.silhouette(picture) for picture in pictures]), self.outlines)
        best = near.reshape(len(pictures), len(ALL), self.samples).max(-1)
        return np.asarray(ALL)[np.argsort(-best, axis=1)]


def scores(ranked: NDArray[np.intp], things: Sequence[int], name: str) -> dict[str, float]:
    """The shares found first and among the first five, over the things this judge knows."""
    known = {ALL[label] for label, _ in drawings()} if name == "classifier" else set(ALL)
    rows = [(row, thing) for row, thing in zip(ranked, things, strict=True) if thing in known]
    return {
        f"{name}_top1": float(np.mean([row[0] == thing for row, thing in rows])),
        f"{name}_top5": float(np.mean([thing in row[:5] for row, thing in rows])),
    }


if __name__ == "__main__":
    prepare(60)
    Judge.trained()
    np.savez_compressed(OUTLINES, outlines=outlines().astype(np.bool_))
