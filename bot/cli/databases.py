"""``tessera db``: upgrade, backup and check of the database file."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from bot.config import Settings
from bot.errors import StoreError
from bot.store import schema
from bot.store.database import FILE, Database, check


def upgrade(settings: Settings) -> str:
    """Bring the database to this version's schema (making it if there is none); StoreError when in use."""
    path = settings.data.dir / FILE
    before = schema.revision(path)
    asyncio.run(_open_once(settings.data.dir))
    after = schema.revision(path)
    if before == after:
        return f"{path} is up to date (revision {after})."
    return f"{path} is now at revision {after}" + (f", from {before}." if before else ", newly made.")


async def _open_once(folder: Path) -> None:
    database = await Database.open(folder)
    await database.close()


def backup(settings: Settings, target: Path | None) -> str:
    """Copy the database while it is in use; StoreError when the target exists or cannot be written."""
    path = existing(settings)
    chosen = target or Path(f"tessera-{datetime.now(UTC):%Y%m%d-%H%M%S}.db")
    if chosen.is_dir():
        chosen = chosen / f"tessera-{datetime.now(UTC):%Y%m%d-%H%M%S}.db"
    if chosen.exists():
        raise StoreError(f"{chosen} exists already; name another file.")
    if not chosen.parent.is_dir():
        raise StoreError(f"There is no folder {chosen.parent}; make it first.")
    schema.backup(path, chosen)
    return f"{chosen} holds a copy of {path}; the pictures are in {settings.data.dir / 'images'}."


def verify(settings: Settings) -> str:
    """SQLite's own checks; StoreError with what they found."""
    path = existing(settings)
    schema.revision(path)
    if faults := check(path):
        raise StoreError(
            f"The database {path} is damaged: {'; '.join(faults[:5])}. Put a backup in its place."
        )
    return f"{path} is sound (revision {schema.revision(path)})."


def existing(settings: Settings) -> Path:
    """The database file; StoreError when there is none yet."""
    path = settings.data.dir / FILE
    if not path.is_file():
        raise StoreError(f"There is no database in {settings.data.dir} yet; `tessera db upgrade` makes one.")
    return path
