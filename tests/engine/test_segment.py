"""CLIPSeg with tiny random weights: a mask of the picture's size, off the loop, or a sentence."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.api import EngineError, ModelUnavailable
from engine.masks import size_of
from engine.segment import NEEDED, SURE, TOKENIZERS, UNSET, Segmenter, found_in
from tests.engine.company import lacking_a_weight

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{one}</w>" for one in LETTERS), "sk", "sky</w>"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIPSeg of a few thousand numbers, as transformers saves one."""
    import torch
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

    place = tmp_path_factory.mktemp("clipseg")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    text = {"vocab_size": len(WORDS), "max_position_embeddings": 12, "projection_dim": 8, **small, **ends}
    config = CLIPSegConfig(
        text_config=text,
        vision_config={"image_size": 32, "patch_size": 8, "projection_dim": 8, **small},
        projection_dim=8,
        extract_layers=[0, 1],
        reduce_dim=8,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
    )
    torch.manual_seed(0)
    CLIPSegForImageSegmentation(config).save_pretrained(place)
    (place / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(WORDS)}))
    (place / "merges.txt").write_text("#version: 0.2\ns k\nsk y</w>\n")
    return place


def picture(width: int = 60, height: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


async def test_a_mask_of_the_pictures_size_by_a_thread_of_its_own(folder: Path) -> None:
    """The same every time; the loop is free meanwhile."""
    segmenter = Segmenter(folder)
    assert segmenter.fault() is None
    first = await segmenter.mask(picture(), "sky")
    assert size_of(first) == (60, 40)
    assert set(np.unique(np.asarray(Image.open(io.BytesIO(first))))) <= {0, 255}
    assert await segmenter.mask(picture(), "sky") == first
    assert any(thread.name.startswith("segment") for thread in threading.enumerate())
    segmenter.close()


async def test_its_probabilities_are_transformers_own(folder: Path) -> None:
    """With the processor's preparation, which stretches and normalises."""
    import torch
    from transformers import CLIPSegForImageSegmentation, CLIPTokenizer, ViTImageProcessor

    segmenter = Segmenter(folder)
    image = Image.open(io.BytesIO(picture()))
    ours = segmenter._probabilities(image, "sky")
    processor = ViTImageProcessor(
        size={"height": 32, "width": 32},
        image_mean=[0.48145466, 0.4578275, 0.40821073],
        image_std=[0.26862954, 0.26130258, 0.27577711],
    )
    words = CLIPTokenizer.from_pretrained(folder)(["sky"], return_tensors="pt")
    model = CLIPSegForImageSegmentation.from_pretrained(folder).eval()
    with torch.inference_mode():
        logits = model(**words, **processor(images=image, return_tensors="pt")).logits
    assert np.abs(torch.sigmoid(logits).numpy().reshape(32, 32) - ours).max() < 1e-2


def test_what_is_not_there_is_not_found() -> None:
    """Half as sure as the surest pixel is still of it; without a sure one nothing is."""
    faint = np.full((4, 4), SURE - 0.01, np.float32)
    assert found_in(faint) is None
    assert found_in(np.full((2, 2), np.nan, np.float32)) is None
    faint[0] = 0.9
    faint[1] = 0.46
    found = found_in(faint)
    assert found is not None and found[:2].min() == 255 and found[2:].max() == 0


async def test_without_a_folder_it_says_what_to_do(tmp_path: Path) -> None:
    """And with half a one, what is missing."""
    assert Segmenter(None).fault() == UNSET
    with pytest.raises(ModelUnavailable, match="there is no segmentation model"):
        await Segmenter(None).mask(picture(), "sky")
    (tmp_path / "config.json").write_text("{}")
    assert "lacks model.safetensors, tokenizer.json" in (Segmenter(tmp_path).fault() or "")


@pytest.mark.parametrize("config", ["{}", "not json", '{"model_type": "clipseg"}', "[]"])
async def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path, config: str) -> None:
    """Nothing of it is run."""
    for name in (*NEEDED, *TOKENIZERS[1]):
        (tmp_path / name).write_text(config)
    with pytest.raises(EngineError, match="The segmentation model"):
        await Segmenter(tmp_path).mask(picture(), "sky")


async def test_what_is_no_picture_is_refused(folder: Path) -> None:
    with pytest.raises(EngineError, match="cannot be read"):
        await Segmenter(folder).mask(b"<svg/>", "sky")


async def test_weights_that_are_not_there_are_not_made_up(folder: Path, tmp_path: Path) -> None:
    """transformers draws them at random and only logs it."""
    with pytest.raises(ModelUnavailable, match="The segmentation model cannot be read"):
        await Segmenter(lacking_a_weight(folder, tmp_path)).mask(picture(), "sky")
