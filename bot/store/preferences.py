"""The preferences table: one row for each user who ever settled something."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert

from bot.domain.preferences import Preferences, Variability
from bot.store.tables import preferences


def find(connection: Connection, user_id: int) -> Preferences:
    """The user's settings, or the defaults."""
    row = connection.execute(select(preferences).where(preferences.c.user_id == user_id)).first()
    if row is None:
        return Preferences()
    values = {name: value for name, value in row._mapping.items() if name != "user_id"}
    return Preferences(**{**values, "variation": Variability(row.variation)})


def change(connection: Connection, user_id: int, **values: Any) -> Preferences:
    """Set some of them, and return all."""
    query = insert(preferences).values(user_id=user_id, **values)
    connection.execute(query.on_conflict_do_update(index_elements=["user_id"], set_=values))
    return find(connection, user_id)


def remove(connection: Connection, user_id: int) -> None:
    """Back to the defaults, without a trace."""
    connection.execute(delete(preferences).where(preferences.c.user_id == user_id))
