"""/describe, /shorten, /remix, /blend: prompts as buttons, which work after a restart and for anybody."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from bot.domain.prompt import parse, render
from bot.errors import PictureRefused
from bot.services import encoding
from bot.ui import forms
from bot.ui.commands.describe import _cut
from bot.ui.presses import TWICE, Presses
from tests.bot.ui.test_imagine import picture
from tests.bot.ui.world import World, answers, button, labels

LONG = "please a beautiful red fox in deep snow, highly detailed, 8k, morning light"
WEBUI = "a red fox in deep snow\nSteps: 12, Sampler: Nobody knows it, CFG scale: 6, Seed: 7, Size: 64x64"


def told(size: tuple[int, int] = (64, 64), parameters: str = WEBUI, **texts: str) -> bytes:
    """A picture that says how it was made."""
    return encoding.png(Image.new("RGB", size, "red"), {"parameters": parameters, **texts})


def blocks(content: str) -> list[str]:
    return [block.strip() for block in content.split("```")[1::2]]


async def test_describe_gives_four_prompts_and_again_four_others(world: World) -> None:
    """Public, with the picture; each prompt is a button, one paints all, one tries again."""
    asked = await world.lin.slash(world.channel, "describe", image=("mine.png", picture((90, 60))))
    (answer,) = answers(asked)
    assert not answer.ephemeral
    first = blocks(answer.content)
    assert len(first) == 4 and all("red" in prompt and "--ar 3:2" in prompt for prompt in first)
    assert "this server has no captioner" in answer.content
    assert labels(answer.message) == [["1", "2", "3", "4"], ["Paint all", "Try again"]]
    await world.restart()
    await world.max.click(answer.message, label="Try again")
    second = blocks(answer.content)
    assert len(second) == 4 and not set(second) & set(first)
    await world.max.click(answer.message, label="2")
    grid = await world.result()
    assert grid.content == f"**{second[1]}** - <@{world.max.id}> (fast)"
    await world.lin.click(answer.message, label="Paint all")
    for number in range(2, 6):
        await world.result(number)
    assert sorted(message.content for message in world.results()[1:]) == sorted(
        f"**{prompt}** - <@{world.lin.id}> (fast)" for prompt in second
    )


async def test_describe_takes_one_picture(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link as well; nothing, or both, is told."""
    link = "https://example.org/a.png"

    async def fetch(_: object, url: str) -> bytes:
        if url != link:
            raise PictureRefused("no")
        return told()

    monkeypatch.setattr(type(world.services.fetcher), "fetch", fetch)
    asked = await world.lin.slash(world.channel, "describe", link=f"<{link}>")
    answer = answers(asked)[0]
    assert answer.content.startswith(
        "From the parameters that stable-diffusion-webui wrote into the picture."
    )
    for options in ({}, {"link": link, "image": ("a.png", picture())}):
        refused = await world.lin.slash(world.channel, "describe", **options)
        assert answers(refused)[-1].content == "Give one picture: either attach it, or give its link."


async def test_what_says_where_a_picture_was_taken_is_not_passed_on(world: World) -> None:
    """Only what says how it was made."""
    data = told(Author="Lin, of 5 Main Street")
    asked = await world.lin.slash(world.channel, "describe", image=("mine.png", data))
    answer = answers(asked)[0]
    with Image.open(io.BytesIO(await answer.attachments[0].read())) as opened:
        assert "parameters" in opened.info and "Author" not in opened.info


async def test_shorten_marks_words_and_gives_shorter_prompts(world: World) -> None:
    """Flags stay; a press paints; the method is said."""
    text = "please a beautiful red fox in deep snow, highly detailed, 8k, morning light --ar 3:2"
    asked = await world.lin.slash(world.channel, "shorten", prompt=text)
    content = asked.response.content
    assert "no model was asked" in content and "~~please~~" in content and "**fox**" in content
    shorter = blocks(content)
    assert len(shorter) >= 3 and all(prompt.endswith("--ar 3:2") for prompt in shorter)
    await world.max.click(asked.response.message, label="1")
    assert (await world.result()).content.startswith(f"**{shorter[0]}** - <@{world.max.id}>")
    short = await world.lin.slash(world.channel, "shorten", prompt="fox")
    assert short.ephemeral and "as short as can be" in short.response.content
    faulty = await world.lin.slash(world.channel, "shorten", prompt="fox --bogus")
    assert "there is no such flag" in faulty.response.content


@pytest.mark.parametrize("text", ["@everyone fox, " + "**bold** ``` word " * 150, "狐狸，雪地的" * 300])
async def test_shorten_of_anything_fits_a_message(world: World, text: str) -> None:
    """And pings nobody."""
    asked = await world.lin.slash(world.channel, "shorten", prompt=text)
    assert len(asked.response.content) <= 2000
    assert not asked.response.message.mention_everyone


async def test_remix_reproduces_changes_and_varies(world: World) -> None:
    """What the model here cannot do is told; the picture itself is where variations start."""
    asked = await world.lin.slash(world.channel, "remix", image=("fox.png", told()))
    (answer,) = answers(asked)
    assert answer.ephemeral
    assert "**Made with stable-diffusion-webui**" in answer.content
    assert "Left out, since the model here cannot do it: `--sampler nobody knows it`" in answer.content
    assert labels(answer.message) == [["Reproduce", "Remix", "Vary"]]
    await world.restart()
    await world.services.preferences.set_suffix(world.lin.id, "soft light")
    await world.services.preferences.change(world.lin.id, stylize=750)
    await world.lin.click(answer.message, label="Reproduce")
    spec = await _submitted(world, 1)
    assert (spec.prompt, spec.steps, spec.guidance_scale, spec.seeds[0]) == (
        "a red fox in deep snow",
        12,
        6.0,
        7,
    )
    await world.lin.click(answer.message, label="Vary")
    spec = await _submitted(world, 2)
    assert spec.init is not None and spec.steps == 12
    await world.services.preferences.set_suffix(world.lin.id, "")
    shown = await world.lin.click(answer.message, label="Remix")
    await world.lin.submit_modal(shown, {"prompt": "a blue fox --steps 5"})
    spec = await _submitted(world, 3)
    assert (spec.prompt, spec.steps, spec.init) == ("a blue fox", 5, None)


async def _submitted(world: World, count: int) -> Any:
    await world.until(lambda: len(world.engine.submitted) >= count, "the engine has it")
    return world.engine.submitted[count - 1]


async def test_remix_of_our_own_picture_is_the_same_picture(world: World) -> None:
    """The file of one picture of a grid is enough."""
    grid = await world.grid("a red apple --seed 7")
    await world.lin.click(grid, label="U3")
    single = await world.result(2)
    data = await single.attachments[0].read()
    asked = await world.lin.slash(world.channel, "remix", image=("mine.png", data))
    (answer,) = answers(asked)
    await world.lin.click(answer.message, label="Reproduce")
    again = await world.result(3)
    job = await world.job_of(again)
    assert job.seeds == (9,) and job.prompt.text == "a red apple"


async def test_a_picture_that_says_nothing_is_told(world: World) -> None:
    """With what to do instead."""
    asked = await world.lin.slash(world.channel, "remix", image=("mine.png", picture()))
    assert "says nothing of how it was made" in answers(asked)[-1].content


async def test_blend_mixes_its_pictures(world: World) -> None:
    """A grid as any other, re-rolled and varied by its buttons."""
    images = {f"image{number}": (f"{number}.png", picture()) for number in (1, 2, 3)}
    await world.lin.slash(world.channel, "blend", **images, dimensions="landscape")
    spec = await _submitted(world, 1)
    assert len(spec.blend) == 3 and spec.init is None and spec.width > spec.height
    grid = await world.result()
    assert grid.content.startswith(r"**\[picture\] \[picture\] \[picture\] --ar 3:2 --blend** - ")
    await world.lin.click(grid, custom_id=button(grid, "🔄").custom_id)
    assert len((await _submitted(world, 2)).blend) == 3
    await world.lin.click(grid, label="V1")
    varied = await _submitted(world, 3)
    assert varied.init is not None and varied.blend == ()


async def test_a_blend_takes_two_to_five(world: World) -> None:
    """As a flag too."""
    asked = await world.imagine("a cat --blend", image=("mine.png", picture()))
    assert "`--blend` mixes 2 to 5 pictures in front of the text, and here are 1." in asked.response.content
    text = {"image1": ("a.png", picture()), "image2": ("b.txt", b"no picture")}
    (refused,) = answers(await world.lin.slash(world.channel, "blend", **text))
    assert "`b.txt`" in refused.content and "Your prompt" not in refused.content


@pytest.mark.parametrize("label", ["1", "Paint all"])
async def test_a_double_click_on_an_idea_is_one_order(
    world: World, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    asked = await world.lin.slash(world.channel, "shorten", prompt=LONG)
    monkeypatch.setattr(world.client.desk, "_presses", Presses(lambda: 0.0))
    await world.max.click(asked.response.message, label=label)
    again = await world.max.click(asked.response.message, label=label)
    assert any(TWICE in message.content for message in answers(again))


async def test_what_stands_for_several_jobs_is_asked_about_first(world: World) -> None:
    """One press orders no more than it shows."""
    asked = await world.lin.slash(world.channel, "shorten", prompt=f"{LONG} --repeat 4")
    assert "--repeat" not in asked.response.content
    await world.services.preferences.set_suffix(world.max.id, "--repeat 4")
    told = await world.max.click(asked.response.message, label="Paint all")
    assert "press their own buttons, which ask first" in answers(told)[-1].content
    assert (await world.services.queue()).queued == 0


@pytest.mark.parametrize(
    "prompt",
    [
        "word " * 200 + "--ar 3:2 --no ugly hat, bad dog --seed 7",
        "狐狸雪地" * 100 + " --ar 3:2 --seed 7",
        "fox --no " + ", ".join(["bad words"] * 100) + " --ar 3:2 --seed 7",
    ],
)
def test_a_prompt_is_cut_in_its_words_not_in_its_flags(prompt: str) -> None:
    cut = parse(_cut(prompt, 300))
    assert cut.values["ar"] == (3, 2) and cut.values["seed"] == 7
    assert len(render(cut)) <= 290 and cut.text
    assert ("no" in cut.values) is ("--no" in prompt)


def test_what_is_no_prompt_is_cut_at_a_word() -> None:
    assert _cut("--bogus words " * 30, 100) == ("--bogus words " * 6).rstrip()


async def test_a_window_from_before_a_restart_gives_the_words_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was for is known to nobody; the words are not lost."""
    asked = await world.lin.slash(world.channel, "remix", image=("fox.png", told()))
    opened = await world.lin.click(answers(asked)[0].message, label="Remix")
    monkeypatch.setattr(forms, "_RUN", "0" * 8)
    await world.restart()
    (answer,) = answers(await world.lin.submit_modal(opened, {"prompt": "a blue fox in a meadow"}))
    assert (
        answer.ephemeral and "started anew" in answer.content and "a blue fox in a meadow" in answer.content
    )
