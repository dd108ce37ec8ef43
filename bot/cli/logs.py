"""Logging to standard error: for people or machines, and never with a secret in it."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime

from bot.config import Settings

_LINK_TOKENS = re.compile(r"(/(?:webhooks|interactions)/\d+/)[\w.%-]+")
"""Interaction tokens stand in the paths of Discord's requests ..."""
_FIELD_TOKENS = re.compile(r"""((?:\\?['"])token(?:\\?['"]): ?(?:\\?['"]))[^'"\\]+""")
"""... and in the gateway's events, which discord.py logs whole at debug level."""
HIDDEN = "**********"


def configure(settings: Settings, *, quiet: bool = False) -> None:
    """Send this process's records to standard error as configured; ``quiet`` shows trouble only."""
    level = settings.log.level.upper()
    if quiet and level == "INFO":
        level = "WARNING"
    tokens = (settings.discord.token, settings.hub.token)
    secrets = [token.get_secret_value() for token in tokens if token]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(secrets) if settings.log.format == "json" else Lines(secrets))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.getLogger("discord.client").addFilter(_is_not_about_voice)
    # It tells every statement with its values, and a row may hold an interaction's token.
    logging.getLogger("aiosqlite").setLevel("INFO")
    if level != "DEBUG":
        logging.getLogger("alembic").setLevel("WARNING")
    logging.captureWarnings(True)


def _is_not_about_voice(record: logging.LogRecord) -> bool:
    return "voice will NOT be supported" not in record.getMessage()


class Lines(logging.Formatter):
    """``2026-11-22T05:03:01Z INFO bot.ui.client: ready``; tracebacks follow, secrets are blanked."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._secrets = tuple(secret for secret in secrets if secret)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """UTC, to the second."""
        return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def format(self, record: logging.LogRecord) -> str:
        """The whole record, traceback included, without secrets."""
        return self.without_secrets(super().format(record))

    def without_secrets(self, text: str) -> str:
        """The text with our token and interactions' tokens blanked."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return _FIELD_TOKENS.sub(rf"\1{HIDDEN}", _LINK_TOKENS.sub(rf"\1{HIDDEN}", text))


class JsonLines(Lines):
    """One JSON object a line: time, level, logger, message and, where there is one, the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON, without secrets."""
        fields = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(
            {key: self.without_secrets(text) for key, text in fields.items()}, ensure_ascii=False
        )
