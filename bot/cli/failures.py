"""Every error of a command ends here: one sentence on standard error, and an exit code."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from typer import Abort
from typer.exceptions import TyperException

from bot.domain.policy import without_marks
from bot.errors import NotAllowed, OperatorError, PromptError, QuotaExceeded, TooManyJobs, UserError
from engine.api import EngineError

OK, FAILED, USAGE, STORE, LOGIN, ENGINE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
EXIT_CODES: dict[int, str] = {
    OK: "done",
    FAILED: "something else went wrong, or `doctor` found faults",
    USAGE: "wrong command line, prompt (or a picture in it) or configuration",
    STORE: "the data folder or database cannot be used",
    LOGIN: "Discord refused the token, or there is none",
    ENGINE: "no model could be loaded, or the engine broke",
    INTERRUPTED: "interrupted by Ctrl-C",
}


def guarded(command: Callable[[], int | None]) -> int:
    """Run a command to its exit code; nothing escapes as a traceback (log level debug shows it)."""
    try:
        code = command() or OK
    except (Abort, KeyboardInterrupt):
        code = INTERRUPTED  # what Typer, too, makes of Ctrl-C inside a command
    except Exception as error:
        logging.getLogger(__name__).debug("the command failed", exc_info=error)
        return _say(*explain(error))
    return _say("Stopped.", code) if code == INTERRUPTED else code


def explain(error: Exception) -> tuple[str, int]:
    """The sentence and the exit code of an error."""
    match error:
        case OperatorError():
            return str(error), error.exit_code
        case PromptError():
            return str(error), USAGE
        case QuotaExceeded() | TooManyJobs() | NotAllowed():
            return without_marks(str(error)), FAILED
        case UserError():
            return without_marks(str(error)), USAGE
        case EngineError():
            return str(error), ENGINE
        case TyperException():
            said = error.format_message()  # empty where the help was shown instead
            return f"{said} See `tessera --help`." if said else "", USAGE
        case OSError() if error.strerror:
            return f"{error.filename or 'The system refused'}: {error.strerror}.", FAILED
        case _:
            return _bug(error), FAILED


def _bug(error: Exception) -> str:
    """Without its own words, which may quote what was typed or a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return (
        f"Tessera hit a bug ({type(error).__name__}{place}); "
        "run the same with TESSERA_LOG__LEVEL=debug for what to report."
    )


def _say(sentence: str, code: int) -> int:
    if sentence:
        print(sentence, file=sys.stderr)
    return code
