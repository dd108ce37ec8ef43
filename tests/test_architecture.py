"""What holds for the whole tree: which way imports run, and how long a function may be.

The import rules themselves are contracts of import-linter in ``pyproject.toml`` (``make check``); here the
interpreter is asked what really got loaded.
"""

from __future__ import annotations

import ast
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bot
import engine

ROOT = Path(__file__).parent.parent
LONGEST = 40
"""Lines of a function, its signature and docstring included."""
HEAVY = {"torch", "diffusers", "transformers", "safetensors"}
DISCORD = {"discord", "simcord"}
TORCH_FREE = ("engine.api", "engine.checks", "engine.fake", "engine.images", "engine.scheduler")
SOURCES = sorted(path for folder in ("bot", "engine", "docs") for path in (ROOT / folder).rglob("*.py"))


def modules(package: str, path: list[str]) -> list[str]:
    return [package, *(found.name for found in pkgutil.walk_packages(path, f"{package}."))]


def loaded_by(*names: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after importing these."""
    script = (
        "import importlib, json, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=250
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_whole_bot_never_loads_torch() -> None:
    assert not loaded_by(*modules("bot", list(bot.__path__))) & HEAVY


def test_importing_the_torch_free_engine_loads_neither_torch_nor_discord() -> None:
    there = {name for name in modules("engine", list(engine.__path__)) if name in TORCH_FREE}
    assert not loaded_by(*there) & (HEAVY | DISCORD | {"bot"})


def test_importing_the_whole_engine_loads_nothing_of_the_bot() -> None:
    assert not loaded_by(*modules("engine", list(engine.__path__))) & (DISCORD | {"bot", "sqlalchemy"})


def test_the_command_line_starts_light() -> None:
    assert not loaded_by("bot.__main__") & (HEAVY | DISCORD | {"sqlalchemy", "aiohttp"})


def test_the_domain_is_the_standard_library_alone() -> None:
    names = modules("bot.domain", [str(ROOT / "bot" / "domain")])
    # Of the engine its strings alone, as import-linter sees to; they are the standard library too.
    assert loaded_by(*names) - set(sys.stdlib_module_names) - loaded_by() <= {"bot", "engine"}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_functions_are_short(path: Path) -> None:
    tree = ast.parse(path.read_text())
    long = {f.name: n for f in functions(tree) if (n := (f.end_lineno or f.lineno) - f.lineno + 1) > LONGEST}
    assert not long


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_public_things_say_what_they_are(path: Path) -> None:
    tree = ast.parse(path.read_text())
    public = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
    ]
    silent = [node.name for node in public if not ast.get_docstring(node)]
    assert not silent
    assert ast.get_docstring(tree) or not tree.body
