"""A disk that is really full: a clear sentence, nothing broken, and all goes on when there is room again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.store.database import check
from tests.wire.books import Books
from tests.wire.process import BotProcess
from tests.wire.standin import StandIn


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder whose ``data`` is a disk of 4 MiB."""
    data = tmp_path / "data"
    data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(data)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a small disk here")
    yield tmp_path
    subprocess.run(["umount", str(data)], check=True)


def fill(file: Path) -> None:
    """Until the disk takes no byte more."""
    with file.open("wb", buffering=0) as stream:
        for size in (4096, 1):
            try:
                while stream.write(b"x" * size):
                    pass
            except OSError:
                continue


async def test_a_full_disk_is_told_and_passes(discord: StandIn, small_disk: Path) -> None:
    ann = discord.user("ann")
    async with BotProcess(discord, small_disk) as bot:
        books, filler = Books(bot.data), bot.data / "filler"
        await discord.slash(ann, "imagine", prompt="before")
        await discord.wait_for(lambda: books.settled(1))
        fill(filler)
        late = await discord.slash(ann, "imagine", prompt="while it is full")
        await discord.wait_for(lambda: "My disk is full or cannot be written" in late.said)
        about = await discord.slash(ann, "info")
        await discord.wait_for(lambda: "96 images left" in about.said)
        filler.unlink()
        await discord.slash(ann, "imagine", prompt="afterwards")
        await discord.wait_for(lambda: books.settled(2))
        assert discord.results_for("afterwards")
        assert [books.faults(), check(bot.data / "tessera.db")] == [[], []]


async def test_a_disk_that_fills_while_it_paints_delays_the_result(
    discord: StandIn, small_disk: Path
) -> None:
    async with BotProcess(discord, small_disk, environ={"WIRE_HELD": "1"}) as bot:
        books, filler = Books(bot.data), bot.data / "filler"
        await discord.slash(discord.user("ann"), "imagine", prompt="a boat")
        await discord.wait_for(lambda: any(job.status == "running" for job in books.jobs()))
        fill(filler)
        bot.go()
        await discord.wait_for(lambda: "cannot be written; trying again" in bot.log)
        filler.unlink()
        await discord.wait_for(lambda: books.settled(1))
        assert discord.results_for("a boat")
        assert [books.faults(), check(bot.data / "tessera.db")] == [[], []]
