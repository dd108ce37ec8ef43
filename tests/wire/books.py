"""The bot's database, read from outside, and what must hold in it whatever was killed when."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

DELIVERED = ("rendered", "posting", "posted")
ENDED = ("failed", "cancelled")


@dataclass(frozen=True, slots=True)
class JobRow:
    """What the tests look at."""

    id: str
    interaction_id: int
    user_id: int
    action: str
    status: str
    told: bool
    deleted: bool
    cost: float
    attempts: int
    result_message_id: int | None


class Books:
    """``<data>/tessera.db`` without a lock on it."""

    def __init__(self, data: Path) -> None:
        self._path = data / "tessera.db"
        self._images = data / "images"

    def query(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Rows of one read-only statement; none while there is no database yet."""
        if not self._path.exists():
            return []
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(sql, values).fetchall()

    def jobs(self) -> list[JobRow]:
        """All jobs in the order of their admission."""
        columns = (
            "id, interaction_id, user_id, action, status, told, deleted, cost, attempts, result_message_id"
        )
        rows = self.query(f"SELECT {columns} FROM jobs ORDER BY seq")
        flags = ("told", "deleted")
        return [JobRow(**{**dict(row), **{flag: bool(row[flag]) for flag in flags}}) for row in rows]

    def settled(self, count: int) -> bool:
        """Whether ``count`` jobs were admitted and all of them have ended and been told."""
        jobs = self.jobs()
        return len(jobs) >= count and all(job.told and job.status in ("posted", *ENDED) for job in jobs)

    def spent(self, user_id: int) -> float:
        """Images charged to a user, reserved ones included."""
        rows = self.query(
            "SELECT coalesce(sum(images), 0) FROM ledger WHERE job_id IS NOT NULL AND scope_id = ?", user_id
        )
        return float(rows[0][0]) if rows else 0.0

    def faults(self) -> list[str]:
        """What does not balance; empty when all is well."""
        return [
            *(f"integrity: {row[0]}" for row in self.query("PRAGMA integrity_check") if row[0] != "ok"),
            *(f"foreign key: {tuple(row)}" for row in self.query("PRAGMA foreign_key_check")),
            *(fault for job in self.jobs() for fault in self._faults_of(job)),
            *self._strays(),
        ]

    def _faults_of(self, job: JobRow) -> list[str]:
        entries = self.query("SELECT kind, images FROM ledger WHERE job_id = ?", job.id)
        charged = sum(entry["images"] for entry in entries)
        owed = 0.0 if job.status in ENDED else job.cost
        faults = []
        if charged != owed:
            faults.append(f"job {job.id} is {job.status} and was charged {charged}, not {owed}")
        if sum(entry["kind"] == "reserve" for entry in entries) > 1:
            faults.append(f"job {job.id} was reserved more than once")
        if job.status in DELIVERED and not job.deleted:
            faults += self._faults_of_files(job)
        return faults

    def _faults_of_files(self, job: JobRow) -> list[str]:
        rows = self.query("SELECT file FROM images WHERE job_id = ?", job.id)
        missing = [row["file"] for row in rows if not (self._images / row["file"]).exists()]
        return [f"job {job.id} has no file {name}" for name in missing] + (
            [] if rows else [f"job {job.id} is {job.status} without a picture"]
        )

    def _strays(self) -> list[str]:
        """Files that no row knows: what a kill left half done must be swept, or the disk fills."""
        inputs = self.query("SELECT inputs FROM jobs")
        known = {row["file"] for row in self.query("SELECT file FROM images")}
        found = (path for path in self._images.rglob("*") if path.is_file())
        names = (str(path.relative_to(self._images)) for path in found)
        wanted = known | {name.removeprefix("input:") for row in inputs for name in json.loads(row["inputs"])}
        return [f"stray file {name}" for name in names if name not in wanted]
