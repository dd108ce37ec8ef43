"""Networks of a model's folder, each read by its own library, with no weight made up."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from engine.api import ModelUnavailable
from engine.building import BUILDING


def read_network(kind: Any, folder: Path, dtype: torch.dtype, variant: str | None = None) -> Any:
    """A network of the class ``kind``, of whose files those of ``variant`` are taken where there are any.

    ModelUnavailable where weights are missing that transformers would draw at random, and only log; what
    diffusers does not find stays on the meta device.
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
    if not issubclass(kind, PreTrainedModel):
        return kind.from_pretrained(folder, torch_dtype=dtype, **options)
    network, report = kind.from_pretrained(folder, dtype=dtype, output_loading_info=True, **options)
    # Published folders of BERT and ViT leave out the pooler, and nothing here asks for it.
    if lacking := sorted(key for key in report["missing_keys"] if ".pooler." not in f".{key}"):
        raise incomplete(folder, lacking)
    return network


def incomplete(folder: Path, lacking: Collection[str]) -> ModelUnavailable:
    """What is to be told of a part whose files do not hold all of it."""
    return ModelUnavailable(
        f"{folder} lacks {len(lacking)} weights that its config.json describes, {next(iter(lacking))} for "
        "one; copy the model's folder again."
    )
