"""Compiled blocks and filled-up batches: faster on a GPU, the same pictures. Compiling is injected."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch._dynamo

from engine import speed, stages
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
    assert set(kinds) == {"BasicTransformerBlock", "ResnetBlock2D"}
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


class Block(torch.nn.Module):
    """What is compiled."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows * 2


class Denoiser(torch.nn.Module):
    """Of one block."""

    _repeated_blocks = ("Block",)

    def __init__(self) -> None:
        super().__init__()
        self.block = Block()


def test_a_compiler_that_fails_at_the_first_step_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are compiled when they first run."""
    for name in ("suppress_errors", "recompile_limit", "accumulated_recompile_limit"):
        monkeypatch.setattr(torch._dynamo.config, name, getattr(torch._dynamo.config, name))
    asked: list[int] = []

    def refusing(*_: object) -> Any:
        asked.append(1)
        raise RuntimeError("no compiler here")

    denoiser, rows = Denoiser(), torch.ones(3, 2)
    pipeline = SimpleNamespace(components={}, unet=denoiser)
    profile = SimpleNamespace(family=SimpleNamespace(denoiser="unet"))
    family = SimpleNamespace(pipeline=pipeline, profile=profile, device=CPU)
    speed.tune(family, "blocks", lambda block: block.compile(backend=refusing))
    assert torch.equal(denoiser.block(rows), rows * 2)
    assert asked
    assert torch._dynamo.config.recompile_limit >= 512
    assert torch._dynamo.config.accumulated_recompile_limit >= 8192


def test_only_convolutions_of_pictures_get_the_layout_of_pictures() -> None:
    flat, deep = torch.nn.Conv2d(4, 4, 3), torch.nn.Conv3d(4, 4, 3)
    speed.lay_out(torch.nn.Sequential(flat, deep))
    assert flat.weight.is_contiguous(memory_format=torch.channels_last)
    assert deep.weight.is_contiguous()


def test_a_layout_that_is_refused_stops_no_model(
    family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "lay_out", lambda network: (_ for _ in ()).throw(RuntimeError("no")))
    monkeypatch.setattr(family, "device", torch.device("cuda"))
    speed.tune(family, "blocks", lambda block: None)


def test_what_is_not_compiled_keeps_its_layout(
    family: StableDiffusion1, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid: list[object] = []
    monkeypatch.setattr(speed, "lay_out", laid.append)
    monkeypatch.setattr(family, "device", torch.device("cuda"))
    speed.tune(family)
    assert laid == []
    speed.tune(family, "blocks", lambda block: None)
    assert laid == [family.pipeline.unet]


@pytest.mark.parametrize(("sizes", "marks"), [((), 0), ((1, 2, 4), 2)])
def test_each_compiled_pass_says_that_it_begins(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...], marks: int
) -> None:
    """Else every block of it is taken for a pass of its own, and its CUDA graph recorded anew."""
    said: list[int] = []
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: said.append(1))
    loaded = registry.load("classic", CPU, torch.float32)
    rows = stages.prepare(loaded, spec(steps=1), (1, 2))
    monkeypatch.setattr(loaded, "device", torch.device("cuda"))
    stages.Batcher(sizes).predict([rows], 2)
    assert len(said) == marks


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
