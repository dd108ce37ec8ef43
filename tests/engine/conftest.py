"""Tiny pipelines, written once a session, and the loop without its thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from engine.api import Event, Failed, Finished, GenerationSpec
from engine.core import Core
from engine.models.registry import Registry
from engine.profile import ModelSource
from tests import pipelines
from tests.engine.stock import Stock

os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """diffusers' schedulers hand torch tensors to numpy in a way that torch answers with a warning."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning"))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny models lose more by waiting for a second thread than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Model folders by name."""
    root = tmp_path_factory.mktemp("models")
    return {
        "classic": pipelines.classic(root / "classic"),
        "velocity": pipelines.classic(root / "velocity", "v_prediction", seed=1),
        "sample": pipelines.sketchy(root / "sample", "sample", seed=2),
        "sketchy": pipelines.sketchy(root / "sketchy"),
        "xl": pipelines.xl(root / "xl"),
    }


@pytest.fixture(scope="session")
def stock(folders: dict[str, Path]) -> Stock:
    """What diffusers makes of a spec."""
    return Stock(folders)


@pytest.fixture(scope="session")
def registry(folders: dict[str, Path]) -> Registry:
    """All tiny models, loaded at most once a session."""
    sources = {name: ModelSource(name, path) for name, path in folders.items()}
    return Registry(sources, "classic", keep=len(sources))


class Bench:
    """A Core stepped by hand, with its events."""

    def __init__(self, registry: Registry, **options: object) -> None:
        self.events: list[Event] = []
        self.core = Core(
            registry,
            self.events.append,
            device=torch.device("cpu"),
            **{"dtype": torch.float32, "preview_interval": 1e9, **options},  # type: ignore[arg-type]
        )

    def run(self, *specs: GenerationSpec) -> None:
        """Submit and tick until nothing is left."""
        for spec in specs:
            self.core.submit(spec)
        while self.core.busy:
            self.core.tick()

    def kinds(self, job_id: str) -> list[str]:
        """Names of the events of a job, in order."""
        return [type(event).__name__ for event in self.events if event.job_id == job_id]

    def finished(self, job_id: str) -> Finished:
        """The Finished event of a job; AssertionError tells how else it ended."""
        last = [event for event in self.events if event.job_id == job_id][-1]
        assert isinstance(last, Finished), last
        return last

    def failed(self, job_id: str) -> Failed:
        """The Failed event of a job."""
        last = [event for event in self.events if event.job_id == job_id][-1]
        assert isinstance(last, Failed), last
        return last


@pytest.fixture
def bench(registry: Registry) -> Callable[..., Bench]:
    """Makes a :class:`Bench`; options go to Core."""
    return lambda **options: Bench(registry, **options)
