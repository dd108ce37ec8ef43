"""The crash points themselves: each boundary is found where it is said to be."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, insert, update
from sqlalchemy.engine.default import DefaultDialect

from tests.wire import crash

metadata = MetaData()
jobs = Table("jobs", metadata, Column("id", Integer), Column("status", String), Column("attempts", Integer))


class Died(BaseException):
    """Stands for SIGKILL."""


def end() -> None:
    raise Died


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in ((DefaultDialect, "do_commit"), (DefaultDialect, "do_rollback")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(Path, "replace", Path.replace)


@pytest.mark.parametrize(
    ("point", "left"),
    [
        ("before insert", []),
        ("after insert", ["queued"]),
        ("before status=running", ["queued"]),
        ("after status=running", ["running"]),
        ("before write 2", ["queued"]),
        ("after write 2", ["running"]),
    ],
)
def test_dies_just_before_or_just_after_a_commit(tmp_path: Path, point: str, left: list[str]) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    plain = create_engine(url)
    metadata.create_all(plain)
    crash.install(crash.Crash(point, end))
    engine = create_engine(url)
    with pytest.raises(Died):
        with engine.begin() as connection:
            connection.execute(insert(jobs).values(id=1, status="queued"))
        with engine.begin() as connection:
            connection.execute(update(jobs).where(jobs.c.id == 1).values(status="running", attempts=1))
    engine.dispose()
    with plain.connect() as connection:
        assert [row.status for row in connection.execute(jobs.select())] == left
    plain.dispose()


@pytest.mark.parametrize("end_reading", ["commit", "rollback"])
def test_a_reader_that_ends_meanwhile_moves_no_boundary(tmp_path: Path, end_reading: str) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'a.db'}")
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(jobs).values(id=1, status="queued"))
    crash.install(crash.Crash("after status=running", end))
    with pytest.raises(Died), engine.begin() as connection:
        connection.execute(update(jobs).where(jobs.c.id == 1).values(status="running", attempts=1))
        with engine.connect() as reader:
            reader.execute(jobs.select())
            getattr(reader, end_reading)()
    with engine.connect() as connection:
        assert [row.status for row in connection.execute(jobs.select())] == ["running"]
    engine.dispose()


@pytest.mark.parametrize(("point", "left"), [("before replace 2", "a"), ("after replace 2", "b")])
def test_dies_just_before_or_just_after_a_move(tmp_path: Path, point: str, left: str) -> None:
    crash.install(crash.Crash(point, end))
    target, part = tmp_path / "target.png", tmp_path / "part"
    part.write_text("a")
    part.replace(target)
    part.write_text("note")
    part.replace(part.with_name("note.json"))  # No picture: not counted.
    part.write_text("b")
    with pytest.raises(Died):
        part.replace(target)
    assert target.read_text() == left
