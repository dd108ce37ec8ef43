"""Where the training keeps its files: git ignores data and runs, not the export and the figures."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "training" / "data"
RUNS = ROOT / "training" / "runs"
SPRITES = DATA / "sprites"
EXPORT = ROOT / "engine" / "assets" / "sketch"
DOCS = ROOT / "docs"
OUTLINES = ROOT / "tests" / "e2e" / "outlines.npz"
