"""The data folder: one lock, one writing connection, readers beside it, the image files below it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from bot.errors import StoreError
from bot.store import accounts, schema
from bot.store.lock import FolderLock

T = TypeVar("T")
FILE = "tessera.db"
BUSY_MS = 10_000


class Database:
    """``write`` and ``read`` run a function of a SQLAlchemy connection inside one transaction.

    Writes are serialised on one connection (BEGIN IMMEDIATE, WAL, synchronous=FULL); a caller that is
    cancelled does not tear the transaction it began.
    """

    def __init__(self, folder: Path, lock: FolderLock) -> None:
        self.folder = folder
        self.path = folder / FILE
        self._lock = lock
        self._turn = asyncio.Lock()
        self._closed = False
        self._writer = _engine(self.path, begin="BEGIN IMMEDIATE", query_only=False)
        self._reader = _engine(self.path, begin="BEGIN", query_only=True)

    @classmethod
    async def open(cls, folder: Path) -> Database:
        """Make the folder if need be, lock it, migrate; StoreError with one sentence when that cannot be."""
        lock = await asyncio.to_thread(_prepare, folder)
        try:
            await asyncio.to_thread(schema.migrate, folder / FILE)
        except BaseException:
            lock.release()
            raise
        database = cls(folder, lock)
        try:
            await database.write(lambda connection: None)
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """Let the writes before it end, fold the WAL back, release the folder; safe to call twice.

        Later ones raise StoreError: the folder may be another process' by then.
        """
        async with self._turn:
            self._closed = True
            await self._reader.dispose()
            await self._writer.dispose()
            self._lock.release()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in the one writing transaction and commit; StoreError for trouble with the file."""
        return await asyncio.shield(asyncio.ensure_future(self._write(work)))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a consistent snapshot; it cannot write."""
        self._refuse_closed()
        try:
            async with self._reader.begin() as connection:
                return await connection.run_sync(work)
        except DBAPIError as error:
            raise self._explained(error) from error

    async def backup(self, target: Path) -> None:
        """Write a consistent copy of the database while it is in use; StoreError when it cannot be."""
        await asyncio.to_thread(schema.backup, self.path, target)

    async def checkpoint(self) -> None:
        """Fold the WAL back into the file, so that what was deleted is nowhere any more."""
        async with self._turn:
            self._refuse_closed()
            async with self._writer.connect() as connection:
                raw = (await connection.get_raw_connection()).driver_connection
                assert raw is not None, "a connection of the pool is open"
                await (await raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")).close()

    async def _write(self, work: Callable[[Connection], T]) -> T:
        async with self._turn:
            self._refuse_closed()
            try:
                async with self._writer.begin() as connection:
                    return await connection.run_sync(work)
            except DBAPIError as error:
                raise self._explained(error) from error

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StoreError(f"The database {self.path} is closed: the bot is stopping.")

    def _explained(self, error: DBAPIError) -> StoreError:
        cause = error.orig if isinstance(error.orig, Exception) else error
        return schema.explain(cause, self.path)


def _prepare(folder: Path) -> FolderLock:
    images = folder / "images"
    try:
        images.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(folder)
    except OSError as error:
        raise StoreError(
            f"The data folder {folder} cannot be used: {error.strerror}; run `chmod -R u+rwX {folder}`, "
            "or set TESSERA_DATA_DIR to a folder of yours."
        ) from error
    try:
        _probe(images)
    except StoreError:
        lock.release()
        raise
    return lock


def _probe(folder: Path) -> None:
    """Write and drop a file, since permission bits say little about mounts and full disks."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        probe.write_bytes(b"tessera")
        probe.unlink()
    except OSError as error:
        raise StoreError(
            f"The folder {folder} cannot be written: {error.strerror}; run `chmod -R u+rwX {folder}`, "
            "or set TESSERA_DATA_DIR to a folder of yours."
        ) from error


def _engine(path: Path, *, begin: str, query_only: bool) -> AsyncEngine:
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}",
        poolclass=StaticPool if not query_only else None,
        pool_pre_ping=False,
        # Errors are logged with their tracebacks, and a row holds prompts and an interaction's token.
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _connect(connection: Any, record: object) -> None:
        # Python's sqlite3 opens transactions on its own unless told not to; SQLAlchemy's documented recipe.
        connection.isolation_level = None
        # SQLite's own lower() knows ASCII alone.
        connection.create_function("casefold", 1, _casefold)
        for pragma in _pragmas(query_only):
            connection.execute(pragma).close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _casefold(text: str | None) -> str | None:
    return None if text is None else text.casefold()


def _pragmas(query_only: bool) -> tuple[str, ...]:
    return (
        f"PRAGMA busy_timeout={BUSY_MS}",
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "PRAGMA foreign_keys=ON",
        "PRAGMA secure_delete=ON",
        *(("PRAGMA query_only=ON",) if query_only else ()),
    )


def check(path: Path) -> list[str]:
    """Faults of a database file, at rest or in use: SQLite's checks, then the ledger's. Empty if sound."""
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
            found += [
                f"row without its parent in {row[0]}"
                for row in connection.execute("PRAGMA foreign_key_check")
            ]
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise schema.explain(error, path) from error
    faults = [fault for fault in found if fault != "ok"]
    return faults or _check_ledger(path)


def _check_ledger(path: Path) -> list[str]:
    engine = create_engine(f"sqlite:///file:{path}?mode=ro&uri=true")
    try:
        with engine.connect() as connection:
            return accounts.unbalanced(connection)
    except DBAPIError as error:
        raise schema.explain(error.orig if isinstance(error.orig, Exception) else error, path) from error
    finally:
        engine.dispose()
