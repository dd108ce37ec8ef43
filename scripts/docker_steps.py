"""Perform the Dockerfile's steps without a Docker engine: same files, same commands, a scratch folder.

``python scripts/docker_steps.py`` copies what COPY copies (through .dockerignore), runs every ``RUN pip``
in a fresh virtual environment that stands for the image's Python, and ends with the entry point's
``--version`` and one painted picture, far from the checkout. RUN steps that need root are named, not run.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).resolve().parent.parent


def ignored(name: str) -> bool:
    """Whether .dockerignore (all but its lines with ``!``) keeps a top-level name out of the context."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    return Path(name).parts[0] not in allowed


def copy(arguments: str, app: Path) -> None:
    """COPY a b c ./ from the checkout; a source outside the context is an error, as it is for Docker."""
    *sources, target = shlex.split(arguments)
    for source in sources:
        if ignored(source):
            raise SystemExit(f"COPY {source}: .dockerignore keeps it out of the build context")
        goal = app / target / (source if target.endswith("/") else "")
        if (ROOT / source).is_dir():
            shutil.copytree(
                ROOT / source, goal, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy2(ROOT / source, goal)


def run(command: str, python: Path, app: Path, environment: dict[str, str]) -> None:
    """RUN pip … in the scratch environment; anything else is named and left out."""
    if not command.startswith("pip "):
        print(f"  not run here (needs root): {command}")
        return
    subprocess.run([python, "-m", *shlex.split(command)], cwd=app, env=environment, check=True)


def variables(parser: DockerfileParser, scratch: Path) -> dict[str, str]:
    """The image's ENV over this machine's own, with /data in the scratch folder."""
    env = {key: value for key, value in parser.envs.items() if not key.startswith("PIP_NO_CACHE")}
    return {**os.environ, **env, "TESSERA_DATA_DIR": str(scratch / "data"), "PYTHONPATH": ""}


def perform(scratch: Path) -> None:
    """All steps in order, then the entry point."""
    parser = DockerfileParser(path=str(ROOT / "Dockerfile"))
    app = scratch / "app"
    app.mkdir()
    venv.create(scratch / "venv", with_pip=True)
    python = scratch / "venv" / "bin" / "python"
    environment = variables(parser, scratch)
    for step in parser.structure:
        if step["instruction"] == "COPY":
            copy(step["value"], app)
        elif step["instruction"] == "RUN":
            run(step["value"], python, app, environment)
    tessera = scratch / "venv" / "bin" / "tessera"
    subprocess.run([tessera, "--version"], cwd=scratch, env=environment, check=True)
    picture = scratch / "grid.png"
    subprocess.run(
        [tessera, "imagine", "a red apple", "--out", picture], cwd=scratch, env=environment, check=True
    )
    print(f"ok: every step ran, and the entry point painted {picture.stat().st_size} bytes")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="tessera-image-") as folder:
        perform(Path(folder))
    sys.exit(0)
