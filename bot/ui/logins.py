"""The logins (IDENTIFY) of the last hour, over restarts too: after 1000 a day Discord resets the token.

A bot that crashes as it starts, and a service manager that starts it again at once, would spend them in
minutes. Thirty an hour are free, further ones come six minutes apart, so forty an hour are the most.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

FILE = "logins.json"
FREE = 30
GAP_S = 360.0
HOUR_S = 3600.0
_log = logging.getLogger(__name__)


class Logins:
    """``folder`` is the data folder, owned by this process."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = folder / FILE
        self._clock = clock

    def wait(self) -> float:
        """Seconds until the next login may be made; 0 nearly always."""
        times = self._recent()
        return 0.0 if len(times) < FREE else max(0.0, times[-1] + GAP_S - self._clock())

    def note(self) -> None:
        """A login is about to be made; a disk that does not take it is only logged."""
        times = [*self._recent(), self._clock()]
        part = self._path.with_suffix(".part")
        try:
            part.write_text(json.dumps(times))
            part.replace(self._path)
        except OSError as error:
            _log.warning("a login could not be noted: %s", error)

    def _recent(self) -> list[float]:
        now = self._clock()
        try:
            times = [float(at) for at in json.loads(self._path.read_text())]
        except (OSError, ValueError, TypeError):
            return []
        return sorted(at for at in times if now - HOUR_S < at <= now)
