"""What a model's folder says about itself: files whole or not, ModelInfo. Reads JSON and headers, no weights.

A folder may carry ``tessera.json`` beside ``model_index.json`` with any of: ``description``, ``native_size``,
``shown_size``, ``size_multiple``, ``min_size``, ``max_size``, ``steps``, ``max_steps``, ``guidance_scale``,
``sampler``, ``guidance_rescale``, ``true_cfg_scale``, ``upscaler``, ``tile_after``, ``most_detail`` and
``latent_rgb``. What the operator configured goes before it.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine.api import ModelInfo, ModelUnavailable, ReferenceKind
from engine.checkpoint import found, held
from engine.ip_adapter import AdapterFiles, adapter_misfit, encoder_beside
from engine.lora import sorted_out
from engine.models.family import Family
from engine.samplers import (
    DEFAULT,
    FLOW,
    name_of,
    prediction_of,
    sampler_choice,
    sampler_name,
    samplers_for,
)
from engine.weights import shapes_of

log = logging.getLogger(__name__)
SKETCH_PATH = Path(__file__).parent / "assets" / "sketch"
"""The model that comes with the package."""
MOST_JSON = 1 << 26
"""Bytes of a description; the largest lists all weights of a model."""
TRUE_CFG_SCALE = 2.0
"""Mild: it comes on top of the guidance that such a model has learned."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model lies and what the operator says of it; None leaves it to the folder."""

    name: str
    path: Path
    """A diffusers folder, or one .safetensors file with everything."""
    description: str | None = None
    native_size: int | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    guidance_rescale: float | None = None
    sampler: str | None = None
    max_size: int | None = None
    hub: str | None = None
    """Where it can be pulled from by its name."""
    loras: tuple[tuple[str, Path], ...] = ()
    """LoRA files by name; those that fit the model are offered with it."""
    embeddings: tuple[tuple[str, Path], ...] = ()
    """Textual inversions by the word that calls them."""
    ip_adapter: Path | None = None
    """IP-Adapter file for reference pictures."""
    image_encoder: Path | None = None
    """Folder of its image encoder; None looks beside the file and in the model's folder."""
    config: Path | None = None
    """Folder with the configuration of a single file; None looks beside it."""
    checkpoint: Path | None = None
    """The single file, once ``path`` is the folder of its configuration."""

    def overrides(self) -> dict[str, Any]:
        """What was set, by the keys of ``tessera.json``."""
        keys = (
            "description",
            "native_size",
            "steps",
            "guidance_scale",
            "guidance_rescale",
            "sampler",
            "max_size",
        )
        return {key: value for key in keys if (value := getattr(self, key)) not in (None, "")}


@dataclass(frozen=True, slots=True)
class Profile:
    """A model's folder, read: its ModelInfo and what the engine needs to load it."""

    source: ModelSource
    family: Family
    info: ModelInfo
    scheduler: Mapping[str, Any]
    """The folder's own scheduler configuration."""
    upscaler: str
    latent_rgb: tuple[tuple[float, ...], ...] | None
    loras: Mapping[str, Path]
    """Those that fit."""
    adapter: AdapterFiles | None
    """For reference pictures, where there is one that fits."""
    variant: str | None
    """``fp16`` when only files of that variant are there."""
    true_cfg_scale: float = TRUE_CFG_SCALE
    """Of negative prompts, where ``guidance_scale`` is embedded and means something else."""
    pipeline: str = ""
    """The pipeline class that the folder names."""
    held: frozenset[str] = frozenset()
    """Components whose weights are in ``source.checkpoint``."""
    guidance_rescale: float = 0.0
    """In [0, 1]: how far guided predictions are brought back to the spread of unguided ones."""
    tile_after: float = 0.0
    """Share of the steps of a tile in which its edges do not meet yet: for models that cannot place a thing
    where there is no border.
    """


def read_profile(source: ModelSource, families: Mapping[str, Family]) -> Profile:
    """Read ``source.path``; ModelUnavailable names the file that is missing, broken or of another kind.

    ``families`` maps the pipeline classes that can be loaded to their family.
    """
    try:
        return _read(source, families)
    except (
        TypeError,
        ValueError,
        AttributeError,
        LookupError,
        ArithmeticError,
        RecursionError,
        OSError,
    ) as fault:
        # JSON of any shape may stand in a folder; one that makes no sense must not stop the others.
        raise ModelUnavailable(
            f"The files of {source.path} make no sense together ({repr(fault)[:400]})."
        ) from None


def _read(source: ModelSource, families: Mapping[str, Family]) -> Profile:
    folder, checkpoint = found(source.path, source.config)
    source = replace(source, path=folder, checkpoint=checkpoint)
    index = _index(source)
    family = _family(source, index, families)
    inside = _held(source, family)
    variant = _variant(source, [part for part in _components(source.path, index) if part.name not in inside])
    _refuse_strangers(source.path, family)
    own, scheduler = _own(source), _scheduler(source, family)
    denoiser = source.path / family.denoiser
    weights = [checkpoint] if checkpoint else sorted(denoiser.glob("*.safetensors"))
    loras, unfit = sorted_out(source.loras if family.loras else (), denoiser, weights)
    adapter, misfit = _adapter(source, family, weights)
    info = (_info if family.native else _stock_info)(source, family, own, scheduler)
    return Profile(
        source=source,
        family=family,
        info=replace(
            info,
            loras=tuple(loras),
            unfit_loras=unfit,
            references=tuple(ReferenceKind) if adapter else (),
            blend=info.image_to_image or family.looks or adapter is not None,
            unfit_references=misfit or "",
        ),
        scheduler=scheduler,
        upscaler=str(own.get("upscaler", "animevideov3")),
        latent_rgb=_matrix(own.get("latent_rgb")),
        loras=loras,
        adapter=adapter,
        variant=variant,
        true_cfg_scale=float(own.get("true_cfg_scale", TRUE_CFG_SCALE)),
        pipeline=str(index["_class_name"]),
        held=inside,
        guidance_rescale=_share(own, "guidance_rescale"),
        tile_after=_share(own, "tile_after"),
    )


def _adapter(
    source: ModelSource, family: Family, weights: Sequence[Path]
) -> tuple[AdapterFiles | None, str | None]:
    """The configured IP-Adapter, or why it is not used."""
    if source.ip_adapter is None:
        return None, None
    if not family.references:
        return None, f"{family.title} models take no IP-Adapter here; leave ip_adapter out"
    encoder = source.image_encoder or encoder_beside(source.ip_adapter, source.path)
    files = AdapterFiles(source.ip_adapter, encoder)
    config = _json(source.path / family.denoiser / "config.json")
    misfit = adapter_misfit(files, family.name, config, weights)
    if misfit:
        log.warning(
            "model %s goes without reference pictures (%s): %s", source.name, source.ip_adapter, misfit
        )
    return (None, misfit) if misfit else (files, None)


def factor_of(vae: Mapping[str, Any]) -> int:
    """Pixels per latent along a side, from a VAE's configuration; not always 8."""
    if vae.get("temperal_downsample") is not None:
        return int(2 ** len(vae["temperal_downsample"]))
    stages = vae.get("block_out_channels") or vae.get("decoder_block_out_channels") or (0, 0, 0, 0)
    return int(2 ** (len(stages) - 1))


_AUTOENCODERS = ("vae", "movq", "vqvae", "vqgan")
"""Folders of what turns latents into pixels, as pipelines name it."""
_COUNTED = frozenset({"AuraFlowTransformer2DModel"})
"""Denoisers whose ``pos_embed_max_size`` counts all positions, not those along a side."""
CHECKER = "safety_checker"
"""Component that only the picture check of that name wants."""
_OPTIONAL = frozenset({CHECKER, "feature_extractor", "image_encoder", "watermarker"})


def trusted(library: object) -> bool:
    """Whether a component may come from it: diffusers and transformers, or a pipeline's own module of the
    former (``kolors``, ``unclip``), which diffusers never looks for in the folder.
    """
    if library in ("diffusers", "transformers"):
        return True
    diffusers = find_spec("diffusers")
    places = (diffusers and diffusers.submodule_search_locations) or []
    named = isinstance(library, str) and library.isidentifier()
    inside = [Path(place) / "pipelines" / deep for place in places for deep in ("", "deprecated")]
    return named and any((folder / str(library)).is_dir() for folder in inside)


def foreign(index: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Components of a ``model_index.json`` whose code would come from elsewhere, and from where; but for a
    safety checker, which no pipeline here is given.
    """
    for name, value in index.items():
        if name != CHECKER and is_component(value) and not trusted(value[0]):
            yield name, value[0]


def is_component(value: object) -> bool:
    """Whether an entry of ``model_index.json`` is one that is there; options may be lists too."""
    return isinstance(value, list) and len(value) == 2 and value[0] is not None


_TEXT: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "sd1": ("cross_attention_dim", ("text_encoder",)),
    "sdxl": ("cross_attention_dim", ("text_encoder", "text_encoder_2")),
    "sd3": ("joint_attention_dim", ("text_encoder_3",)),
    "flux": ("joint_attention_dim", ("text_encoder_2",)),
    "z-image": ("cap_feat_dim", ("text_encoder",)),
    "qwen-image": ("joint_attention_dim", ("text_encoder",)),
    "cogview4": ("text_embed_dim", ("text_encoder",)),
}
"""By family: how its denoiser calls the width of the text, and the encoders that make it up together."""


def _refuse_strangers(root: Path, family: Family) -> None:
    """ModelUnavailable for components that are whole, and not of one model; only of natively run families."""
    if family.name not in _TEXT:
        return
    denoiser, (key, encoders) = settings_of(root / family.denoiser), _TEXT[family.name]
    widths = [_width(settings_of(root / encoder)) for encoder in encoders]
    vae = settings_of(root / "vae")
    made = vae.get("latent_channels") or vae.get("z_dim")
    painted = denoiser.get("out_channels") or denoiser.get("in_channels")
    # FLUX's takes two by two latents as one.
    if isinstance(made, int) and painted and painted != made * (4 if family.name == "flux" else 1):
        raise _strangers(root / "vae", f"{made} channels", root / family.denoiser, str(painted))
    # Some UNets project the text first, and take another width than they are named for.
    wanted = None if denoiser.get("encoder_hid_dim") else denoiser.get(key)
    if all(widths) and isinstance(wanted, int) and sum(widths) != wanted:
        raise _strangers(
            root / encoders[-1], f"{sum(widths)} values of text", root / family.denoiser, str(wanted)
        )


def _width(encoder: Mapping[str, Any]) -> int:
    """Length of a text encoder's hidden states; 0 where it is not said."""
    inner = encoder.get("text_config")
    told = {**encoder, **inner} if isinstance(inner, dict) else encoder
    width = told.get("hidden_size") or told.get("d_model")
    return width if isinstance(width, int) else 0


def _strangers(part: Path, gives: str, denoiser: Path, takes: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"{part / 'config.json'} is of another model than {denoiser / 'config.json'}: it gives {gives}, and "
        f"that takes {takes}; copy the model's folder again."
    )


def _variant(source: ModelSource, folders: Sequence[Path]) -> str | None:
    """Every file of the components checked; ``fp16`` when one of them has that variant only."""
    variants = {_whole(folder, source) for folder in folders if (folder / "config.json").exists()}
    return "fp16" if "fp16" in variants else None


def _scheduler(source: ModelSource, family: Family) -> dict[str, Any]:
    settings = source.path / "scheduler" / "scheduler_config.json"
    return _json(settings) if family.native or settings.exists() else {}


def _own(source: ModelSource) -> dict[str, Any]:
    """What ``tessera.json`` says, and before it the operator."""
    described = source.path / "tessera.json"
    return {**(_json(described) if described.exists() else {}), **source.overrides()}


def _held(source: ModelSource, family: Family) -> frozenset[str]:
    if source.checkpoint is None:
        return frozenset()
    return held(source.checkpoint, family.name, family.title, family.denoiser, source.path)


def _index(source: ModelSource) -> dict[str, Any]:
    if source.hub is not None and not source.path.is_dir():
        raise ModelUnavailable(
            f"Model {source.name!r} is not downloaded yet; type: tessera models pull {source.name}"
        )
    if not source.path.is_dir():
        raise ModelUnavailable(
            f"Model {source.name!r}: there is no folder {source.path}; put the model there, or mend its path."
        )
    return _json(source.path / "model_index.json")


def _json(path: Path) -> dict[str, Any]:
    content = _parsed(path)
    if not isinstance(content, dict):
        raise ModelUnavailable(f"{path} is not a JSON object.")
    return content


def _parsed(path: Path) -> object:
    try:
        if (size := path.stat().st_size) > MOST_JSON:
            raise ModelUnavailable(f"{path} has {size:,} bytes, too many for what it is to say.")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelUnavailable(f"{path} is missing; copy the model's folder again.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelUnavailable(f"{path} cannot be read as JSON: {error}; copy it again.") from None


def _family(source: ModelSource, index: Mapping[str, Any], families: Mapping[str, Family]) -> Family:
    """By the pipeline class; not for a part of a model, as SDXL's refiner is, which has no first encoder."""
    architecture, root = str(index.get("_class_name")), source.path
    family = families.get(architecture) or _unlisted(architecture, root, index)
    for name in family.needs:
        if not is_component(index.get(name)):
            raise ModelUnavailable(
                f"{root / 'model_index.json'} names no {name}: it is a part of {family.title} (a refiner, "
                "say) and paints nothing by itself; choose the base model."
            )
    return family


def _unlisted(architecture: str, root: Path, index: Mapping[str, Any]) -> Family:
    """Of a pipeline that no table lists; the only case in which diffusers is loaded to read a profile."""
    from engine.models.unlisted import unlisted

    return unlisted(architecture, root / "model_index.json", index)


def _components(root: Path, index: Mapping[str, Any]) -> list[Path]:
    """Folders of the components; code from elsewhere than diffusers and transformers is never loaded."""
    for name, library in foreign(index):
        raise ModelUnavailable(
            f"{root / 'model_index.json'} wants code from {library!r} for its {name}; "
            "only diffusers and transformers are trusted."
        )
    folders = []
    for name, value in index.items():
        if name.startswith("_") or name in _OPTIONAL or not is_component(value):
            continue
        if not (root / name).is_dir():
            raise ModelUnavailable(f"{root / name} is missing; copy the model's folder again.")
        for file in _description(root / name, str(value[1])):
            _json(file)
        for file in sorted((root / name).glob("[!.]*.json")):
            _parsed(file)
        folders.append(root / name)
    return folders


def _description(folder: Path, kind: str) -> Iterator[Path]:
    """The file without which a component of the class ``kind`` is read as if it were another."""
    known = {"Scheduler": "scheduler_config.json", "Tokenizer": "tokenizer_config.json"}
    if not re.search("Processor|Extractor", kind):
        yield folder / next((file for word, file in known.items() if word in kind), "config.json")


def _whole(folder: Path, source: ModelSource) -> str:
    """Check every safetensors file of a component to its last byte; ``""`` or the variant that is there."""
    files = sorted(folder.glob("*.safetensors"))
    plain = [file for file in files if ".fp16" not in file.name]
    if not files:
        pickled = next(iter([*folder.glob("*.bin"), *folder.glob("*.ckpt")]), None)
        raise ModelUnavailable(
            f"{pickled} is a pickle, which is never loaded; convert the model to safetensors."
            if pickled
            else f"{source.checkpoint} holds no {folder.name}, and {folder} has no .safetensors file; "
            "copy one there."
            if source.checkpoint
            else f"{folder} has no .safetensors file; copy the model's folder again."
        )
    for file in (*_shards(folder), *(plain or files)):
        shapes_of(file)
    return "" if plain else "fp16"


def _shards(folder: Path) -> Iterator[Path]:
    for index in folder.glob("*.safetensors.index.json"):
        for name in sorted(set(_weight_map(index).values())):
            yield folder / str(name)


def _weight_map(index: Path) -> dict[str, Any]:
    if not isinstance(named := _json(index).get("weight_map"), dict):
        raise ModelUnavailable(f"{index} names no files in its weight_map; copy it again.")
    return named


def _info(
    source: ModelSource, family: Family, own: Mapping[str, Any], scheduler: Mapping[str, Any]
) -> ModelInfo:
    denoiser, vae = (_json(source.path / part / "config.json") for part in (family.denoiser, "vae"))
    factor = factor_of(vae)
    samplers = family.samplers or samplers_for(prediction_of(scheduler))
    patch = max(family.patch, _side(denoiser.get("patch_size") or 1))
    multiple = max(8, _size(own, "size_multiple", factor * patch))
    reach = _reach(denoiser) * factor * patch
    native = _side(denoiser.get("sample_size") or family.size // factor) * factor
    native = min(_size(own, "native_size", native), reach)
    steps, guidance = _usual(family, denoiser)
    return ModelInfo(
        name=source.name,
        family=family.name,
        description=str(own.get("description") or f"A {family.name} model."),
        native_size=native,
        size_multiple=multiple,
        min_size=_size(own, "min_size", max(multiple, native // 2 // multiple * multiple)),
        max_size=min(_size(own, "max_size", native * 2), reach) // multiple * multiple,
        upscale=max(1, round(_size(own, "shown_size", native) / native)),
        steps=_size(own, "steps", steps),
        max_steps=_size(own, "max_steps", 150),
        guidance_scale=float(own.get("guidance_scale", guidance)),
        sampler=_sampler(source, own, scheduler, samplers),
        samplers=samplers,
        negative_prompt=family.negative_prompt and not _embedded(denoiser),
        image_to_image=family.image_to_image,
        inpaint=family.inpaint,
        prompt_weights=family.prompt_weights,
        hires=family.native and family.image_to_image,
        reach=reach,
        most_detail=_share(own, "most_detail", 1.0),
        tile=family.tile,
        style_apart=family.style_apart,
    )


def _stock_info(
    source: ModelSource, family: Family, own: Mapping[str, Any], scheduler: Mapping[str, Any]
) -> ModelInfo:
    """Of a pipeline that runs as it is: its own scheduler is the first choice."""
    multiple = _size(own, "size_multiple", family.multiple)
    trained, reach = _stock_sides(source.path, family)
    native = _size(own, "native_size", min(trained, reach) // multiple * multiple or multiple)
    prediction = prediction_of(scheduler)
    known = samplers_for(prediction) if name_of(scheduler) and prediction != FLOW else ()
    samplers = (DEFAULT, *(name for name in known if not family.samplers or name in family.samplers))
    return ModelInfo(
        name=source.name,
        family=family.name,
        description=str(own.get("description") or f"A {family.title} model."),
        native_size=native,
        size_multiple=multiple,
        min_size=_size(
            own,
            "min_size",
            native if family.fixed_size else max(multiple, native // 2 // multiple * multiple),
        ),
        max_size=min(_size(own, "max_size", native if family.fixed_size else native * 2), reach)
        // multiple
        * multiple,
        upscale=max(1, round(_size(own, "shown_size", native) / native)),
        steps=_size(own, "steps", family.steps),
        max_steps=_size(own, "max_steps", 150),
        min_steps=family.min_steps,
        guidance_scale=float(own.get("guidance_scale", family.guidance_scale)),
        sampler=_sampler(source, own, scheduler, samplers) if own.get("sampler") else DEFAULT,
        samplers=samplers,
        negative_prompt=family.negative_prompt,
        image_to_image=family.image_to_image,
        inpaint=family.inpaint,
        tile=False,
        stop=False,
    )


def _stock_sides(root: Path, family: Family) -> tuple[int, int]:
    """Pixels along a side that a folder's denoiser was trained on, and that it has positions for at most."""
    denoiser, factor = settings_of(root / family.denoiser), pixels_per_latent(root)
    patch = denoiser.get("patch_size")
    reach = _reach(denoiser) * factor * (patch if isinstance(patch, int) else 1)
    trained = _side(denoiser.get("sample_size") or 0) * factor if family.listed else 0
    return (family.size if family.fixed_size else trained or family.size), reach


def settings_of(folder: Path) -> dict[str, Any]:
    """A component's configuration; empty where it has none."""
    file = folder / "config.json"
    return _json(file) if file.exists() else {}


def pixels_per_latent(root: Path) -> int:
    """Along a side; 1 where a folder has no autoencoder, and paints pixels."""
    found = next((root / name for name in _AUTOENCODERS if (root / name / "config.json").exists()), None)
    return factor_of(settings_of(found)) if found else 1


def _embedded(denoiser: Mapping[str, Any]) -> bool:
    """A consistency model, whose embedded guidance has no negative branch."""
    return denoiser.get("time_cond_proj_dim") is not None


def _usual(family: Family, denoiser: Mapping[str, Any]) -> tuple[int, float]:
    """Steps and guidance scale of a family, or of those of its models that were distilled to few steps."""
    if _embedded(denoiser):
        return 4, 8.5
    if family.distilled is not None and not denoiser.get("guidance_embeds"):
        return family.distilled
    return family.steps, family.guidance_scale


def _reach(denoiser: Mapping[str, Any]) -> int:
    """Patches along a side that a transformer has positions for."""
    table = denoiser.get("pos_embed_max_size")
    if table and denoiser.get("_class_name") in _COUNTED:
        table = math.isqrt(int(table))
    tables = (table, *(denoiser.get("axes_lens") or ())[1:])
    return min((int(length) for length in tables if length), default=2**16)


def _side(sample_size: Any) -> int:
    return int(max(sample_size)) if isinstance(sample_size, list) else int(sample_size)


def _size(own: Mapping[str, Any], key: str, default: int) -> int:
    value = own.get(key)
    if value is None:
        return default
    if not isinstance(value, int | float) or value < 1:
        raise ModelUnavailable(f"tessera.json: {key} must be a positive number, not {value!r}.")
    return int(value)


def _share(own: Mapping[str, Any], key: str, default: float = 0.0) -> float:
    value = own.get(key, default)
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ModelUnavailable(f"tessera.json: {key} must be a number from 0 to 1, not {value!r}.")
    return float(value)


def _sampler(
    source: ModelSource, own: Mapping[str, Any], scheduler: Mapping[str, Any], samplers: tuple[str, ...]
) -> str:
    typed = own.get("sampler")
    wanted = sampler_name(str(typed)) if typed is not None else None
    if wanted is not None and wanted not in samplers:
        raise ModelUnavailable(
            f"Model {source.name!r} has no sampler {typed!r}; choose one of {sampler_choice(samplers)}."
        )
    name = wanted or name_of(scheduler)
    return str(name) if name in samplers else samplers[0]


def _matrix(value: Any) -> tuple[tuple[float, ...], ...] | None:
    """``latent_rgb`` as rows: one per latent channel, then the bias; three columns each."""
    return tuple(tuple(float(cell) for cell in row) for row in value) if value else None
