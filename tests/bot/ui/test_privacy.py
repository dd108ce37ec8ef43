"""/privacy: what is stored is told, handed over, and gone without a trace when asked for."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

from sqlalchemy import Connection, text

from bot.domain.job import JobStatus
from bot.store.accounts import pseudonym
from bot.store.tables import metadata
from tests.bot.ui.world import World, answers

CANARY = "a purple canary"


def traces(connection: Connection, user_id: int) -> list[str]:
    """Every table and column that holds the number or the words."""
    found = []
    for table in metadata.sorted_tables:
        for row in connection.execute(table.select()):
            found += [
                f"{table.name}.{name}"
                for name, value in row._mapping.items()
                if value == user_id or CANARY in str(value) or str(user_id) in str(value)
            ]
    return found


def files_with(folder: Path, words: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and words in path.read_bytes()]


async def test_delete_leaves_no_row_and_no_file(world: World) -> None:
    """Running and waiting jobs are cancelled, messages removed; others' things stay."""
    await world.lin.slash(world.channel, "prefer suffix", value="--tile")
    grid = await world.grid(CANARY)
    other = await world.grid("of somebody else", world.max)
    await world.lin.click(grid, label="U1")
    await world.result(3)
    await world.imagine(f"{CANARY} still waiting")
    waiting = world.messages()[-1]
    await world.until(lambda: len(world.engine.submitted) == 3, "the engine has it")
    assert await world.services.database.read(lambda connection: traces(connection, world.lin.id))
    asked = await world.lin.slash(world.channel, "privacy")
    assert asked.ephemeral and "What I store of you" in asked.response.content
    sure = await world.lin.click(asked.response.message, label="Delete my data")
    assert "It cannot be undone." in sure.response.content
    done = await world.lin.click(sure.response.message, label="Yes, delete everything")
    assert [told.content for told in answers(done)] == ["Deleted: I store nothing of you any more."]
    assert await world.services.database.read(lambda connection: traces(connection, world.lin.id)) == []
    assert files_with(world.settings.data.dir, CANARY.encode()) == []
    assert len(list((world.settings.data.dir / "images").rglob("*.png"))) == 4, "only the other's are left"
    assert [message.id for message in world.results()] == [other.id]
    await world.until(lambda: waiting.id not in {message.id for message in world.messages()}, "it is gone")
    assert await world.services.job((await world.job_of(other)).id) is not None


async def test_credit_does_not_come_back_by_it(world: World) -> None:
    """What was spent stays, under a number that names nobody; an admin's limit does too."""
    await world.ada.slash(world.channel, "quota set", window="day", target=world.lin, amount=10)
    await world.grid()
    await world.services.privacy.erase(world.lin.id)

    def kept(connection: Connection) -> list[int]:
        return list(
            connection.scalars(text("SELECT scope_id FROM ledger UNION SELECT scope_id FROM quota_limits"))
        )

    assert await world.services.database.read(kept) == [pseudonym(world.lin.id)]
    facts = await world.lin.slash(world.channel, "info")
    assert "6 images left of 10" in answers(facts)[0].content
    assert "jobs: 0" in answers(facts)[0].content
    await world.ada.slash(world.channel, "quota reset", target=world.lin)
    facts = await world.lin.slash(world.channel, "info")
    assert "100 images left of 100" in answers(facts)[0].content


async def test_a_result_on_its_way_is_waited_for(world: World) -> None:
    """Nothing is deleted then, and the sentence says so."""
    grid = await world.grid()
    job = await world.job_of(grid)
    await world.services.database.write(
        lambda connection: connection.execute(
            text("UPDATE jobs SET status = 'posting' WHERE id = :id"), {"id": job.id}
        )
    )
    asked = await world.lin.slash(world.channel, "privacy")
    sure = await world.lin.click(asked.response.message, label="Delete my data")
    done = await world.lin.click(sure.response.message, label="Yes, delete everything")
    assert answers(done)[-1].content == (
        "1 of your jobs are just being finished; try again in a minute. Nothing was deleted yet."
    )
    assert len(await world.rows(JobStatus.POSTING)) == 1


async def test_export_is_everything_as_a_file(world: World) -> None:
    """Rows of every table with one's id, and the pictures; nothing of others."""
    await world.grid(CANARY)
    await world.grid("of somebody else", world.max)
    asked = await world.lin.slash(world.channel, "privacy")
    pressed = await world.lin.click(asked.response.message, label="Export my data")
    (told,) = answers(pressed)
    assert told.ephemeral
    with zipfile.ZipFile(io.BytesIO(await told.attachments[0].read())) as archive:
        rows = json.loads(archive.read("data.json"))
        pictures = [name for name in archive.namelist() if name.startswith("pictures/")]
    assert len(pictures) == 4
    assert [CANARY in job["prompt"] for job in rows["jobs"]] == [True]
    assert rows["ledger"] and rows["preferences"] and "token" not in rows["jobs"][0]
    assert "somebody else" not in json.dumps(rows)
