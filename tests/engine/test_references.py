"""Reference pictures are diffusers' own IP-Adapters, row by row; what cannot be used says why."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from engine import offload, schedulers
from engine.api import GenerationSpec, InitImage, InvalidSpec, Reference, ReferenceKind
from engine.checks import check_spec
from engine.fake import gradient
from engine.models.registry import Registry
from engine.models.unet_references import UNetReferences, style_layers
from engine.profile import ModelSource
from engine.samplers import DEFAULT
from tests import stock_pipelines
from tests.engine import adapters, test_sdxl
from tests.engine.company import Company, gap
from tests.engine.conftest import Bench
from tests.engine.specs import spec
from tests.engine.test_lora import stock_of

TOLERANCE = 1e-5
STYLE, CHARACTER = ReferenceKind.STYLE, ReferenceKind.CHARACTER
SCALE_OF_STYLE = {"down": {"block_0": [0.0]}, "mid": 1.0, "up": {"block_1": [0.0, 0.0]}}
"""As ``set_ip_adapter_scale`` has it, for the tiny UNet."""


def picture(seed: int, width: int = 40, height: int = 32) -> bytes:
    buffer = io.BytesIO()
    gradient(seed, width, height).save(buffer, "PNG")
    return buffer.getvalue()


def lent(seed: int, weight: float = 1.0, kind: ReferenceKind = CHARACTER) -> Reference:
    return Reference(picture(seed), kind, weight)


@pytest.fixture(scope="module")
def shelf(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adapters for the classic model, and the encoder beside them."""
    root = tmp_path_factory.mktemp("adapters")
    adapters.encoder(root / "image_encoder")
    unet = stock_of(folders["classic"]).unet
    for name, kind in {**adapters.KINDS, "face": adapters.face}.items():
        adapters.adapter(root / f"{name}.safetensors", unet, kind)
    return root


@pytest.fixture(scope="module")
def registry(folders: dict[str, Path], shelf: Path) -> Registry:
    """The classic model three times, each with an adapter of another kind."""
    return Registry(
        {
            name: ModelSource(name, folders["classic"], ip_adapter=shelf / f"{name}.safetensors")
            for name in adapters.KINDS
        },
        keep=3,
    )


@pytest.fixture
def engine(registry: Registry) -> Company:
    return Company(registry)


def theirs(
    folders: dict[str, Path], shelf: Path, job: GenerationSpec, scales: list[Any], **given: Any
) -> torch.Tensor:
    """The classic stock pipeline's."""
    return painted(stock_of(folders["classic"]), shelf, job, scales, **given)


def painted(pipeline: Any, shelf: Path, job: GenerationSpec, scales: list[Any], **given: Any) -> torch.Tensor:
    """By a stock pipeline with the adapter loaded once for each reference."""
    pipeline.load_ip_adapter(
        str(shelf),
        subfolder="",
        weight_name=[f"{job.model}.safetensors"] * len(scales),
        low_cpu_mem_usage=False,
        local_files_only=True,
    )
    pipeline.set_ip_adapter_scale(scales)
    if job.sampler != DEFAULT:
        pipeline.scheduler = schedulers.build(job.sampler, pipeline.scheduler.config)
    if not given:
        given = {
            "ip_adapter_image": [Image.open(io.BytesIO(each.data)).convert("RGB") for each in job.references]
        }
    result: torch.Tensor = pipeline(
        job.prompt,
        negative_prompt=job.negative_prompt,
        **({} if job.init else {"width": job.width, "height": job.height}),
        num_inference_steps=job.steps,
        guidance_scale=job.guidance_scale,
        generator=torch.Generator().manual_seed(job.seeds[0]),
        output_type="pt",
        **given,
    ).images
    return result


def job(model: str = "plain", *lending: Reference, **changes: Any) -> GenerationSpec:
    return spec("mine", model, references=lending, seeds=(3,), width=64, height=64, **changes)


def company(model: str) -> list[GenerationSpec]:
    """One without references, one with more of them, and one whose guidance is off."""
    return [
        spec("bare", model, prompt="the sea", seeds=(5, 6)),
        spec("more", model, references=(lent(8), lent(9, 0.3, STYLE), lent(2)), seeds=(7,), steps=6),
        spec("free", model, references=(lent(6),), guidance_scale=1.0, seeds=(8,)),
    ]


@pytest.mark.parametrize("guidance", [5.0, 1.0])
@pytest.mark.parametrize("sampler", ["ddim", "euler a"])
@pytest.mark.parametrize("kind", adapters.KINDS)
def test_the_stock_pipelines_pictures(
    engine: Company, folders: dict[str, Path], shelf: Path, kind: str, sampler: str, guidance: float
) -> None:
    mine = job(kind, lent(4, 0.7), sampler=sampler, guidance_scale=guidance)
    expected = theirs(folders, shelf, mine, [0.7])
    (alone,) = engine.run([mine])
    *_, together = engine.run([*company(kind), mine], arrivals=[0, 0, 1, 2])
    assert gap(alone, expected) <= TOLERANCE
    assert gap(together, expected) <= TOLERANCE
    (without,) = engine.run([replace(mine, references=())])
    assert gap(without, expected) > 100 * TOLERANCE


@pytest.mark.parametrize("kind", ["plain", "plus"])
def test_the_stock_sdxl_pipelines_pictures(folders: dict[str, Path], tmp_path: Path, kind: str) -> None:
    """Who is shown, and a style."""
    adapters.encoder(tmp_path / "image_encoder")
    pipeline = test_sdxl.stock_of(folders["xl"])
    file = adapters.adapter(tmp_path / f"{kind}.safetensors", pipeline.unet, adapters.KINDS[kind])
    engine = Company(Registry({kind: ModelSource(kind, folders["xl"], ip_adapter=file)}))
    mine = job(kind, lent(4, 0.7), lent(5, 1.0, STYLE), negative_prompt="fog")
    *_, ours = engine.run([*company(kind), mine])
    assert gap(ours, painted(pipeline, tmp_path, mine, [0.7, SCALE_OF_STYLE])) <= TOLERANCE
    (without,) = engine.run([replace(mine, references=())])
    assert gap(ours, without) > 100 * TOLERANCE


@pytest.mark.filterwarnings("ignore")  # its text encoder is scripted, which torch deprecates
class TestKolors:
    """Runs as diffusers wrote it, and sees references all the same."""

    @pytest.fixture(scope="class", params=["plain", "plus"])
    def model(self, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelSource:
        root = tmp_path_factory.mktemp("kolors")
        folder = stock_pipelines.build("kolors", root / "model")
        adapters.encoder(root / "image_encoder")
        kind, file = request.param, root / f"{request.param}.safetensors"
        adapters.adapter(file, self.pipeline(folder).unet, adapters.KINDS[kind])
        return ModelSource(kind, folder, ip_adapter=file)

    def pipeline(self, folder: Path, kind: str = "KolorsPipeline") -> Any:
        pipeline = getattr(diffusers, kind).from_pretrained(folder, low_cpu_mem_usage=False)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def job(self, source: ModelSource, *lending: Reference, **changes: Any) -> GenerationSpec:
        return job(source.name, *lending, sampler=DEFAULT, negative_prompt="bad", **changes)

    def ours(self, source: ModelSource, job: GenerationSpec) -> torch.Tensor:
        family: Any = Registry({source.name: source}).load(source.name, torch.device("cpu"), torch.float32)
        course = family.begin(job, job.seeds)
        while not course.done:
            course.take_turn(want_clean=False)
        return torch.cat(course._pixels)

    def theirs(
        self, source: ModelSource, job: GenerationSpec, scales: list[Any], **given: Any
    ) -> torch.Tensor:
        assert source.ip_adapter is not None
        pipeline = self.pipeline(source.path, "KolorsImg2ImgPipeline" if job.init else "KolorsPipeline")
        if job.init:
            start = Image.open(io.BytesIO(job.init.data)).convert("RGB")
            given |= {"image": start, "strength": job.init.strength}
        if "ip_adapter_image_embeds" not in given:
            pictures = [Image.open(io.BytesIO(each.data)).convert("RGB") for each in job.references]
            given["ip_adapter_image"] = pictures
        return painted(pipeline, source.ip_adapter.parent, job, scales, **given)

    @pytest.mark.parametrize("guidance", [5.0, 1.0])
    @pytest.mark.parametrize("started", [False, True])
    def test_the_stock_pipeline_s_pictures(self, model: ModelSource, guidance: float, started: bool) -> None:
        init = InitImage(picture(1, 64, 64), 0.7) if started else None
        mine = self.job(model, lent(4, 0.7), lent(5, 1.0, STYLE), guidance_scale=guidance, init=init)
        style = {"up": {"block_0": [0.0, 1.0]}}
        ours = self.ours(model, mine)
        assert gap(ours, self.theirs(model, mine, [0.7, style])) <= TOLERANCE
        assert gap(ours, self.theirs(model, mine, [0.7, 1.0])) > 100 * TOLERANCE, "style is apart"
        assert gap(ours, self.ours(model, replace(mine, references=()))) > 100 * TOLERANCE

    def test_without_references_it_is_the_plain_pipeline(self, model: ModelSource) -> None:
        """After one with them, on the same model."""
        family: Any = Registry({model.name: model}).load(model.name, torch.device("cpu"), torch.float32)
        pixels = []
        for lending in ((lent(4),), ()):
            course = family.begin(self.job(model, *lending), (3,))
            while not course.done:
                course.take_turn(want_clean=False)
            pixels.append(torch.cat(course._pixels))
        assert gap(pixels[1], self.ours(replace(model, ip_adapter=None), self.job(model))) <= TOLERANCE
        assert gap(pixels[0], pixels[1]) > 100 * TOLERANCE

    def test_a_blend_is_what_is_seen(self, model: ModelSource) -> None:
        one, other = picture(4), picture(5)
        alike, mixed = (
            self.ours(model, replace(self.job(model, prompt=""), blend=pictures))
            for pictures in ((one, one), (one, other))
        )
        assert gap(alike, self.ours(model, self.job(model, lent(4), prompt=""))) <= TOLERANCE
        assert gap(alike, mixed) > 100 * TOLERANCE

    def test_its_encoder_is_counted(self, model: ModelSource) -> None:
        sizes = []
        for source in (model, replace(model, ip_adapter=None)):
            family: Any = Registry({"m": source}).load("m", torch.device("cpu"), torch.float32)
            sizes.append(offload.size_of(family))
        assert model.ip_adapter is not None
        files = [model.ip_adapter, *(model.ip_adapter.parent / "image_encoder").glob("*.safetensors")]
        assert sizes[0] == sizes[1] + sum(file.stat().st_size for file in files)

    def test_a_picture_that_cannot_be_read_ends_its_job(self, model: ModelSource) -> None:
        bench = Bench(Registry({model.name: model}))
        bench.run(self.job(model, Reference(b"?", STYLE)), replace(self.job(model), job_id="other"))
        assert str(bench.failed("mine").error) == (
            "A reference picture cannot be read; send it as PNG, JPEG or WebP."
        )
        assert bench.finished("other").images


def test_several_with_weights_and_kinds(engine: Company, folders: dict[str, Path], shelf: Path) -> None:
    mine = job("plain", lent(4, 0.7), lent(5, 0.4), lent(6, 1.0, STYLE))
    expected = theirs(folders, shelf, mine, [0.7, 0.4, SCALE_OF_STYLE])
    *_, ours = engine.run([*company("plain"), mine])
    assert gap(ours, expected) <= TOLERANCE


def test_a_neighbour_without_references_is_the_plain_pipeline_s(
    engine: Company, folders: dict[str, Path], shelf: Path
) -> None:
    mine = job("plain")
    pipeline = stock_of(folders["classic"])
    pipeline.scheduler = schedulers.build(mine.sampler, pipeline.scheduler.config)
    expected = pipeline(
        mine.prompt,
        num_inference_steps=mine.steps,
        guidance_scale=mine.guidance_scale,
        generator=torch.Generator().manual_seed(3),
        output_type="pt",
    ).images
    *_, beside = engine.run([*company("plain"), mine])
    (alone,) = engine.run([mine])
    assert max(gap(beside, expected), gap(alone, expected)) <= TOLERANCE


def test_style_and_character_differ(registry: Registry, engine: Company) -> None:
    style, character = engine.run([job("plain", lent(4, 1.0, kind)) for kind in (STYLE, CHARACTER)])
    assert gap(style, character) > 100 * TOLERANCE
    assert registry.models()["plain"].style_apart


def test_the_layers_of_style_are_those_that_instantstyle_names() -> None:
    down = [f"down_blocks.{block}.attentions.{place}." for block in (1, 2) for place in (0, 1)]
    up = [f"up_blocks.{block}.attentions.{place}." for block in (0, 1) for place in (0, 1, 2)]
    assert style_layers([*down, *up, "mid_block.attentions.0."]) == {"up_blocks.0.attentions.1."}
    down = [f"down_blocks.{block}.attentions.0." for block in (0, 1, 2)]
    up = [f"up_blocks.{block}.attentions.0." for block in (1, 2, 3)]
    assert style_layers([*down, *up, "mid_block.attentions.0."]) == {
        *(down[0], down[1], up[1], up[2]),
        "mid_block.attentions.0.",
    }


@pytest.mark.parametrize(("kind", "prompt", "weight"), [("plain", "", 1.0), ("plus", "the sea", 0.6)])
def test_a_blend_is_the_mean_of_what_is_seen(
    engine: Company, folders: dict[str, Path], shelf: Path, kind: str, prompt: str, weight: float
) -> None:
    pictures = [Image.open(io.BytesIO(picture(seed))) for seed in (4, 5, 6)]
    pipeline: Any = stock_of(folders["classic"])
    pipeline.load_ip_adapter(str(shelf), subfolder="", weight_name=f"{kind}.safetensors")
    hidden = kind != "plain"
    seen, nothing = pipeline.encode_image(pictures, torch.device("cpu"), 1, hidden)
    embeds = torch.stack([nothing[:1], seen.mean(0, keepdim=True)])
    mine = replace(job(kind, prompt=prompt), blend=tuple(picture(seed) for seed in (4, 5, 6)))
    expected = theirs(folders, shelf, mine, [weight], ip_adapter_image_embeds=[embeds])
    *_, ours = engine.run([*company(kind), mine])
    assert gap(ours, expected) <= TOLERANCE


@pytest.mark.parametrize("broken", ["rows", "weights", "sides"])
def test_the_comparison_can_fail(
    engine: Company, folders: dict[str, Path], shelf: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    true: Callable[..., dict[str, Any]] = UNetReferences.attended

    def wrong(self: Any, told: Any) -> dict[str, Any]:
        given = true(self, told)
        if given and broken == "rows":
            given["ip_hidden_states"] = given["ip_hidden_states"].roll(1, 0)
        if given and broken == "weights":
            given["ip_adapter_masks"] = given["ip_adapter_masks"].roll(1, 0)
        if given and broken == "sides":
            given["ip_adapter_masks"] = given["ip_adapter_masks"].flip(-1)
        return given

    monkeypatch.setattr(UNetReferences, "attended", wrong)
    mine = job("plain", lent(4, 0.7), lent(6, 1.0, STYLE))
    *_, ours = engine.run([*company("plain"), mine])
    assert gap(ours, theirs(folders, shelf, mine, [0.7, SCALE_OF_STYLE])) > 100 * TOLERANCE


class TestFilesThatCannotBeUsed:
    """Each by its sentence, which is the operator's; the model goes on without reference pictures."""

    def reason(self, folders: dict[str, Path], file: Path, encoder: Path | None = None) -> str:
        source = ModelSource("m", folders["classic"], ip_adapter=file, image_encoder=encoder)
        models = Registry({"m": source}).models()
        assert not models["m"].references
        with pytest.raises(InvalidSpec) as refusal:
            check_spec(job("m", lent(1)), models)
        assert str(refusal.value) == "m has no adapter for character references; leave them out."
        return models["m"].unfit_references

    def test_missing_cut_short_and_pickled(
        self, folders: dict[str, Path], shelf: Path, tmp_path: Path
    ) -> None:
        cut, old = tmp_path / "cut.safetensors", tmp_path / "old.bin"
        cut.write_bytes((shelf / "plain.safetensors").read_bytes()[:-5])
        old.write_bytes(b"\x80")
        lost = tmp_path / "lost.safetensors"
        assert self.reason(folders, lost) == "lost.safetensors is missing; put it there, or mend its path"
        assert self.reason(folders, cut) == "cut.safetensors is not a whole safetensors file; copy it again"
        assert "old.bin is a pickle, which is never loaded" in self.reason(folders, old)

    def test_another_kind_of_file(self, folders: dict[str, Path], shelf: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.safetensors"
        save_file({"weight": torch.ones(2)}, other)
        assert "other.safetensors holds no IP-Adapter" in self.reason(folders, other)
        assert "face.safetensors is of a kind that is not read here (FaceID, say" in self.reason(
            folders, shelf / "face.safetensors"
        )

    def test_another_architecture(self, folders: dict[str, Path], tmp_path: Path, shelf: Path) -> None:
        wide = tmp_path / "wide.safetensors"
        layers = {
            f"ip_adapter.{n}.to_{letter}_ip.weight": torch.ones(8, 768) for n in (1, 3) for letter in "kv"
        }
        save_file({"image_proj.proj.weight": torch.ones(32, 24), **layers}, wide)
        assert self.reason(folders, wide, shelf / "image_encoder") == (
            "wide.safetensors was made for another kind of model: its 2 layers take 768 values, and this "
            "model has 4 that take 32"
        )

    def test_no_encoder_or_another_one(self, folders: dict[str, Path], tmp_path: Path, shelf: Path) -> None:
        file = shelf / "plain.safetensors"
        assert "the image encoder of plain.safetensors, is missing" in self.reason(folders, file, tmp_path)
        shutil.copytree(shelf / "image_encoder", tmp_path / "other")
        config = tmp_path / "other" / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "projection_dim": 9}))
        assert self.reason(folders, file, tmp_path / "other") == (
            f"plain.safetensors takes 24 values of its image encoder, and the one in {tmp_path / 'other'} "
            "gives 9"
        )
        weights = tmp_path / "other" / "model.safetensors"
        shutil.copy(shelf / "image_encoder" / "config.json", config)
        weights.write_bytes(b"")
        assert self.reason(folders, file, tmp_path / "other") == (
            f"of {tmp_path / 'other'}: model.safetensors is not a whole safetensors file; copy it again"
        )
        weights.unlink()
        assert "has no .safetensors file" in self.reason(
            folders, shelf / "plus.safetensors", tmp_path / "other"
        )

    def test_a_family_without(self, tmp_path: Path) -> None:
        folder = stock_pipelines.build("pixart-sigma", tmp_path / "pixart")
        source = ModelSource("m", folder, ip_adapter=tmp_path / "any.safetensors")
        info = Registry({"m": source}).models()["m"]
        assert info.unfit_references == "PixArt-Σ models take no IP-Adapter here; leave ip_adapter out"


def test_what_breaks_while_loading_reaches_its_job_alone(
    folders: dict[str, Path], shelf: Path, tmp_path: Path
) -> None:
    """A file whose header is right and whose names are not."""
    from safetensors.torch import load_file

    state = load_file(shelf / "plain.safetensors")
    state["ip_adapter.99.to_v_ip.weight"] = state.pop("ip_adapter.1.to_v_ip.weight")
    save_file(state, tmp_path / "odd.safetensors")
    source = ModelSource(
        "m",
        folders["classic"],
        ip_adapter=tmp_path / "odd.safetensors",
        image_encoder=shelf / "image_encoder",
    )
    bench = Bench(Registry({"m": source}))
    bench.run(job("m", lent(1)), spec("other", "m"), replace(job("m", lent(1)), job_id="again"))
    for name in ("mine", "again"):
        assert "The adapter for reference pictures cannot be used" in str(bench.failed(name).error)
    assert bench.finished("other").images


def test_a_picture_that_cannot_be_read_ends_its_job(registry: Registry) -> None:
    bench = Bench(registry)
    bench.run(job("plain", Reference(b"?", STYLE)), spec("other", "plain"))
    assert str(bench.failed("mine").error) == (
        "A reference picture cannot be read; send it as PNG, JPEG or WebP."
    )
    assert bench.finished("other").images


def test_its_encoder_is_counted_and_moves_with_the_model(
    folders: dict[str, Path], shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is read by its files; what is read while parts take turns takes turns too."""
    source = ModelSource("plain", folders["classic"], ip_adapter=shelf / "plain.safetensors")
    alone = Registry({"plain": ModelSource("plain", folders["classic"])})
    registry = Registry({"plain": source})
    here = Company(registry).family("plain")
    files = [shelf / "plain.safetensors", *(shelf / "image_encoder").glob("*.safetensors")]
    bare = offload.size_of(Company(alone).family("plain"))
    assert offload.size_of(here) == bare + sum(file.stat().st_size for file in files)
    depot = offload.Depot(torch.device("cpu"))
    moves: list[str] = []
    pick_up = depot.pick_up

    def seen(parts: Any) -> None:
        moves.extend(type(part).__name__ for part in parts)
        pick_up(parts)

    monkeypatch.setattr(depot, "pick_up", seen)
    rotation = offload.Rotation(here, depot)
    engine = Company(registry)
    engine.run([job("plain", lent(1), steps=1)])
    assert "CLIPVisionModelWithProjection" in {type(part).__name__ for part in rotation._parts}
    engine.run([job("plain", lent(2), steps=1)])
    assert moves.count("CLIPVisionModelWithProjection") == 1
    assert bare < offload.size_of(here)
    here.forget()
    assert not here._texts and not here._references._seen
