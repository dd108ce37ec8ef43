"""``tessera models``: what can paint here."""

from __future__ import annotations

from collections.abc import Callable

from bot.config import SKETCH_MODEL, Settings
from engine.api import ModelUnavailable

SKETCH = "a sketch model that comes with Tessera, to try things out on any machine"
HOW_TO_ADD = """\
To add a model, get its diffusers folder (with model_index.json) and name it in the configuration file:
  [models.mine]
  path = "/path/to/stable-diffusion-v1-5"
  [engine]
  default_model = "mine\""""


def describe(settings: Settings, look: Callable[[Settings, str], str]) -> str:
    """A line per model, the default first, then how to add one; ``look`` reads a model's folder."""
    names = sorted(settings.models, key=lambda name: name != settings.engine.default_model)
    return "\n".join([*(_line(settings, name, look) for name in names), "", HOW_TO_ADD])


def _line(settings: Settings, name: str, look: Callable[[Settings, str], str]) -> str:
    model = settings.models[name]
    try:
        fact = look(settings, name)
    except ModelUnavailable as fault:
        fact = f"NOT USABLE: {fault}"
    told = model.description or (SKETCH if model.path == SKETCH_MODEL else "")
    default = " (default)" if name == settings.engine.default_model else ""
    return f"{name}{default}: " + "; ".join(part for part in (told, fact) if part)
