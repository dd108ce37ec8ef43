"""What tells a process that died of itself from one that was killed: a trace left in the data folder.

On a fatal signal (a segmentation fault in a kernel, an abort of CUDA) Python's faulthandler writes its trace
into ``crash.log``. The kernel's out-of-memory killer leaves none, but counts its victims in ``/proc/vmstat``:
the file's first line is that count at the start, with the boot it belongs to.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

FILE = "crash.log"
LAST = "crash.last.log"
"""Where the trace is kept for the operator once it has been counted."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_VMSTAT = Path("/proc/vmstat")
_log = logging.getLogger(__name__)


def crashed(folder: Path) -> bool:
    """Whether the last process on this data folder died of itself."""
    try:
        first, _, trace = (folder / FILE).read_text(errors="replace").partition("\n")
    except OSError:
        return False
    if trace.strip():
        _log.error("the last process crashed; %s says where", folder / LAST)
        return True
    return _was_out_of_memory(first, _header())


def forget(folder: Path) -> None:
    """What :func:`crashed` told has been counted: the next start is told of it no more."""
    with contextlib.suppress(OSError):
        (folder / FILE).replace(folder / LAST)


@contextlib.contextmanager
def recording(folder: Path) -> Iterator[None]:
    """While the block runs, a crash of this process leaves its trace; a clean end leaves nothing."""
    path = folder / FILE
    try:
        stream = path.open("w")
    except OSError as error:
        _log.warning("a crash would leave no trace: %s", error)
        yield
        return
    with stream:
        stream.write(_header() + "\n")
        stream.flush()
        faulthandler.enable(stream)
        try:
            yield
        finally:
            faulthandler.enable(sys.__stderr__ or 2)
            path.unlink(missing_ok=True)


def _header() -> str:
    """``<boot id> <victims so far>``; empty where there is no Linux kernel to ask."""
    try:
        counts = dict(line.split(" ", 1) for line in _VMSTAT.read_text().splitlines())
        return f"{_BOOT.read_text().strip()} {int(counts['oom_kill'])}"
    except (OSError, ValueError, KeyError):
        return ""


def _was_out_of_memory(before: str, now: str) -> bool:
    """Somebody's process was killed for memory since; in doubt it was ours."""
    (boot, _, then), (same, _, since) = before.partition(" "), now.partition(" ")
    return bool(then and since) and boot == same and int(since) > int(then)
