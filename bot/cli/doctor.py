"""``tessera doctor``: looks at everything a start needs; each line is ok, or says what to type."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from bot.cli.databases import verify
from bot.config import Settings, load
from bot.errors import ConfigError, StoreError
from bot.store.database import FILE
from bot.store.lock import FolderLock
from engine.api import EngineError

GIB = 2**30
LEAST_MEMORY = 1 * GIB
LEAST_DISK = 1 * GIB
PACKAGES = ("torch", "diffusers", "transformers", "discord.py")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. ``mend`` says what to type; empty when all is well."""

    subject: str
    fact: str
    mend: str = ""

    def __str__(self) -> str:
        verdict = "FAIL" if self.mend else "ok  "
        return f"{verdict} {self.subject}: {self.fact}" + (f" -> {self.mend}" if self.mend else "")


@dataclass(frozen=True, slots=True)
class Machine:
    """What only the engine's side knows; made by ``bot.__main__`` so that nothing here loads torch.

    ``device`` names the device that would be used, ``models`` describes each configured model; both raise
    EngineError (or OperatorError) with a sentence.
    """

    device: Callable[[Settings], str]
    model: Callable[[Settings, str], str]


def examine(config: Path | None, environ: Mapping[str, str], machine: Machine) -> Iterator[Finding]:
    """All findings, in the order a start meets them. A broken configuration is told, and defaults go on."""
    yield python()
    yield from packages()
    settings = Settings()
    try:
        settings = load(config, environ)
        yield Finding("configuration", str(config) if config else "defaults and environment")
    except ConfigError as error:
        for fault in error.faults:
            yield Finding(
                "configuration", fault, f"mend it in {config or 'the environment'}; the rest assumes defaults"
            )
    yield token(settings)
    yield memory()
    yield device(settings, machine)
    for name in settings.models:
        yield model(settings, name, machine)
    yield from folders(settings)
    yield database(settings)


def python() -> Finding:
    """Python 3.11 or newer."""
    fact = f"{platform.python_version()} at {sys.executable}"
    return Finding("Python", fact, "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer")


def packages() -> Iterator[Finding]:
    """The large packages, by their installed versions."""
    for name in PACKAGES:
        try:
            yield Finding(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "not installed", "type `make run`, or `pip install tessera` in this Python")


def token(settings: Settings) -> Finding:
    """Whether there is a token; its absence is no fault, since demo and imagine need none."""
    there = settings.discord.token is not None
    return Finding(
        "token", "set" if there else "none (demo and imagine need none; run takes it from DISCORD_TOKEN)"
    )


def memory() -> Finding:
    """Free main memory."""
    free = psutil.virtual_memory().available
    fact = f"{free / GIB:.1f} GiB free"
    return Finding(
        "memory", fact, "" if free >= LEAST_MEMORY else "close other programs; a model needs 1 GiB or more"
    )


def device(settings: Settings, machine: Machine) -> Finding:
    """The configured device is there."""
    try:
        return Finding("device", machine.device(settings))
    except (EngineError, ImportError, RuntimeError) as error:
        return Finding("device", f"{settings.engine.device}: {error}", "set [engine] device to auto or cpu")


def model(settings: Settings, name: str, machine: Machine) -> Finding:
    """The model's folder is complete."""
    try:
        return Finding(f"model {name}", machine.model(settings, name))
    except (EngineError, OSError) as error:
        return Finding(f"model {name}", str(error), f"download it again, or mend [models.{name}] path")


def folders(settings: Settings) -> Iterator[Finding]:
    """Data and temporary folder can be written, and have room."""
    for subject, folder in (
        ("data folder", settings.data.dir),
        ("temporary folder", Path(tempfile.gettempdir())),
    ):
        yield _writable(subject, folder)
    free = shutil.disk_usage(_nearest(settings.data.dir)).free
    mend = "" if free >= LEAST_DISK else "free some space, or set TESSERA_DATA_DIR to another disk"
    yield Finding("disk", f"{free / GIB:.1f} GiB free for pictures", mend)


def _writable(subject: str, folder: Path) -> Finding:
    place = _nearest(folder)
    mend = f"type `chmod -R u+rwX {place}`, or set TESSERA_DATA_DIR to a folder of yours"
    if not place.is_dir():
        return Finding(subject, f"{place} is not a folder", "set TESSERA_DATA_DIR to a folder")
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Finding(subject, f"{place} cannot be written ({error.strerror})", mend)
    return Finding(subject, f"{folder.absolute()}" + ("" if folder.exists() else " (will be made)"))


def _nearest(folder: Path) -> Path:
    """The folder, or the first of its parents that exists."""
    whole = folder.absolute()
    return next(place for place in (whole, *whole.parents) if place.exists())


def database(settings: Settings) -> Finding:
    """The database is sound, of a version we know, and no one else's."""
    if not (settings.data.dir / FILE).exists():
        return Finding("database", "none yet (will be made)")
    try:
        fact = verify(settings)
        owned = _owner(settings.data.dir)
    except StoreError as error:
        return Finding("database", str(error), "put a backup in its place, or move it away")
    return Finding("database", fact + (f" {owned}" if owned else ""))


def _owner(folder: Path) -> str:
    """Who holds the data folder, if anyone does; a bot at work is no fault."""
    if not os.access(folder, os.W_OK):
        return ""
    try:
        FolderLock(folder).release()
    except StoreError:
        return "A running process holds it."
    return ""
