"""Everything there is to know of a job: prompt, seeds, parameters, where it comes from, where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import discord

from bot.domain.job import Job
from bot.domain.prompt import render
from bot.domain.sentence import Sentence, join, say
from bot.errors import NotAllowed
from bot.services import metadata
from bot.services.app import Services
from bot.services.history import Lineage
from bot.ui.echo import CONTENT_LIMIT, printable, quoted_block, units


def link_to(job: Job) -> str:
    """Behind a space, the address of a job's message; empty where it was never posted."""
    if job.result_message_id is None:
        return ""
    place = "@me" if job.place.guild_id is None else str(job.place.guild_id)
    return f" https://discord.com/channels/{place}/{job.place.channel_id}/{job.result_message_id}"


def refuse_hidden(interaction: discord.Interaction[Any], job: Job) -> None:
    """NotAllowed where the job is somebody else's, and hidden."""
    if job.hidden_from(interaction.user.id):
        raise NotAllowed(say("This picture is hidden (stealth); only its owner sees its parameters."))


async def parameter_text(services: Services, job: Job, asker: int) -> Sentence:
    """One message for the user ``asker``: what was typed, seeds, what the model was told, kin."""
    lineage = await services.history.lineage(job, asker)
    pictures = await services.pictures(job.id)
    written = ""
    if pictures:
        try:
            data = await services.library.contents(str(pictures[0].path.relative_to(services.library.folder)))
            written = metadata.texts(data).get("parameters", "")
        except OSError:
            written = ""
    return job_text(job, written, lineage)


def job_text(job: Job, written: str, lineage: Lineage) -> Sentence:
    """As :func:`parameter_text`, of given facts; ``written`` is what the picture's file says."""
    seeds = ", ".join(f"#{number} {seed}" for number, seed in enumerate(job.seeds, start=1))
    lines: list[str] = [
        say("Job `{job}`, model {model}", job=job.id, model=f"`{printable(job.model)}`"),
        say("Seeds: {seeds}", seeds=seeds),
        *_origin(lineage),
    ]
    room = CONTENT_LIMIT - units(join(lines)) - 100
    typed = quoted_block(render(job.prompt), room // 2)
    said = quoted_block(written, room - units(typed or "")) if written else None
    return join([*lines, *(block for block in (typed, said) if block)])


def _origin(lineage: Lineage) -> list[Sentence]:
    lines = []
    if lineage.ancestors:
        lines.append(say("Made from: {jobs}", jobs=_named(lineage.ancestors)))
    if lineage.children:
        lines.append(say("Made of it: {jobs}", jobs=_named(lineage.children)))
    return lines


def _named(jobs: Sequence[Job]) -> str:
    """The five nearest, with their links."""
    return " · ".join(f"`{job.id}`{_angled(link_to(job))}" for job in jobs[:5])


def _angled(link: str) -> str:
    """A link that Discord does not unfold into a card."""
    return f" <{link.strip()}>" if link else ""
