"""One process owns a data folder; a lock file tells the second who."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from bot.errors import StoreError


class FolderLock:
    """Held from construction until ``release`` or the death of the process (flock, so no stale locks)."""

    def __init__(self, folder: Path) -> None:
        """Raises StoreError when another process holds the folder, or the folder cannot be written."""
        self._file = os.open(folder / "tessera.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._file, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise StoreError(
                f"The data folder {folder} is already in use by process {owner}; "
                "stop that one first, or set TESSERA_DATA_DIR to another folder."
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let the next process in; safe to call twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
