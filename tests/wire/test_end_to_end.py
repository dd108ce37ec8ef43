"""The main job over the wire: /imagine, progress, the grid, U and V, refusals, a dropped line."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.wire.books import Books
from tests.wire.process import BotProcess
from tests.wire.standin import StandIn
from tests.wire.world import Interaction, Message

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def discord() -> AsyncIterator[StandIn]:
    async with StandIn() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bot(discord: StandIn, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BotProcess]:
    environ = {"WIRE_PAUSE": "0.03", "TESSERA_QUOTA__DAY": "0"}
    async with BotProcess(discord, tmp_path_factory.mktemp("bot"), environ=environ) as made:
        yield made


async def painted(discord: StandIn, interaction: Interaction, text: str) -> Message:
    """The result that came after ``interaction`` and mentions ``text``."""

    def found() -> Message | None:
        return next((m for m in discord.results_for(text) if m.id > interaction.id), None)

    result = await discord.wait_for(found, what=f"result for {text!r}")
    assert result is not None
    return result


def job_of(message: Message) -> str:
    """The job id that the buttons of a result carry."""
    return str(message.buttons[0]["custom_id"].split(":")[2])


async def test_imagine_to_grid(discord: StandIn, bot: BotProcess) -> None:
    ann = discord.user("ann")
    order = await discord.slash(ann, "imagine", prompt="a red apple --seed 7")
    assert order.latency < 3
    result = await painted(discord, order, "a red apple")
    waiting = order.original
    assert waiting is not None
    assert result.content == f"**a red apple --seed 7** - {ann.mention} (fast)"
    assert waiting.stages[1] == f"**a red apple --seed 7** - {ann.mention} (Waiting to start)"
    assert any(re.search(r"\(\d+%\) \(fast\)$", stage) for stage in waiting.stages), waiting.stages
    assert waiting.previews > 0
    [grid] = result.attachments
    assert [grid.image.format, grid.image.size] == ["PNG", (512, 512)]
    assert grid.filename.endswith(f"_{job_of(result)}.png") or job_of(result) in grid.filename.replace(
        "-", ""
    )
    labels = {button.get("label") for button in result.buttons}
    assert {f"{letter}{n}" for letter in "UV" for n in range(1, 5)} <= labels
    await discord.wait_for(lambda: waiting.deleted, what="waiting message deleted")


async def test_u2_and_v3_by_someone_else(discord: StandIn, bot: BotProcess) -> None:
    ann, ben = discord.user("ann"), discord.user("ben")
    grid = await painted(discord, await discord.slash(ann, "imagine", prompt="a boat --seed 3"), "a boat")
    single = await painted(discord, await discord.click(ben, grid, "U2"), "Image #2")
    assert single.content == f"**a boat --seed 3** - Image #2 {ben.mention}"
    assert single.reply_to == grid.id
    corner = grid.attachments[0].image.crop((256, 0, 512, 256))
    assert single.attachments[0].image.tobytes() == corner.tobytes()
    varied = await painted(discord, await discord.click(ben, grid, "V3"), "Variations")
    assert varied.content == f"**a boat** - Variations (Strong) by {ben.mention} (fast)"
    assert varied.attachments[0].image.size == (512, 512)
    books = Books(bot.data)
    await discord.wait_for(lambda: books.settled(3))
    assert [books.spent(ben.id), books.faults()] == [4.0, []]


async def test_nobody_is_pinged_but_the_requester(discord: StandIn, bot: BotProcess) -> None:
    ann, ben = discord.user("ann"), discord.user("ben")
    text = f"@everyone {ben.mention} a cat"
    result = await painted(discord, await discord.slash(ann, "imagine", prompt=text), "a cat")
    allowed = result.allowed_mentions
    assert allowed is not None
    assert allowed["parse"] == []
    assert {int(user) for user in allowed.get("users", [])} <= {ann.id}
    for message in discord.world.messages:
        if message.author is discord.world.bot and "a cat" in message.content:
            assert message.allowed_mentions is not None
            assert "everyone" not in message.allowed_mentions["parse"]


async def test_an_interaction_delivered_twice_makes_one_job(discord: StandIn, bot: BotProcess) -> None:
    cat = discord.user("cat")
    order = await discord.slash(cat, "imagine", prompt="a pear", wait=False)
    discord.repeat(order)
    await painted(discord, order, "a pear")
    await discord.slash(cat, "imagine", prompt="a fig")
    await discord.wait_for(lambda: discord.results_for("a fig"))
    assert len(discord.results_for("a pear")) == 1
    assert len([job for job in Books(bot.data).jobs() if job.user_id == cat.id]) == 2


async def test_cancel_ends_in_a_sentence_and_costs_nothing(discord: StandIn, bot: BotProcess) -> None:
    dan = discord.user("dan")
    bot.hold()
    order = await discord.slash(dan, "imagine", prompt="a slow boat")
    await discord.wait_for(lambda: order.original and order.original.buttons)
    waiting = order.original
    assert waiting is not None
    await discord.click(dan, waiting, "Cancel")
    await discord.wait_for(lambda: "cancel" in waiting.content.lower() and not waiting.buttons)
    bot.go()
    assert Books(bot.data).spent(dan.id) == 0


async def test_an_engine_error_ends_in_a_sentence_and_costs_nothing(
    discord: StandIn, bot: BotProcess
) -> None:
    eve = discord.user("eve")
    order = await discord.slash(eve, "imagine", prompt="FAIL a boat")
    await discord.wait_for(lambda: "told to fail" in order.said)
    assert Books(bot.data).spent(eve.id) == 0


async def test_wrong_flags_are_told_to_the_one_who_typed_them(discord: StandIn, bot: BotProcess) -> None:
    eve = discord.user("eve")
    order = await discord.slash(eve, "imagine", prompt="a boat --ar 0:0 --chaos 999")
    await discord.wait_for(lambda: order.said)
    assert order.original is not None and order.original.ephemeral
    assert "--ar" in order.said and "--chaos" in order.said and "a boat" in order.said


@pytest.mark.parametrize(("most", "least_side"), [(70_000, 256), (4_000, 16)])
async def test_too_large_for_the_place_is_sent_smaller(
    discord: StandIn, bot: BotProcess, most: int, least_side: int
) -> None:
    limit, discord.rest.upload_limit = discord.rest.upload_limit, most
    try:
        order = await discord.slash(discord.user("ann"), "imagine", prompt="a large sea --n 9")
        result = await painted(discord, order, "a large sea")
        assert len(result.attachments[0].data) <= most
        assert result.attachments[0].image.size[0] >= least_side
    finally:
        discord.rest.upload_limit = limit


async def test_a_picture_goes_in_and_the_file_comes_out(discord: StandIn, bot: BotProcess) -> None:
    from tests.wire.standin import File
    from tests.wire.test_standin import png

    ann = discord.user("ann")
    order = await discord.slash(ann, "imagine", prompt="like this", image=File("in.png", png(64, 64)))
    assert (await painted(discord, order, "like this")).attachments


async def test_a_dropped_gateway_is_resumed_and_nothing_lost(discord: StandIn, bot: BotProcess) -> None:
    resumes = discord.traffic.resumes
    await discord.gateway.drop()
    order = await discord.slash(discord.user("ann"), "imagine", prompt="after the storm")
    await painted(discord, order, "after the storm")
    assert discord.traffic.resumes == resumes + 1
    assert len(discord.traffic.identifies) == 1


async def test_all_balances_at_the_end(discord: StandIn, bot: BotProcess) -> None:
    books = Books(bot.data)
    await discord.wait_for(lambda: books.settled(1))
    assert books.faults() == []
    assert [m.stages for m in discord.world.standing() if "Waiting" in m.content or "%" in m.content] == []
    assert discord.traffic.peak <= 45
    assert discord.traffic.syncs == 1
