"""Brings a database file to the newest revision, and explains files that are none of ours."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import bot
from bot.errors import StoreError
from bot.store.tables import HEAD

MIGRATIONS = Path(bot.__file__).parent.parent / "migrations"
"""Beside the package, in a checkout and in site-packages alike."""


def migrate(path: Path) -> str | None:
    """Upgrade (or create) the database, keeping a copy of an older one; returns the revision it had.

    Raises StoreError for a file that is damaged, or newer than this version of Tessera.
    """
    found = revision(path)
    if found == HEAD:
        return found
    if found is not None:
        _refuse_unknown(path, found)
        backup(path, path.with_name(f"{path.name}.before-{HEAD}"))
    _upgrade(path)
    return found


def revision(path: Path) -> str | None:
    """The revision of a database file; None for a new or empty one. StoreError when it cannot be read."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path)) as connection:
            tables = {
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            }
            if not tables:
                return None
            if "alembic_version" not in tables:
                raise StoreError(
                    f"{path} is a database of some other program; set TESSERA_DATA_DIR elsewhere."
                )
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            return str(row[0]) if row else None
    except sqlite3.DatabaseError as error:
        raise explain(error, path) from error


def backup(source: Path, target: Path) -> None:
    """Copy a live database (SQLite's online backup); ``target`` is complete or does not exist."""
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(part)) as new:
            old.backup(new, pages=1024)
            new.execute("PRAGMA journal_mode=DELETE")
        part.replace(target)
    except (sqlite3.Error, OSError) as error:
        part.unlink(missing_ok=True)
        raise explain(error, target) from error


def explain(error: Exception, path: Path) -> StoreError:
    """What the operator can do about an error of SQLite or the file system."""
    text = str(error).lower()
    if "full" in text or "no space" in text:
        return StoreError(f"The disk of {path.parent} is full; free some space, nothing was lost.")
    if "readonly" in text or "read-only" in text or "permission" in text or "unable to open" in text:
        return StoreError(
            f"The data folder {path.parent} cannot be written; run `chmod -R u+rwX {path.parent}`, "
            "or set TESSERA_DATA_DIR to a folder of yours."
        )
    if "malformed" in text or "not a database" in text:
        return StoreError(
            f"The database {path} is damaged ({error}); put a backup in its place "
            "(made by `tessera db backup`), or move it away to start empty."
        )
    return StoreError(f"The database {path} failed: {error}; run `tessera db check`.")


def _refuse_unknown(path: Path, found: str) -> None:
    known = {file.name.split("_")[0] for file in (MIGRATIONS / "versions").glob("*.py")}
    if found not in known:
        raise StoreError(
            f"The database {path} was written by a newer version of Tessera (revision {found}, "
            f"this one knows {HEAD}); install that version again, or put a backup in its place."
        )


def _upgrade(path: Path) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DatabaseError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DatabaseError as error:
        cause = error.orig if isinstance(error.orig, Exception) else error
        raise explain(cause, path) from error
    finally:
        engine.dispose()
