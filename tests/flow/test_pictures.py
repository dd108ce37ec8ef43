"""Orders that start from pictures: uploads, links, re-rolls of both, and what remains when they go."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from bot.domain.job import Action, Job, JobStatus
from bot.domain.prompt import parse
from bot.errors import PictureRefused, QuotaExceeded, TooManyJobs, UserError
from bot.services.admission import Order, Upload
from engine.api import GenerationSpec, InvalidSpec, ReferenceKind
from engine.fake import SKETCH, FakeEngine
from tests.flow.conftest import ANN, BOB, HERE, House, build


def picture(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (48, 32), colour).save(buffer, "PNG")
    return buffer.getvalue()


def upload(data: bytes) -> Upload:
    async def read() -> bytes:
        return data

    return Upload("mine.png", "image/png", len(data), read)


@pytest.fixture
async def roomy(tmp_path: Path) -> AsyncIterator[House]:
    house = await build(tmp_path / "data")
    house.start()
    yield house
    await house.stop()


async def _order(house: House, text: str, *uploads: Upload, number: int = 1) -> Job:
    attached = tuple(f"attachment:{index}" for index in range(len(uploads)))
    prompt = parse(text, attached=attached)
    order = Order(number, ANN, HERE, Action.IMAGINE, prompt, uploads=uploads)
    return (await house.services.admission.admit(order)).job


async def _finish(house: House, job: Job, after: int = 1) -> None:
    await house.submitted(after)
    house.engine.finish(job.id)
    await house.until_status(job.id, JobStatus.POSTED)


def _inputs(house: House) -> list[Path]:
    return list((house.folder / "images" / "inputs").glob("*.png"))


async def test_an_upload_is_kept_and_fitted_to_the_canvas(roomy: House) -> None:
    job = await _order(roomy, "a pear --iw 2 --ar 3:2", upload(picture("lime")))
    assert job.prompt.images[0].startswith("library:")
    await roomy.submitted()
    spec = roomy.engine.submitted[0]
    assert spec.init is not None and spec.init.strength == 0.36
    with Image.open(io.BytesIO(spec.init.data)) as start:
        assert start.size == (spec.width, spec.height) and start.getpixel((0, 0)) == (0, 255, 0)


async def test_iw_zero_follows_the_text_alone(roomy: House) -> None:
    await _order(roomy, "a pear --iw 0", upload(picture("lime")))
    await roomy.submitted()
    assert roomy.engine.submitted[0].init is None and not _inputs(roomy)


async def test_a_reroll_starts_from_the_same_upload(roomy: House) -> None:
    first = await _order(roomy, "a pear", upload(picture("lime")))
    await _finish(roomy, first)
    again = (await roomy.order(None, who=BOB, action=Action.REROLL, parent=first.id)).job
    await _finish(roomy, again, 2)
    one, two = roomy.engine.submitted
    assert one.init == two.init and one.seeds != two.seeds


async def test_u_of_a_picture_that_started_from_an_upload_is_made_again_alike(roomy: House) -> None:
    first = await _order(roomy, "a pear --iw 2", upload(picture("lime")))
    await _finish(roomy, first)
    roomy.sink.posted[0][1][3].path.unlink()
    single = (await roomy.order(None, action=Action.UPSCALE, parent=first.id, index=3)).job
    await _finish(roomy, single, 2)
    one, two = roomy.engine.submitted
    assert one.init == two.init and two.seeds == (one.seeds[3],)


async def test_deleted_uploads_go_with_the_last_job_that_needs_them(roomy: House) -> None:
    first = await _order(roomy, "a pear", upload(picture("lime")))
    await _finish(roomy, first)
    again = (await roomy.order(None, action=Action.REROLL, parent=first.id)).job
    await _finish(roomy, again, 2)
    await roomy.services.delete(first.id, ANN)
    assert len(_inputs(roomy)) == 1
    await roomy.services.delete(again.id, ANN)
    assert not _inputs(roomy)


async def test_an_upload_that_is_gone_is_asked_for_again(roomy: House) -> None:
    first = await _order(roomy, "a pear", upload(picture("lime")))
    await _finish(roomy, first)
    for file in _inputs(roomy):
        file.unlink()
    with pytest.raises(UserError, match="is no longer kept; attach it again"):
        await roomy.order(None, action=Action.REROLL, parent=first.id)


async def test_a_job_whose_picture_was_deleted_fails_with_a_sentence(tmp_path: Path) -> None:
    house = await build(tmp_path / "data")
    job = await _order(house, "a pear", upload(picture("lime")))
    for file in _inputs(house):
        file.unlink()
    house.start()
    await house.sink.until(lambda: bool(house.sink.told))
    assert house.sink.told == [(job.id, "The picture it starts from was deleted. It cost you nothing.")]
    assert await house.books() == []
    await house.stop()


async def test_a_damaged_picture_fails_its_job_alone(tmp_path: Path) -> None:
    house = await build(tmp_path / "data")
    job = await _order(house, "a pear", upload(picture("lime")))
    for file in _inputs(house):
        file.write_bytes(b"not what was kept")
    other = await _order(house, "a plum", number=2)
    house.start()
    await _finish(house, other)
    await house.sink.until(lambda: bool(house.sink.told))
    sentence = "The picture it starts from cannot be read; attach or link another one. It cost you nothing."
    assert house.sink.told == [(job.id, sentence)]
    assert await house.books() == []
    await house.stop()


async def test_a_picture_that_no_model_makes_again_holds_up_nobody(
    roomy: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = (await roomy.order("a pear --n 1")).job
    await _finish(roomy, first)
    for path in (roomy.folder / "images").rglob("*.png"):
        path.unlink()
    submit = roomy.engine.submit

    def refuse(spec: GenerationSpec) -> None:
        if spec.job_id.startswith("restore-"):
            raise InvalidSpec("The model has shrunk")
        submit(spec)

    monkeypatch.setattr(roomy.engine, "submit", refuse)
    for count in (1, 2):
        await roomy.order(None, action=Action.VARIATION, parent=first.id, index=0)
        await roomy.sink.until(lambda wanted=count: len(roomy.sink.told) == wanted)  # type: ignore[misc]
    assert {sentence for _, sentence in roomy.sink.told} == {"The model has shrunk. It cost you nothing."}


async def test_a_refused_order_leaves_no_picture(tmp_path: Path) -> None:
    """Or a user without credit could fill the disk."""
    house = await build(tmp_path / "data", QUOTA__DAY="1")
    with pytest.raises(QuotaExceeded):
        await _order(house, "a pear", upload(picture("lime")))
    assert not _inputs(house)
    with pytest.raises(PictureRefused):
        await _order(house, "a pear --n 1", upload(picture("lime")), upload(b"<svg/>"))
    assert not _inputs(house)
    await _order(house, "a pear --n 1", upload(picture("lime")))
    with pytest.raises(QuotaExceeded):
        await _order(house, "a pear --n 1", upload(picture("lime")), number=2)
    assert len(_inputs(house)) == 1
    await house.services.close()


async def test_slow_pictures_count_like_jobs_that_wait(tmp_path: Path) -> None:
    house = await build(tmp_path / "data", LIMITS__RUNNING="1", LIMITS__WAITING="1")
    answer, asked = asyncio.Event(), asyncio.Semaphore(0)

    async def read() -> bytes:
        asked.release()
        await answer.wait()
        return picture("lime")

    slow = Upload("mine.png", "image/png", 100, read)
    under_way = [asyncio.create_task(_order(house, "a pear", slow, number=number)) for number in (1, 2)]
    for _ in under_way:
        await asyncio.wait_for(asked.acquire(), 30)
    with pytest.raises(TooManyJobs, match="You already have 2 jobs"):
        await asyncio.wait_for(_order(house, "a pear", slow, number=3), 30)
    answer.set()
    await asyncio.gather(*under_way)
    assert (await house.services.queue()).queued == 2
    await house.services.close()


async def test_one_user_cannot_fill_the_outbox_with_what_is_free(tmp_path: Path) -> None:
    house = await build(tmp_path / "data", LIMITS__RUNNING="1", LIMITS__WAITING="1")
    house.start()
    grid = (await house.order("a pear")).job
    await _finish(house, grid)
    house.sink.gate.clear()
    for index in (0, 1):
        await house.order(None, action=Action.UPSCALE, parent=grid.id, index=index)
    with pytest.raises(TooManyJobs):
        await house.order(None, action=Action.UPSCALE, parent=grid.id, index=2)
    await house.order(None, who=BOB, action=Action.UPSCALE, parent=grid.id, index=2)
    house.sink.gate.set()
    await house.stop()


async def test_what_is_no_picture_costs_nothing(roomy: House) -> None:
    with pytest.raises(PictureRefused, match=r"`mine.png` is not a picture I can read"):
        await _order(roomy, "a pear", upload(b"<svg/>"))
    assert (await roomy.services.queue()).queued == 0


async def test_a_link_into_the_house_costs_nothing(roomy: House) -> None:
    with pytest.raises(PictureRefused, match="not on the public internet"):
        await _order(roomy, "http://127.0.0.1/a.png a pear")
    assert (await roomy.services.queue()).queued == 0


async def test_variations_of_variations_survive_the_loss_of_every_file(roomy: House) -> None:
    roomy.services.engine.health()
    first = (await roomy.order("a pear --seed 1 --n 1")).job
    await _finish(roomy, first)
    second = (await roomy.order("a pear --n 1", action=Action.VARIATION, parent=first.id, index=0)).job
    await _finish(roomy, second, 2)
    for path in (roomy.folder / "images").rglob("*.png"):
        path.unlink()
    third = (await roomy.order(None, action=Action.VARIATION, parent=second.id, index=0)).job
    for count in (3, 4):
        await roomy.submitted(count)
        roomy.engine.finish()
    await _finish(roomy, third, 5)
    restored = [spec.seeds for spec in roomy.engine.submitted[2:4]]
    assert restored == [first.seeds, second.seeds]
    assert roomy.engine.submitted[3].init == roomy.engine.submitted[1].init


async def test_references_are_kept_and_lent_beside_the_picture_it_starts_from(tmp_path: Path) -> None:
    """--sref and --cref: uploads and parents' files reach the engine in order, with their weights."""
    adapted = replace(SKETCH, references=(ReferenceKind.STYLE, ReferenceKind.CHARACTER))
    house = await build(tmp_path / "data", engine=FakeEngine({"sketch": adapted}, manual=True))
    house.start()
    prompt = parse(
        "a pear --sref attachment:1::2 --cref attachment:2 --cw 50",
        attached=("attachment:0",),
        lent=("attachment:1", "attachment:2"),
    )
    uploads = tuple(upload(picture(colour)) for colour in ("lime", "red", "blue"))
    order = Order(1, ANN, HERE, Action.IMAGINE, prompt, uploads=uploads)
    job = (await house.services.admission.admit(order)).job
    assert len(_inputs(house)) == 3
    assert all("library:" in link for name in ("sref", "cref") for link in job.prompt.listed(name))
    await _finish(house, job)
    spec = house.engine.submitted[0]
    assert spec.init is not None and _colour(spec.init.data) == (0, 255, 0)
    assert [(one.kind, one.weight, _colour(one.data)) for one in spec.references] == [
        (ReferenceKind.STYLE, 0.6, (255, 0, 0)),
        (ReferenceKind.CHARACTER, 0.3, (0, 0, 255)),
    ]

    varied = (await house.order(None, action=Action.VARIATION, parent=job.id, index=1)).job
    await _finish(house, varied, after=2)
    spec = house.engine.submitted[1]
    assert spec.init is not None and spec.init.strength == 0.65
    assert [_colour(one.data) for one in spec.references] == [(255, 0, 0), (0, 0, 255)]
    assert len(_inputs(house)) == 3
    await house.stop()


async def test_a_reference_alone_starts_from_noise(tmp_path: Path) -> None:
    adapted = replace(SKETCH, references=(ReferenceKind.STYLE,), image_to_image=False)
    house = await build(tmp_path / "data", engine=FakeEngine({"sketch": adapted}, manual=True))
    house.start()
    prompt = parse("a pear --sref attachment:0", lent=("attachment:0",))
    order = Order(1, ANN, HERE, Action.IMAGINE, prompt, uploads=(upload(picture("red")),))
    job = (await house.services.admission.admit(order)).job
    await _finish(house, job)
    spec = house.engine.submitted[0]
    assert spec.init is None and len(spec.references) == 1
    await house.stop()


def _colour(data: bytes) -> object:
    with Image.open(io.BytesIO(data)) as opened:
        return opened.convert("RGB").getpixel((3, 3))
