"""Where the bot is made to die: at boundaries of what survives a death, found without a hook in its code.

What survives is what SQLite committed and what the file system was told to keep. So a crash point is a commit
(known by what it writes to the jobs table) or a file being moved into place, just before or just after it:

    after insert            the job's row has just been committed
    before message_id       the waiting message stands, its id is about to be committed
    before status=rendered  the files are written, the row does not say so yet
    after write 7           the seventh commit that writes anything
    before replace 2        the second picture is about to get its name
    at posting              the bot's own trace (logger ``bot.steps``) says so
"""

from __future__ import annotations

import logging
import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

SET = re.compile(r"UPDATE jobs SET (?P<columns>.*?) WHERE")
WRITE = re.compile(r"\s*(INSERT|UPDATE|DELETE)\b", re.IGNORECASE)


def die() -> None:
    """As kill -9 does it: no handler, no flush; or as another signal that ``WIRE_SIGNAL`` names."""
    os.kill(os.getpid(), int(os.environ.get("WIRE_SIGNAL", signal.SIGKILL)))


class Crash:
    """Counts boundaries as they are passed, and dies at the one it was given."""

    def __init__(self, point: str, end: Callable[[], None] = die) -> None:
        when, what, *times = point.split()
        self._wanted = (when, what, int(times[0]) if times else 1)
        self._passed: Counter[tuple[str, str]] = Counter()
        self._pending: dict[object, list[str]] = {}
        self._end = end

    def reach(self, when: str, what: str) -> None:
        self._passed[when, what] += 1
        if self._wanted == (when, what, self._passed[when, what]):
            self._end()

    def statement(self, connection: object, text: str, parameters: Any) -> None:
        """Remember what the transaction under way on ``connection`` writes."""
        if not WRITE.match(text) or "alembic_version" in text:
            return
        pending = self._pending.setdefault(connection, ["write"])
        if text.startswith("INSERT INTO jobs"):
            pending.append("insert")
        pending += written(text, parameters)

    def commit(self, connection: object, work: Callable[[], None]) -> None:
        """Run the commit ``work`` between its two boundaries; readers beside it have none."""
        written = self.rollback(connection)
        for what in written:
            self.reach("before", what)
        work()
        for what in written:
            self.reach("after", what)

    def rollback(self, connection: object) -> list[str]:
        """Forget what the transaction of ``connection`` would have written; what that was."""
        return self._pending.pop(connection, [])


def written(text: str, parameters: Any) -> list[str]:
    """``column`` and ``column=value`` for what an UPDATE of jobs sets by parameters."""
    found = SET.match(text)
    if found is None or not isinstance(parameters, tuple):
        return []
    columns = [part.split("=")[0].strip('" ') for part in found["columns"].split(", ") if part.endswith("?")]
    return columns + [f"{column}={value}" for column, value in zip(columns, parameters, strict=False)]


def raw(connection: Any) -> object:
    """The driver's connection, whether or not the pool has wrapped it."""
    return getattr(connection, "dbapi_connection", connection)


def install(crash: Crash) -> None:
    """Listen to every SQLAlchemy engine and to file moves of this process."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine
    from sqlalchemy.engine.default import DefaultDialect

    @event.listens_for(Engine, "before_cursor_execute")
    def _statement(
        connection: Any, cursor: object, text: str, parameters: Any, context: object, many: bool
    ) -> None:
        crash.statement(raw(connection.connection), text, parameters)

    do_commit: Any = DefaultDialect.do_commit
    do_rollback: Any = DefaultDialect.do_rollback

    def commit(self: DefaultDialect, connection: Any) -> None:
        crash.commit(raw(connection), lambda: do_commit(self, connection))

    def rollback(self: DefaultDialect, connection: Any) -> None:
        crash.rollback(raw(connection))
        do_rollback(self, connection)

    DefaultDialect.do_commit = commit  # type: ignore[method-assign]
    DefaultDialect.do_rollback = rollback  # type: ignore[method-assign]
    _watch_moves(crash)
    _watch_trace(crash)


def _watch_trace(crash: Crash) -> None:
    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if isinstance(record.args, tuple) and record.args:
                crash.reach("at", str(record.args[0]))

    trace = logging.getLogger("bot.steps")
    trace.setLevel(logging.DEBUG)
    trace.propagate = False
    trace.addHandler(Listener())


def _watch_moves(crash: Crash) -> None:
    path_replace = Path.replace

    def moved(self: Path, target: Any) -> Path:
        if Path(target).suffix != ".png":  # Notes of logins and the like are moved into place too.
            return path_replace(self, target)
        crash.reach("before", "replace")
        result = path_replace(self, target)
        crash.reach("after", "replace")
        return result

    Path.replace = moved  # type: ignore[method-assign,assignment]
