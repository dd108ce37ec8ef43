"""Reference pictures on FLUX.1 and SD3.x are diffusers' own IP-Adapters, row by row."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from engine import offload
from engine.api import GenerationSpec, InitImage, InvalidSpec, Reference, ReferenceKind
from engine.checks import check_spec
from engine.models.flux_references import FluxReferences
from engine.models.references import References
from engine.models.registry import Registry
from engine.models.sd3_references import SD3References, _EachPicture
from engine.profile import ModelSource
from engine.speed import tune
from tests import flow_pipelines
from tests.engine import adapters
from tests.engine.company import CPU, TOLERANCE, Company, gap
from tests.engine.conftest import Bench
from tests.engine.flow_stock import FlowStock
from tests.engine.specs import spec
from tests.engine.test_models import lora, png

STYLE, CHARACTER = ReferenceKind.STYLE, ReferenceKind.CHARACTER
MODELS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "flux": ("flux", {"layers": 2}),
    "schnell": ("schnell", {"layers": 2}),
    "sd3": ("sd3", {}),
    "medium": ("sd3", {"twice": (0,)}),
}
"""Tiny models by name: how they are built."""
CODE: Mapping[str, type[References]] = {"flux": FluxReferences, "sd3": SD3References}


class Shelf:
    """Models with an adapter, each written when it is wanted, the engine and the stock pipelines on them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._registries: dict[str, Registry] = {}
        for name, encoder in (("clip", adapters.encoder), ("siglip", adapters.siglip)):
            encoder(root / name)

    def folder(self, name: str) -> Path:
        built, options = MODELS[name]
        path = self._root / name
        return path if path.exists() else flow_pipelines.build(built, path, **options)

    def eyes(self, name: str) -> Path:
        return self._root / ("siglip" if MODELS[name][0] == "sd3" else "clip")

    def adapter(self, name: str) -> Path:
        file = self._root / f"{name}.safetensors"
        if not file.exists():
            loaded: Any = Registry({name: ModelSource(name, self.folder(name))}).load(
                name, CPU, torch.float32
            )
            (adapters.sd3 if MODELS[name][0] == "sd3" else adapters.flux)(file, loaded._denoiser)
        return file

    def source(self, name: str) -> ModelSource:
        file = self.adapter(name)
        ink = lora(self.folder(name), "transformer", self._root / f"{name}-ink.safetensors")
        return ModelSource(
            name,
            self.folder(name),
            ip_adapter=file,
            image_encoder=self.eyes(name),
            loras=(("ink", ink),),
        )

    def engine(self, name: str) -> Company:
        if name not in self._registries:
            self._registries[name] = Registry({name: self.source(name)})
        return Company(self._registries[name])

    def stock(self, job: GenerationSpec, **given: Any) -> torch.Tensor:
        """What diffusers paints: references with their weights, or what is ``given`` at weight 1."""
        stock = FlowStock(self.folder)
        pipeline = stock.pipeline(job)
        weights = [each.weight for each in job.references] or [1.0]
        self._load(pipeline, job.model, weights)
        if job.loras:
            file = self._root / f"{job.model}-ink.safetensors"
            pipeline.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name="ink")
            pipeline.set_adapters(["ink"], [job.loras[0][1]])
        pictures = [Image.open(io.BytesIO(each.data)).convert("RGB") for each in job.references]
        images = pictures[0] if len(pictures) == 1 else pictures
        return stock.images(job, **(given or {"ip_adapter_image": images}))

    def _load(self, pipeline: Any, name: str, weights: list[float]) -> None:
        file, eyes = self.adapter(name), str(self.eyes(name))
        if MODELS[name][0] == "sd3":
            pipeline.load_ip_adapter(str(file.parent), file.name, image_encoder_folder=eyes)
        else:
            pipeline.load_ip_adapter(
                str(file.parent),
                [file.name] * len(weights),
                subfolder="",
                image_encoder_pretrained_model_name_or_path=eyes,
                image_encoder_subfolder="",
                image_encoder_dtype=torch.float32,
                local_files_only=True,
            )
        pipeline.set_ip_adapter_scale(weights[0] if len(weights) == 1 else weights)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("lent"))


def lent(seed: int, weight: float = 1.0, kind: ReferenceKind = CHARACTER) -> Reference:
    return Reference(png(seed, 40, 32), kind, weight)


def order(model: str, *lending: Reference, **changes: Any) -> GenerationSpec:
    given = {"sampler": "euler", "width": 32, "height": 32, "negative_prompt": "bad", "seeds": (3,)}
    return spec("mine", model, **{**given, "references": lending, **changes})


def company(model: str) -> list[GenerationSpec]:
    """One without references, one with more of them, and one that is not guided."""
    return [
        replace(order(model, prompt="the sea", seeds=(5, 6)), job_id="bare"),
        replace(order(model, lent(8), lent(9, 0.3, STYLE), lent(2), seeds=(7,), steps=6), job_id="more"),
        replace(order(model, lent(6), guidance_scale=1.0, negative_prompt="", seeds=(8,)), job_id="free"),
    ]


@pytest.mark.parametrize("kind", [STYLE, CHARACTER])
@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_the_stock_pipelines_pictures(shelf: Shelf, model: str, guided: bool, kind: ReferenceKind) -> None:
    """Alone and in company, whatever kind the reference is of."""
    changes: dict[str, Any] = {} if guided else {"negative_prompt": "", "guidance_scale": 1.0}
    mine = order(model, lent(4, 0.7, kind), **changes)
    engine, expected = shelf.engine(model), shelf.stock(mine)
    (alone,) = engine.run([mine])
    *_, together = engine.run([*company(model), mine], arrivals=[0, 0, 1, 2])
    assert gap(alone, expected) <= TOLERANCE
    assert gap(together, expected) <= TOLERANCE
    (without,) = engine.run([replace(mine, references=())])
    assert gap(without, expected) > 100 * TOLERANCE


@pytest.mark.parametrize("model", ["flux", "sd3"])
def test_from_a_picture_and_with_a_lora(shelf: Shelf, model: str) -> None:
    engine = shelf.engine(model)
    started = order(model, lent(4, 0.7), init=InitImage(png(3, 32), 0.6))
    inked = order(model, lent(4, 0.7), loras=(("ink", 0.3),))
    *_, picture = engine.run([*company(model), started])
    (changed,) = engine.run([inked])
    assert gap(picture, shelf.stock(started)) <= TOLERANCE
    assert gap(changed, shelf.stock(inked)) <= TOLERANCE
    (plain,) = engine.run([replace(inked, loras=())])
    assert gap(changed, plain) > 100 * TOLERANCE


def test_several_with_weights(shelf: Shelf) -> None:
    mine = order("flux", lent(4, 0.7), lent(5, 0.4), lent(6, 1.0, STYLE))
    *_, ours = shelf.engine("flux").run([*company("flux"), mine])
    assert gap(ours, shelf.stock(mine)) <= TOLERANCE


def test_several_add_up(shelf: Shelf) -> None:
    """SD3's stock pipeline takes one picture: what it paints of it at the sum of the weights."""
    mine = order("sd3", lent(4, 0.7), lent(4, 0.2))
    *_, ours = shelf.engine("sd3").run([*company("sd3"), mine])
    assert gap(ours, shelf.stock(replace(mine, references=(lent(4, 0.9),)))) <= TOLERANCE
    (other,) = shelf.engine("sd3").run([order("sd3", lent(4, 0.7), lent(5, 0.2))])
    assert gap(ours, other) > 100 * TOLERANCE


@pytest.mark.parametrize("model", ["flux", "sd3"])
def test_kinds_are_alike_and_the_model_says_so(shelf: Shelf, model: str) -> None:
    style, character = shelf.engine(model).run(
        [order(model, lent(4, 1.0, kind)) for kind in (STYLE, CHARACTER)]
    )
    assert gap(style, character) <= TOLERANCE
    assert not Registry({model: shelf.source(model)}).models()[model].style_apart


@pytest.mark.parametrize("model", ["flux", "sd3"])
def test_with_fused_projections_and_in_bfloat16(shelf: Shelf, model: str) -> None:
    """As a compiled model has them, and as a GPU computes."""
    mine = order(model, lent(4, 0.7))
    fused = Company(Registry({model: replace(shelf.source(model), loras=())}))
    tune(fused.family(model), "default", compile_block=lambda block: None)
    *_, ours = fused.run([*company(model), mine])
    expected = shelf.stock(mine)
    assert gap(ours, expected) <= TOLERANCE
    assert fused.family(model)._denoiser.transformer_blocks[0].attn.fused_projections
    narrow = Company(Registry({model: shelf.source(model)}), torch.bfloat16)
    *_, coarse = narrow.run([*company(model), mine])
    (without,) = narrow.run([replace(mine, references=())])
    assert gap(coarse, expected) < gap(without, expected) / 2


@pytest.mark.parametrize("model", ["flux", "sd3"])
def test_a_neighbour_without_references_is_the_plain_pipeline_s(shelf: Shelf, model: str) -> None:
    mine = order(model)
    expected = FlowStock(shelf.folder).images(mine)
    *_, beside = shelf.engine(model).run([*company(model), mine])
    (alone,) = shelf.engine(model).run([mine])
    assert max(gap(beside, expected), gap(alone, expected)) <= TOLERANCE


@pytest.mark.parametrize("model", ["flux", "sd3"])
def test_a_blend_is_the_mean_of_what_is_seen(shelf: Shelf, model: str) -> None:
    pictures = [Image.open(io.BytesIO(png(seed, 40, 32))) for seed in (4, 5, 6)]
    mine = replace(order(model, prompt="", seeds=(3,)), blend=tuple(png(seed, 40, 32) for seed in (4, 5, 6)))
    eyes: Any = FlowStock(shelf.folder).pipeline(mine)
    shelf._load(eyes, model, [1.0])
    if model == "sd3":
        seen = eyes.encode_image(pictures, CPU).mean(0, keepdim=True)
        given: Any = torch.cat([torch.zeros_like(seen), seen])
    else:
        given = [eyes.encode_image(pictures, CPU, 1).mean(0, keepdim=True)[None]]
    *_, ours = shelf.engine(model).run([*company(model), mine])
    assert gap(ours, shelf.stock(mine, ip_adapter_image_embeds=given)) <= TOLERANCE


def test_a_picture_is_seen_at_each_row_s_own_time(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """On SD3; with a neighbour's time the comparison fails."""
    forward = _EachPicture.forward
    monkeypatch.setattr(
        _EachPicture, "forward", lambda self, patches, times: forward(self, patches, times.flip(0))
    )
    mine = order("sd3", lent(4, 0.7))
    *_, ours = shelf.engine("sd3").run([*company("sd3"), mine], arrivals=[0, 0, 1, 2])
    assert gap(ours, shelf.stock(mine)) > 10 * TOLERANCE


@pytest.mark.parametrize("broken", ["rows", "weights", "nothing"])
@pytest.mark.parametrize("model", ["flux", "sd3"])
def test_the_comparison_can_fail(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, model: str, broken: str
) -> None:
    kind = CODE[model]
    attended, encoded = kind.attended, kind._encoded

    def wrong(self: Any, told: Any) -> dict[str, Any]:
        given = attended(self, told)
        name = "ip_adapter_masks" if broken == "weights" else next(iter(given), "")
        return {**given, name: given[name].roll(1, 0)} if given and broken != "nothing" else given

    def blind(self: Any, pixels: torch.Tensor) -> Any:
        nothing, seen = encoded(self, pixels)
        return (nothing + 1, seen) if broken == "nothing" else (nothing, seen)

    monkeypatch.setattr(kind, "attended", wrong)
    monkeypatch.setattr(kind, "_encoded", blind)
    mine = order(model, lent(4, 0.7))
    engine = Company(Registry({model: shelf.source(model)}))
    *_, ours = engine.run([*company(model), mine])
    assert gap(ours, shelf.stock(mine)) > 100 * TOLERANCE


def test_the_same_adapter_by_diffusers_names(shelf: Shelf, tmp_path: Path) -> None:
    """As it is published in safetensors."""
    pipeline = FlowStock(shelf.folder).pipeline(order("sd3"))
    shelf._load(pipeline, "sd3", [1.0])
    given = load_file(shelf.adapter("sd3"))
    state = {name: tensor for name, tensor in given.items() if name.startswith("ip_adapter.")}
    projection = pipeline.transformer.image_proj.state_dict()
    assert not {f"image_proj.{name}" for name in projection} <= set(given)
    state |= {f"image_proj.{name}": tensor for name, tensor in projection.items()}
    save_file(state, tmp_path / "named.safetensors")
    source = replace(shelf.source("sd3"), ip_adapter=tmp_path / "named.safetensors")
    job = order("sd3", lent(4))
    (ours,), (expected,) = (
        each.run([job]) for each in (Company(Registry({"sd3": source})), shelf.engine("sd3"))
    )
    assert gap(ours, expected) <= TOLERANCE


class TestFilesThatCannotBeUsed:
    """Each by its sentence, for the operator; the model goes on without reference pictures."""

    def reason(self, shelf: Shelf, name: str, file: Path, eyes: Path | None = None) -> str:
        source = ModelSource(
            name, shelf.folder(name), ip_adapter=file, image_encoder=eyes or shelf.eyes(name)
        )
        models = Registry({name: source}).models()
        with pytest.raises(InvalidSpec) as refusal:
            check_spec(order(name, lent(1)), models)
        assert str(refusal.value) == f"{name} has no adapter for character references; leave them out."
        return f"{models[name].unfit_references}."

    @pytest.mark.parametrize("name", ["flux", "sd3"])
    def test_cut_short(self, shelf: Shelf, tmp_path: Path, name: str) -> None:
        cut = tmp_path / "cut.safetensors"
        cut.write_bytes(shelf.adapter(name).read_bytes()[:-5])
        assert self.reason(shelf, name, cut) == (
            "cut.safetensors is not a whole safetensors file; copy it again."
        )

    def test_another_model_s(self, shelf: Shelf, tmp_path: Path) -> None:
        assert self.reason(shelf, "flux", shelf.adapter("sd3")) == (
            "sd3.safetensors was made for another kind of model: its 2 layers take 16 values, and this model "
            "has 2 that take 32."
        )
        assert self.reason(shelf, "sd3", shelf.adapter("medium")) == (
            "medium.safetensors was made for another kind of model: its 3 layers take 16 values, and this "
            "model has 2 that take 16."
        )
        state = load_file(shelf.adapter("flux"))
        for name in [name for name in state if name.startswith("double_blocks.1.")]:
            del state[name]
        save_file(state, tmp_path / "small.safetensors")
        assert "its 1 layers take 32 values, and this model has 2 that take 32." in self.reason(
            shelf, "flux", tmp_path / "small.safetensors"
        )

    def test_weights_of_no_size(self, shelf: Shelf, tmp_path: Path) -> None:
        state = {"image_proj.proj.weight": torch.ones(()), "ip_adapter.0.to_k_ip.weight": torch.ones(())}
        save_file(state, tmp_path / "dot.safetensors")
        assert "dot.safetensors holds no IP-Adapter" in self.reason(
            shelf, "flux", tmp_path / "dot.safetensors"
        )

    def test_another_kind_of_adapter(self, shelf: Shelf, tmp_path: Path) -> None:
        """FLUX's of InstantX, whose projection has two layers; SD3's without the time."""
        state = load_file(shelf.adapter("flux"))
        state["ip_adapter_proj_model.proj.0.weight"] = state.pop("ip_adapter_proj_model.proj.weight")
        save_file(state, tmp_path / "two.safetensors")
        assert "two.safetensors is of a kind that is not read here" in self.reason(
            shelf, "flux", tmp_path / "two.safetensors"
        )
        state = load_file(shelf.adapter("sd3"))
        timeless = {name: tensor for name, tensor in state.items() if "time_embedding" not in name}
        save_file(timeless, tmp_path / "timeless.safetensors")
        assert "timeless.safetensors is of a kind that is not read here" in self.reason(
            shelf, "sd3", tmp_path / "timeless.safetensors"
        )

    def test_no_encoder_or_another_one(self, shelf: Shelf, tmp_path: Path) -> None:
        file, clip, siglip = shelf.adapter("sd3"), shelf.eyes("flux"), shelf.eyes("sd3")
        assert "the image encoder of sd3.safetensors, is missing" in self.reason(shelf, "sd3", file, tmp_path)
        assert self.reason(shelf, "sd3", file, clip) == (
            f"sd3.safetensors takes a SigLIP as its image encoder, and {clip} holds a clip_vision_model."
        )
        assert f"{siglip} holds a siglip_vision_model" in self.reason(
            shelf, "flux", shelf.adapter("flux"), siglip
        )
        other = Path(shutil.copytree(siglip, tmp_path / "other"))
        settings = json.loads((other / "config.json").read_text())
        (other / "config.json").write_text(json.dumps({**settings, "hidden_size": 9}))
        assert f"takes 16 values of its image encoder, and the one in {other} gives 9." in self.reason(
            shelf, "sd3", file, other
        )


@pytest.mark.parametrize("name", ["flux", "sd3"])
def test_the_whole_model_will_do_as_the_encoder(shelf: Shelf, tmp_path: Path, name: str) -> None:
    """As it is published, reading texts too; and without the weights that see, its job ends with a reason."""
    eyes = tmp_path / "eyes"
    settings = json.loads((shelf.eyes(name) / "config.json").read_text())
    kinds: Any = (SiglipConfig, SiglipModel) if name == "sd3" else (CLIPConfig, CLIPModel)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = kinds[0](text_config={**small, "vocab_size": 50}, vision_config=settings, projection_dim=24)
    torch.manual_seed(9)
    kinds[1](config).save_pretrained(eyes)
    source = replace(shelf.source(name), image_encoder=eyes)
    alone = replace(source, image_encoder=tmp_path / "vision")
    kind, _ = shelf.engine(name).family(name)._references._vision()
    kind.from_pretrained(eyes).save_pretrained(tmp_path / "vision")
    job = order(name, lent(4))
    (whole,), (vision,) = (Company(Registry({name: each})).run([job]) for each in (source, alone))
    assert gap(whole, vision) <= TOLERANCE
    file = eyes / "model.safetensors"
    save_file({key: tensor for key, tensor in load_file(file).items() if "text" in key}, file)
    bench = Bench(Registry({name: source}))
    bench.run(job, replace(order(name), job_id="other"))
    assert "The adapter for reference pictures cannot be used" in str(bench.failed("mine").error)
    assert bench.finished("other").images


@pytest.mark.parametrize("name", ["flux", "sd3"])
def test_its_encoder_is_counted_and_moves_with_the_model(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Before it is read by its files; what is read while parts take turns takes turns too."""
    source = shelf.source(name)
    registry = Registry({name: source})
    here = Company(registry).family(name)
    bare = offload.size_of(Company(Registry({name: replace(source, ip_adapter=None)})).family(name))
    files = [shelf.adapter(name), *shelf.eyes(name).glob("*.safetensors")]
    assert offload.size_of(here) == bare + sum(file.stat().st_size for file in files)
    depot = offload.Depot(CPU)
    moves: list[str] = []
    pick_up = depot.pick_up

    def seen(parts: Any) -> None:
        moves.extend(type(part).__name__ for part in parts)
        pick_up(parts)

    monkeypatch.setattr(depot, "pick_up", seen)
    offload.Rotation(here, depot)
    for picture in (1, 2):
        Company(registry).run([order(name, lent(picture), steps=1)])
    eye = "SiglipVisionModel" if name == "sd3" else "CLIPVisionModelWithProjection"
    assert moves.count(eye) == 1
    # SD3's projection is a part of its transformer, which needs it at each step.
    assert moves.count("ImageProjection") == (name == "flux")
    assert "_EachPicture" not in moves
    held = sum(tensor.nbytes for file in files for tensor in load_file(file).values())
    assert abs(offload.size_of(here) - bare - held) < 1000
    here.forget()
    assert not here._texts and not here._references._seen
