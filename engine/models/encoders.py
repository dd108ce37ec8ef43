"""Encoders of texts and pictures as transformers has them, with no weight made up."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from engine.api import ModelUnavailable


def read_encoder(kind: Any, folder: Path, dtype: torch.dtype, variant: str | None = None) -> Any:
    """A network of the class ``kind``, of whose files those of ``variant`` are taken where there are any.

    ModelUnavailable where weights are missing: transformers draws them at random and only logs it.
    """
    varied = variant is not None and any(folder.glob(f"*.{variant}*.safetensors"))
    network, report = kind.from_pretrained(
        folder,
        dtype=dtype,
        variant=variant if varied else None,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
    )
    if lacking := sorted(report["missing_keys"]):
        raise incomplete(folder, lacking)
    return network


def incomplete(folder: Path, lacking: Collection[str]) -> ModelUnavailable:
    """What is to be told of a part whose files do not hold all of it."""
    return ModelUnavailable(
        f"{folder} lacks {len(lacking)} weights that its config.json describes, {next(iter(lacking))} for "
        "one; copy the model's folder again."
    )
