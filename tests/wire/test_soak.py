"""A small soak; ``python -m tests.wire.soak`` is the long one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.wire.soak import soak


@pytest.mark.skipif(
    "TESSERA_SOAK" not in os.environ, reason="random kills want idle cores: set TESSERA_SOAK=1"
)
@pytest.mark.timeout(2400)
async def test_forty_jobs_and_seven_random_ends(tmp_path: Path) -> None:
    report = await soak(tmp_path, jobs=40, kills=5, drains=2, seed=7)
    assert [report.faults, report.duplicates, report.unposted] == [[], 0, 0], str(report)
    assert report.admitted == report.posted >= 40
    assert (report.kills, report.drains) == (5, 2)
