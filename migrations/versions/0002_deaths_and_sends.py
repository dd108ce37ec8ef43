"""Kills told apart from attempts, the time of a job's latest send; ``sends`` was never used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("kills", sa.Integer(), server_default="0", nullable=False))
    op.add_column("jobs", sa.Column("posting_at", sa.Float(), nullable=True))
    op.drop_column("jobs", "sends")
