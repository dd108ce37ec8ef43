"""Everything that rows hold of one user, for those who want to see it or want it gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, insert, select

from bot.store import accounts, library
from bot.store.accounts import Scope
from bot.store.tables import erased, jobs, metadata


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What rows named before they were deleted: files to unlink, inputs that others may need, messages."""

    files: tuple[str, ...]
    inputs: tuple[str, ...]
    messages: tuple[tuple[int, int], ...]
    """Channel and message of each result, and of each wait for one."""


def read(connection: Connection, user_id: int) -> Mapping[str, list[dict[str, Any]]]:
    """The user's rows by table."""
    return {
        table.name: [
            {name: value for name, value in row._mapping.items() if name != "token"}
            for row in connection.execute(select(table).where(_of(table, user_id)))
        ]
        for table in _tables()
    }


def erase(connection: Connection, user_id: int, now: float) -> Leftovers:
    """Delete every row of a user. Credit stays as numbers that name nobody, jobs as ids that do not either.

    Otherwise whoever deletes their data would have their credit back, and each picture that still stands
    somewhere its job.
    """
    mine = list(connection.execute(select(jobs).where(jobs.c.user_id == user_id)))
    files = tuple(row.file for job in mine for row in library.of_job(connection, job.id))
    inputs = tuple(name for job in mine for name in job.inputs if name.startswith("input:"))
    messages = dict.fromkeys(
        (job.channel_id, message)
        for job in mine
        for message in (job.result_message_id, job.message_id)
        if message
    )
    if mine:
        connection.execute(insert(erased), [{"job_id": job.id} for job in mine])
    accounts.forget(connection, user_id, now)
    for table in _tables():
        connection.execute(delete(table).where(_of(table, user_id)))
    return Leftovers(files, inputs, tuple(messages))


def _tables() -> Iterator[Table]:
    """Every table that names users: a table of a later day is among them by itself."""
    return (table for table in reversed(metadata.sorted_tables) if _names_users(table))


def _names_users(table: Table) -> bool:
    return "user_id" in table.c or "scope_id" in table.c


def _of(table: Table, user_id: int) -> ColumnElement[bool]:
    if "user_id" in table.c:
        return table.c.user_id == user_id
    return and_(table.c.scope == Scope.USER, table.c.scope_id == user_id)
