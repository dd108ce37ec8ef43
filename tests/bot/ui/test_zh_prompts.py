"""Every sentence of the prompt language has a Chinese one with the same fields."""

from __future__ import annotations

import ast
import string
from pathlib import Path

from bot.domain.flags import FLAGS
from bot.ui.locales.zh_prompts import PROMPTS

BOT = Path(__file__).parents[3] / "bot"
FILES = (
    "domain/flags.py",
    "domain/permutations.py",
    "domain/prompt.py",
    "domain/reading.py",
    "services/batches.py",
    "services/explain.py",
    "services/specs.py",
    "cli/imagine.py",
)


def said(file: str) -> set[str]:
    """The English sentences of a module."""
    calls = [node for node in ast.walk(ast.parse((BOT / file).read_text())) if isinstance(node, ast.Call)]
    ours = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "say"]
    return {key.value for key in ours if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def fields(pattern: str) -> set[tuple[str, str | None]]:
    return {(name, form) for _, name, form, _ in string.Formatter().parse(pattern) if name is not None}


def test_every_sentence_is_there() -> None:
    english = {sentence for file in FILES for sentence in said(file)}
    assert len(english) > 50
    assert not english - PROMPTS.keys()
    assert not {flag.help for flag in FLAGS} - PROMPTS.keys()


def test_none_has_lost_or_gained_a_field() -> None:
    for english, chinese in PROMPTS.items():
        assert fields(english) == fields(chinese), english
        assert any("\u4e00" <= char <= "\u9fff" for char in chinese), english
