"""The favourites table: pictures that users keep a finger on. They go with the picture."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, insert, select

from bot.store.tables import favourites, images


def toggle(connection: Connection, user_id: int, image_id: str, now: float) -> bool:
    """Add it, or take it away if it was there; whether it is one now."""
    mine = (favourites.c.user_id == user_id, favourites.c.image_id == image_id)
    if connection.execute(delete(favourites).where(*mine)).rowcount:
        return False
    connection.execute(insert(favourites).values(user_id=user_id, image_id=image_id, at=now))
    return True


def admirers(connection: Connection, image_id: str) -> int:
    """How many users have this picture among their favourites."""
    query = select(func.count()).where(favourites.c.image_id == image_id)
    return connection.scalar(query) or 0


def of_user(connection: Connection, user_id: int, limit: int = 50) -> list[tuple[str, int]]:
    """Job and zero-based index of a user's favourites, the latest first."""
    query = (
        select(images.c.job_id, images.c["index"])
        .join(favourites, favourites.c.image_id == images.c.id)
        .where(favourites.c.user_id == user_id)
        .order_by(favourites.c.at.desc())
        .limit(limit)
    )
    return [(str(row[0]), int(row[1])) for row in connection.execute(query)]


def forget(connection: Connection, user_id: int) -> None:
    """Drop all favourites of a user."""
    connection.execute(delete(favourites).where(favourites.c.user_id == user_id))
