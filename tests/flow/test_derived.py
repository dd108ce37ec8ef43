"""Zoom, pan, square, regions, upscales: from the order to the spec of the engine, and the files."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bot.domain.change import Change, Layout
from bot.domain.job import CHANGES, PAINTS_FROM, Action, Job, JobStatus, Requester
from bot.domain.prompt import parse
from bot.errors import UserError
from bot.services.admission import Order
from bot.store import jobs
from engine.api import GenerationSpec, Hires
from engine.fake import SKETCH, FakeEngine
from tests.flow.conftest import ANN, BOB, HERE, House, build

REGION = Change(Layout.CELLS, cells=(0, 8))


@pytest.fixture
async def seeing(tmp_path: Path) -> AsyncIterator[House]:
    """A house whose engine knows what a sky is."""
    engine = FakeEngine(manual=True, segments={"the sky": (0, 0, 1, 0.5)})
    house = await build(tmp_path / "data", engine=engine, LIMITS__RUNNING="50")
    house.start()
    yield house
    await house.stop()


async def painted(house: House, job: Job) -> GenerationSpec:
    """Let a job be painted and posted; what the engine was given."""
    await house.until_status(job.id, JobStatus.RUNNING)
    async with asyncio.timeout(120):
        while True:
            if found := [spec for spec in house.engine.submitted if spec.job_id == job.id]:
                break
            await asyncio.sleep(0)
    house.engine.finish(job.id)
    await house.until_status(job.id, JobStatus.POSTED)
    return found[0]


async def press(
    house: House,
    parent: Job,
    action: Action,
    change: Change | None = None,
    text: str | None = None,
    who: Requester = ANN,
) -> Job:
    house.orders += 1
    prompt = None if text is None else parse(text)
    order = Order(9000 + house.orders, who, HERE, action, prompt, parent_id=parent.id, index=0, change=change)
    return (await house.services.admission.admit(order)).job


async def grid(house: House, text: str = "a red apple --n 1 --seed 7") -> Job:
    job = (await house.order(text)).job
    await painted(house, job)
    return job


def opened(data: bytes | None) -> Image.Image:
    assert data is not None
    return Image.open(io.BytesIO(data))


def file_of(house: House, job: Job) -> Image.Image:
    return Image.open(house.folder / "images" / job.id[:2] / f"0_{job.id}.png").convert("RGB")


@pytest.mark.parametrize(
    ("action", "size", "ar"),
    [
        (Action.PAN_LEFT, (96, 64), (3, 2)),
        (Action.PAN_RIGHT, (96, 64), (3, 2)),
        (Action.PAN_UP, (64, 96), (2, 3)),
        (Action.PAN_DOWN, (64, 96), (2, 3)),
        (Action.ZOOM_OUT, (64, 64), (1, 1)),
    ],
)
async def test_new_ground_is_painted_around_the_picture(
    seeing: House, action: Action, size: tuple[int, int], ar: tuple[int, int]
) -> None:
    """The picture itself stays to the pixel; the prompt says the new shape."""
    parent = await grid(seeing)
    job = await press(seeing, parent, action)
    spec = await painted(seeing, job)
    assert (spec.width, spec.height) == size
    assert job.prompt.get("ar") == ar and job.prompt.get("seed") is None
    assert spec.init is not None and spec.init.strength == 0.8 and spec.init.feather == 4
    canvas, mask = opened(spec.init.data), np.asarray(opened(spec.init.mask))
    assert canvas.size == (size[0] * 4, size[1] * 4)
    kept = np.argwhere(mask == 0)
    (top, left), (bottom, right) = kept.min(0), kept.max(0)
    if action is not Action.ZOOM_OUT:
        inner = canvas.convert("RGB").crop((left, top, right + 1, bottom + 1))
        assert inner.tobytes() == file_of(seeing, parent).tobytes()
    made = np.asarray(file_of(seeing, job))
    middle = ((top + bottom) // 2, (left + right) // 2)
    assert tuple(made[middle]) == canvas.convert("RGB").getpixel(middle[::-1])


async def test_make_square_is_for_pictures_that_are_not(seeing: House) -> None:
    """The longer side stays."""
    parent = await grid(seeing, "a red apple --n 1 --ar 3:2")
    job = await press(seeing, parent, Action.MAKE_SQUARE)
    spec = await painted(seeing, job)
    assert spec.width == spec.height and job.prompt.get("ar") == (1, 1)
    with pytest.raises(UserError, match="square already; use Zoom Out"):
        await press(seeing, job, Action.MAKE_SQUARE)


async def test_a_custom_zoom_gives_the_canvas_another_shape(seeing: House) -> None:
    """Of about the same area."""
    parent = await grid(seeing)
    job = await press(seeing, parent, Action.ZOOM_OUT, Change(Layout.ZOOM, factor=1.0, ratio=(2, 1)))
    spec = await painted(seeing, job)
    assert (spec.width, spec.height) == (88, 48)
    nothing = Change(Layout.ZOOM, factor=1.0, ratio=(1, 1))
    less_than_a_pixel = replace(nothing, factor=1.02)
    of_the_same_size_to_the_model = replace(nothing, ratio=(20, 19))
    for change in (nothing, less_than_a_pixel, of_the_same_size_to_the_model):
        with pytest.raises(UserError, match="leaves nothing to paint"):
            await press(seeing, parent, Action.ZOOM_OUT, change)


async def test_pans_end_where_the_shape_would_be_absurd(seeing: House) -> None:
    """At four to one, in a sentence; until there the whole gets smaller rather than larger than can be."""
    job = await grid(seeing)
    for _ in range(3):
        job = await press(seeing, job, Action.PAN_RIGHT)
        spec = await painted(seeing, job)
        assert spec.width <= SKETCH.max_size
    with pytest.raises(UserError, match="cannot grow further that way"):
        await press(seeing, job, Action.PAN_RIGHT)


async def test_a_region_by_numbers_and_by_name(seeing: House) -> None:
    """What is marked is painted anew, everything else stays."""
    parent = await grid(seeing)
    before = np.asarray(file_of(seeing, parent))
    numbered = await press(seeing, parent, Action.VARY_REGION, REGION, "a blue pear --n 1")
    spec = await painted(seeing, numbered)
    assert spec.prompt == "a blue pear" and spec.init is not None
    mask = np.asarray(opened(spec.init.mask))
    assert mask[:85, :85].min() == 255 and mask[171:, 171:].min() == 255 and mask[90:160].max() == 0
    after = np.asarray(file_of(seeing, numbered))
    assert (after[120:136, 120:136] == before[120:136, 120:136]).all()
    assert (after[:64, :64] != before[:64, :64]).any()

    named = await press(seeing, parent, Action.VARY_REGION, Change(Layout.NAMED, region="the sky"))
    spec = await painted(seeing, named)
    assert spec.init is not None
    mask = np.asarray(opened(spec.init.mask))
    assert mask[:128].min() == 255 and mask[128:].max() == 0

    lost = await press(seeing, parent, Action.VARY_REGION, Change(Layout.NAMED, region="a whale"))
    await seeing.sink.until(lambda: bool(seeing.sink.told))
    [(told, sentence)] = seeing.sink.told
    assert told == lost.id and "I do not see 'a whale' in this picture" in sentence
    assert "It cost you nothing." in sentence
    assert await seeing.books() == []


@pytest.mark.parametrize(("action", "detail"), [(Action.UPSCALE_SUBTLE, 0.0), (Action.UPSCALE_CREATIVE, 0.3)])
async def test_upscales_are_one_picture_of_twice_the_size(
    seeing: House, action: Action, detail: float
) -> None:
    """They start from the picture as it is, and count as two."""
    parent = await grid(seeing, "a red apple --seed 7")
    job = await press(seeing, parent, action)
    spec = await painted(seeing, job)
    assert spec.hires == Hires(2.0, detail) and len(spec.seeds) == 1
    assert spec.init is not None and spec.init.strength == 0.0 and spec.init.mask is None
    assert opened(spec.init.data).size == (256, 256)
    assert file_of(seeing, job).size == (512, 512)
    costs = await seeing.services.database.read(lambda connection: jobs.intake(connection, job.id).cost)
    assert costs == 2.0
    assert await seeing.books() == []


async def test_what_is_upscaled_is_not_charged_for_it_again(seeing: House) -> None:
    """It would come out as it is; the same from the picture before is another matter."""
    large = await press(seeing, await grid(seeing), Action.UPSCALE_SUBTLE)
    await painted(seeing, large)
    for action in (Action.UPSCALE_SUBTLE, Action.UPSCALE_CREATIVE):
        with pytest.raises(UserError, match="upscaled already; go back to the one it was made from"):
            await press(seeing, large, action)
    again = await press(seeing, large, Action.REROLL)
    await painted(seeing, again)
    varied = await press(seeing, again, Action.VARIATION)
    await painted(seeing, varied)
    await painted(seeing, await press(seeing, varied, Action.UPSCALE_SUBTLE))
    assert await seeing.books() == []


async def test_subtle_stays_closer_than_strong(seeing: House) -> None:
    """Both keep the size that a pan gave."""
    wide = await press(seeing, await grid(seeing), Action.PAN_LEFT)
    await painted(seeing, wide)
    found = []
    for action in (Action.VARY_SUBTLE, Action.VARIATION):
        spec = await painted(seeing, await press(seeing, wide, action))
        assert spec.init is not None and (spec.width, spec.height) == (96, 64)
        found.append(spec.init.strength)
    assert found == [0.35, 0.65]
    shaped = await press(seeing, wide, Action.VARIATION, text="a red apple --ar 1:2 --n 1")
    assert (await painted(seeing, shaped)).width == 48


async def test_a_reroll_repeats_the_button_on_the_same_picture(seeing: House) -> None:
    """With other seeds; from the grid and from its U alike."""
    parent = await grid(seeing)
    wide = await press(seeing, parent, Action.PAN_LEFT)
    first = await painted(seeing, wide)
    single = await press(seeing, wide, Action.UPSCALE)
    await seeing.until_status(single.id, JobStatus.POSTED)
    for pressed in (wide, single):
        again = await press(seeing, pressed, Action.REROLL)
        assert (again.action, again.parent_id, again.change) == (Action.PAN_LEFT, parent.id, wide.change)
        spec = await painted(seeing, again)
        assert spec.init == first.init and spec.seeds != first.seeds
    await seeing.services.delete(parent.id, ANN)
    with pytest.raises(UserError, match="that this one was made from was deleted"):
        await press(seeing, wide, Action.REROLL)


async def test_what_a_button_made_can_be_made_again_alike(seeing: House) -> None:
    """Its file lost, and that of its U: from the row of either."""
    wide = await press(seeing, await grid(seeing), Action.PAN_LEFT)
    first = await painted(seeing, wide)
    single = await press(seeing, wide, Action.UPSCALE)
    await seeing.until_status(single.id, JobStatus.POSTED)
    before = file_of(seeing, wide).tobytes()
    for job in (wide, single):
        (seeing.folder / "images" / job.id[:2] / f"0_{job.id}.png").unlink()
    varied = await press(seeing, single, Action.VARIATION)
    await seeing.submitted(3)
    seeing.engine.finish()
    await painted(seeing, varied)
    assert file_of(seeing, single).tobytes() == before
    assert seeing.engine.submitted[2].init == first.init


async def test_a_picture_grows_whatever_its_model_can(tmp_path: Path) -> None:
    """Nothing of it is painted anew."""
    poor = replace(SKETCH, inpaint=False, hires=False, image_to_image=False)
    house = await build(tmp_path / "data", engine=FakeEngine({"sketch": poor}, manual=True))
    house.start()
    spec = await painted(house, await press(house, await grid(house), Action.UPSCALE_SUBTLE))
    assert spec.init is not None and spec.init.strength == 0
    await house.stop()


@pytest.mark.parametrize("action", sorted(PAINTS_FROM - {Action.UPSCALE_SUBTLE}))
async def test_what_a_model_lacks_is_said_before_anything_is_taken(tmp_path: Path, action: Action) -> None:
    """With what to do instead."""
    poor = replace(SKETCH, inpaint=False, hires=False, image_to_image=False)
    house = await build(tmp_path / "data", engine=FakeEngine({"sketch": poor}, manual=True))
    house.start()
    parent = await grid(house)
    change = None if action in CHANGES else REGION if action is Action.VARY_REGION else None
    told = (
        "paint a picture larger" if action is Action.UPSCALE_CREATIVE else "start from a picture, which this"
    )
    with pytest.raises(UserError, match=f"The model `sketch` cannot {told}"):
        await press(house, parent, action, change)
    await house.stop()


async def test_what_can_only_repaint_a_part_does(tmp_path: Path) -> None:
    """Its models start from no picture, and zoom, pan and mark all the same."""
    repainter = replace(SKETCH, image_to_image=False)
    house = await build(tmp_path / "data", engine=FakeEngine({"sketch": repainter}, manual=True))
    house.start()
    spec = await painted(house, await press(house, await grid(house), Action.ZOOM_OUT))
    assert spec.init is not None and spec.init.mask is not None
    await house.stop()


async def test_without_a_segmentation_model_naming_is_refused(house: House) -> None:
    """At once, with the other way to do it."""
    parent = await grid(house)
    with pytest.raises(UserError, match="choose numbered fields instead"):
        await press(house, parent, Action.VARY_REGION, Change(Layout.NAMED, region="the sky"))


async def test_a_blocked_word_is_no_region_either(tmp_path: Path) -> None:
    engine = FakeEngine(manual=True, segments={"blood": (0, 0, 1, 1)})
    house = await build(tmp_path / "data", engine=engine, MODERATION__BLOCKED_WORDS="blood")
    house.start()
    parent = await grid(house)
    with pytest.raises(UserError, match="blood"):
        await press(house, parent, Action.VARY_REGION, Change(Layout.NAMED, region="blood"))
    await house.stop()


@pytest.mark.parametrize("action", [Action.VARIATION, Action.REROLL])
async def test_what_somebody_hid_is_made_public_by_nobody_else(seeing: House, action: Action) -> None:
    """Neither by what is typed into a window, nor by way of a copy of one's own."""
    hidden = await grid(seeing, "a red apple --stealth")
    typed = await press(seeing, hidden, action, text="a red apple --public", who=BOB)
    assert typed.prompt.get("visibility") == "stealth"
    single = await press(seeing, hidden, Action.UPSCALE, who=BOB)
    await seeing.until_status(single.id, JobStatus.POSTED)
    assert (await press(seeing, single, action, text="a pear", who=BOB)).prompt.get("visibility") == "stealth"
    mine = await press(seeing, hidden, action, text="a red apple")
    assert mine.prompt.get("visibility") == "public"


async def test_a_reroll_is_as_hidden_as_what_it_repeats(seeing: House) -> None:
    """Not as the picture that the repeated button started from."""
    hidden = await press(seeing, await grid(seeing), Action.VARIATION, text="a pear --stealth", who=BOB)
    await painted(seeing, hidden)
    again = await press(seeing, hidden, Action.REROLL, text="a pear")
    assert again.prompt.get("visibility") == "stealth"


async def test_a_presser_pays_for_the_speed_they_asked_for(seeing: House) -> None:
    """Not for the parent's, nor for their settings where a window says otherwise."""
    dear = await grid(seeing, "a red apple --turbo")
    assert "speed" not in (await press(seeing, dear, Action.VARIATION, who=BOB)).prompt.values
    assert (await press(seeing, dear, Action.VARIATION)).prompt.get("speed") == "turbo"
    await seeing.services.preferences.change(BOB.user_id, speed="turbo")
    typed = await press(seeing, dear, Action.VARIATION, text="a red apple --relax", who=BOB)
    assert typed.prompt.get("speed") == "relax"
    await painted(seeing, typed)
    again = await press(seeing, typed, Action.REROLL, who=BOB)
    assert again.prompt.get("speed") == "turbo", "nothing was typed"
