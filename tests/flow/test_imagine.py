"""From an order to a message, and what buttons make of it."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from bot.domain.job import Action, JobStatus
from bot.errors import UserError
from engine.fake import FakeEngine
from tests.flow.conftest import ANN, BOB, House, build


async def _painted(house: House, text: str = "a red apple") -> str:
    job = (await house.order(text)).job
    await house.until_status(job.id, JobStatus.RUNNING)
    await _finish(house, job.id)
    return job.id


async def _finish(house: House, job_id: str, after: int = 1) -> None:
    """Let a job run to its end once the engine was handed ``after`` jobs."""
    await house.submitted(after)
    house.engine.finish(job_id)
    await house.until_status(job_id, JobStatus.POSTED)


async def test_an_order_becomes_four_pictures_in_one_message(house: House) -> None:
    job_id = await _painted(house, "a red apple --seed 4294967295")
    assert [posted[0] for posted in house.sink.posted] == [job_id]
    pictures = house.sink.posted[0][1]
    assert [picture.seed for picture in pictures] == [4294967295, 0, 1, 2]
    assert all(picture.path.name.endswith(f"_{job_id}.png") for picture in pictures)
    job = await house.services.job(job_id)
    assert job is not None and job.result_message_id == 1001
    assert await house.books() == []


async def test_a_picture_says_how_it_was_made(house: House) -> None:
    await _painted(house, "苹果 --seed 7 --no fog")
    with Image.open(house.sink.posted[0][1][2].path) as picture:
        text = dict(picture.info)
    assert text["parameters"].startswith("苹果\nNegative prompt: fog\nSteps: 20, Sampler: ")
    assert "Seed: 9, Size: 64x64, Model: sketch" in text["parameters"]
    assert text["Software"] == "Tessera, AI generated"


async def test_u_is_free_and_at_once_while_the_file_is_there(house: House) -> None:
    parent = await _painted(house)
    single = (await house.order(None, who=BOB, action=Action.UPSCALE, parent=parent, index=2)).job
    await house.until_status(single.id, JobStatus.POSTED)
    original, copy = house.sink.posted[0][1][2], house.sink.posted[1][1][0]
    assert copy.path.read_bytes() == original.path.read_bytes() and copy.path != original.path
    assert copy.seed == original.seed and len(house.engine.submitted) == 1
    assert await house.books() == []


async def test_u_is_painted_again_from_its_seed_when_the_file_is_gone(house: House) -> None:
    parent = await _painted(house)
    before = house.sink.posted[0][1][2]
    pixels = Image.open(before.path).tobytes()
    before.path.unlink()
    single = (await house.order(None, action=Action.UPSCALE, parent=parent, index=2)).job
    await _finish(house, single.id, 2)
    spec = house.engine.submitted[-1]
    assert spec.seeds == (before.seed,) and spec.prompt == "a red apple"
    assert Image.open(house.sink.posted[1][1][0].path).tobytes() == pixels


async def test_v_starts_from_the_picture_with_new_seeds(house: House) -> None:
    parent = await _painted(house, "a red apple --seed 7")
    made = (await house.order(None, who=BOB, action=Action.VARIATION, parent=parent, index=1)).job
    await _finish(house, made.id, 2)
    spec = house.engine.submitted[-1]
    assert spec.init is not None and spec.init.strength == 0.65 and spec.count == 4
    assert not set(spec.seeds) & {7, 8, 9, 10}


async def test_v_paints_a_lost_picture_again_first(house: House) -> None:
    parent = await _painted(house, "a red apple --seed 7")
    lost = house.sink.posted[0][1][1]
    pixels = lost.path.read_bytes()
    lost.path.unlink()
    made = (await house.order(None, action=Action.VARIATION, parent=parent, index=1)).job
    await house.submitted(2)
    again = house.engine.submitted[1]
    assert again.seeds == (8,) and again.job_id == f"restore-{lost.id}"
    house.engine.finish(again.job_id)
    await _finish(house, made.id, 3)
    assert lost.path.read_bytes() == pixels
    assert house.engine.submitted[2].init is not None


async def test_reroll_is_the_same_prompt_with_new_seeds(house: House) -> None:
    parent = await _painted(house, "a red apple --seed 7 --ar 3:2")
    made = (await house.order(None, action=Action.REROLL, parent=parent)).job
    await _finish(house, made.id, 2)
    first, second = house.engine.submitted
    assert (second.prompt, second.width, second.height) == (first.prompt, first.width, first.height)
    assert first.seeds != second.seeds


async def test_progress_is_coalesced_and_ends_before_the_post(house: House) -> None:
    job = (await house.order()).job
    await house.until_status(job.id, JobStatus.RUNNING)
    await house.submitted()
    house.engine.step(job.id, 5)
    await house.sink.until(lambda: (job.id, 25) in house.sink.progressed)
    house.engine.finish(job.id)
    await house.until_status(job.id, JobStatus.POSTED)
    percents = [percent for _, percent in house.sink.progressed]
    assert percents == sorted(percents) and percents[-1] <= 99


async def test_delete_leaves_no_word_and_no_file(house: House) -> None:
    job_id = await _painted(house, "a very private apple")
    paths: list[Path] = [picture.path for picture in house.sink.posted[0][1]]
    gone = await house.services.delete(job_id, ANN)
    assert gone.prompt.text == "a very private apple"
    assert not any(path.exists() for path in paths)
    assert await house.services.job(job_id) is None and await house.services.pictures(job_id) == ()
    await house.services.close()
    remains = b"".join(file.read_bytes() for file in house.folder.glob("tessera.db*"))
    assert b"private" not in remains and job_id.encode() in remains


async def test_u_of_a_lost_file_and_a_lost_model_says_so(house: House) -> None:
    parent = await _painted(house)
    kept = house.engine._models.pop("sketch")
    house.engine._models["other"] = replace(kept, name="other")
    single = (await house.order(None, action=Action.UPSCALE, parent=parent, index=0)).job
    await house.until_status(single.id, JobStatus.POSTED)
    for picture in house.sink.posted[0][1]:
        picture.path.unlink()
    with pytest.raises(UserError, match="its model `sketch` is no longer installed here; press re-roll"):
        await house.order(None, action=Action.UPSCALE, parent=parent, index=0)


async def test_what_was_rendered_is_told_while_the_engine_loads(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = (await house.order()).job
    await house.submitted()
    house.sink.gate.clear()
    house.engine.finish(job.id)
    await house.sink.until(lambda: house.sink.posting == 1)
    copy = tmp_path / "copy"
    shutil.copytree(house.folder, copy)
    loading = asyncio.Event()
    engine = FakeEngine()
    monkeypatch.setattr(engine, "start", loading.wait)
    house.sink.gate.set()
    second = await build(copy, engine=engine)
    second.start()
    await second.until_status(job.id, JobStatus.POSTED)
    loading.set()
    await second.stop()
