"""What the two benchmarks over the wire share: the model, and figures in words."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
SKETCH = ROOT / "engine" / "assets" / "sketch" / "model_index.json"


def real_engine(folder: Path) -> str:
    """Configuration of the real engine: the embedded model, or a tiny random one of the same shape."""
    if SKETCH.exists():
        return ""
    from tests import pipelines

    pipelines.sketchy(folder / "tiny")
    return f'default_model = "tiny"\nthreads = 2\n[models.tiny]\npath = "{folder / "tiny"}"\n'


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: Sequence[float]) -> str:
    """Median and extremes."""
    return f"{statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"
