"""After the data folder is gone: jobs read back from the pictures of their messages, and nothing else is."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bot.domain.change import Change, Layout
from bot.domain.job import Action, Job, JobStatus
from bot.services import encoding
from bot.services.adoption import Remains
from tests.flow.conftest import ANN, BOB, HERE, House, build
from tests.flow.test_derived import opened, painted, press


async def posted(house: House, job: Job) -> Remains:
    """What Discord has of a job."""
    pictures = await house.services.pictures(job.id)
    file = await house.services.library.attachment(job, pictures, 10**7)
    return Remains(file.data, file.filename, ANN, HERE, 77, house.clock())


@pytest.fixture
async def lost(tmp_path: Path) -> AsyncIterator[House]:
    """A fresh folder."""
    house = await build(tmp_path / "new", LIMITS__RUNNING="20")
    house.start()
    yield house
    await house.stop()


_MADE: dict[tuple[str, tuple[Action, ...]], tuple[Job, Remains]] = {}


async def remains_of(tmp_path: Path, text: str, *actions: Action) -> tuple[Job, Remains]:
    """A job painted in a folder that is lost afterwards; ``actions`` are pressed on the first picture."""
    if (text, actions) in _MADE:
        return _MADE[text, actions]
    old = await build(tmp_path / "old")
    old.start()
    job = (await old.order(text)).job
    await painted(old, job)
    for action in actions:
        job = await press(old, job, action)
        if action is Action.UPSCALE:
            await old.until_status(job.id, JobStatus.POSTED)
        else:
            await painted(old, job)
    found = await posted(old, job)
    await old.stop()
    shutil.rmtree(tmp_path / "old")
    _MADE[text, actions] = job, found
    return job, found


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
async def test_a_grid_is_taken_apart_and_known_again(tmp_path: Path, lost: House, count: int) -> None:
    """Owner, prompt, seeds, model and every picture; its U, V and re-roll work as before."""
    job, found = await remains_of(tmp_path, f"a red apple --ar 3:2 --n {count} --seed 7")
    again = await lost.services.adopt(job.id, found)
    assert again is not None
    for name in ("id", "action", "requester", "place", "prompt", "seeds", "model", "change"):
        assert getattr(again, name) == getattr(job, name), name
    assert again == await lost.services.job(job.id)
    pictures = await lost.services.pictures(job.id)
    assert [picture.seed for picture in pictures] == list(job.seeds)
    mended = await posted(lost, job)
    assert opened(mended.data).convert("RGB").tobytes() == opened(found.data).convert("RGB").tobytes()
    with Image.open(pictures[-1].path) as last:
        own = json.loads(last.info["tessera"])
        assert (own["index"], own["seed"]) == (count - 1, job.seeds[-1])
        assert f"Seed: {job.seeds[-1]}" in last.info["parameters"]
    for action in (Action.VARIATION, Action.REROLL, Action.ZOOM_OUT):
        await painted(lost, await press(lost, again, action))
    single = await press(lost, again, Action.UPSCALE)
    await lost.until_status(single.id, JobStatus.POSTED)
    assert await lost.books() == []


@pytest.mark.parametrize("actions", [(Action.UPSCALE,), (Action.PAN_LEFT, Action.UPSCALE)])
async def test_a_u_is_known_again_by_its_files_name(
    tmp_path: Path, lost: House, actions: tuple[Action, ...]
) -> None:
    """Its picture tells of the grid."""
    job, found = await remains_of(tmp_path, "a red apple --n 1", *actions)
    again = await lost.services.adopt(job.id, found)
    assert again is not None
    for name in ("id", "action", "seeds", "prompt", "parent_id", "index", "change"):
        assert getattr(again, name) == getattr(job, name), name
    spec = await painted(lost, await press(lost, again, Action.VARIATION))
    assert (spec.width, spec.height) == ((96, 64) if job.change else (64, 64))


async def test_derived_jobs_keep_what_was_done_to_them(tmp_path: Path, lost: House) -> None:
    job, found = await remains_of(tmp_path, "a red apple --n 2", Action.PAN_UP)
    again = await lost.services.adopt(job.id, found)
    assert again is not None and again.change == job.change and again.action is Action.PAN_UP


async def test_webp_tells_as_much(tmp_path: Path, lost: House) -> None:
    """Large grids go out in it."""
    job, found = await remains_of(tmp_path, "一个红苹果 --n 4")
    sheet = opened(found.data)
    data = encoding.webp(sheet.convert("RGB"), encoding.text_of(sheet), 90)
    again = await lost.services.adopt(job.id, replace(found, data=data, filename="x.webp"))
    assert again is not None and again.prompt == job.prompt and again.seeds == job.seeds


async def test_twice_is_once(tmp_path: Path, lost: House) -> None:
    """Two clicks at the same moment."""
    job, found = await remains_of(tmp_path, "a red apple")
    first, second = [await lost.services.adopt(job.id, found) for _ in range(2)]
    assert first is not None and second is None
    assert len(await lost.services.pictures(job.id)) == 4


async def test_what_was_deleted_stays_so(tmp_path: Path, lost: House) -> None:
    """The picture on somebody's screen brings nothing back."""
    job, found = await remains_of(tmp_path, "a red apple")
    await lost.services.adopt(job.id, found)
    await lost.services.delete(job.id, ANN)
    assert await lost.services.adopt(job.id, found) is None
    assert await lost.services.job(job.id) is None


async def test_whoever_deleted_their_data_has_nothing_brought_back(tmp_path: Path, lost: House) -> None:
    """Their messages may stand where nobody can delete them."""
    job, found = await remains_of(tmp_path, "a red apple")
    await lost.services.adopt(job.id, found)
    await lost.services.privacy.erase(ANN.user_id)
    assert await lost.services.adopt(job.id, found) is None
    assert await lost.services.job(job.id) is None


async def test_pictures_of_the_lost_folder_are_left_out(tmp_path: Path, lost: House) -> None:
    """Links stay; a name in the folder would be somebody else's picture by now."""
    job, found = await remains_of(tmp_path, "a red apple --n 1")
    typed = (
        "library:aa.png https://e.org/a.png a pear --sref library:bb.png attachment:0 --n 1 --oref library:c"
    )
    again = await lost.services.adopt(job.id, retold(found, prompt=typed))
    assert again is not None
    assert again.prompt.images == ("https://e.org/a.png",)
    assert dict(again.prompt.values) == {"n": 1} and again.prompt.text == "a pear"


def retold(found: Remains, **changes: Any) -> Remains:
    """The same picture with another text."""
    picture = opened(found.data)
    texts = encoding.text_of(picture)
    own = {**json.loads(texts[encoding.OWN]), **changes}
    return replace(found, data=encoding.png(picture, texts | {encoding.OWN: json.dumps(own)}))


HOSTILE: tuple[dict[str, Any], ...] = (
    {"job": "f" * 32},
    {"job": "../../etc/passwd"},
    {"job": None},
    {"action": "grant"},
    {"action": ["imagine"]},
    {"index": -1},
    {"index": "0"},
    {"index": True},
    {"prompt": "a cat --steps 9999999"},
    {"prompt": "\x00\x01"},
    {"prompt": ["a"]},
    {"seeds": []},
    {"seeds": list(range(200))},
    {"seeds": [2**32]},
    {"seeds": [-1]},
    {"seeds": ["7"]},
    {"seeds": {"a": 1}},
    {"parent": "'; DROP TABLE jobs; --"},
    {"parent": 7},
    {"parent_index": 99},
    {"change": {"size": [10**9, 1]}},
    {"change": {"size": [0, 0]}},
    {"change": {"layout": "everything"}},
    {"change": {"enlarge": 1e9}},
    {"change": {"cells": [99]}},
    {"change": {"factor": float("nan")}},
    {"change": "zoom"},
    {"change": [1]},
)


@pytest.mark.parametrize("changes", HOSTILE, ids=repr)
async def test_a_text_that_makes_no_sense_makes_no_job(
    tmp_path: Path, lost: House, changes: dict[str, Any]
) -> None:
    """Nothing of it is written, and nothing raises."""
    job, found = await remains_of(tmp_path, "a red apple --n 1")
    found = replace(found, filename="picture.png")
    assert await lost.services.adopt(job.id, retold(found, **changes)) is None
    assert await lost.services.job(job.id) is None
    assert not list((lost.folder / "images").rglob("*.png"))


async def test_what_is_no_picture_of_ours_makes_no_job(lost: House) -> None:
    plain = io.BytesIO()
    Image.new("RGB", (8, 8)).save(plain, "PNG")
    for data in (b"", b"<svg/>", b"\x89PNG\r\n\x1a\n", plain.getvalue(), plain.getvalue()[:40]):
        remains = Remains(data, f"x_{'a' * 8}-aaaa-aaaa-aaaa-{'a' * 12}.png", BOB, HERE, 1, 0.0)
        assert await lost.services.adopt("a" * 32, remains) is None


async def test_a_sheet_that_is_no_such_grid_makes_no_job(tmp_path: Path, lost: House) -> None:
    """Five seeds do not fit two times two."""
    job, found = await remains_of(tmp_path, "a red apple --n 4")
    assert await lost.services.adopt(job.id, retold(found, seeds=[1, 2, 3, 4, 5])) is None


def test_a_change_is_kept_exactly() -> None:
    from bot.domain.change import dumps, loads

    for change in (
        Change(),
        Change(Layout.ZOOM, factor=1.5, ratio=(3, 2), size=(64, 96), remixed=True),
        Change(Layout.CELLS, cells=(0, 8)),
        Change(Layout.NAMED, region="the sky"),
        Change(enlarge=2.0, detail=0.3, size=(64, 64)),
    ):
        assert loads(dumps(change)) == change
