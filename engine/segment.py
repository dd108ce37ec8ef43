"""Which part of a picture a text names: CLIPSeg, where the operator has put one.

Image Segmentation Using Text and Image Prompts (Lüddecke & Ecker 2022, arXiv:2112.10003). Torch-free until
the first picture. It runs on the CPU in a thread of its own, so that neither the event loop nor the painting
waits for it.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from engine.api import EngineError, ModelUnavailable
from engine.masks import FORMATS
from engine.sentence import Sentence, say

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
NEEDED = ("config.json", "model.safetensors")
"""Files of a model's folder as transformers saves it; weights that could run code are not read."""
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
"""The words it knows come in one file or in two."""
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""CLIP's normalisation (Radford et al. 2021)."""
SURE = 0.4
"""Probability from which a pixel is of the thing; below it everywhere, it is not there."""
SHARE = 0.5
"""Of the highest probability: from there on a pixel counts, since a thing is seldom sure at its rim."""
UNSET = say("there is no segmentation model; a CLIPSeg folder can be given as `path` under [segmentation].")


class Segmenter:
    """One CLIPSeg; ``folder`` None is none at all. Loaded at the first picture."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="segment")
        self._loaded: tuple[Any, Any] | None = None

    def fault(self) -> str | None:
        """Why it cannot be used, as a sentence, or None; reads no weights."""
        if self._folder is None:
            return UNSET
        lacking = [name for name in NEEDED if not (self._folder / name).is_file()]
        if not any(all((self._folder / name).is_file() for name in names) for names in TOKENIZERS):
            lacking.append("tokenizer.json")
        if lacking:
            return say("the segmentation model lacks {files}.", files=", ".join(lacking))
        return None

    async def mask(self, picture: bytes, text: str) -> bytes:
        """See ``Engine.segment``."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._mask, picture, text)

    def close(self) -> None:
        """Let go of the thread; what it computes is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _mask(self, picture: bytes, text: str) -> bytes:
        if (fault := self.fault()) is not None:
            raise ModelUnavailable(say("Regions cannot be named: {fault}", fault=fault))
        try:
            with Image.open(io.BytesIO(picture), formats=FORMATS) as opened:
                image = opened.convert("RGB")
        except Exception as error:
            raise EngineError(say("The picture to look at cannot be read")) from error
        found = found_in(self._probabilities(image, text))
        if found is None:
            raise EngineError(unseen(text))
        return encoded(Image.fromarray(found).resize(image.size, Image.Resampling.NEAREST))

    def _probabilities(self, image: Image.Image, text: str) -> npt.NDArray[np.float32]:
        """(H, W) in [0, 1], of the model's own size."""
        import torch

        model, tokenizer = self._model()
        side = model.config.vision_config.image_size
        limit = model.config.text_config.max_position_embeddings
        words = tokenizer([text], return_tensors="pt", truncation=True, max_length=limit)
        with torch.inference_mode():
            logits = model(
                input_ids=words["input_ids"],
                attention_mask=words["attention_mask"],
                pixel_values=_pixels(image, side),
            ).logits
        probabilities: npt.NDArray[np.float32] = (
            torch.sigmoid(logits.float()).reshape(logits.shape[-2:]).numpy()
        )
        return probabilities

    def _model(self) -> tuple[Any, Any]:
        if self._loaded is None:
            self._loaded = _load(self._folder or Path())
        return self._loaded


def unseen(text: str) -> Sentence:
    """Of what is nowhere in a picture."""
    return say(
        "I do not see {text!r} in this picture; name something else, or choose numbered fields", text=text
    )


def encoded(mask: Image.Image) -> bytes:
    """As PNG."""
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    return buffer.getvalue()


def found_in(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8] | None:
    """255 where the thing is, 0 elsewhere; None where it is nowhere, or what is found is no number."""
    highest = float(probabilities.max())
    if not highest >= SURE:
        return None
    return np.where(probabilities >= highest * SHARE, 255, 0).astype(np.uint8)


def _pixels(image: Image.Image, side: int) -> torch.Tensor:
    """(1, 3, side, side), squeezed into a square as CLIPSeg was trained."""
    import torch

    square = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR), np.float32) / 255
    normal = (square - np.asarray(MEAN, np.float32)) / np.asarray(STD, np.float32)
    return torch.from_numpy(normal).movedim(-1, 0).unsqueeze(0)


def read_json(path: Path) -> dict[str, Any]:
    """What an object's file says; nothing where it is none."""
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _load(folder: Path) -> tuple[Any, Any]:
    import torch
    from transformers import CLIPSegForImageSegmentation, CLIPTokenizer

    from engine.models.networks import read_network

    if (kind := read_json(folder / "config.json").get("model_type")) != "clipseg":
        raise ModelUnavailable(say("The segmentation model is {kind!r}, not clipseg.", kind=kind))
    try:
        model = read_network(CLIPSegForImageSegmentation, folder, torch.float32)
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        # What transformers and tokenizers raise for files that make no sense is of every kind.
        log.warning("%s cannot be read: %s", folder, error)
        raise ModelUnavailable(say("The segmentation model cannot be read")) from error
    return model.eval(), tokenizer
