"""Checks that a finished picture must pass before it leaves; which ones is said by the spec. Torch-free.

``nudity`` is NudeNet's 320n detector, on the CPU, with the weights of its package (``pip install
tessera[safety]``). ``safety-checker`` is the one that Stable Diffusion was published with (Rando et al. 2022,
arXiv:2210.04610), with the weights in the model's folder. That a picture is one at all (no NaN, no flat
frame) is checked always, in ``engine.stages``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from engine.api import HeldBack
from engine.sentence import Sentence, say

if TYPE_CHECKING:
    from PIL import Image

NUDITY, SAFETY_CHECKER = "nudity", "safety-checker"
SURE = 0.5
"""Score from which NudeNet is believed; below it, elbows and cushions are found too."""
_BARE = frozenset(
    {
        "BUTTOCKS_EXPOSED",
        "FEMALE_BREAST_EXPOSED",
        "FEMALE_GENITALIA_EXPOSED",
        "ANUS_EXPOSED",
        "MALE_GENITALIA_EXPOSED",
    }
)


class Checker(Protocol):
    """A check that is loaded."""

    def passes(self, picture: Image.Image) -> bool:
        """Whether an RGB picture may be shown."""
        ...


class Nudity:
    """NudeNet finds no bare part that is usually covered."""

    def __init__(self, folder: Path) -> None:
        from nudenet import NudeDetector

        self._detector = NudeDetector(providers=["CPUExecutionProvider"])

    def passes(self, picture: Image.Image) -> bool:
        """Its own reader takes what OpenCV gives: rows of blue, green, red."""
        import numpy as np

        found = self._detector.detect(np.ascontiguousarray(np.asarray(picture)[..., ::-1]))
        return not any(part["class"] in _BARE and part["score"] >= SURE for part in found)


class SafetyChecker:
    """diffusers' StableDiffusionSafetyChecker with the weights of a model's folder."""

    def __init__(self, folder: Path) -> None:
        import torch
        from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
        from transformers import CLIPImageProcessor

        from engine.models.networks import read_network

        checker = folder / "safety_checker"
        self._model: Any = read_network(StableDiffusionSafetyChecker, checker, torch.float32)
        self._processor = CLIPImageProcessor.from_pretrained(
            folder / "feature_extractor", local_files_only=True
        )

    def passes(self, picture: Image.Image) -> bool:
        """The checker blackens what it holds back in the copy that it is given."""
        import numpy as np

        pixels = self._processor(picture, return_tensors="pt").pixel_values
        _, found = self._model(images=np.asarray(picture, dtype=np.float32)[None] / 255, clip_input=pixels)
        return not found[0]


_CHECKERS: Mapping[str, Callable[[Path], Checker]] = {NUDITY: Nudity, SAFETY_CHECKER: SafetyChecker}


def missing(names: Iterable[str], folder: Path) -> Iterator[Sentence]:
    """A sentence for each named check that cannot be made for the model in ``folder``."""
    for name in names:
        if name not in _CHECKERS:
            yield say(
                "There is no picture check {name!r}; there are {names}.",
                name=name,
                names=", ".join(_CHECKERS),
            )
        elif name == NUDITY and find_spec("nudenet") is None:
            yield say("The nudity check is not installed here; type: pip install 'tessera[safety]'")
        elif name == SAFETY_CHECKER and not (folder / "safety_checker").is_dir():
            yield say("This model brings no safety_checker; use the check 'nudity' instead.")


class Gate:
    """Loads checks when they are first asked for, and keeps them."""

    def __init__(self, makers: Mapping[str, Callable[[Path], Checker]] = _CHECKERS) -> None:
        self._makers = makers
        self._loaded: dict[tuple[str, Path], Checker] = {}

    def check(self, pictures: Sequence[Image.Image], names: Iterable[str], folder: Path) -> None:
        """HeldBack when one picture fails one of the named checks; ``folder`` is the model's."""
        for name in names:
            checker = self._checker(name, folder)
            if not all(checker.passes(picture) for picture in pictures):
                raise HeldBack(
                    say(
                        "The picture was held back: it shows what is not allowed in this channel; try "
                        "another prompt or seed."
                    )
                )

    def _checker(self, name: str, folder: Path) -> Checker:
        key = (name, folder)
        if key not in self._loaded:
            self._loaded[key] = self._makers[name](folder)
        return self._loaded[key]
