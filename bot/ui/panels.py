"""The list of all panel items, for the client to know them again after a restart."""

from __future__ import annotations

from bot.ui.batch import ITEMS as BATCH
from bot.ui.commands.describe import ITEMS as DESCRIBE
from bot.ui.commands.history import ITEMS as HISTORY
from bot.ui.commands.privacy import ITEMS as PRIVACY
from bot.ui.commands.remix import ITEMS as REMIX
from bot.ui.commands.settings import ITEMS as SETTINGS
from bot.ui.ideas import ITEMS as IDEAS
from bot.ui.panel import PanelButton, PanelSelect

PANELS: tuple[type[PanelButton] | type[PanelSelect], ...] = (
    *BATCH,
    *DESCRIBE,
    *HISTORY,
    *IDEAS,
    *PRIVACY,
    *REMIX,
    *SETTINGS,
)
