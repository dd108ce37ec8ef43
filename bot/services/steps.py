"""The named steps of a job, told to the log at debug level: for traces, and for tests that kill at one."""

from __future__ import annotations

import logging
from enum import StrEnum

LOGGER = "bot.steps"
_log = logging.getLogger(LOGGER)


class Step(StrEnum):
    """Each is reached when what it says is durable, or has just happened outside."""

    ADMITTED = "admitted"
    DISPATCHED = "dispatched"
    FINISHED = "finished"
    FILES_WRITTEN = "files_written"
    RENDERED = "rendered"
    POSTING = "posting"
    SENT = "sent"
    POSTED = "posted"
    REFUNDED = "refunded"


def reached(step: Step, job_id: str) -> None:
    """One debug record on the logger ``bot.steps`` with ``args == (step, job_id)``."""
    _log.debug("%s %s", step, job_id)
