"""Writes the model that ships: engine/assets/sketch, fp16 safetensors in diffusers' directory format.

    python -m training.export                     # from the EMA of the last checkpoint

The folder is written beside the old one and moved in place, so a reader never sees half a model.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor
from torch.nn import functional as F

from training import denoiser, text, vae
from training.common import load
from training.paths import EXPORT, RUNS
from training.scenes import SIDE
from training.things import ALL, COLOURS, STYLES, THINGS

KEPT = ("README.md", "NOTICE.md")  # written by hand, carried over
STEPS, GUIDANCE = 20, 3.0


def scaled_vae(scale: float) -> AutoencoderTiny:
    """The trained autoencoder with its scaling factor in the config: training latents get unit variance."""
    model = vae.trained()
    config = {key: value for key, value in model.config.items() if not key.startswith("_")}
    config.pop("block_out_channels", None)
    scaled = AutoencoderTiny(**{**config, "scaling_factor": scale})
    scaled.load_state_dict(model.state_dict())
    return scaled.eval()


def ema_unet(checkpoint: Path) -> tuple[UNet2DConditionModel, dict[str, Any]]:
    """The averaged UNet of a checkpoint, and the checkpoint's figures."""
    state = load(checkpoint)
    if state is None:
        raise FileNotFoundError(f"{checkpoint}: run python -m training.denoiser first")
    unet = denoiser.build()
    unet.load_state_dict(state["ema"])
    figures = {name: state[name] for name in ("scale", "step")}
    return unet.eval(), {**figures, "minutes": round(state["spent"] / 60, 1)}


def pipeline(checkpoint: Path = denoiser.CHECKPOINT) -> tuple[StableDiffusionPipeline, dict[str, Any]]:
    """The stock pipeline around the trained parts."""
    unet, figures = ema_unet(checkpoint)
    made = StableDiffusionPipeline(
        vae=scaled_vae(figures.pop("scale")),
        text_encoder=text.trained(),
        tokenizer=text.load_tokenizer(),
        unet=unet,
        scheduler=denoiser.scheduler(),
        safety_checker=None,
        feature_extractor=None,
        image_encoder=None,
        requires_safety_checker=False,
    )
    return made, figures


def latent_rgb(model: AutoencoderTiny) -> list[list[float]]:
    """Least-squares map from scaled latents to RGB in 0..1: a row per channel, then the bias."""
    pictures = vae.as_floats(vae.pictures(100, 21))
    with torch.no_grad():
        latents = model.encoder(pictures) * model.config.scaling_factor
    x = latents.permute(0, 2, 3, 1).reshape(-1, 4)
    y = F.avg_pool2d(pictures, 4).permute(0, 2, 3, 1).reshape(-1, 3) * 0.5 + 0.5
    solved: Tensor = torch.linalg.lstsq(torch.cat([x, torch.ones(len(x), 1)], 1), y).solution
    return [[round(float(v), 5) for v in row] for row in solved]


def concepts() -> dict[str, Any]:
    """What the model knows, by name in both languages, for pages and prompts."""
    return {
        "things": [
            {
                "key": t.key,
                "en": list(t.en),
                "zh": list(t.zh),
                "measure": t.measure,
                "natural": t.natural or None,
            }
            for t in (THINGS[i] for i in ALL)
        ],
        "styles": [{"key": s.key, "en": list(s.en), "zh": list(s.zh)} for s in STYLES],
        "colours": [{"key": c.key, "rgb": list(c.rgb), "en": list(c.en), "zh": list(c.zh)} for c in COLOURS],
    }


def load_as_float32(config: Path) -> None:
    """Transformers 5 loads in the type the config names, diffusers in float32: make the two agree."""
    table = json.loads(config.read_text(encoding="utf-8"))
    table["dtype"] = "float32"
    config.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


def write(folder: Path, made: StableDiffusionPipeline, figures: dict[str, Any]) -> None:
    """Save weights, tables and settings into `folder`."""
    made.to(dtype=torch.float16).save_pretrained(folder, safe_serialization=True)
    load_as_float32(folder / "text_encoder" / "config.json")
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)
    settings = {
        "native_size": SIDE,
        "shown_size": 256,
        "steps": STEPS,
        "guidance_scale": GUIDANCE,
        "sampler": "ddim",
        "tile_after": 0.5,
        "most_detail": 0.15,
        "latent_rgb": latent_rgb(made.vae.float()),
        "trained": figures,
        "description": f"A sketch model to try things out: emoji-like pictures of {len(ALL)} things in "
        f"{len(COLOURS)} colours and {len(STYLES)} styles, from English and Chinese prompts.",
    }
    for name, table in (("tessera.json", settings), ("concepts.json", concepts())):
        (folder / name).write_text(json.dumps(table, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Export the last checkpoint in one move."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=denoiser.CHECKPOINT)
    made, figures = pipeline(parser.parse_args().checkpoint)
    fresh, old = RUNS / "export", RUNS / "export.old"
    for folder in (fresh, old):
        shutil.rmtree(folder, ignore_errors=True)
    write(fresh, made, figures)
    for name in KEPT:
        if (EXPORT / name).exists():
            shutil.copy2(EXPORT / name, fresh / name)
    EXPORT.parent.mkdir(parents=True, exist_ok=True)
    if EXPORT.exists():
        EXPORT.rename(old)
    fresh.rename(EXPORT)
    size = sum(path.stat().st_size for path in EXPORT.rglob("*") if path.is_file())
    print(f"{EXPORT}: {size / 1e6:.1f} MB, {figures}")


if __name__ == "__main__":
    main()
