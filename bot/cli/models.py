"""``tessera models``: what can paint here, and what it takes to fetch, check and remove it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bot.config import SKETCH_MODEL, Settings
from bot.errors import OperatorError
from engine.api import EngineError, ModelUnavailable

SKETCH = "a sketch model that comes with Tessera, to try things out on any machine"
HOW_TO_ADD = """\
To add a real model, get its diffusers folder (with model_index.json) and name it in the configuration file:
  [models.mine]
  path = "/path/to/stable-diffusion-v1-5"
  [engine]
  default_model = "mine"
or one .safetensors file, with a diffusers folder of its architecture (weights or not) for its configuration:
  [models.mine]
  path = "/path/to/checkpoint.safetensors"
  config = "/path/to/stable-diffusion-v1-5"
or name it on the hub, and type `tessera models pull mine`:
  [models.mine]
  hub = "owner/name"
  revision = "the 40 digits of a commit\""""


class NoSuchModel(OperatorError):
    """A name that the configuration does not have, or one that is not from a hub."""

    exit_code = 2


class SharedModel(OperatorError):
    """A folder that another entry of the configuration reads."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Shelf:
    """The engine's side of it, made by ``bot.__main__`` so that nothing here loads it.

    Each takes a model's name; ``pull`` and ``remove`` return bytes, ``check`` a sentence per fault.
    """

    pull: Callable[[str], int]
    check: Callable[[str], list[str]]
    remove: Callable[[str], int]


def describe(settings: Settings, look: Callable[[Settings, str], str]) -> str:
    """A line per model, the default first, then how to add one; ``look`` reads a model's folder."""
    names = sorted(settings.models, key=lambda name: name != settings.engine.default_model)
    return "\n".join([*(_line(settings, name, look) for name in names), "", HOW_TO_ADD])


def pull(settings: Settings, names: list[str], shelf: Shelf) -> Iterator[str]:
    """Fetch the named models, or all that have a hub; a line for each. The first that fails ends it."""
    chosen = [_from_hub(settings, name) for name in names] or _hubs(settings)
    if not chosen:
        raise NoSuchModel("No model of the configuration has a hub; add hub and revision to one.")
    for name in chosen:
        yield f"{name}: {_gigabytes(shelf.pull(name))}, complete in {settings.folder_of(name)}"


def check(
    settings: Settings, names: list[str], shelf: Shelf, look: Callable[[Settings, str], str]
) -> Iterator[tuple[str, bool]]:
    """A line per model and whether it is well: every byte of those from a hub, the others as a start does."""
    for name in [_known(settings, name) for name in names] or list(settings.models):
        try:
            faults = shelf.check(name) if settings.models[name].hub else []
            said = "; ".join(faults) or look(settings, name)
        except EngineError as error:
            faults = [said := str(error)]
        yield f"{'FAIL' if faults else 'ok  '} {name}: {said}", not faults


def remove(settings: Settings, name: str, shelf: Shelf) -> str:
    """Delete what was pulled for a model; its entry in the configuration stays."""
    if others := _sharing(settings, _from_hub(settings, name)):
        raise SharedModel(
            f"{settings.folder_of(name)} is used by {', '.join(others)} too; take it out of their entries "
            "first."
        )
    freed = shelf.remove(name)
    return f"{name}: removed, {_gigabytes(freed)} freed; `tessera models pull {name}` brings it back"


def _sharing(settings: Settings, name: str) -> list[str]:
    """Entries of other models that name the folder of this one, or something in it."""
    folder = settings.folder_of(name).resolve()
    return [
        f"[models.{other}] {key}"
        for other, model in settings.models.items()
        if other != name
        for key, path in (
            ("path", settings.folder_of(other)),
            ("config", model.config),
            ("ip_adapter", model.ip_adapter),
            ("image_encoder", model.image_encoder),
        )
        if path is not None and path.resolve().is_relative_to(folder)
    ]


def _line(settings: Settings, name: str, look: Callable[[Settings, str], str]) -> str:
    model = settings.models[name]
    try:
        fact = look(settings, name)
    except ModelUnavailable as fault:
        fact = f"NOT USABLE: {fault}"
    told = model.description or (SKETCH if model.path == SKETCH_MODEL else "")
    default = " (default)" if name == settings.engine.default_model else ""
    return f"{name}{default}: " + "; ".join(part for part in (told, fact) if part)


def _hubs(settings: Settings) -> list[str]:
    return [name for name, model in settings.models.items() if model.hub]


def _known(settings: Settings, name: str) -> str:
    if name not in settings.models:
        raise NoSuchModel(f"There is no model {name!r}; choose one of {', '.join(settings.models)}.")
    return name


def _from_hub(settings: Settings, name: str) -> str:
    if settings.models[_known(settings, name)].hub is None:
        raise NoSuchModel(
            f"Model {name!r} has no hub in the configuration, so it is yours to look after; "
            f"add hub and revision to [models.{name}] to have it fetched."
        )
    return name


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
