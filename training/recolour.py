"""Luminance-keeping recolouring of a sprite: only its main colour changes, eyes, leaves and windows stay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def _step(value: Floats, low: float, high: float) -> Floats:
    """Smoothstep from `low` to `high`."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def hue_and_chroma(rgb: Floats) -> tuple[Floats, Floats]:
    """Hue angle in turns (0..1) and chroma (0..1) of an (H, W, 3) picture in 0..1."""
    alpha = rgb[..., 0] - 0.5 * (rgb[..., 1] + rgb[..., 2])
    beta = np.float32(np.sqrt(3) / 2) * (rgb[..., 1] - rgb[..., 2])
    return (np.arctan2(beta, alpha) / (2 * np.pi)) % 1.0, rgb.max(-1) - rgb.min(-1)


def main_part(rgb: Floats, alpha: Floats) -> Floats:
    """How much each pixel (H, W) belongs to the sprite's main colour, 0..1."""
    hue, chroma = hue_and_chroma(rgb)
    luma = rgb @ LUMA
    solid = alpha > 0.5
    pale = (chroma < 0.16) & (luma > 0.45)
    if pale[solid].mean() > 0.42:  # a white thing: its grey and lilac shades change, its marks stay
        return _step(luma, 0.3, 0.5) * (1 - _step(chroma, 0.22, 0.38))
    weights = alpha * chroma * (chroma > 0.16)
    histogram, _ = np.histogram(hue, bins=36, range=(0, 1), weights=weights)
    smooth = sum(np.roll(histogram, shift) for shift in (-2, -1, 0, 1, 2))
    peak = (int(np.argmax(smooth)) + 0.5) / 36
    distance = np.abs((hue - peak + 0.5) % 1.0 - 0.5)
    part = (1 - _step(distance, 0.10, 0.17)) * _step(chroma, 0.08, 0.2)
    if (part * alpha).sum() < 0.4 * alpha.sum():  # no main colour: all but the dark marks
        return _step(luma, 0.12, 0.3)
    return np.asarray(part, np.float32)


def recolour(sprite: Floats, colour: tuple[int, int, int]) -> Floats:
    """An (H, W, 4) sprite in 0..1 with its main part in `colour` (sRGB 0..255), shading kept."""
    rgb, alpha = sprite[..., :3], sprite[..., 3]
    part = main_part(rgb, alpha)
    luma = rgb @ LUMA
    target = np.asarray(colour, np.float32) / 255
    middle = float(np.median(luma[(part > 0.5) & (alpha > 0.5)])) if (part > 0.5).any() else 0.5
    shade = np.clip(luma / max(middle, 0.05), 0, 1)[..., None] ** 0.8
    light = np.clip((luma - middle) / max(1 - middle, 0.25), 0, 1)[..., None]
    painted = target * (0.3 + 0.7 * shade)
    painted = painted + (1 - painted) * 0.65 * light
    mixed = rgb * (1 - part[..., None]) + painted * part[..., None]
    return np.concatenate([mixed, alpha[..., None]], axis=-1).astype(np.float32)
