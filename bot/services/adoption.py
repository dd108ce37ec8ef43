"""Jobs whose rows are gone, read back from the text of the pictures that their messages still show.

The text is ours only if nobody could have written another: it is believed of the bot's own messages alone,
and measured before all the same. What makes no sense makes no job.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image
from sqlalchemy import Connection

from bot.domain import change as changes
from bot.domain.change import Change
from bot.domain.job import PAINTS_FROM, Action, Job, JobStatus, Place, Requester
from bot.domain.prompt import MAX_LENGTH, MAX_SEED, REFERENCES, Prompt, parse
from bot.errors import PromptError
from bot.services import encoding, metadata, specs
from bot.services.derived import strength
from bot.services.library import Library
from bot.store import jobs, library
from bot.store.database import Database
from bot.store.jobs import Intake
from bot.store.library import ImageRow
from engine.api import apart

MOST_BYTES = 50 * 2**20
MOST_PIXELS = 64_000_000
MOST_PICTURES = 10
_ID = re.compile(r"[0-9a-f]{32}")
_KEPT = ("library:", "attachment:")
"""Pictures that only the lost folder had."""


@dataclass(frozen=True, slots=True)
class Remains:
    """What is left of a job: its message's picture, and what the message itself shows."""

    data: bytes = field(repr=False)
    filename: str
    owner: Requester
    place: Place
    message_id: int
    created_at: float


@dataclass(frozen=True, slots=True)
class _Told:
    """Our own text, measured."""

    job: str
    action: Action
    index: int
    prompt: Prompt
    seeds: tuple[int, ...]
    parent: str | None
    parent_index: int | None
    change: Change | None
    model: str


class Adoption:
    """Puts jobs back into the rows, delivered and paid for, with the pictures as the message shows them."""

    def __init__(self, database: Database, files: Library) -> None:
        self._database = database
        self._files = files

    async def adopt(self, job_id: str, remains: Remains) -> Job | None:
        """The job of a message, as far as its picture tells it; None where it does not, or it was deleted."""
        read = await asyncio.to_thread(_read, job_id, remains)
        if read is None or await self._database.read(lambda connection: jobs.known(connection, job_id)):
            return None
        job, pictures, texts = read
        rows = await self._files.adopt(job, pictures, texts)
        if not await self._database.write(lambda connection: _enter(connection, job, rows)):
            # A second click was faster, and its files have the same names.
            return await self._database.read(lambda connection: jobs.find(connection, job_id))
        return job


def _enter(connection: Connection, job: Job, rows: tuple[ImageRow, ...]) -> bool:
    if jobs.known(connection, job.id):
        return False
    far = strength(job.prompt, job.action) if job.action in PAINTS_FROM else None
    intake = Intake(str(job.prompt.get("speed")), 0.0, 0.0, 0.0, (), far)
    jobs.add(connection, job, intake, told=True)
    jobs.change(connection, job.id, result_message_id=job.result_message_id)
    library.add(connection, rows)
    return True


def _read(job_id: str, remains: Remains) -> tuple[Job, list[Image.Image], list[dict[str, str]]] | None:
    """Job, pictures and their texts; takes as long as it takes to decode a picture."""
    if len(remains.data) > MOST_BYTES:
        return None
    texts = metadata.texts(remains.data)
    told = told_by(texts)
    job = _job(job_id, told, remains) if told else None
    if told is None or job is None:
        return None
    try:
        pictures = _pictures(remains.data, len(job.seeds))
    except Exception:
        # Whatever a decoder may raise: a damaged picture is one that tells nothing.
        return None
    return job, pictures, [_text(texts, job, index) for index in range(len(pictures))]


def told_by(texts: Mapping[str, str]) -> _Told | None:
    """Our own text in a picture, if all of it makes sense."""
    try:
        kept = json.loads(own_text(texts))
        return _told(kept) if isinstance(kept, dict) else None
    except (ValueError, TypeError, KeyError, RecursionError, PromptError):
        return None


def own_text(texts: Mapping[str, str]) -> str:
    """Our own text: in a chunk of a PNG, in the EXIF of a WebP."""
    return texts.get(encoding.OWN) or texts.get("ImageDescription", "")


def _told(kept: Mapping[str, Any]) -> _Told:
    prompt = _prompt(kept["prompt"])
    parent = kept.get("parent")
    return _Told(
        job=_checked_id(kept["job"]),
        action=Action(kept["action"]),
        index=_number(kept["index"], MOST_PICTURES - 1),
        prompt=prompt,
        seeds=_seeds(kept, prompt),
        parent=None if parent is None else _checked_id(parent),
        parent_index=None
        if kept.get("parent_index") is None
        else _number(kept["parent_index"], MOST_PICTURES - 1),
        change=changes.read(kept["change"]) if kept.get("change") else None,
        model=str(kept.get("model") or "")[:64],
    )


def _seeds(kept: Mapping[str, Any], prompt: Prompt) -> tuple[int, ...]:
    """Written since buttons know them; before, they counted on from the first."""
    listed = kept.get("seeds")
    if listed is None:
        first = _number(kept["seed"], MAX_SEED - 1) - _number(kept["index"], MOST_PICTURES - 1)
        listed = [(first + number) % MAX_SEED for number in range(specs.count_of(prompt))]
    if not isinstance(listed, list) or not 1 <= len(listed) <= MOST_PICTURES:
        raise ValueError("no seeds")
    return tuple(_number(seed, MAX_SEED - 1) for seed in listed)


def _checked_id(value: object) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError("no id")
    return value


def _number(value: object, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError("no such number")
    return value


def _prompt(typed: object) -> Prompt:
    """As it was typed, without pictures that are gone with the folder, nor flags that named only those."""
    if not isinstance(typed, str):
        raise ValueError("no prompt")
    words = [word for word in typed.split() if not word.startswith(_KEPT)]
    names = {f"--{name}" for name in REFERENCES}
    kept = [
        word
        for word, after in zip(words, [*words[1:], "--"], strict=True)
        if not (word in names and after.startswith("--"))
    ]
    return parse(" ".join(kept), max_length=3 * MAX_LENGTH) if kept else Prompt("")


def _job(job_id: str, told: _Told, remains: Remains) -> Job | None:
    """The job as its picture tells it; a U shows a picture of another job, under a file name of its own."""
    if told.job == job_id:
        action, parent, index, seeds = told.action, told.parent, told.parent_index, told.seeds
    elif _named(remains.filename) == job_id and told.index < len(told.seeds):
        action, parent, index = Action.UPSCALE, told.job, told.index
        seeds = (told.seeds[told.index],)
    else:
        return None
    return Job(
        id=job_id,
        interaction_id=remains.message_id,
        action=action,
        requester=remains.owner,
        place=remains.place,
        prompt=told.prompt,
        seeds=seeds,
        status=JobStatus.POSTED,
        created_at=remains.created_at,
        parent_id=parent,
        index=index,
        result_message_id=remains.message_id,
        model=told.model,
        change=told.change,
    )


def _named(filename: str) -> str | None:
    """The job that a file's name ends with."""
    stem = filename.rpartition(".")[0].rpartition("_")[2]
    try:
        return uuid.UUID(stem).hex
    except ValueError:
        return None


def _pictures(data: bytes, count: int) -> list[Image.Image]:
    with Image.open(io.BytesIO(data), formats=["PNG", "WEBP"]) as opened:
        if opened.width * opened.height > MOST_PIXELS:
            raise ValueError("too large")
        sheet = opened.convert("RGB")
    return apart(sheet, count)


def _text(texts: Mapping[str, str], job: Job, index: int) -> dict[str, str]:
    """The same text for one picture of several: what differs is its place and its seed."""
    seed = job.seeds[index]
    own = json.loads(own_text(texts))
    if job.action is not Action.UPSCALE:
        own |= {"index": index, "seed": seed}
    written = texts.get(encoding.PARAMETERS) or texts.get("UserComment", "")
    return {
        encoding.PARAMETERS: re.sub(r"\bSeed: \d+", f"Seed: {seed}", written),
        encoding.OWN: json.dumps(own, ensure_ascii=False),
        encoding.SOFTWARE: texts.get(encoding.SOFTWARE, "Tessera, AI generated"),
    }
