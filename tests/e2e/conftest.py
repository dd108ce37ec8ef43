"""The embedded model."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.profile import SKETCH_PATH


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """diffusers' schedulers hand torch tensors to numpy in a way that torch answers with a warning."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning"))


@pytest.fixture(scope="session")
def sketch() -> Path:
    """The folder of the embedded model."""
    return SKETCH_PATH
