"""The data folder and everything that may be wrong with it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, func, insert, select
from sqlalchemy.exc import IntegrityError

from bot.errors import StoreError
from bot.store import schema
from bot.store.database import FILE, Database, check
from bot.store.tables import HEAD, metadata, quota_limits

ROW = {"guild_id": 0, "scope": "user", "period": "day", "amount": 1.0}


async def _add(database: Database, number: int) -> None:
    await database.write(
        lambda connection: connection.execute(insert(quota_limits).values(**ROW, scope_id=number))
    )


async def _count(database: Database) -> int:
    return await database.read(
        lambda connection: connection.scalar(select(func.count()).select_from(quota_limits)) or 0
    )


async def test_errors_show_nothing_of_the_rows(tmp_path: Path) -> None:
    """They are logged with their causes, and rows hold prompts and interactions' tokens."""
    database = await Database.open(tmp_path)
    row = {**ROW, "scope_id": 1, "scope": "canary"}
    with pytest.raises(StoreError) as caught:
        for _ in range(2):
            await database.write(lambda connection: connection.execute(insert(quota_limits).values(**row)))
    await database.close()
    told = "".join(traceback.format_exception(caught.value))
    assert "UNIQUE constraint failed" in told and "canary" not in told


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


async def test_the_migrations_make_the_tables_of_the_code(tmp_path: Path) -> None:
    await (await Database.open(tmp_path)).close()
    engine = create_engine(f"sqlite:///{tmp_path / FILE}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


REVISION_2 = """
INSERT INTO jobs (id, interaction_id, action, status, lane, user_id, role_ids, is_admin, guild_id, channel_id,
    prompt, seeds, inputs, model, parent_id, "index", result_message_id, price, cost, expected_s, gpu_seconds,
    created_at, kills, posting_at)
VALUES ('a', 1, 'imagine', 'posted', 'fast', 7, '[31]', 0, 10, 20, '{"text": "a red apple"}', '[5, 6]', '[]',
    'tiny', NULL, NULL, 99, 1, 2, 3, 4, 1.5, 1, 2.5);
INSERT INTO images VALUES ('i0', 'a', 0, '0.png', 5, 64, 64, 'x'), ('i1', 'a', 1, '1.png', 6, 64, 64, 'y');
INSERT INTO quota_limits VALUES ('user', 7, 0, 'day', 9.0), ('role', 31, 10, 'month', NULL);
INSERT INTO ledger (key, kind, account, scope, scope_id, guild_id, job_id, images, gpu_seconds, at)
VALUES ('reserve:a:allowance', 'reserve', 'allowance', 'user', 7, 10, 'a', 2, 4, 1.5);
"""


def _contents(path: Path) -> dict[str, list[dict[str, object]]]:
    """Every row by table."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        return {name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] for name in names}


async def test_an_older_database_loses_nothing(tmp_path: Path) -> None:
    """Columns and tables of later revisions are empty; a copy of the file as it was lies beside it."""
    path = tmp_path / FILE
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
    engine.dispose()
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(REVISION_2)
    before = _contents(path)
    await (await Database.open(tmp_path)).close()
    after = _contents(path)
    assert after.pop("alembic_version") == [{"version_num": HEAD}] and before.pop("alembic_version")
    for name, rows in before.items():
        assert rows, name
        assert [{key: new[key] for key in old} for old, new in zip(rows, after[name], strict=True)] == rows
    assert all(not rows for name, rows in after.items() if name not in before and name != "sqlite_sequence")
    assert _contents(path.with_name(f"{FILE}.before-{HEAD}"))["jobs"] == before["jobs"]
    assert check(path) == []


async def test_writes_take_turns_and_reads_see_them(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "new" / "folder")
    await asyncio.gather(*(_add(database, number) for number in range(50)))
    assert await _count(database) == 50
    await database.close()


async def test_settings_of_the_connections(tmp_path: Path) -> None:
    database = await Database.open(tmp_path)
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}
    for name, value in wanted.items():
        for run in (database.read, database.write):
            assert await run(lambda c, name=name: c.exec_driver_sql(f"PRAGMA {name}").scalar()) == value  # type: ignore[misc]
    with pytest.raises(StoreError):
        await database.read(lambda c: c.execute(insert(quota_limits).values(**ROW, scope_id=1)))
    await database.close()


async def test_a_write_that_raises_leaves_nothing(tmp_path: Path) -> None:
    database = await Database.open(tmp_path)

    def half(connection: object) -> None:
        connection.execute(insert(quota_limits).values(**ROW, scope_id=1))  # type: ignore[attr-defined]
        raise IntegrityError("made up", None, ValueError("made up"))

    with pytest.raises(StoreError):
        await database.write(half)
    assert await _count(database) == 0
    await database.close()


async def test_a_caller_that_is_cancelled_does_not_tear_its_transaction(tmp_path: Path) -> None:
    database = await Database.open(tmp_path)
    task = asyncio.create_task(_add(database, 1))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _add(database, 2)
    assert await _count(database) == 2
    await database.close()


async def test_after_the_close_nothing_is_written_or_read(tmp_path: Path) -> None:
    """The folder's lock is let go, so it may be another process' by then; what came before is committed."""
    database = await Database.open(tmp_path)
    before = [asyncio.create_task(_add(database, number)) for number in range(3)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    after = asyncio.create_task(_add(database, 9))
    await asyncio.gather(closing, *before)
    with pytest.raises(StoreError, match="is closed: the bot is stopping"):
        await after
    with pytest.raises(StoreError, match="is closed"):
        await _count(database)
    second = await Database.open(tmp_path)
    assert await _count(second) == 3
    await second.close()


async def test_a_second_owner_is_told_who_is_first(tmp_path: Path) -> None:
    database = await Database.open(tmp_path)
    with pytest.raises(StoreError) as told:
        await Database.open(tmp_path)
    assert str(told.value) == (
        f"The data folder {tmp_path} is already in use by process {os.getpid()}; "
        "stop that one first, or set TESSERA_DATA_DIR to another folder."
    )
    await database.close()
    await (await Database.open(tmp_path)).close()


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    script = (
        "import pathlib, os; from bot.store.lock import FolderLock; "
        f"FolderLock(pathlib.Path({str(tmp_path)!r})); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9

    async def again() -> None:
        await (await Database.open(tmp_path)).close()

    asyncio.run(again())


async def test_a_database_from_a_newer_version(tmp_path: Path) -> None:
    await (await Database.open(tmp_path)).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(StoreError, match=r"written by a newer version of Tessera \(revision 9999") as told:
        await Database.open(tmp_path)
    assert "install that version again, or put a backup in its place." in str(told.value)
    with pytest.raises(StoreError, match="newer version"):
        await Database.open(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [b"this is no database at all, whatever its name says" * 40, b"SQLite format 3\0" + b"\xff" * 4080],
)
async def test_a_damaged_database(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / FILE).write_bytes(damage)
    with pytest.raises(StoreError, match=r"is damaged \(.*\); put a backup in its place"):
        await Database.open(tmp_path)


async def test_a_database_of_another_program(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("CREATE TABLE other (x)")
    with pytest.raises(StoreError, match="is a database of some other program"):
        await Database.open(tmp_path)


async def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreError, match=r"The data folder .*data cannot be used: .*; run `chmod -R u\+rwX"):
        await Database.open(tmp_path / "data")


@contextmanager
def _nobody() -> Iterator[None]:
    """Root may write anywhere, so somebody else has to try."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield
    if root:
        os.seteuid(0)


def _open_to_all(folder: Path) -> None:
    for parent in (folder.parent, folder.parent.parent):
        parent.chmod(0o755)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o777)


@pytest.mark.parametrize("closed", ["", "images"])
async def test_folders_that_cannot_be_written(tmp_path: Path, closed: str) -> None:
    await (await Database.open(tmp_path)).close()
    _open_to_all(tmp_path)
    (tmp_path / closed).chmod(0o555)
    with _nobody(), pytest.raises(StoreError, match=r"cannot be .*run `chmod -R u\+rwX"):
        await Database.open(tmp_path)
    (tmp_path / closed).chmod(0o755)
    await (await Database.open(tmp_path)).close()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("database or disk is full", "is full; free some space, nothing was lost."),
        ("attempt to write a readonly database", "cannot be written; run `chmod -R u+rwX"),
        ("database disk image is malformed", "is damaged"),
        ("something new", "failed: something new; run `tessera db check`."),
    ],
)
def test_what_sqlite_says_in_other_words(tmp_path: Path, error: str, sentence: str) -> None:
    assert sentence in str(schema.explain(sqlite3.OperationalError(error), tmp_path / FILE))


async def test_backup_under_load_is_whole(tmp_path: Path) -> None:
    database = await Database.open(tmp_path)
    await asyncio.gather(
        database.backup(tmp_path / "copy.db"), *(_add(database, number) for number in range(30))
    )
    await database.backup(tmp_path / "copy.db")
    assert check(tmp_path / "copy.db") == [] and not (tmp_path / "copy.db-wal").exists()
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT count(*) FROM quota_limits").fetchone() == (30,)
    await database.close()


async def test_backup_to_nowhere(tmp_path: Path) -> None:
    database = await Database.open(tmp_path)
    with pytest.raises(StoreError):
        await database.backup(tmp_path / "no" / "folder" / "copy.db")
    await database.close()


async def test_check_finds_damage(tmp_path: Path) -> None:
    database = await Database.open(tmp_path)
    await asyncio.gather(*(_add(database, number) for number in range(200)))
    await database.close()
    data = bytearray((tmp_path / FILE).read_bytes())
    data[4096:] = b"\x55" * (len(data) - 4096)
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(StoreError, match="is damaged"):
        check(tmp_path / FILE)
