"""LoRAs and textual inversions on a loaded model: read once, then put on and off without reading again."""

from __future__ import annotations

import json
import logging
import warnings
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from engine.api import EngineError
from engine.building import BUILDING
from engine.lora import EMBEDDING_KEYS, embedding_misfit
from engine.sentence import say

log = logging.getLogger(__name__)
Worn = tuple[tuple[str, float], ...]
"""Names with weights, sorted."""
UNKNOWN: Worn = (("\0", 0.0),)
"""What no job wants: the state after a failure."""
KEPT = 8
"""LoRAs that stay on the device, those that are worn among them."""


class Adapters:
    """The LoRAs of a stock pipeline's parts, by diffusers' own loader and PEFT."""

    def __init__(self, pipeline: Any, files: Mapping[str, Path]) -> None:
        self._pipeline = pipeline
        self._files = files
        self._names: OrderedDict[str, str] = OrderedDict()
        """PEFT's name of each that was read, the longest unused first."""
        self._numbers = count()
        self.worn: Worn = ()

    def wear(self, wanted: Worn) -> bool:
        """Put on exactly ``wanted``; whether layers came in that were not there. EngineError names the file
        that cannot be used.
        """
        wanted = tuple(sorted(dict(wanted).items()))
        if wanted == self.worn:
            return False
        names = [name for name, _ in wanted]
        fresh = [name for name in names if name not in self._names]
        # Whatever fails from here on leaves layers in a state that no job asked for.
        self.worn = UNKNOWN
        for name in fresh:
            self._read(name)
        self._put_on(wanted)
        self._forget(names)
        self.worn = wanted
        return bool(fresh)

    def _put_on(self, wanted: Worn) -> None:
        if not wanted:
            self._pipeline.disable_lora()
            return
        self._pipeline.enable_lora()
        keys = [self._names[name] for name, _ in wanted]
        self._pipeline.set_adapters(keys, [weight for _, weight in wanted])

    def _forget(self, used: Collection[str]) -> None:
        """All but the last used of those that were read leave the device; none of ``used``."""
        for name in used:
            self._names.move_to_end(name)
        spare = [name for name in self._names if name not in used][: max(0, len(self._names) - KEPT)]
        if spare:
            self._pipeline.delete_adapters([self._names.pop(name) for name in spare])

    def _read(self, name: str) -> None:
        # PEFT takes no dots in names, and diffusers reads more into them.
        key, file = f"lora{next(self._numbers)}", self._files[name]
        try:
            with BUILDING, torch.inference_mode(False), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                weights = load_file(file)
                _refuse_no_numbers(weights)
                _refuse_halves(weights)
                self._take(file, weights, key)
        except Exception as error:
            log.warning("%s cannot be loaded: %s", file, error)
            # What came in before the fault stays, switched off, under a name that is not used again.
            self._names[f"\0{key}"] = key
            raise EngineError(
                say(
                    "The LoRA {name!r} cannot be used with this model; leave it out, or choose another.",
                    name=name,
                )
            ) from error
        self._names[name] = key

    def _take(self, file: Path, weights: Mapping[str, torch.Tensor], key: str) -> None:
        """By diffusers' loader, from the file, since its header may hold scales; ValueError where none of it
        is taken, which that passes over.
        """
        if (own := _of_peft(weights, self._pipeline, file)) is not None:
            self._pipeline.load_lora_weights(own, adapter_name=key, low_cpu_mem_usage=False)
        else:
            self._pipeline.load_lora_weights(
                str(file.parent), weight_name=file.name, adapter_name=key, low_cpu_mem_usage=False
            )
        if not any(key in names for names in self._pipeline.get_list_adapters().values()):
            raise ValueError("none of its layers is one of this model's")


def _refuse_no_numbers(weights: Mapping[str, torch.Tensor]) -> None:
    """ValueError for what could only spoil pictures."""
    for name, weight in weights.items():
        # float8 has no such question.
        if not bool(weight.float().isfinite().all()) or (weight.ndim > 1 and not weight.is_floating_point()):
            raise ValueError(f"its {name} is no number, or none that can be scaled")


def _refuse_halves(weights: Mapping[str, torch.Tensor]) -> None:
    """ValueError where what comes before a layer's ``B`` is not there: PEFT would draw it at random."""
    for name in weights:
        if name.endswith(".bias"):  # of the second alone, where a LoRA has any
            continue
        first = (
            name.replace("lora_B", "lora_A").replace("lora_up", "lora_down").replace("lora.up", "lora.down")
        )
        if first not in weights:
            raise ValueError(f"it holds {name} without {first}")


_PEFT = "base_model.model."


def _of_peft(
    weights: Mapping[str, torch.Tensor], pipeline: Any, file: Path
) -> dict[str, torch.Tensor] | None:
    """What PEFT itself saved of the denoiser, by the names that diffusers' loader takes, in the scale that an
    adapter_config.json beside it says; None for a file in any other layout.
    """
    name = "unet" if hasattr(pipeline, "unet") else "transformer"
    parts = {part for part, _ in getattr(pipeline, name).named_children()}
    if not all(key.startswith(_PEFT) and key.split(".")[2] in parts for key in weights):
        return None
    told = file.with_name("adapter_config.json")
    config = json.loads(told.read_text(encoding="utf-8")) if told.exists() else {}
    scale = float(config.get("lora_alpha") or 1) / float(config.get("r") or 1) if config else 1.0
    return {
        f"{name}.{key.removeprefix(_PEFT)}": weight * scale if ".lora_B." in key else weight
        for key, weight in weights.items()
    }


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
        _refuse_no_numbers(vectors)
        names = EMBEDDING_KEYS if len(encoders) > 1 else tuple(vectors)
        for key, (tokenizer, encoder) in zip(names, encoders, strict=True):
            pipeline.load_textual_inversion(
                vectors[key], token=name, tokenizer=tokenizer, text_encoder=encoder
            )
    except Exception as error:
        return f"{file.name} cannot be loaded: {error}"
    return None
