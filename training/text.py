"""Trains the tokenizer and the text encoder, on text alone: to tell things, colours, count, ground and style.

    python -m training.text --minutes 3

The encoder is frozen afterwards. Trained together with the denoiser it ignores the prompt for far too long.
"""

from __future__ import annotations

import argparse
import random

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from training.captions import NOBODY, Caption, caption, foreign_words
from training.common import Clock, device, load, log, prepare, save
from training.paths import EXPORT, RUNS
from training.scenes import draw_scene
from training.things import COLOURS, NO_STYLE, THINGS

CHECKPOINT = RUNS / "text.pt"
TOKENIZER = RUNS / "tokenizer"
LENGTH, WIDTH, VOCABULARY = 32, 192, 4096
SPECIAL = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
)  # the end must not have id 2: transformers reads that as legacy
PAINTED = len(COLOURS) + 1
CLASSES = (len(THINGS) + 1, PAINTED, 3, NOBODY + 1, PAINTED, PAINTED, NO_STYLE + 1)
BATCH = 256


def captions(rng: random.Random, count: int) -> list[Caption]:
    """Captions of random scenes, in both languages, a few of unknown things; pairs are the hard part."""
    return [
        caption(rng, draw_scene(rng, 0.35), rng.choice(("en", "zh")), rng.random() < 0.06)
        for _ in range(count)
    ]


def train_tokenizer() -> PreTrainedTokenizerFast:
    """A lower-casing WordPiece tokenizer with each Chinese character apart."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    rng = random.Random(3)
    corpus = [one.text for one in captions(rng, 20000)] + [*foreign_words("en"), *foreign_words("zh")]
    tokenizer.train_from_iterator(
        corpus,
        trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=list(SPECIAL), show_progress=False),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=LENGTH,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        bos_token="[CLS]",
        eos_token="[SEP]",
        padding_side="right",
    )
    wrapped.save_pretrained(TOKENIZER)
    return wrapped


def load_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer as saved, or as shipped."""
    return PreTrainedTokenizerFast.from_pretrained(TOKENIZER if TOKENIZER.exists() else EXPORT / "tokenizer")


def tokens(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> Tensor:
    """(B, 32) token ids, as the stock pipeline makes them."""
    ids = tokenizer(
        texts, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
    ).input_ids
    assert isinstance(ids, Tensor)
    return ids


def build() -> CLIPTextModel:
    """An untrained encoder: (B, 32) ids to (B, 32, 192) states."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            projection_dim=WIDTH,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=3,
        )
    )


def trained() -> CLIPTextModel:
    """The encoder of the last checkpoint, or the shipped one, in evaluation mode."""
    state = load(CHECKPOINT)
    if state is None:
        encoder = CLIPTextModel.from_pretrained(EXPORT / "text_encoder", dtype=torch.float32)
    else:
        encoder = build()
        encoder.load_state_dict(state["encoder"])
    return encoder.eval().requires_grad_(False)


class Reader(nn.Module):
    """One linear head per label on the mean of the encoder's states."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(WIDTH, classes) for classes in CLASSES)

    def forward(self, states: Tensor) -> list[Tensor]:
        """(B, 32, 192) states to one (B, classes) score per label."""
        mean = states.mean(dim=1)
        return [head(mean) for head in self.heads]


def score(encoder: CLIPTextModel, reader: Reader, ids: Tensor, labels: Tensor) -> list[float]:
    """The share of right answers per label."""
    with torch.no_grad():
        answers = reader(encoder(ids).last_hidden_state)
    return [float((answer.argmax(-1) == labels[:, i]).float().mean()) for i, answer in enumerate(answers)]


def encoded(tokenizer: PreTrainedTokenizerFast, seed: int, count: int) -> tuple[Tensor, Tensor]:
    """Ids (count, 32) and labels (count, 7) of random captions."""
    many = captions(random.Random(seed), count)
    return tokens(tokenizer, [one.text for one in many]), torch.tensor([one.labels for one in many])


def train(encoder: CLIPTextModel, reader: Reader, tokenizer: PreTrainedTokenizerFast, clock: Clock) -> None:
    """Train encoder and reader until the clock has run out."""
    place = device()
    encoder.to(place), reader.to(place)
    ids, labels = (part.to(place) for part in encoded(tokenizer, 4, 100000))
    test_ids, test_labels = (part.to(place) for part in encoded(tokenizer, 5, 1000))
    optimiser = torch.optim.AdamW([*encoder.parameters(), *reader.parameters()], lr=1e-3, weight_decay=0.01)
    step = 0
    while clock.share < 1:
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * min(1, (step + 1) / 100) * max(0.02, 1 - clock.share)
        pick = torch.randint(len(ids), (BATCH,), device=place)
        with torch.autocast(place.type, dtype=torch.bfloat16):
            answers = reader(encoder(ids[pick]).last_hidden_state)
        loss = sum(
            (F.cross_entropy(a.float(), labels[pick, i]) for i, a in enumerate(answers)),
            torch.zeros((), device=place),
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimiser.step()
        step += 1
        if step % 200 == 0 or clock.share >= 1:
            right = score(encoder, reader, test_ids, test_labels)
            log(
                RUNS / "text.log",
                step=step,
                spent=clock.spent,
                loss=loss.item(),
                right=str([round(r, 3) for r in right]),
            )
            save(
                CHECKPOINT,
                {"encoder": encoder.state_dict(), "reader": reader.state_dict(), "spent": clock.spent},
            )


def main() -> None:
    """Train tokenizer and encoder; a second call resumes the encoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3)
    minutes = parser.parse_args().minutes
    prepare(3)
    tokenizer = load_tokenizer() if TOKENIZER.exists() else train_tokenizer()
    encoder, reader, state = build(), Reader(), load(CHECKPOINT)
    if state:
        encoder.load_state_dict(state["encoder"])
        reader.load_state_dict(state["reader"])
    train(encoder, reader, tokenizer, Clock(minutes, state["spent"] if state else 0.0))


if __name__ == "__main__":
    main()
