"""What users have settled once for all their prompts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "preferences",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model", sa.String(length=64), server_default="", nullable=False),
        sa.Column("stylize", sa.Integer(), nullable=True),
        sa.Column("speed", sa.String(length=8), server_default="", nullable=False),
        sa.Column("visibility", sa.String(length=8), server_default="", nullable=False),
        sa.Column("variation", sa.String(length=8), server_default="strong", nullable=False),
        sa.Column("remix", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("auto_dm", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("suffix", sa.Text(), server_default="", nullable=False),
        sa.Column("options", sa.JSON(), server_default="{}", nullable=False),
        sa.Column("locale", sa.String(length=16), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("user_id"),
    )


def downgrade() -> None:
    op.drop_table("preferences")
