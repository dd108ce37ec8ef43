"""What a button did to the picture a job starts from; the pictures that users keep as favourites."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("change", sa.Text(), nullable=True))
    op.create_table(
        "favourites",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "image_id"),
    )
    with op.batch_alter_table("favourites", schema=None) as batch_op:
        batch_op.create_index("favourites_image", ["image_id"], unique=False)


def downgrade() -> None:
    op.drop_table("favourites")
    op.drop_column("jobs", "change")
