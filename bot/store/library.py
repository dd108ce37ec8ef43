"""The images table: which files a job has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from bot.store.tables import images, jobs


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One stored picture; ``file`` is relative to the data folder's ``images``."""

    id: str
    job_id: str
    index: int
    file: str
    seed: int
    width: int
    height: int
    sha256: str


def add(connection: Connection, rows: tuple[ImageRow, ...]) -> None:
    """Insert the pictures of a job."""
    if rows:
        connection.execute(
            insert(images),
            [{name: getattr(row, name) for name in ImageRow.__slots__} for row in rows],
        )


def of_job(connection: Connection, job_id: str) -> tuple[ImageRow, ...]:
    """A job's pictures by index."""
    query = select(images).where(images.c.job_id == job_id).order_by(images.c["index"])
    return tuple(_as_row(row) for row in connection.execute(query))


def find(connection: Connection, image_id: str) -> ImageRow | None:
    """One picture."""
    row = connection.execute(select(images).where(images.c.id == image_id)).first()
    return None if row is None else _as_row(row)


def known_files(connection: Connection) -> frozenset[str]:
    """Every file that a row names: pictures, and the pictures that jobs start from."""
    painted = connection.scalars(select(images.c.file))
    inputs = connection.scalars(select(jobs.c.inputs).where(func.instr(jobs.c.inputs, '"input:') > 0))
    kept = (name.removeprefix("input:") for names in inputs for name in names if name.startswith("input:"))
    return frozenset(painted) | frozenset(kept)


def remove(connection: Connection, job_id: str) -> tuple[str, ...]:
    """Drop a job's rows; the files they named, for the caller to unlink."""
    files = tuple(row.file for row in of_job(connection, job_id))
    connection.execute(delete(images).where(images.c.job_id == job_id))
    return files


def _as_row(row: Row[Any]) -> ImageRow:
    return ImageRow(**dict(row._mapping))
