"""The one way in: an order becomes a job row with its quota reserved, in one transaction, once."""

from __future__ import annotations

import secrets
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace

from PIL import Image
from sqlalchemy import Connection

from bot.config import Settings
from bot.domain import policy, weights
from bot.domain.change import Change, Layout
from bot.domain.job import (
    CHANGES,
    ENLARGING,
    PAINTS_FROM,
    UNFINISHED,
    Action,
    Job,
    JobStatus,
    Place,
    Requester,
)
from bot.domain.policy import Unit
from bot.domain.preferences import Preferences
from bot.domain.prompt import Prompt, quoted
from bot.domain.sentence import say, sentence_of
from bot.errors import TooManyJobs, UserError
from bot.services import derived, encoding, specs
from bot.services.backlog import Backlog
from bot.services.fetcher import Fetcher
from bot.services.library import INPUTS, Library
from bot.services.quotas import Quotas
from bot.services.steps import Step, reached
from bot.store import history, jobs, library, preferences
from bot.store.accounts import Amounts
from bot.store.database import Database
from bot.store.jobs import Intake
from bot.store.library import ImageRow
from engine.api import Engine, EngineError, InitImage, ModelInfo

TOKEN_LASTS = 12 * 60
"""Seconds that a job may be expected to take where only the 15-minute token can answer."""
MAX_SEED = 2**32
BLANK = encoding.png(Image.new("RGB", (8, 8)), {})
"""Stands for a picture, or its mask, while the cost of a job is estimated."""
ORIGIN_GONE = say(
    "The picture that this one was made from was deleted, so it cannot be painted again; use Vary instead."
)


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture the user attached; ``size`` is what the sender claims, ``read`` brings the bytes."""

    name: str
    content_type: str | None
    size: int
    read: Callable[[], Awaitable[bytes]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Order:
    """What one interaction asks for; ``attachment:<n>`` in ``prompt.images`` stands for ``uploads[n]``."""

    interaction_id: int
    """Unique per request: a Discord snowflake, or any unused positive 63-bit number of the command line."""
    requester: Requester
    place: Place
    action: Action
    prompt: Prompt | None = None
    """None takes the parent's prompt."""
    uploads: tuple[Upload, ...] = ()
    parent_id: str | None = None
    """The job whose button was pressed (U, V, re-roll)."""
    index: int | None = None
    """Zero-based picture of the parent (everything but a re-roll)."""
    change: Change | None = None
    """What a form said beyond the button: a zoom's factor, a region."""
    message_id: int | None = None
    """The waiting message, where it stands already: a death right after admission then leaves no orphan."""
    token: str | None = field(default=None, repr=False)
    """The interaction's webhook token, stored for places the bot can reach by no other way."""
    token_expires_at: float | None = None
    """Unix seconds; 15 minutes after the interaction."""
    token_only: bool = False
    """True where the token is the only way to answer: refused when the wait would outlast it."""
    preferences: Preferences | None = None
    """What the requester settled once; None reads it from the rows."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """``ahead`` jobs are to be started before it, ``wait_s`` seconds is when it should be finished."""

    job: Job
    ahead: int
    wait_s: float
    fresh: bool
    """False: this interaction was admitted before, ``job`` is the one made then."""


@dataclass(frozen=True, slots=True)
class _Parent:
    job: Job
    intake: Intake
    image: ImageRow | None
    line: tuple[Job, ...]
    """The job whose button was pressed (no parent where that is repeated), then what that was made from."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """Everything of a job that is settled before the transaction."""

    job: Job
    intake: Intake
    linked: ImageRow | None = None
    """The picture of a U whose file is at hand: the job is born rendered."""


class Admission:
    """Moderation, pictures and the spec's check come first; then limits, quota and row in one transaction."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        database: Database,
        files: Library,
        fetcher: Fetcher,
        quotas: Quotas,
        backlog: Backlog,
        *,
        wake: Callable[[Job], None] = lambda job: None,
        clock: Callable[[], float] = time.time,
        chance: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._database = database
        self._files = files
        self._fetcher = fetcher
        self._quotas = quotas
        self._backlog = backlog
        self._wake = wake
        self._clock = clock
        self._chance = chance
        self._open = True
        self._gathering: Counter[int] = Counter()
        """Orders per user whose pictures are being fetched."""

    def refuse(self) -> None:
        """Let nothing in from now on, with a sentence."""
        self._open = False

    def close(self) -> None:
        """Refuse orders and wait for the picture being read; may take seconds."""
        self.refuse()
        self._fetcher.close()

    async def admit(self, order: Order) -> Admitted:
        """Make the job, or find the one this interaction made before; UserError says why not."""
        if not self._open:
            raise UserError(say("The bot is about to restart; try again in a minute. Nothing was taken."))
        seen = await self._database.read(
            lambda connection: jobs.find_interaction(connection, order.interaction_id)
        )
        if seen is not None:
            return self._admitted(seen, fresh=False)
        kept: list[str] = []
        try:
            draft = await self._draft(await self._with_preferences(order), kept)
            job, fresh = await self._commit(draft)
        except Exception:
            await self._drop(kept)
            raise
        self._files.let_go(map(_file_of, kept))
        if fresh:
            reached(Step.ADMITTED, job.id)
            if job.status is JobStatus.QUEUED:
                share = specs.share_of(job.requester.role_ids, self._settings)
                user, intake = job.requester.user_id, draft.intake
                self._backlog.queued(job.id, intake.lane, user, intake.expected_s, share=share)
            admitted = self._admitted(job, fresh=True)
            self._wake(job)
            return admitted
        return self._admitted(job, fresh=False)

    async def appraise(self, order: Order) -> Intake:
        """What the order would cost and take; UserError as ``admit`` has it; nothing is fetched or kept."""
        order = await self._with_preferences(order)
        order, parent = await self._parent(order)
        prompt = self._prompt(order, parent)
        model = self._model(prompt, order, parent)
        job = self._derived(order, prompt, parent, model)
        starts = self._starts(order, job.prompt)
        return self._intake(order, job, model, (), _strength(job) if starts else None)

    async def _with_preferences(self, order: Order) -> Order:
        if order.preferences is not None:
            return order
        user = order.requester.user_id
        found = await self._database.read(lambda connection: preferences.find(connection, user))
        return replace(order, preferences=found)

    async def _commit(self, draft: _Draft) -> tuple[Job, bool]:
        try:
            job, fresh = await self._database.write(lambda connection: self._enter(connection, draft))
        except Exception:  # a cancelled write is committed all the same
            await self._unlink(draft)
            raise
        if not fresh:
            await self._unlink(draft)
        return job, fresh

    async def _drop(self, inputs: list[str]) -> None:
        """Remove pictures of an order that was refused, or a user without credit could fill the disk."""
        if inputs:
            self._files.let_go(map(_file_of, inputs))
            await self._database.write(lambda connection: discard_inputs(connection, self._files, inputs))

    async def _unlink(self, draft: _Draft) -> None:
        if draft.linked is not None:
            await self._files.remove([draft.linked.file])

    def _enter(self, connection: Connection, draft: _Draft) -> tuple[Job, bool]:
        """The transaction."""
        job, intake = draft.job, draft.intake
        if (seen := jobs.find_interaction(connection, job.interaction_id)) is not None:
            return seen, False
        # U is free, so only this keeps one user from filling everyone's outbox.
        count = jobs.unfinished if draft.linked is None else jobs.undelivered
        self._refuse_crowds(count(connection, job.requester.user_id))
        if job.action is not Action.UPSCALE:
            self._quotas.refuse_shut_out(connection, job.requester, job.place, job.created_at)
        amounts = Amounts(intake.cost, intake.expected_s * intake.price)
        self._quotas.charge(connection, job.id, job.requester, job.place, amounts, job.created_at)
        jobs.add(connection, job, intake)
        if draft.linked is not None:
            library.add(connection, (draft.linked,))
        return job, True

    def _refuse_crowds(self, count: int) -> None:
        limits = self._settings.limits
        if sentence := policy.too_many_jobs(count, limits.running, limits.waiting):
            raise TooManyJobs(sentence)

    async def _draft(self, order: Order, kept: list[str]) -> _Draft:
        """Settle everything but the transaction; ``kept`` takes the names of pictures kept on the way."""
        order, parent = await self._parent(order)
        prompt = self._prompt(order, parent)
        if order.action is Action.UPSCALE and parent is not None:
            return await self._single(order, prompt, parent)
        model = self._model(prompt, order, parent)
        prompt, inputs = await self._inputs(order, prompt, parent, kept)
        job = self._derived(order, prompt, parent, model)
        starts = len(inputs) > len(specs.reference_links(prompt))
        return _Draft(job, self._intake(order, job, model, inputs, _strength(job) if starts else None))

    async def _single(self, order: Order, prompt: Prompt, parent: _Parent) -> _Draft:
        """U: the parent's file under a name of its own, or the parent's spec with that one seed."""
        assert order.index is not None
        job = self._job(order, prompt, parent.job.model, (parent.job.seeds[order.index],), parent.job.change)
        if linked := await self._link(job, parent):
            born = replace(job, status=JobStatus.RENDERED)
            before = parent.intake
            free = Intake(str(prompt.get("speed")), 0.0, 0.0, 0.0, before.inputs, before.strength)
            return _Draft(born, free, linked)
        model = self._engine.models().get(job.model)
        if model is None:
            raise UserError(
                say(
                    "The picture's file is gone, and its model {model} is no longer installed here; press "
                    "re-roll for new ones.",
                    model=quoted(job.model),
                )
            )
        intake = self._intake(order, job, model, parent.intake.inputs, parent.intake.strength)
        return _Draft(job, intake)

    def _prompt(self, order: Order, parent: _Parent | None) -> Prompt:
        prompt = order.prompt or (parent.job.prompt if parent else None)
        if prompt is None:
            raise ValueError("an order needs a prompt or a parent")
        if order.prompt is None and (order.action is Action.REROLL or order.action in PAINTS_FROM):
            # The same seed would only give the same pictures again.
            prompt = prompt.with_values(seed=None)
        if order.action is not Action.UPSCALE:
            prompt = self._settled(prompt, order, parent)
        # Brackets of weights would hide a word: "(bl)(ock)ed" is one to a model without them.
        told = f"{prompt.text}\n{weights.bare(prompt.text)}\n{order.change.region if order.change else ''}"
        if word := policy.blocked_word(told, self._settings.moderation.blocked_words):
            raise UserError(policy.blocked_sentence(word))
        return prompt

    def _settled(self, prompt: Prompt, order: Order, parent: _Parent | None) -> Prompt:
        """The prompt with the requester's preferences; those that change the picture only for a new one."""
        wishes = order.preferences or Preferences()
        if parent is None:
            return specs.with_defaults(prompt, wishes, self._settings, self._engine.models())
        user, pressed = order.requester.user_id, parent.line[0]
        own = pressed.requester.user_id == user
        lent = wishes.lend(prompt, pressed.prompt, own=own)
        return lent.with_values(visibility="stealth") if _hidden_by_others(parent.line, user) else lent

    def _model(self, prompt: Prompt, order: Order, parent: _Parent | None) -> ModelInfo:
        models = self._engine.models()
        default = self._settings.engine.default_model
        if parent is not None and parent.job.model in models:
            default = parent.job.model
        model = specs.model_of(prompt, models, default, self._settings)
        # Of the picture that a button belongs to, `derived.lacks` says it.
        given = order.action not in PAINTS_FROM and self._starts(order, prompt)
        specs.check(prompt, model, self._settings, pictures=given)
        return model

    def _starts(self, order: Order, prompt: Prompt) -> bool:
        """Whether the job begins with a picture."""
        return order.action in PAINTS_FROM or bool(prompt.images and specs.uses_pictures(prompt))

    def _derived(self, order: Order, prompt: Prompt, parent: _Parent | None, model: ModelInfo) -> Job:
        """The job, with what its button does to the parent's picture; UserError where it cannot be done."""
        if parent is None or order.action not in PAINTS_FROM:
            return self._job(order, prompt, model.name, self._seeds(order, prompt))
        for fault in derived.lacks(order.action, order.change or CHANGES.get(order.action), model):
            raise UserError(fault)
        prompt, change = derived.apply(order.action, order.change, prompt, parent.job, model)
        named = change is not None and change.layout is Layout.NAMED
        if named and (reason := self._engine.segmentation()):
            raise UserError(derived.no_naming(reason))
        return self._job(order, prompt, model.name, self._seeds(order, prompt), change)

    def _job(
        self,
        order: Order,
        prompt: Prompt,
        model: str,
        seeds: tuple[int, ...],
        change: Change | None = None,
    ) -> Job:
        return Job(
            id=uuid.uuid4().hex,
            interaction_id=order.interaction_id,
            action=order.action,
            requester=order.requester,
            place=order.place,
            prompt=prompt,
            seeds=seeds,
            status=JobStatus.QUEUED,
            created_at=self._clock(),
            parent_id=order.parent_id,
            index=order.index,
            message_id=order.message_id,
            model=model,
            token=order.token,
            token_expires_at=order.token_expires_at,
            change=change,
        )

    def _seeds(self, order: Order, prompt: Prompt) -> tuple[int, ...]:
        given = prompt.get("seed")
        base = self._chance(MAX_SEED) if given is None else int(str(given))
        count = 1 if order.action in ENLARGING else specs.count_of(prompt)
        return tuple((base + offset) % MAX_SEED for offset in range(count))

    def _intake(
        self, order: Order, job: Job, model: ModelInfo, inputs: tuple[str, ...], strength: float | None
    ) -> Intake:
        lane = str(job.prompt.get("speed"))
        seconds = self._estimate(job, model, lane, strength)
        if order.token_only:
            self._refuse_long_waits(order.requester, lane, seconds)
        price = policy.cost(
            Action.UPSCALE if job.action is Action.UPSCALE else Action.IMAGINE,
            1,
            relaxed=lane == "relax",
            unit=Unit.IMAGES,
            gpu_seconds=0.0,
            relax_factor=self._settings.quota.relax_factor,
            turbo_factor=self._settings.quota.turbo_factor if lane == "turbo" else 1.0,
        )
        pictures = policy.pictures(job.action, len(job.seeds))
        return Intake(lane, price, price * pictures, seconds, inputs, strength)

    def _estimate(self, job: Job, model: ModelInfo, lane: str, strength: float | None) -> float:
        masked = job.change is not None and job.change.layout is not None
        init = None if strength is None else InitImage(BLANK, strength, BLANK if masked else None)
        references = [BLANK] * len(specs.reference_links(job.prompt))
        mixed = [BLANK] * len(job.prompt.images) if init is None and specs.blends(job) else []
        spec = specs.build(
            job, model, self._settings, lane=lane, init=init, references=references, blend=mixed
        )
        try:
            self._engine.check(spec)
            return self._engine.estimate(spec)
        except EngineError as error:
            raise UserError(sentence_of(error)) from error

    def _refuse_long_waits(self, requester: Requester, lane: str, seconds: float) -> None:
        wait = self._backlog.before(lane, requester.user_id, seconds) + seconds
        if wait > TOKEN_LASTS:
            raise UserError(
                say(
                    "This would take about {minutes:.0f} minutes, and here Discord lets me answer for 15; "
                    "ask in a server that I am a member of. Nothing was taken.",
                    minutes=wait / 60,
                )
            )

    async def _parent(self, order: Order) -> tuple[Order, _Parent | None]:
        """The parent, and the order as it is meant: a re-roll of what a button made repeats the button."""
        if order.parent_id is None:
            return order, None
        found = await self._found(order.parent_id, order.index)
        if found is None:
            raise UserError(say("The picture this button belongs to was deleted; start anew with /imagine."))
        line = found.line
        if order.action is Action.REROLL:
            order, found = await self._repeated(order, found)
        found = replace(found, line=line)
        if order.action is Action.UPSCALE or order.action in PAINTS_FROM:
            _check_choice(order, found)
        return order, found

    async def _repeated(self, order: Order, parent: _Parent) -> tuple[Order, _Parent]:
        made = parent.job
        if made.action is Action.UPSCALE and made.parent_id and (grid := await self._found(made.parent_id)):
            order, parent, made = replace(order, parent_id=grid.job.id), grid, grid.job
        if made.action not in PAINTS_FROM or made.parent_id is None:
            return order, parent
        origin = await self._found(made.parent_id, made.index)
        if origin is None or origin.image is None:
            raise UserError(ORIGIN_GONE)
        prompt = order.prompt or made.prompt.with_values(seed=None)
        again = replace(
            order,
            action=made.action,
            parent_id=made.parent_id,
            index=made.index,
            change=made.change,
            prompt=prompt,
        )
        return again, origin

    async def _found(self, job_id: str, index: int | None = None) -> _Parent | None:
        return await self._database.read(lambda connection: _find_parent(connection, job_id, index))

    async def _link(self, job: Job, parent: _Parent) -> ImageRow | None:
        if parent.image is None:
            return None
        try:
            return await self._files.link(parent.image, job.id)
        except OSError:
            return None

    async def _inputs(
        self, order: Order, prompt: Prompt, parent: _Parent | None, kept: list[str]
    ) -> tuple[Prompt, tuple[str, ...]]:
        """The pictures a job starts from, then its references, kept as files.

        Uploads in the prompt become references to them.
        """
        lent = tuple(link for _, link in specs.reference_links(prompt))
        first: tuple[str, ...] = ()
        if order.action in PAINTS_FROM and parent is not None and parent.image is not None:
            first = (f"image:{parent.image.id}",)
        images = prompt.images if specs.uses_pictures(prompt) and not first else ()
        if not images and not lent:
            return prompt, first
        if parent and _sources(prompt) == _sources(parent.job.prompt):
            before = parent.intake.inputs[-len(images + lent) :]
            if len(before) == len(images + lent) and self._at_hand(before):
                return prompt, (*first, *before)
        user = order.requester.user_id
        count = await self._database.read(lambda connection: jobs.unfinished(connection, user))
        # Slow links take minutes, so what one user has under way counts like jobs that wait.
        self._refuse_crowds(count + self._gathering[user])
        self._gathering[user] += 1
        try:
            await self._gather(order, (*images, *lent), kept)
            return specs.with_kept(prompt, dict(zip((*images, *lent), kept, strict=True))), (*first, *kept)
        finally:
            self._gathering[user] -= 1
            self._gathering += Counter()  # forgets users at zero

    def _at_hand(self, inputs: Iterable[str]) -> bool:
        return all(
            name.startswith("input:") and self._files.exists(name.removeprefix("input:")) for name in inputs
        )

    async def _gather(self, order: Order, sources: tuple[str, ...], kept: list[str]) -> None:
        for source in sources:
            kept.append(f"input:{await self._gather_one(order, source)}")

    async def _gather_one(self, order: Order, image: str) -> str:
        kind, _, rest = image.partition(":")
        if kind == "library":
            file = f"{INPUTS}/{rest}"
            if "/" in rest or not self._files.hold(file):
                raise UserError(say("The picture you attached is no longer kept; attach it again."))
            return file
        if kind == "attachment":
            return await self._files.keep_input(await self._fetcher.upload(order.uploads[int(rest)]))
        return await self._files.keep_input(await self._fetcher.link(image))

    def _admitted(self, job: Job, *, fresh: bool) -> Admitted:
        if job.status is not JobStatus.QUEUED:
            return Admitted(job, 0, 0.0, fresh)
        ahead, seconds = self._backlog.ahead(job.id)
        return Admitted(job, ahead, seconds + self._backlog.left(job.id), fresh)


def _strength(job: Job) -> float | None:
    """How far a job that begins with pictures leaves them; None where it mixes them."""
    return None if specs.blends(job) else derived.strength(job.prompt, job.action)


def discard_inputs(connection: Connection, files: Library, inputs: Iterable[str]) -> None:
    """Delete the files of those ``input:<file>`` that no row names; in a write, so that no order commits."""
    inputs = tuple(inputs)
    needed = jobs.referenced(connection, inputs)
    files.discard(_file_of(name) for name in inputs if name not in needed)


def _file_of(name: str) -> str:
    return name.removeprefix("input:")


def _find_parent(connection: Connection, parent_id: str, index: int | None) -> _Parent | None:
    job = jobs.find(connection, parent_id)
    if job is None:
        return None
    rows = {row.index: row for row in library.of_job(connection, parent_id)}
    image = None if index is None else rows.get(index)
    line = (job, *history.line(connection, job))
    return _Parent(job, jobs.intake(connection, parent_id), image, line)


def _hidden_by_others(line: Iterable[Job], user_id: int) -> bool:
    """Whether the nearest job that somebody else ordered is hidden: a copy of it is no way out."""
    nearest = next((job for job in line if job.requester.user_id != user_id), None)
    return nearest is not None and nearest.hidden_from(user_id)


def _sources(prompt: Prompt) -> tuple[object, ...]:
    return prompt.images, specs.reference_links(prompt)


def _check_choice(order: Order, parent: _Parent) -> None:
    if parent.job.status in UNFINISHED:
        raise UserError(say("That picture is still being painted; press the button again when it is done."))
    if parent.image is None or order.index is None or order.index >= len(parent.job.seeds):
        raise UserError(say("There is no such picture; choose one of the grid's."))
