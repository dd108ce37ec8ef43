"""Parts of a model's folder, each read by its own library, with no weight made up."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine.api import ModelUnavailable
from engine.building import BUILDING


def read_network(kind: Any, folder: Path, dtype: torch.dtype, variant: str | None = None) -> Any:
    """A network of the class ``kind``, of whose files those of ``variant`` are taken where there are any.

    ModelUnavailable names the folder: where it cannot be read, and where weights are missing or of another
    shape that transformers would draw at random, and only log; what diffusers does not find stays on the meta
    device.
    """
    with BUILDING:
        return _read(kind, folder, dtype, variant)


def _read(kind: Any, folder: Path, dtype: torch.dtype, variant: str | None) -> Any:
    varied = variant is not None and any(folder.glob(f"*.{variant}*.safetensors"))
    options: dict[str, Any] = {
        "variant": variant if varied else None,
        "use_safetensors": True,
        "local_files_only": True,
    }
    with _named(folder):
        if not issubclass(kind, PreTrainedModel):
            return kind.from_pretrained(folder, torch_dtype=dtype, **options)
        network, report = kind.from_pretrained(
            folder, dtype=dtype, output_loading_info=True, ignore_mismatched_sizes=True, **options
        )
    if misfits := sorted(report["mismatched_keys"]):
        name, found, wanted = misfits[0]
        raise ModelUnavailable(
            f"{folder} holds weights of another shape than its config.json describes, {name} of "
            f"{tuple(found)} and not {tuple(wanted)} for one; {_AGAIN}."
        )
    # Published folders of BERT and ViT leave out the pooler, and nothing here asks for it.
    if lacking := sorted(key for key in report["missing_keys"] if ".pooler." not in f".{key}"):
        raise incomplete(folder, lacking)
    return network


def read_part(kind: Any, folder: Path) -> Any:
    """A tokenizer, scheduler or the like of the class ``kind``; ModelUnavailable names the folder."""
    with _named(folder):
        if issubclass(kind, PreTrainedTokenizerBase):
            _refuse_no_words(kind, folder)
        return kind.from_pretrained(folder, local_files_only=True)


def refuse_strange_tokenizers(parts: Mapping[str, Any], folder: Path) -> None:
    """ModelUnavailable for a tokenizer that gives its text encoder numbers, or as many, as that has no place
    for: on a GPU such a number takes down more than its job.
    """
    for name, tokenizer in parts.items():
        encoder = parts.get(name.replace("tokenizer", "text_encoder"))
        if not isinstance(tokenizer, PreTrainedTokenizerBase) or not isinstance(encoder, PreTrainedModel):
            continue
        config = encoder.config.get_text_config()
        most, longest = getattr(config, "vocab_size", None), tokenizer.model_max_length
        if most and tokenizer.vocab_size > most:
            raise ModelUnavailable(
                f"{folder / name} knows {tokenizer.vocab_size} words, and its text encoder {most}: they are "
                f"of different models; {_AGAIN}."
            )
        if config.model_type.startswith("clip") and not 2 < longest <= config.max_position_embeddings:
            raise ModelUnavailable(
                f"{folder / name / 'tokenizer_config.json'} gives a model_max_length of {longest:.4g}, and "
                f"its text encoder takes {config.max_position_embeddings}; {_AGAIN}."
            )


_AGAIN = "copy the model's folder again"


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """The libraries' own errors seldom say which file they are about."""
    try:
        yield
    except ModelUnavailable:
        raise
    except Exception as error:
        raise ModelUnavailable(f"{folder} cannot be loaded: {error}; {_AGAIN}.") from error


def _refuse_no_words(kind: Any, folder: Path) -> None:
    """Without any file of its words transformers makes a tokenizer that knows none."""
    # Classes that keep theirs in code (ByT5) name no file; all of transformers' read SentencePiece's.
    names = set((kind.vocab_files_names or {}).values())
    if names and not any((folder / name).is_file() for name in (*names, "tokenizer.model")):
        raise ModelUnavailable(f"{folder} has none of {', '.join(sorted(names))}; {_AGAIN}.")


def incomplete(folder: Path, lacking: Collection[str]) -> ModelUnavailable:
    """What is to be told of a part whose files do not hold all of it."""
    return ModelUnavailable(
        f"{folder} lacks {len(lacking)} weights that its config.json describes, {next(iter(lacking))} for "
        f"one; {_AGAIN}."
    )
