"""What users read, in their language: one table of messages a language, by the English sentence.

A language is files ``zh_*.py`` (one a theme) and its row in :data:`TABLES`; a test holds it complete.
English needs none: it is what the code says.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from bot.domain.sentence import Sentence
from bot.ui.locales.zh_answers import ANSWERS
from bot.ui.locales.zh_buttons import BUTTONS
from bot.ui.locales.zh_engine import ENGINE
from bot.ui.locales.zh_panels import PANELS
from bot.ui.locales.zh_prompts import PROMPTS

TABLES: Mapping[str, Mapping[str, str]] = {"zh": {**PROMPTS, **ANSWERS, **BUTTONS, **PANELS, **ENGINE}}
"""By the language in front of the region: ``zh`` for zh-CN and zh-TW alike."""


def translated(text: str, locale: str | Enum) -> str:
    """``text`` for a reader of ``locale`` (``zh-CN``); itself where it is no sentence of ours, or English."""
    table = TABLES.get(str(locale).partition("-")[0])
    return str(text) if table is None or not isinstance(text, Sentence) else _said(text, table)


def _said(sentence: Sentence, table: Mapping[str, str]) -> str:
    pattern = table.get(sentence.key, sentence.key)
    if not sentence.fields:
        return pattern
    fields = {
        name: _said(value, table) if isinstance(value, Sentence) else value
        for name, value in sentence.fields.items()
    }
    return pattern.format(**fields)
