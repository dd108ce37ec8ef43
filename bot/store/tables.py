"""The tables of one data folder. Times are Unix seconds (UTC), ids of Discord are snowflakes."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

HEAD = "0005"
"""Newest revision under ``migrations/versions``; a test holds the two together."""

metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("interaction_id", BigInteger, nullable=False, unique=True),
    Column("action", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("lane", String(8), nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("role_ids", JSON, nullable=False),
    Column("is_admin", Boolean, nullable=False),
    Column("guild_id", BigInteger),
    Column("channel_id", BigInteger, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("seeds", JSON, nullable=False),
    Column("inputs", JSON, nullable=False),
    Column("model", String(64), nullable=False),
    Column("parent_id", String(32)),
    Column("index", Integer),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("message_id", BigInteger),
    Column("result_message_id", BigInteger),
    Column("token", Text),
    Column("token_expires_at", Float),
    Column("error", Text),
    Column("told", Boolean, nullable=False, server_default="0"),
    Column("deleted", Boolean, nullable=False, server_default="0"),
    Column("kills", Integer, nullable=False, server_default="0"),
    Column("posting_at", Float),
    Column("strength", Float),
    Column("price", Float, nullable=False),
    Column("cost", Float, nullable=False),
    Column("expected_s", Float, nullable=False),
    Column("gpu_seconds", Float, nullable=False, server_default="0"),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("change", Text),
)
Index("jobs_queue", jobs.c.status, jobs.c.lane, jobs.c.user_id, jobs.c.seq)
Index("jobs_owed", jobs.c.told, jobs.c.status, jobs.c.seq)
Index("jobs_user", jobs.c.user_id, jobs.c.status)
Index("jobs_message", jobs.c.result_message_id)

ledger = Table(
    "ledger",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("key", String(96), nullable=False, unique=True),
    Column("kind", String(8), nullable=False),
    Column("account", String(9), nullable=False),
    Column("scope", String(8), nullable=False),
    Column("scope_id", BigInteger, nullable=False),
    Column("guild_id", BigInteger, nullable=False),
    Column("job_id", String(32)),
    Column("images", Float, nullable=False),
    Column("gpu_seconds", Float, nullable=False),
    Column("at", Float, nullable=False),
)
Index("ledger_spent", ledger.c.scope, ledger.c.scope_id, ledger.c.account, ledger.c.at)
Index("ledger_job", ledger.c.job_id)

quota_limits = Table(
    "quota_limits",
    metadata,
    Column("scope", String(8), primary_key=True),
    Column("scope_id", BigInteger, primary_key=True, autoincrement=False),
    Column("guild_id", BigInteger, primary_key=True, autoincrement=False),
    Column("period", String(8), primary_key=True),
    Column("amount", Float),
)

images = Table(
    "images",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("job_id", String(32), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("index", Integer, nullable=False),
    Column("file", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    UniqueConstraint("job_id", "index", name="images_place"),
)

favourites = Table(
    "favourites",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("image_id", String(32), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("at", Float, nullable=False),
)
Index("favourites_image", favourites.c.image_id)

preferences = Table(
    "preferences",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("model", String(64), nullable=False, server_default=""),
    Column("stylize", Integer),
    Column("speed", String(8), nullable=False, server_default=""),
    Column("visibility", String(8), nullable=False, server_default=""),
    Column("variation", String(8), nullable=False, server_default="strong"),
    Column("remix", Boolean, nullable=False, server_default="0"),
    Column("auto_dm", Boolean, nullable=False, server_default="0"),
    Column("suffix", Text, nullable=False, server_default=""),
    Column("options", JSON, nullable=False, server_default="{}"),
    Column("locale", String(16), nullable=False, server_default=""),
)

erased = Table("erased", metadata, Column("job_id", String(32), primary_key=True))
"""Jobs of users who deleted their data: an id alone names nobody, and keeps the job from being adopted."""
