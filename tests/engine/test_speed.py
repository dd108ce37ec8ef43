"""Compiled blocks and filled-up batches: faster on a GPU, the same pictures. Compiling is injected."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import speed
from engine.conditioning import Conditioning
from engine.models.registry import Registry
from engine.models.sd1 import StableDiffusion1
from engine.profile import ModelSource
from tests.engine.conftest import Bench
from tests.engine.specs import spec

CPU = torch.device("cpu")


@pytest.fixture
def family(folders: dict[str, Path]) -> StableDiffusion1:
    """One of its own, since it is changed."""
    registry = Registry({"classic": ModelSource("classic", folders["classic"])})
    loaded = registry.load("classic", CPU, torch.float32)
    assert isinstance(loaded, StableDiffusion1)
    return loaded


def answer(family: StableDiffusion1) -> torch.Tensor:
    latents = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return family.denoise(latents, torch.tensor([500.0, 20.0]), family.embed("a").repeat(2), False)


def test_each_repeated_block_is_compiled_and_the_answer_stays(family: StableDiffusion1) -> None:
    before = answer(family)
    kinds: list[str] = []
    speed.tune(family, "blocks", lambda block: kinds.append(type(block).__name__))
    assert kinds and set(kinds) == {"BasicTransformerBlock"}
    assert family._denoiser.down_blocks[0].attentions[0].transformer_blocks[0].attn1.fused_projections
    assert float((answer(family) - before).abs().max()) <= 1e-5


def test_nothing_is_compiled_unless_asked(family: StableDiffusion1) -> None:
    speed.tune(family, "off", lambda block: pytest.fail("it was"))


def test_a_model_that_cannot_be_compiled_runs_as_it_is(family: StableDiffusion1) -> None:
    before = answer(family)

    def refusing(block: torch.nn.Module) -> None:
        raise RuntimeError("no compiler here")

    speed.tune(family, "graphs", refusing)
    assert float((answer(family) - before).abs().max()) <= 1e-5


def test_batches_are_filled_up_and_nobody_notices(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, padded = Bench(registry), Bench(registry, sizes=(1, 2, 4, 8, 16))
    jobs = [spec("three", seeds=(1, 2, 3)), spec("one", seeds=(4,), user="bob", guidance_scale=1.0)]
    plain.run(*jobs)
    family = registry.load("classic", CPU, torch.float32)
    denoise, sizes = family.denoise, []

    def counted(x: torch.Tensor, t: torch.Tensor, c: Conditioning, tile: bool) -> torch.Tensor:
        sizes.append((len(x), len(t), c.rows))
        return denoise(x, t, c, tile)

    monkeypatch.setattr(family, "denoise", counted)
    padded.run(*jobs)
    assert set(sizes) == {(8, 8, 8)}
    for job in ("three", "one"):
        for a, b in zip(plain.finished(job).images, padded.finished(job).images, strict=True):
            assert np.abs(np.asarray(a).astype(int) - np.asarray(b)).max() <= 1


def test_compiled_code_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setenv("TORCHINDUCTOR_FX_GRAPH_CACHE", "1")
    speed.prepare_cache(tmp_path)
    assert os.environ.pop("TORCHINDUCTOR_CACHE_DIR") == str(tmp_path)


@pytest.mark.parametrize(("rows", "size"), [(1, 1), (3, 4), (8, 8), (40, 40)])
def test_sizes(rows: int, size: int) -> None:
    assert speed.filled(rows, speed.BUCKETS) == size
    assert speed.fill(torch.zeros(rows, 2), size).shape == (size, 2)
