"""What a picture shows, in words, by a captioning model where the operator has put one.

BLIP (Li et al. 2022, arXiv:2201.12086), GIT, or a vision encoder with a text decoder such as ViT-GPT2, as
transformers saves them. Torch-free until the first picture. It runs on the CPU in a thread of its own, so
that neither the event loop nor the painting waits for it.
"""

from __future__ import annotations

import asyncio
import io
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from engine.api import EngineError, ModelUnavailable
from engine.masks import FORMATS
from engine.segment import MEAN, STD, TOKENIZERS, read_json
from engine.sentence import say

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
KINDS = {
    "blip": "BlipForConditionalGeneration",
    "git": "GitForCausalLM",
    "vision-encoder-decoder": "VisionEncoderDecoderModel",
}
"""Classes of transformers by the ``model_type`` of a folder's config.json."""
NEEDED = ("config.json", "model.safetensors")
"""Files of a model's folder as transformers saves it; weights that could run code are not read."""
WORDS = (("tokenizer.json",), ("vocab.txt",), *TOKENIZERS)
LONGEST = 40
"""Tokens of a caption."""
UNSET = say(
    "There is no captioning model here; the operator can add the folder of one as `path` under [captioning]."
)


class Captioner:
    """One captioning model; ``folder`` None is none at all. Loaded at the first picture."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="caption")
        self._loaded: tuple[Any, Any] | None = None

    def fault(self) -> str | None:
        """Why it cannot be used, as a sentence, or None; reads no weights."""
        if self._folder is None:
            return UNSET
        lacking = [name for name in NEEDED if not (self._folder / name).is_file()]
        if not any(all((self._folder / name).is_file() for name in names) for names in WORDS):
            lacking.append("tokenizer.json")
        return say("The captioning model lacks {files}.", files=", ".join(lacking)) if lacking else None

    async def captions(self, picture: bytes, count: int) -> tuple[str, ...]:
        """See ``Engine.caption``."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._captions, picture, count)

    def close(self) -> None:
        """Let go of the thread; what it computes is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _captions(self, picture: bytes, count: int) -> tuple[str, ...]:
        if (fault := self.fault()) is not None:
            raise ModelUnavailable(fault)
        try:
            with Image.open(io.BytesIO(picture), formats=FORMATS) as opened:
                image = opened.convert("RGB")
        except Exception as error:
            raise EngineError(say("The picture to describe cannot be read")) from error
        return self._written(image, count)

    def _written(self, image: Image.Image, count: int) -> tuple[str, ...]:
        """The likeliest captions by beam search, which draws no random numbers; the likeliest first."""
        import torch

        model, tokenizer = self._model()
        with torch.inference_mode():
            tokens = model.generate(
                pixel_values=_pixels(image, self._folder or Path(), model),
                num_beams=2 * count,
                num_return_sequences=count,
                max_new_tokens=LONGEST,
                do_sample=False,
            )
        said = (" ".join(text.split()) for text in tokenizer.batch_decode(tokens, skip_special_tokens=True))
        return tuple(dict.fromkeys(text for text in said if text))

    def _model(self) -> tuple[Any, Any]:
        if self._loaded is None:
            self._loaded = _load(self._folder or Path())
        return self._loaded


def _pixels(image: Image.Image, folder: Path, model: Any) -> torch.Tensor:
    """(1, 3, side, side), squeezed into a square, normalised as the folder says, else as CLIP does."""
    import torch

    side = _side(model.config)
    told = read_json(folder / "preprocessor_config.json")
    mean, std = told.get("image_mean", MEAN), told.get("image_std", STD)
    square = np.asarray(image.resize((side, side), Image.Resampling.BICUBIC), np.float32) / 255
    normal = (square - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return torch.from_numpy(normal).movedim(-1, 0).unsqueeze(0)


def _side(config: Any) -> int:
    """Pixels of the square the model looks at; families keep it in different places."""
    for part in (getattr(config, "vision_config", None), getattr(config, "encoder", None), config):
        side = getattr(part, "image_size", None)
        if isinstance(side, int):
            return side
    raise ModelUnavailable(say("The captioning model does not say how large its pictures are."))


def _load(folder: Path) -> tuple[Any, Any]:
    import torch
    import transformers

    from engine.models.networks import read_network

    kind = read_json(folder / "config.json").get("model_type")
    if kind not in tuple(KINDS):
        raise ModelUnavailable(
            say("The captioning model is {kind!r}; {kinds} are known.", kind=kind, kinds=", ".join(KINDS))
        )
    try:
        model = read_network(getattr(transformers, KINDS[kind]), folder, torch.float32)
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        # What transformers and tokenizers raise for files that make no sense is of every kind.
        log.warning("%s cannot be read: %s", folder, error)
        raise ModelUnavailable(say("The captioning model cannot be read")) from error
    return model.eval(), tokenizer
