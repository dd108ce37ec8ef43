"""How long the queue is, kept in memory for estimates; the rows stay the truth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bot.store.jobs import LANES, Waiting


@dataclass(slots=True)
class _Queue:
    count: int = 0
    seconds: float = 0.0


class Backlog:
    """Queued jobs by lane and user, and what the engine holds."""

    def __init__(self, waiting: Iterable[Waiting] = ()) -> None:
        self._queues: dict[str, dict[int, _Queue]] = {lane: {} for lane in LANES}
        self._held: dict[str, float] = {}
        for entry in waiting:
            self._queues[entry.lane][entry.user_id] = _Queue(entry.count, entry.seconds)

    def queued(self, lane: str, user_id: int, seconds: float) -> None:
        """A job joined the queue."""
        queue = self._queues[lane].setdefault(user_id, _Queue())
        queue.count += 1
        queue.seconds += seconds

    def left(self, lane: str, user_id: int, seconds: float) -> None:
        """A job left the queue, to the engine or for good."""
        queue = self._queues[lane].get(user_id)
        if queue is None or queue.count <= 1:
            self._queues[lane].pop(user_id, None)
            return
        queue.count -= 1
        queue.seconds -= seconds

    def handed(self, job_id: str, seconds: float) -> None:
        """The engine holds the job."""
        self._held[job_id] = seconds

    def returned(self, job_id: str) -> None:
        """The engine is done with the job."""
        self._held.pop(job_id, None)

    def empty(self) -> bool:
        """Whether nobody waits."""
        return not any(self._queues.values())

    def own(self, lane: str, user_id: int) -> int:
        """Queued jobs of a user in a lane."""
        queue = self._queues[lane].get(user_id)
        return queue.count if queue else 0

    def ahead(self, lane: str, user_id: int, rank: int) -> tuple[int, float]:
        """Jobs and device seconds before a user's ``rank``-th queued job (from 1), users taking turns."""
        jobs, seconds = 0, sum(self._held.values())
        for other in LANES[: LANES.index(lane) + 1]:
            for user, queue in self._queues[other].items():
                most = rank - 1 if user == user_id and other == lane else rank
                turns = queue.count if other != lane else min(queue.count, most)
                jobs += turns
                seconds += queue.seconds * turns / queue.count
        return jobs, seconds
