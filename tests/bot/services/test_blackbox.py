"""Which deaths leave a trace."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bot.services import blackbox

DIES = (
    "import os, sys; from pathlib import Path; from bot.services import blackbox\n"
    "with blackbox.recording(Path(sys.argv[1])):\n"
    "    os.kill(os.getpid(), int(sys.argv[2])) if sys.argv[2] != '0' else None\n"
)


@pytest.mark.parametrize(
    ("by", "crashed"),
    [(signal.SIGSEGV, True), (signal.SIGABRT, True), (signal.SIGKILL, False), (0, False)],
)
def test_a_crash_leaves_a_trace_a_kill_none(tmp_path: Path, by: int, crashed: bool) -> None:
    done = subprocess.run([sys.executable, "-c", DIES, str(tmp_path), str(int(by))], check=False, timeout=60)
    assert done.returncode == -by
    assert blackbox.crashed(tmp_path) is crashed
    blackbox.forget(tmp_path)
    assert not blackbox.crashed(tmp_path)


@pytest.mark.parametrize(
    ("before", "now", "killed"),
    [
        ("boot 3", "boot 4", True),
        ("boot 3", "boot 3", False),
        ("boot 3", "other 4", False),
        ("", "boot 4", False),
        ("boot 3", "", False),
    ],
)
def test_the_out_of_memory_killer_is_known_by_its_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, now: str, killed: bool
) -> None:
    (tmp_path / blackbox.FILE).write_text(f"{before}\n")
    monkeypatch.setattr(blackbox, "_header", lambda: now)
    assert blackbox.crashed(tmp_path) is killed


def test_a_folder_that_cannot_be_written_records_nothing(tmp_path: Path) -> None:
    with blackbox.recording(tmp_path / "missing"):
        pass
    assert not blackbox.crashed(tmp_path / "missing")
