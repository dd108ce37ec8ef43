"""/history: one's own pictures found again, page by page, for one's own eyes."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import discord
from discord import app_commands, ui

from bot.domain.job import Job
from bot.domain.prompt import quoted
from bot.domain.sentence import Sentence, join, say
from bot.errors import UserError
from bot.services.history import Entry, Page
from bot.store.history import Filter
from bot.ui.commands.everywhere import everywhere
from bot.ui.commands.show import own_job, repost
from bot.ui.echo import CONTENT_LIMIT, escape, prompt_echo, units
from bot.ui.facts import link_to, parameter_text
from bot.ui.funnel import language, think
from bot.ui.locales import translated
from bot.ui.panel import PanelButton, PanelSelect, panel, view_of
from bot.ui.park import park

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

SHEET = "history.jpg"
TEXT_LENGTH = 40
"""Characters of the text that is looked for: it travels in the buttons' custom ids."""
_DAY = "%Y%m%d"


@dataclass(frozen=True, slots=True)
class Query:
    """A page of a search, as a button carries it: 90 characters at most."""

    number: int = 0
    text: str = ""
    favourites: bool = False
    model: str = ""
    """The name's digest: names may be longer than a button can carry."""
    since: str = ""
    """Day as YYYYMMDD, as is ``until``, which counts still."""
    until: str = ""

    def encode(self) -> str:
        """The inverse of :meth:`decode`."""
        favourites = "f" if self.favourites else ""
        return ":".join((str(self.number), favourites, self.since, self.until, self.model, self.text))

    @classmethod
    def decode(cls, argument: str) -> Query:
        """ValueError for what no button of ours carries."""
        number, favourites, since, until, model, text = argument.split(":", 5)
        return cls(int(number), text, favourites == "f", model, since, until)

    def filter(self, models: list[str], guild_id: int | None) -> Filter:
        """What the rows are asked in a server; a model that is no longer among one's jobs finds none."""
        named = next((name for name in models if digest(name) == self.model), self.model)
        return Filter(
            self.text,
            self.favourites,
            named,
            _moment(self.since) if self.since else None,
            _moment(self.until) + timedelta(days=1).total_seconds() if self.until else None,
            guild_id,
        )


def digest(model: str) -> str:
    """Eight digits that stand for a model's name."""
    return hashlib.sha256(model.encode()).hexdigest()[:8]


def _moment(day: str) -> float:
    return datetime.strptime(day, _DAY).replace(tzinfo=UTC).timestamp()


def read_day(text: str | None) -> str:
    """A day as people type it; UserError with an example."""
    if text is None:
        return ""
    for form in ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日"):
        try:
            return datetime.strptime(text.strip(), form).strftime(_DAY)
        except ValueError:
            continue
    raise UserError(say("{typed} is no day; write it like `2026-06-15` (UTC).", typed=quoted(text)))


class PageButton(PanelButton, template=panel("history")):
    """Turns to another page of the same search."""

    key = "history"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await interaction.response.defer()
        await _show_page(interaction, Query.decode(self.argument))


class ExportButton(PanelButton, template=panel("history-zip")):
    """All that was found, as a file."""

    key = "history-zip"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await think(interaction)
        history, user = interaction.client.services.history, interaction.user.id
        query = Query.decode(self.argument)
        wanted = query.filter(await park(history.models(user), "look up models"), interaction.guild_id)
        archive = await park(history.archive(user, wanted, interaction.filesize_limit), "pack pictures")
        if not archive.jobs:
            raise UserError(say("There is nothing to pack that fits this place's upload limit."))
        said = (
            say(
                "Jobs: {count}, the latest first; {left} more do not fit the upload limit. Narrow the search "
                "by day to get those.",
                count=archive.jobs,
                left=archive.left,
            )
            if archive.left
            else say("Jobs: {count}, all that were found.", count=archive.jobs)
        )
        file = discord.File(io.BytesIO(archive.data), "tessera-history.zip")
        await interaction.followup.send(
            translated(said, language(interaction)),
            file=file,
            ephemeral=True,
            allowed_mentions=discord.AllowedMentions.none(),
        )


class JobMenu(PanelSelect, template=panel("history-job")):
    """One job of the page: its parameters and where it comes from."""

    key = "history-job"

    async def chosen(self, interaction: discord.Interaction[TesseraClient], value: str) -> None:
        await think(interaction)
        client, user = interaction.client, interaction.user.id
        kept = await park(client.services.history.kept(user, interaction.guild_id, value), "look up a job")
        job = kept or await own_job(interaction, value)
        said = await park(parameter_text(client.services, job, user), "read parameters")
        label = translated(say("Post it here"), language(interaction))
        await interaction.followup.send(
            translated(said, language(interaction)),
            view=view_of([[PostButton(job.id, label)]] if job.requester.user_id == user or not kept else []),
            ephemeral=True,
            allowed_mentions=discord.AllowedMentions.none(),
        )


class PostButton(PanelButton, template=panel("history-show")):
    """What /show does, of the job that was looked at."""

    key = "history-show"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        from bot.ui import caller

        caller.require_delivery(interaction)
        await interaction.response.defer(thinking=True)
        await repost(interaction, await own_job(interaction, self.argument))


ITEMS = (PageButton, ExportButton, JobMenu, PostButton)


@app_commands.command(
    name="history", description="Find your pictures again: by words, model, day, favourites."
)
@app_commands.describe(
    text="Words that the prompt holds.",
    favourites="Only jobs with a picture among your favourites.",
    model="Only jobs of this model.",
    since="From this day on, such as 2026-06-15 (UTC).",
    until="Up to this day, such as 2026-06-30 (UTC).",
)
@everywhere
async def history(
    interaction: discord.Interaction[TesseraClient],
    text: app_commands.Range[str, 1, TEXT_LENGTH] | None = None,
    favourites: bool = False,
    model: app_commands.Range[str, 1, 64] | None = None,
    since: app_commands.Range[str, 1, 20] | None = None,
    until: app_commands.Range[str, 1, 20] | None = None,
) -> None:
    """For the asking user's eyes only."""
    query = Query(
        text=text or "",
        favourites=favourites,
        model=digest(model) if model else "",
        since=read_day(since),
        until=read_day(until),
    )
    await think(interaction)
    await _show_page(interaction, query)


@history.autocomplete("model")
async def _models(
    interaction: discord.Interaction[TesseraClient], current: str
) -> list[app_commands.Choice[str]]:
    names = await park(interaction.client.services.history.models(interaction.user.id), "look up models")
    fitting = [name for name in names if current.lower() in name.lower()]
    return [app_commands.Choice(name=name, value=name) for name in fitting[:25]]


async def _show_page(interaction: discord.Interaction[TesseraClient], query: Query) -> None:
    """The page in place of what the answer showed before."""
    found, user, locale = interaction.client.services.history, interaction.user.id, language(interaction)
    wanted = query.filter(await park(found.models(user), "look up models"), interaction.guild_id)
    page = await park(found.page(user, wanted, query.number), "look up jobs")
    sheet = await park(found.sheet(page), "draw a page")
    query = replace(query, number=page.number)
    await interaction.edit_original_response(
        content=_page_text(page, query, wanted, locale),
        view=_page_view(page, query, locale),
        attachments=[discord.File(io.BytesIO(sheet), SHEET)] if sheet else [],
        allowed_mentions=discord.AllowedMentions.none(),
    )


def _page_text(page: Page, query: Query, wanted: Filter, locale: str) -> str:
    if not page.total:
        searched = query != Query()
        nothing = (
            say("Nothing of yours fits that; leave a condition out.")
            if searched
            else say("You have no pictures yet; /imagine paints some.")
        )
        return translated(nothing, locale)
    head = say(
        "**Your pictures** · jobs found: {total} · page {number} of {pages}",
        total=page.total,
        number=page.number + 1,
        pages=page.pages,
    )
    parts = [translated(join((head, *_conditions(wanted)), " · "), locale)]
    room = (CONTENT_LIMIT - units(parts[0])) // max(1, len(page.entries)) - 1
    parts += [_line(place, entry, room, locale) for place, entry in enumerate(page.entries, start=1)]
    return "\n".join(parts)


def _conditions(wanted: Filter) -> Iterator[Sentence]:
    if wanted.text:
        yield say("with {text}", text=quoted(wanted.text))
    if wanted.favourites:
        yield say("favourites")
    if wanted.model:
        yield say("model {name}", name=escape(wanted.model, 64))


def _line(place: int, entry: Entry, room: int, locale: str) -> str:
    job = entry.job
    facts = f"`{job.id}` <t:{int(job.created_at)}:d> {escape(job.model, 40)}{link_to(job)}"
    kind = translated(_kind(job), locale)
    tail = f" · {kind} · {facts}"
    return f"{place}. **{prompt_echo(job.prompt, max(20, room - units(tail) - 10))}**{tail}"


def _kind(job: Job) -> Sentence:
    names = {
        "imagine": say("grid"),
        "upscale": say("single picture"),
        "variation": say("variations"),
        "reroll": say("re-roll"),
    }
    return names.get(str(job.action), say("changed picture"))


def _page_view(page: Page, query: Query, locale: str) -> ui.View:
    if not page.total:
        return ui.View(timeout=None)
    last = page.pages - 1
    # Beyond the ends too: no two buttons of a message may carry the same, and a page beyond is the last one.
    before, after = (replace(query, number=query.number + step).encode() for step in (-1, 1))
    options = [
        discord.SelectOption(
            label=f"{place}. {entry.job.prompt.text[:80] or entry.job.id}", value=entry.job.id
        )
        for place, entry in enumerate(page.entries, start=1)
    ]
    return view_of(
        [
            [JobMenu("", options, placeholder=translated(say("Parameters and origin of ..."), locale))],
            [
                PageButton(before, emoji="◀️", disabled=query.number == 0),
                PageButton(after, emoji="▶️", disabled=query.number >= last),
                ExportButton(query.encode(), translated(say("Export as ZIP"), locale)),
            ],
        ]
    )
