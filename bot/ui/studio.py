"""What buttons do beyond one press: windows with a prompt, regions, favourites, and what is to be known."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import discord

from bot.domain.change import Change, Layout
from bot.domain.custom_id import NO_JOB, CustomId
from bot.domain.job import CHANGES, Action, Job
from bot.domain.preferences import Preferences, Variability
from bot.domain.prompt import Prompt, render
from bot.domain.sentence import Sentence, say
from bot.errors import PromptError, UserError
from bot.services import derived, specs
from bot.services.app import Services
from bot.services.explain import explain
from bot.ui import explainer, forms, region
from bot.ui.buttons import USED
from bot.ui.desk import Desk
from bot.ui.facts import parameter_text, refuse_hidden
from bot.ui.forms import Form, Opening
from bot.ui.funnel import answer_error, language, remember_prompt, tell
from bot.ui.locales import translated
from bot.ui.park import park

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

MOST_ZOOM = 2.0
_ZOOM = re.compile(r"\s*(?:--|[—–]{1,2})zoom(?:[ =]+(?P<value>[^\s-]\S*))?(?=\s|$)")
_WORDS = re.compile(r"[^\W_](?:[^\W_]|['’-](?=[^\W_]))*")
"""Of a region's name. It comes back in sentences, so nothing else of it is taken: no link, no mention."""
_LOST = say("The picture's file is gone; press re-roll to have new ones painted.")
_FORGOTTEN = say(
    "This window was open for too long, or I was started anew meanwhile: I no longer know what it was for. "
    "Please open it again."
)
_ONE = say("A window makes one job: leave `{a, b}` and `--repeat` out, or use /imagine for several.")
_NOTHING_CHOSEN = say("Choose one or more of the numbered fields first, then press Paint.")
_UNNAMED = say("Name what should be painted anew, for example: the sky.")
_TAKEN_OUT = say("Taken out of your favourites.")
_NO_ZOOM = say("`--zoom` must be a number from 1 to 2, for example `--zoom 1.5`.")
_TITLES = {
    Action.ZOOM_OUT: say("Zoom Out"),
    Action.VARY_REGION: say("Vary (Region)"),
}


class Studio:
    """Beside the desk, which makes the jobs."""

    def __init__(self, services: Services, desk: Desk) -> None:
        self._services = services
        self._desk = desk

    async def press(
        self,
        interaction: discord.Interaction[TesseraClient],
        pressed: CustomId,
        action: Action,
        change: Change | None = None,
    ) -> None:
        """A job made from the picture; with remix on, a window with its prompt comes first."""
        if action in forms.OPENS and (await self._wishes(interaction)).remix:
            job = await self._desk.parent(interaction, pressed)
            shown = _shown(job, change)
            if len(shown) <= forms.MOST:
                await self._open(interaction, Opening(pressed, action), shown)
                return
        await self._desk.derive(interaction, pressed, action, change=change)

    async def vary(self, interaction: discord.Interaction[TesseraClient], pressed: CustomId) -> None:
        """V: as far from the picture as the presser's settings say."""
        subtle = (await self._wishes(interaction)).variation is Variability.SUBTLE
        await self.press(interaction, pressed, Action.VARY_SUBTLE if subtle else Action.VARIATION)

    async def ask_zoom(self, interaction: discord.Interaction[TesseraClient], pressed: CustomId) -> None:
        """Custom Zoom: the prompt with its shape and ``--zoom``, as Midjourney has it."""
        job = await self._desk.parent(interaction, pressed)
        shown = _shown(job, CHANGES[Action.ZOOM_OUT])
        await self._open(interaction, Opening(pressed, Action.ZOOM_OUT), shown)

    async def choose_region(self, interaction: discord.Interaction[TesseraClient], pressed: CustomId) -> None:
        """The picture under numbered fields, for the presser alone."""
        await interaction.response.defer()
        job = await self._desk.parent(interaction, pressed)
        self._refuse_unable(job)
        overlay = await park(
            self._services.library.numbered(await self._picture(interaction, job, pressed)), "draw fields"
        )
        locale = language(interaction)
        await interaction.followup.send(
            translated(region.HEAD, locale),
            file=region.overlay(overlay),
            view=region.panel_view(job.id, (), locale),
            ephemeral=True,
            allowed_mentions=discord.AllowedMentions.none(),
        )
        await self._desk.colour(interaction, pressed, USED)

    async def toggle(self, interaction: discord.Interaction[TesseraClient], pressed: CustomId) -> None:
        """A field goes in or out."""
        await self._desk.job(interaction, pressed)
        assert interaction.message is not None and pressed.index is not None
        cells = region.chosen(interaction.message) ^ {pressed.index}
        view = region.panel_view(pressed.job_id, cells, language(interaction))
        await interaction.response.edit_message(view=view)

    async def ask_fields(self, interaction: discord.Interaction[TesseraClient], pressed: CustomId) -> None:
        """What to paint in the chosen fields."""
        job = await self._desk.job(interaction, pressed)
        assert interaction.message is not None
        cells = tuple(sorted(region.chosen(interaction.message)))
        if not cells:
            raise UserError(_NOTHING_CHOSEN)
        await self._open(interaction, Opening(pressed, Action.VARY_REGION, cells), _shown(job))

    async def ask_name(self, interaction: discord.Interaction[TesseraClient], pressed: CustomId) -> None:
        """What to look for, and what to paint there; said at once where nothing can look."""
        job = await self._desk.job(interaction, pressed)
        if reason := self._services.engine.segmentation():
            raise UserError(derived.no_naming(reason))
        await self._open(interaction, Opening(pressed, Action.VARY_REGION), _shown(job))

    async def submitted(self, interaction: discord.Interaction[TesseraClient]) -> None:
        """A window was sent off; those that discord.py still has are left to it. Never raises."""
        data: Any = interaction.data or {}
        custom_id = str(data.get("custom_id"))
        if forms.is_kept(custom_id):
            return
        what = forms.opening(custom_id)
        try:
            if what is None:
                remember_prompt(interaction, "\n".join(forms.typed(interaction).values()))
                raise UserError(_FORGOTTEN)
            await self._submit(interaction, what)
        except Exception as error:
            await answer_error(interaction, error)

    async def favourite(self, interaction: discord.Interaction[TesseraClient], pressed: CustomId) -> None:
        """In or out of the presser's favourites."""
        await interaction.response.defer()
        job = await self._desk.parent(interaction, pressed)
        kept, admirers = await park(
            self._services.favourite(job.id, pressed.index or 0, interaction.user.id), "keep a favourite"
        )
        await tell(interaction, _kept(job, interaction.user.id) if kept else _TAKEN_OUT)
        await self._desk.colour(interaction, pressed, USED if admirers else None)

    async def parameters(self, interaction: discord.Interaction[TesseraClient], pressed: CustomId) -> None:
        """Seeds and all that made the pictures."""
        await interaction.response.defer()
        job = await self._desk.job(interaction, pressed)
        refuse_hidden(interaction, job)
        await tell(
            interaction,
            await park(parameter_text(self._services, job, interaction.user.id), "look up parameters"),
        )

    async def explain(self, interaction: discord.Interaction[TesseraClient], pressed: CustomId) -> None:
        """What was understood of a job's prompt, by the model that painted it, or of one not ordered yet."""
        await interaction.response.defer()
        if pressed.job_id == NO_JOB:
            found = await explainer.read(interaction)
        else:
            job = await self._desk.job(interaction, pressed)
            refuse_hidden(interaction, job)
            found = explain(job.prompt, self._model(job), self._services.settings)
        await tell(interaction, explainer.text(found, language(interaction)))

    async def _submit(self, interaction: discord.Interaction[TesseraClient], what: Opening) -> None:
        values = forms.typed(interaction)
        text = values.get(forms.PROMPT, "")
        remember_prompt(interaction, text)
        job = await self._desk.job(interaction, what.pressed)
        change, text = _asked(what, values, text)
        prompt = await self._retyped(interaction, job, text)
        if change is not None and change.layout is Layout.ZOOM:
            change = replace(change, ratio=_other_shape(prompt, job))
        unchanged = _same(prompt, job.prompt, zooms=what.action is Action.ZOOM_OUT)
        pressed = what.pressed
        if what.action is Action.VARY_REGION:
            pressed = replace(pressed, index=0)
        await self._desk.derive(
            interaction, pressed, what.action, change=change, prompt=None if unchanged else prompt
        )

    async def _retyped(self, interaction: discord.Interaction[Any], job: Job, text: str) -> Prompt:
        """The prompt of a window; pictures that the job had are still in front of it. PromptError."""
        wishes = await self._wishes(interaction)
        lent = tuple(link for _, link in specs.reference_links(job.prompt))
        models = self._services.engine.models()
        # A rendered prompt holds suffix and settings already; only new options are to be looked up.
        own = Preferences(options=wishes.options)
        found = specs.read(
            text, self._services.settings, models, attached=job.prompt.images, lent=lent, wishes=own
        )
        if len(found) != 1:
            raise PromptError((_ONE,), text)
        return found[0]

    async def _open(self, interaction: discord.Interaction[Any], what: Opening, prompt: str) -> None:
        title = _TITLES.get(what.action, say("Remix"))
        names = what.action is Action.VARY_REGION and not what.cells
        form = Form(what, title, forms.fitting(prompt), language(interaction), names_region=names)
        await interaction.response.send_modal(form)

    async def _wishes(self, interaction: discord.Interaction[Any]) -> Preferences:
        return await park(self._services.preferences.of(interaction.user.id), "read settings")

    async def _picture(self, interaction: discord.Interaction[Any], job: Job, pressed: CustomId) -> bytes:
        """From the folder, or as the message still shows it."""
        library = self._services.library
        for picture in await park(self._services.pictures(job.id), "look up pictures"):
            if picture.index == (pressed.index or 0):
                file = str(picture.path.relative_to(library.folder))
                return await park(library.contents(file), "read a picture")
        message = interaction.message
        if message is None or not message.attachments or len(job.seeds) > 1:
            raise UserError(_LOST)
        try:
            return await message.attachments[0].read()
        except discord.HTTPException as error:
            raise UserError(_LOST) from error

    def _model(self, job: Job) -> Any:
        settings, models = self._services.settings, self._services.engine.models()
        return models.get(job.model) or specs.model_of(
            job.prompt, models, settings.engine.default_model, settings
        )

    def _refuse_unable(self, job: Job) -> None:
        asked = Change(Layout.CELLS, cells=(0,))
        for fault in derived.lacks(Action.VARY_REGION, asked, self._model(job)):
            raise UserError(fault)


def _kept(job: Job, user_id: int) -> Sentence:
    """Where the favourite is found again."""
    if job.requester.user_id == user_id:
        return say("Kept among your favourites; `/history` with `favourites` shows them.")
    if job.place.guild_id is None or job.prompt.get("visibility") == "stealth":
        return say("Kept among your favourites; it is hidden, so `/history` shows it to its owner alone.")
    return say("Kept among your favourites; in this server `/history` with `favourites` shows them.")


def _shown(job: Job, change: Change | None = None) -> str:
    """The prompt as a window shows it: without its pictures, with the zoom where there is one."""
    shown = render(replace(job.prompt, images=()))
    if change is None or change.layout is not Layout.ZOOM:
        return shown
    if "ar" not in job.prompt.values:
        width, height = derived.seen_shape(job)
        shared = math.gcd(width, height)
        shown += f" --ar {width // shared}:{height // shared}"
    return f"{shown} --zoom {change.factor:g}"


def _asked(what: Opening, values: Any, text: str) -> tuple[Change | None, str]:
    """What a window asks for beyond the prompt, and the prompt without it."""
    if what.action is Action.ZOOM_OUT:
        found = _ZOOM.findall(text)
        return Change(Layout.ZOOM, factor=_factor(found[-1] if found else "2")), _ZOOM.sub("", text)
    if what.action is not Action.VARY_REGION:
        return CHANGES.get(what.action), text
    if what.cells:
        return Change(Layout.CELLS, cells=what.cells), text
    name = " ".join(_WORDS.findall(str(values.get(forms.REGION, ""))))
    if not name:
        raise UserError(_UNNAMED)
    return Change(Layout.NAMED, region=name[:200]), text


def _factor(typed: str) -> float:
    try:
        factor = float(typed)
    except ValueError:
        factor = math.nan
    if not 1 <= factor <= MOST_ZOOM:
        raise UserError(_NO_ZOOM)
    return factor


def _other_shape(prompt: Prompt, job: Job) -> tuple[int, int] | None:
    """The shape that the prompt asks for, where it is not the picture's."""
    ratio, (width, height) = prompt.values.get("ar"), derived.seen_shape(job)
    if not isinstance(ratio, tuple) or int(ratio[0]) * height == int(ratio[1]) * width:
        return None
    return int(ratio[0]), int(ratio[1])


def _same(prompt: Prompt, before: Prompt, *, zooms: bool) -> bool:
    """Whether nothing was changed; the shape of a zoom is the canvas', not the prompt's."""
    if zooms:
        prompt, before = prompt.with_values(ar=None, size=None), before.with_values(ar=None, size=None)
    return prompt == before
