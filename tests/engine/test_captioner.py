"""BLIP with tiny random weights: different captions, off the loop, the same every time, or a sentence."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest
from PIL import Image

from engine.api import EngineError, ModelUnavailable
from engine.captioner import NEEDED, UNSET, Captioner
from tests.engine.company import lacking_a_weight

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "fox", "in", "snow"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BLIP of a few thousand numbers, as transformers saves one."""
    import torch
    from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration

    place = tmp_path_factory.mktemp("blip")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    ends = {"bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    config = BlipConfig(
        text_config={
            "vocab_size": len(WORDS),
            "encoder_hidden_size": 16,
            "projection_dim": 8,
            **small,
            **ends,
        },
        vision_config={"image_size": 16, "patch_size": 8, "projection_dim": 8, **small},
        projection_dim=8,
    )
    torch.manual_seed(0)
    BlipForConditionalGeneration(config).save_pretrained(place)
    (place / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizer(str(place / "vocab.txt")).save_pretrained(place)
    return place


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((30, 20)).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


async def test_captions_differ_and_come_from_a_thread_of_their_own(folder: Path) -> None:
    captioner = Captioner(folder)
    assert captioner.fault() is None
    first = await captioner.captions(picture(), 4)
    assert 1 <= len(first) <= 4 and len(set(first)) == len(first)
    assert all(word in WORDS for text in first for word in text.split())
    assert await captioner.captions(picture(), 4) == first
    assert any(thread.name.startswith("caption") for thread in threading.enumerate())
    captioner.close()


async def test_without_a_model_or_a_file_of_it_there_is_a_sentence(tmp_path: Path) -> None:
    assert Captioner(None).fault() == UNSET
    lacking = Captioner(tmp_path)
    assert lacking.fault() == f"The captioning model lacks {', '.join(NEEDED)}, tokenizer.json."
    with pytest.raises(ModelUnavailable, match=r"lacks config\.json"):
        await lacking.captions(picture(), 4)


async def test_what_is_no_picture_or_no_captioner_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot be read"):
        await Captioner(folder).captions(b"no picture", 4)
    for name in (*NEEDED, "vocab.txt"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelUnavailable, match="The captioning model is 'bert'"):
        await Captioner(tmp_path).captions(picture(), 4)


async def test_weights_that_are_not_there_are_not_made_up(folder: Path, tmp_path: Path) -> None:
    """transformers draws them at random and only logs it."""
    with pytest.raises(ModelUnavailable, match="The captioning model cannot be read"):
        await Captioner(lacking_a_weight(folder, tmp_path)).captions(picture(), 4)
