"""SD3, FLUX.1, Z-Image, Qwen-Image and CogView4: the stock pipelines' pictures, alone and in company."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import stages
from engine.api import GenerationSpec, InitImage
from engine.conditioning import Conditioning
from engine.models.base import ModelFamily
from engine.models.registry import Registry
from engine.profile import ModelSource
from engine.stages import Batcher, Rows
from tests import flow_pipelines
from tests.engine.flow_stock import SAMPLERS, FlowStock
from tests.engine.specs import spec
from tests.engine.test_equality import gap, picture

CPU = torch.device("cpu")
TOLERANCE = 1e-5
MODELS = tuple(flow_pipelines.BUILDERS)
FROM_PICTURES = tuple(name for name in MODELS if name != "cogview4")
"""Those whose stock pipeline starts from pictures."""
Loader = Callable[[str], ModelFamily]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Tiny models by name, each written once."""
    root = tmp_path_factory.mktemp("flow")
    return lambda name: root / name if (root / name).exists() else flow_pipelines.build(name, root / name)


@pytest.fixture(scope="session")
def family(folder: Callable[[str], Path]) -> Loader:
    """Each loaded once."""
    loaded: dict[str, Registry] = {}

    def get(name: str) -> ModelFamily:
        if name not in loaded:
            loaded[name] = Registry({name: ModelSource(name, folder(name))})
        return loaded[name].load(name, CPU, torch.float32)

    return get


@pytest.fixture(scope="session")
def stock(folder: Callable[[str], Path]) -> FlowStock:
    return FlowStock(folder)


def order(model: str, job_id: str = "job", **changes: Any) -> GenerationSpec:
    """A small guided job."""
    given = {"sampler": "euler", "width": 32, "height": 32, "negative_prompt": "bad", "seeds": (3,)}
    return spec(job_id, model, **{**given, **changes})


def run(
    family: ModelFamily, jobs: Sequence[GenerationSpec], arrivals: Sequence[int] | None = None
) -> list[Rows]:
    """All jobs in shared passes; job i joins at tick ``arrivals[i]``."""
    due = dict(enumerate(arrivals or [0] * len(jobs)))
    rows: dict[int, Rows] = {}
    batcher, tick = Batcher(), 0
    while due or any(not row.done for row in rows.values()):
        for index in [index for index, arrival in due.items() if arrival <= tick]:
            rows[index] = stages.prepare(family, jobs[index], jobs[index].seeds)
            del due[index]
        running = [row for row in rows.values() if not row.done]
        predictions = batcher.predict(running, 64) if running else []
        for row, prediction in zip(running, predictions, strict=True):
            stages.advance(row, prediction, want_clean=False)
        tick += 1
    return [rows[index] for index in sorted(rows)]


def pixels(rows: Rows) -> torch.Tensor:
    return rows.family.decode(rows.latents, False)


@pytest.mark.parametrize(
    ("model", "sampler"), [(model, sampler) for model in MODELS for sampler in SAMPLERS[model]]
)
def test_every_sampler_alone_and_in_company(
    family: Loader, stock: FlowStock, model: str, sampler: str
) -> None:
    mine = order(model, sampler=sampler, steps=4)
    other = order(model, seeds=(5, 6), steps=3, guidance_scale=2.5, prompt="the sea is blue and wide")
    expected = stock.images(mine)
    assert float(expected.std()) > 1e-3
    (alone,) = run(family(model), [mine])
    _, together = run(family(model), [other, mine], arrivals=[0, 1])
    assert gap(pixels(alone), expected) <= TOLERANCE
    assert gap(pixels(together), expected) <= TOLERANCE


@pytest.mark.parametrize("model", MODELS)
def test_a_crowd_with_random_arrivals(family: Loader, stock: FlowStock, model: str) -> None:
    dice = random.Random(model)
    words = ["red", "green", "apple", "sea", "cat", "a very long text about many stones on a wide road"]
    crowd = [
        order(
            model,
            str(number),
            prompt=" ".join(dice.choices(words, k=3)),
            negative_prompt=dice.choice(["", "bad", "blue stones and many other things"]),
            seeds=tuple(dice.randrange(2**32) for _ in range(dice.randint(1, 2))),
            steps=dice.randint(1, 5),
            guidance_scale=dice.choice([0.0, 1.0, 3.0, 7.0]),
            sampler=dice.choice(SAMPLERS[model]),
        )
        for number in range(5)
    ]
    rows = run(family(model), crowd, arrivals=[dice.randint(0, 4) for _ in crowd])
    for job, ours in zip(crowd, rows, strict=True):
        assert gap(pixels(ours), stock.images(job)) <= TOLERANCE, job
