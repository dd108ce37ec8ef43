"""Several devices' threads that load models at once, beside others that paint."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.api import Variation
from engine.models import latent
from engine.models.registry import Registry
from engine.profile import ModelSource
from tests.engine.company import Company
from tests.engine.specs import spec

CPU = torch.device("cpu")


def test_two_devices_load_one_after_another(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each puts back the dtype that it found the other in, and finds weights of the other's missing."""
    first = Registry({"classic": ModelSource("classic", folders["classic"])})
    second = first.for_another_device()
    other = threading.Thread(target=second.load, args=("classic", CPU, torch.bfloat16))
    load: Any = vars(latent)["load_pipeline"]
    within: list[threading.Thread] = []

    def watched(*given: Any) -> Any:
        within.append(threading.current_thread())
        if within == [threading.current_thread()]:
            other.start()
            other.join(0.05)
            assert len(within) == 1
        return load(*given)

    monkeypatch.setattr(latent, "load_pipeline", watched)
    first.load("classic", CPU, torch.bfloat16)
    other.join()
    assert len(within) == 2
    assert torch.get_default_dtype() == torch.float32


def test_a_model_that_another_device_loads_changes_no_picture(registry: Registry) -> None:
    """While it is built torch's default dtype is its own, for all threads."""
    job = spec(prompt="a (red:1.3) apple", variation=Variation(5, 0.2))
    [wanted] = Company(registry).run([job])
    registry.load("classic", CPU, torch.float32).forget()
    try:
        torch.set_default_dtype(torch.bfloat16)
        [painted] = Company(registry).run([job])
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(painted, wanted)
