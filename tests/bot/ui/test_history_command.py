"""/history and /show: what one painted, found again, for one's own eyes; exported; posted again."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import discord
import pytest
from sqlalchemy import text

from bot.ui.commands.history import Query, digest
from bot.ui.facts import parameter_text
from bot.ui.history import result_of
from tests.bot.ui.world import World, answers, button


async def history(world: World, who: Any = None, **options: Any) -> Any:
    return await (who or world.lin).slash(world.channel, "history", **options)


async def alter(world: World, change: str) -> None:
    await world.services.database.write(
        lambda connection: connection.execute(text(f"UPDATE jobs SET {change}"))
    )


async def test_pages_filters_and_the_pictures_themselves(world: World) -> None:
    """Seven jobs are two pages; a search narrows them, by words in any case."""
    for number in range(6):
        await world.grid(f"apple {number} --n 1")
    await world.grid("A Blue Bird --n 1")
    asked = await history(world)
    assert asked.ephemeral
    (page,) = answers(asked)
    assert page.content.startswith("**Your pictures** · jobs found: 7 · page 1 of 2")
    assert "1. **A Blue Bird --n 1** · grid" in page.content and "apple 1" not in page.content
    assert "https://discord.com/channels/" in page.content
    assert [attachment.filename for attachment in page.attachments] == ["history.jpg"]
    message = page.message
    assert button(message, "◀️").disabled and not button(message, "▶️").disabled
    await world.restart()
    await world.lin.click(message, custom_id=button(message, "▶️").custom_id)
    assert "page 2 of 2" in page.content and "apple 0" in page.content
    found = (await history(world, text="blue bird")).response
    assert "jobs found: 1 · page 1 of 1 · with `blue bird`" in found.content
    nothing = (await history(world, text="100%")).response
    assert nothing.content == "Nothing of yours fits that; leave a condition out."
    assert (await history(world, world.max)).response.content == (
        "You have no pictures yet; /imagine paints some."
    )


async def test_days_models_and_favourites(world: World) -> None:
    """Conditions add up; a day that is none is told with an example."""
    grid = await world.grid()
    name = (await world.job_of(grid)).model
    offered = await world.lin.autocomplete(world.channel, "history", "model", name[:2])
    assert [choice["value"] for choice in offered] == [name]
    for conditions, count in (
        ({"model": name}, 1),
        ({"model": "another"}, 0),
        ({"since": "2000-01-01", "until": "2100-01-01"}, 1),
        ({"until": "2000-01-01"}, 0),
        ({"favourites": True}, 0),
    ):
        content = (await history(world, **conditions)).response.content
        assert (f"jobs found: {count} " in content) is bool(count), conditions
    told = await history(world, since="yesterday")
    assert told.response.content.startswith("`yesterday` is no day; write it like `2026-06-15` (UTC).")


async def test_favourites_of_others_are_found_in_their_server(world: World) -> None:
    """With their parameters, but not to be posted; hidden ones, and those of other servers, are not."""
    grid = await world.grid("a red apple --n 1")
    job = await world.job_of(grid)
    told = await world.max.click(grid, custom_id=button(grid, "❤️").custom_id)
    assert "in this server `/history` with `favourites` shows them" in told.followups[0].content
    page = (await history(world, world.max, favourites=True)).response
    assert "jobs found: 1" in page.content and "a red apple" in page.content
    chosen = await world.max.select(page.message, [job.id])
    assert f"Job `{job.id}`" in answers(chosen)[0].content and not answers(chosen)[0].message.components
    nothing = "Nothing of yours fits that"
    assert nothing in (await history(world, world.ada, favourites=True)).response.content
    await alter(world, "guild_id = 7")
    assert nothing in (await history(world, world.max, favourites=True)).response.content
    await alter(
        world, f"guild_id = {world.guild.id}, prompt = json_set(prompt, '$.values.visibility', 'stealth')"
    )
    assert nothing in (await history(world, world.max, favourites=True)).response.content
    for word in ("Taken out", "Kept among your favourites; it is hidden"):
        told = await world.max.click(grid, custom_id=button(grid, "❤️").custom_id)
        assert told.followups[0].content.startswith(word)


async def test_words_are_found_in_any_case_of_any_alphabet(world: World) -> None:
    await world.grid("ЗИМА в Österreich --n 1")
    for typed in ("зима", "ÖSTER", "Зима в ö"):
        assert "jobs found: 1" in (await history(world, text=typed)).response.content


async def test_a_job_of_the_list_tells_where_it_comes_from_and_is_posted_again(world: World) -> None:
    """Seeds, parameters, parents and children; then the result with its buttons."""
    grid = await world.grid("a red apple --seed 7")
    await world.lin.click(grid, label="V2")
    varied = await world.result(2)
    parent, child = result_of(grid), result_of(varied)
    page = (await history(world)).response
    chosen = await world.lin.select(page.message, [parent])
    (told,) = answers(chosen)
    assert told.ephemeral
    assert f"Job `{parent}`" in told.content and "Seeds: #1 7, #2 8, #3 9, #4 10" in told.content
    assert f"Made of it: `{child}`" in told.content
    assert "```\na red apple --seed 7\n```" in told.content and "Steps: " in told.content
    chosen = await world.lin.select(page.message, [child])
    assert f"Made from: `{parent}`" in answers(chosen)[0].content
    await world.lin.click(told.message, label="Post it here")
    again = world.results()[-1]
    assert result_of(again) == parent and again.content == grid.content
    await world.lin.click(again, label="U1")
    assert (await world.result(4)).content.endswith(f"Image #1 <@{world.lin.id}>")


async def test_kin_of_others_is_told_only_where_everybody_saw_it(world: World) -> None:
    """Hidden jobs, and those of other channels, are their owners' to know of."""
    grid = await world.grid("a red apple")
    made = {"open": "V1", "hidden": "V2", "elsewhere": "V3"}
    found = {}
    for number, (name, label) in enumerate(made.items(), start=2):
        await world.max.click(grid, label=label)
        found[name] = result_of(await world.result(number)) or ""
    stealth = "prompt = json_set(prompt, '$.values.visibility', 'stealth')"
    await alter(world, f"{stealth} WHERE id = '{found['hidden']}'")
    await alter(world, f"channel_id = 7 WHERE id = '{found['elsewhere']}'")
    job = await world.job_of(grid)
    for who, known in ((world.lin, {"open"}), (world.max, set(made))):
        said = str(await parameter_text(world.services, job, who.id))
        assert {name for name in made if found[name] in said} == known
    hidden = await world.services.job(found["hidden"])
    assert hidden is not None and job.id in str(await parameter_text(world.services, hidden, world.max.id))
    await alter(world, "guild_id = NULL")
    assert "Made" not in str(await parameter_text(world.services, await world.job_of(grid), world.ada.id))


async def test_export_is_a_zip_with_pictures_and_prompts(world: World) -> None:
    """Of what the search found."""
    await world.grid("a red apple --n 2")
    await world.grid("a bird")
    page = (await history(world, text="apple")).response
    pressed = await world.lin.click(page.message, label="Export as ZIP")
    (told,) = answers(pressed)
    assert told.ephemeral and told.content == "Jobs: 1, all that were found."
    with zipfile.ZipFile(io.BytesIO(await told.attachments[0].read())) as archive:
        names = archive.namelist()
        assert sum(name.endswith(".png") for name in names) == 2
        facts = json.loads(archive.read(next(name for name in names if name.endswith("job.json"))))
    assert facts["prompt"] == "a red apple --n 2" and len(facts["seeds"]) == 2


async def test_show_posts_ones_own_job_anywhere(world: World) -> None:
    """By its id or its file's name; in another channel of another server too, where its buttons work."""
    grid = await world.grid()
    elsewhere = world.guild.create_text_channel("elsewhere")
    shown = await world.lin.slash(elsewhere, "show", job_id=grid.attachments[0].filename)
    message = list(elsewhere.history())[-1]
    assert result_of(message) == result_of(grid) and not shown.ephemeral
    for job_id, who, sentence in (
        ("no such thing", world.lin, "That is no job id."),
        ("0" * 32, world.lin, "There is no such job"),
        (result_of(grid), world.max, "That job is somebody else's"),
    ):
        refused = await who.slash(world.channel, "show", job_id=job_id)
        answer = answers(refused)[0]
        assert answer.ephemeral and answer.content.startswith(sentence)
    await world.imagine("a second")
    # It may be read twice, as it is taken from the queue meanwhile.
    queued = next(job for job in await _all(world) if job.prompt.text == "a second")
    refused = await world.lin.slash(world.channel, "show", job_id=queued.id)
    assert "That job is not finished yet" in answers(refused)[0].content


async def _all(world: World) -> list[Any]:
    from bot.domain.job import JobStatus

    return list({job.id: job for status in JobStatus for job in await world.rows(status)}.values())


@pytest.mark.parametrize(
    "query",
    [
        Query(),
        Query(3, "a:b", True, digest("x" * 64), "20260615", "20260630"),
        Query(99999, "字" * 40, True, digest("m"), "20260615", "20260630"),
    ],
)
def test_a_search_fits_a_button(query: Query) -> None:
    """Custom ids take a hundred characters."""
    assert len(f"panel:history-zip:{query.encode()}") <= 100
    assert Query.decode(query.encode()) == query
    assert isinstance(discord.PartialEmoji.from_str("◀️"), discord.PartialEmoji)
