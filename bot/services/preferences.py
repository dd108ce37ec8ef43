"""What users settle once: checked when it is set, so that no prompt fails for an old setting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection

from bot.config import Settings
from bot.domain.flags import BY_NAME
from bot.domain.preferences import MOST_OPTIONS, Preferences
from bot.domain.prompt import MAX_LENGTH, option_fault, quoted, suffix_faults, unknown_model
from bot.domain.reading import text_faults
from bot.domain.sentence import say
from bot.errors import PromptError, UserError
from bot.services import specs
from bot.store import preferences as store
from bot.store.database import Database
from engine.api import ModelInfo

_SETTINGS = Preferences()
"""What /settings shows and its reset brings back; options and suffix are left alone."""


class PreferenceBook:
    """Each verb is one transaction and returns what holds from then on."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database

    async def of(self, user_id: int) -> Preferences:
        """What holds for this user."""
        return await self._database.read(lambda connection: store.find(connection, user_id))

    async def change(self, user_id: int, **values: Any) -> Preferences:
        """Set fields of :class:`Preferences` other than options and suffix."""
        if values.get("speed") not in (None, "", *BY_NAME["speed"].choices):
            raise ValueError(f"no such speed: {values['speed']}")
        return await self._database.write(lambda connection: store.change(connection, user_id, **values))

    async def choose_model(self, user_id: int, name: str, models: Iterable[str]) -> Preferences:
        """The model of one's prompts; empty leaves it to the server. UserError when there is none such."""
        known = tuple(models)
        if name and name not in known:
            raise UserError(unknown_model(name, known))
        return await self.change(user_id, model=name)

    async def set_suffix(
        self, user_id: int, suffix: str, models: Mapping[str, ModelInfo] = MappingProxyType({})
    ) -> Preferences:
        """Behind every prompt from now on; empty takes it away. PromptError names what is wrong with it.

        Of ``models`` are those that it may name; without any, every name passes.
        """
        plain = " ".join(suffix.split())
        if plain and (faults := suffix_faults(plain, specs.known(self._settings, models))):
            raise PromptError(faults, plain)
        return await self._database.write(lambda connection: store.change(connection, user_id, suffix=plain))

    async def set_option(self, user_id: int, name: str, text: str) -> Preferences:
        """``--name`` stands for ``text`` from now on; an empty text takes the option away."""
        bare, plain = name.strip().lstrip("-—–－"), " ".join(text.split())
        if fault := option_fault(bare):
            raise UserError(fault)
        if faults := tuple(text_faults(plain, MAX_LENGTH)):
            raise PromptError(faults, plain)
        return await self._database.write(lambda connection: _with_option(connection, user_id, bare, plain))

    async def reset(self, user_id: int) -> Preferences:
        """Everything of /settings as it was at first; options and suffix stay."""
        fresh = {name: getattr(_SETTINGS, name) for name in _RESET}
        return await self._database.write(lambda connection: store.change(connection, user_id, **fresh))

    async def note_locale(self, user_id: int, locale: str) -> None:
        """Remember a user's language, if it is another than before."""
        if (await self.of(user_id)).locale != locale:
            await self.change(user_id, locale=locale)


_RESET = ("model", "stylize", "speed", "visibility", "variation", "remix")


def _with_option(connection: Connection, user_id: int, name: str, text: str) -> Preferences:
    options = dict(store.find(connection, user_id).options)
    if text:
        options[name] = text
    elif options.pop(name, None) is None:
        raise UserError(say("You have no option {name}; /prefer option list shows yours.", name=quoted(name)))
    if len(options) > MOST_OPTIONS:
        raise UserError(
            say(
                "You have {most} options already; take one away first: /prefer option set with its name and "
                "no value.",
                most=MOST_OPTIONS,
            )
        )
    return store.change(connection, user_id, options=options)
