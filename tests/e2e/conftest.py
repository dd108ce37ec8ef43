"""The embedded model, and the demo with a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.profile import SKETCH_PATH

if TYPE_CHECKING:
    from selenium import webdriver

    from tests.e2e.page import Demo


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """diffusers' schedulers hand torch tensors to numpy in a way that torch answers with a warning."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning"))


@pytest.fixture(scope="session")
def sketch() -> Path:
    """The folder of the embedded model."""
    return SKETCH_PATH


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """``python -m bot demo --port 0``, with the embedded model."""
    from tests.e2e.page import started

    with started(tmp_path) as demo:
        yield demo


@pytest.fixture
def browser() -> Iterator[webdriver.Chrome]:
    """Debian's chromium without a screen; nothing is downloaded."""
    from tests.e2e.page import chromium

    with chromium() as browser:
        yield browser
