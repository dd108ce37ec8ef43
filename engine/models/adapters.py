"""LoRAs and textual inversions on a loaded model: read once, then put on and off without reading again."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from engine.api import EngineError
from engine.lora import EMBEDDING_KEYS, embedding_misfit

log = logging.getLogger(__name__)
Worn = tuple[tuple[str, float], ...]
"""Names with weights, sorted."""


class Adapters:
    """The LoRAs of a stock pipeline's parts, by diffusers' own loader and PEFT."""

    def __init__(self, pipeline: Any, files: Mapping[str, Path]) -> None:
        self._pipeline = pipeline
        self._files = files
        self._names: dict[str, str] = {}
        self.worn: Worn = ()

    def wear(self, wanted: Worn) -> bool:
        """Put on exactly ``wanted``; whether layers came in that were not there. EngineError names the file
        that cannot be used.
        """
        wanted = tuple(sorted(dict(wanted).items()))
        if wanted == self.worn:
            return False
        fresh = [name for name, _ in wanted if name not in self._names]
        for name in fresh:
            self._read(name)
        if wanted:
            self._pipeline.enable_lora()
            names = [self._names[name] for name, _ in wanted]
            self._pipeline.set_adapters(names, [weight for _, weight in wanted])
        else:
            self._pipeline.disable_lora()
        self.worn = wanted
        return bool(fresh)

    def _read(self, name: str) -> None:
        # PEFT takes no dots in names, and diffusers reads more into them.
        key, file = f"lora{len(self._names)}", self._files[name]
        try:
            with torch.inference_mode(False), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._pipeline.load_lora_weights(
                    str(file.parent), weight_name=file.name, adapter_name=key, low_cpu_mem_usage=False
                )
        except Exception as error:
            log.warning("%s cannot be loaded: %s", file, error)
            # What came in before the fault stays, switched off, under a name that is not used again.
            self._names[f"\0{key}"] = key
            self.worn = ((f"\0{key}", 0.0),)
            raise EngineError(
                f"The LoRA {name!r} cannot be used with this model; leave it out, or choose another."
            ) from error
        self._names[name] = key


def teach(pipeline: Any, files: Mapping[str, Path]) -> dict[str, str]:
    """Textual inversions (Gal et al. 2022, arXiv:2208.01618) become words of the text encoders, by their
    names; of those that do not fit, the reason.
    """
    unfit: dict[str, str] = {}
    for name, file in files.items():
        encoders = _encoders(pipeline)
        reason = embedding_misfit(file, [int(encoder.config.hidden_size) for _, encoder in encoders])
        if reason is None:
            reason = _taught(encoders, pipeline, name, file)
        if reason is not None:
            unfit[name] = reason
            log.warning("embedding %r is left out: %s", name, reason)
    return unfit


def _encoders(pipeline: Any) -> list[tuple[Any, Any]]:
    """Tokenizers with their CLIP encoders."""
    found = [
        (getattr(pipeline, f"tokenizer{end}", None), getattr(pipeline, f"text_encoder{end}", None))
        for end in ("", "_2")
    ]
    return [pair for pair in found if None not in pair]


def _taught(encoders: Sequence[tuple[Any, Any]], pipeline: Any, name: str, file: Path) -> str | None:
    try:
        vectors = load_file(file)
        names = EMBEDDING_KEYS if len(encoders) > 1 else tuple(vectors)
        for key, (tokenizer, encoder) in zip(names, encoders, strict=True):
            pipeline.load_textual_inversion(
                vectors[key], token=name, tokenizer=tokenizer, text_encoder=encoder
            )
    except Exception as error:
        return f"{file.name} cannot be loaded: {error}"
    return None
