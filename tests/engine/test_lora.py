"""LoRAs are diffusers' own, together, on and off; what does not fit says why before it is queued."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from engine import schedulers, stages
from engine.api import GenerationSpec, InvalidSpec
from engine.checks import check_spec
from engine.models import adapters
from engine.models.registry import Registry
from engine.profile import ModelSource
from engine.stages import Batcher
from tests.engine.company import TOLERANCE, alike, gap
from tests.engine.conftest import Bench
from tests.engine.specs import spec

CPU = torch.device("cpu")


def lora(path: Path, pipeline: StableDiffusionPipeline, seed: int, scale: float = 0.4) -> Path:
    """Random low-rank changes of attention in UNet and text encoder, in diffusers' form."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, torch.Tensor] = {}
    for part, wanted in (("unet", ("to_q", "to_k", "to_v")), ("text_encoder", ("q_proj", "v_proj"))):
        for name, module in getattr(pipeline, part).named_modules():
            if name.endswith(wanted) and isinstance(module, torch.nn.Linear):
                down = torch.randn((2, module.in_features), generator=generator) * scale
                up = torch.randn((module.out_features, 2), generator=generator) * scale
                state |= {f"{part}.{name}.lora_A.weight": down, f"{part}.{name}.lora_B.weight": up}
    save_file(state, path)
    return path


def stock_of(folder: Path) -> StableDiffusionPipeline:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = StableDiffusionPipeline.from_pretrained(
            folder, safety_checker=None, low_cpu_mem_usage=False
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def shelf(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files by name: two that fit the classic model, and others that do not."""
    root = tmp_path_factory.mktemp("loras")
    pipeline = stock_of(folders["classic"])
    made = {
        "ink": lora(root / "ink.safetensors", pipeline, 1),
        "v1.5 wash": lora(root / "wash.safetensors", pipeline, 2),
    }
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    made["wide"] = root / "wide.safetensors"
    save_file(
        {f"{name}.lora_down.weight": torch.ones(2, 768), f"{name}.lora_up.weight": torch.ones(16, 2)},
        made["wide"],
    )
    made["flux"] = root / "flux.safetensors"
    save_file({"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": torch.ones(2, 9)}, made["flux"])
    made["empty"] = root / "empty.safetensors"
    save_file({"weight": torch.ones(2)}, made["empty"])
    made["cut"] = root / "cut.safetensors"
    made["cut"].write_bytes(made["ink"].read_bytes()[:-9])
    made["old"] = root / "old.pt"
    made["old"].write_bytes(b"\x80")
    made["lost"] = root / "lost.safetensors"
    return made


@pytest.fixture(scope="module")
def registry(folders: dict[str, Path], shelf: dict[str, Path]) -> Registry:
    return Registry({"classic": ModelSource("classic", folders["classic"], loras=tuple(shelf.items()))})


def ours(registry: Registry, job: GenerationSpec) -> torch.Tensor:
    family = registry.load("classic", CPU, torch.float32)
    rows = stages.prepare(family, job, job.seeds)
    batcher = Batcher()
    while not rows.done:
        (prediction,) = batcher.predict([rows], 8)
        stages.advance(rows, prediction, want_clean=False)
    return family.decode(rows.latents, False)


def theirs(folder: Path, shelf: dict[str, Path], job: GenerationSpec) -> torch.Tensor:
    pipeline = stock_of(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for index, (name, _) in enumerate(job.loras):
            pipeline.load_lora_weights(
                str(shelf[name].parent), weight_name=shelf[name].name, adapter_name=f"a{index}"
            )
    if job.loras:
        pipeline.set_adapters(
            [f"a{index}" for index in range(len(job.loras))], [weight for _, weight in job.loras]
        )
    pipeline.scheduler = schedulers.build(job.sampler, pipeline.scheduler.config)
    result: torch.Tensor = pipeline(
        job.prompt,
        width=job.width,
        height=job.height,
        num_inference_steps=job.steps,
        guidance_scale=job.guidance_scale,
        generator=torch.Generator().manual_seed(job.seeds[0]),
        output_type="pt",
    ).images
    return result


def test_on_together_and_off_again(
    registry: Registry, folders: dict[str, Path], shelf: dict[str, Path]
) -> None:
    """One model, never read again: each set of LoRAs is the stock pipeline's, and none is none."""
    plain = spec(seeds=(4,), steps=3)
    sets = [(("ink", 1.0),), (("ink", 0.5), ("v1.5 wash", -0.7)), (), (("v1.5 wash", 1.2),)]
    seen = []
    for loras in sets:
        job = spec(seeds=(4,), steps=3, loras=loras)
        seen.append(ours(registry, job))
        assert gap(seen[-1], theirs(folders["classic"], shelf, job)) <= TOLERANCE
    assert all(gap(seen[0], other) > 100 * TOLERANCE for other in seen[1:])
    assert gap(ours(registry, plain), seen[2]) <= TOLERANCE


def test_a_failure_half_way_leaves_nothing_on(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of memory while a LoRA is put on: whoever comes next does not wear it."""
    plain, inked = spec(seeds=(4,), steps=1), spec(seeds=(4,), steps=1, loras=(("ink", 1.0),))
    expected = ours(registry, plain)
    pipeline = registry.load("classic", CPU, torch.float32).pipeline  # type: ignore[attr-defined]
    put_on = pipeline.set_adapters

    def failing(*given: object) -> None:
        put_on(*given)
        raise torch.OutOfMemoryError

    with monkeypatch.context() as patch, pytest.raises(torch.OutOfMemoryError):
        patch.setattr(pipeline, "set_adapters", failing)
        ours(registry, inked)
    assert gap(ours(registry, plain), expected) <= TOLERANCE
    assert gap(ours(registry, inked), expected) > 100 * TOLERANCE


def test_those_long_unused_leave_the_device(
    folders: dict[str, Path], shelf: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And are read again when they are wanted, under a name that no other has."""
    monkeypatch.setattr(adapters, "KEPT", 1)
    source = ModelSource("classic", folders["classic"], loras=tuple(shelf.items()))
    registry = Registry({"classic": source})
    wanted = [("ink",), ("v1.5 wash",), (), ("ink", "v1.5 wash"), ("ink",), ("v1.5 wash",)]
    seen: dict[tuple[str, ...], torch.Tensor] = {}
    for names in wanted:
        ours_now = ours(registry, spec(seeds=(4,), steps=1, loras=tuple((name, 1.0) for name in names)))
        assert gap(ours_now, seen.setdefault(names, ours_now)) <= TOLERANCE
        unet = registry.load("classic", CPU, torch.float32).pipeline.unet  # type: ignore[attr-defined]
        assert len(unet.peft_config) == max(1, len(names))
    assert gap(seen["ink",], seen["v1.5 wash",]) > 100 * TOLERANCE


def test_jobs_with_and_without_take_turns(registry: Registry) -> None:
    """They share no pass, and what one wears the other does not."""
    jobs = [spec("plain", user="a"), spec("inked", user="b", loras=(("ink", 1.0),)), spec("more", user="c")]
    together = Bench(registry)
    together.run(*jobs)
    for job in jobs:
        alone = Bench(registry)
        alone.run(job)
        assert alike(together.finished(job.job_id).images, alone.finished(job.job_id).images)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (
            "wide",
            "wide.safetensors was made for another kind of model: its down_blocks_0_attentions_0_"
            "transformer_blocks_0_attn2_to_k takes 768 values, and this model's 32",
        ),
        ("flux", "flux.safetensors was made for another kind of model: none of its layers is in this one"),
        ("empty", "empty.safetensors holds no LoRA"),
        ("cut", "cut.safetensors is not a whole safetensors file; copy it again"),
        ("old", "old.pt is a pickle, which is never loaded; convert it to safetensors"),
        ("lost", "lost.safetensors is missing; put it there, or mend its path"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(registry: Registry, name: str, reason: str) -> None:
    models = registry.models()
    assert models["classic"].loras == ("ink", "v1.5 wash")
    with pytest.raises(InvalidSpec) as refusal:
        check_spec(spec(loras=((name, 1.0),)), models)
    assert str(refusal.value).startswith(f"LoRA {name!r} does not fit classic: ")
    assert str(refusal.value).endswith(f"{reason}.")


@pytest.mark.parametrize(
    ("loras", "sentence"),
    [
        ((("who", 1.0),), "classic has no LoRA 'who'; choose one of ink, v1.5 wash."),
        ((("ink", float("nan")),), "The weight of LoRA 'ink' must lie within 4 of 0, not at nan."),
    ],
)
def test_refused(registry: Registry, loras: tuple[tuple[str, float], ...], sentence: str) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        check_spec(spec(loras=loras), registry.models())
    assert str(refusal.value) == sentence


def test_a_file_that_goes_bad_fails_its_job_alone(
    folders: dict[str, Path], shelf: dict[str, Path], tmp_path: Path
) -> None:
    own = tmp_path / "own.safetensors"
    own.write_bytes(shelf["ink"].read_bytes())
    fresh = Registry({"classic": ModelSource("classic", folders["classic"], loras=(("own", own),))})
    own.write_bytes(b"no more")
    here = Bench(fresh)
    here.run(spec("bad", loras=(("own", 1.0),)), spec("good", user="bob"))
    assert str(here.failed("bad").error) == (
        "The LoRA 'own' cannot be used with this model; leave it out, or choose another."
    )
    assert here.finished("good")


def test_a_taught_word_is_the_stock_pipelines(
    folders: dict[str, Path], tmp_path: Path, shelf: dict[str, Path]
) -> None:
    """Textual inversion of two vectors, by a name; one of another width is left out."""
    words, wide = tmp_path / "myst.safetensors", tmp_path / "wide.safetensors"
    save_file({"emb": torch.randn((2, 32), generator=torch.Generator().manual_seed(3)) * 0.3}, words)
    save_file({"emb": torch.ones((2, 768))}, wide)
    source = ModelSource("classic", folders["classic"], embeddings=(("<myst>", words), ("<wide>", wide)))
    job = spec(prompt="red <myst> sea", seeds=(4,), steps=2, negative_prompt="")
    pipeline = stock_of(folders["classic"])
    pipeline.load_textual_inversion(str(tmp_path), weight_name=words.name, token="<myst>")
    pipeline.scheduler = schedulers.build(job.sampler, pipeline.scheduler.config)
    expected = pipeline(
        job.prompt,
        width=64,
        height=64,
        num_inference_steps=2,
        guidance_scale=job.guidance_scale,
        generator=torch.Generator().manual_seed(4),
        output_type="pt",
    ).images
    taught = Registry({"classic": source})
    assert gap(ours(taught, job), expected) <= TOLERANCE
    assert gap(ours(taught, spec(prompt="red sea", seeds=(4,), steps=2)), expected) > 100 * TOLERANCE


LAYOUTS = {
    "diffusers": ("unet.{name}.lora_A.weight", "unet.{name}.lora_B.weight"),
    "processors": ("unet.{block}.processor.{layer}_lora.down.weight",
                   "unet.{block}.processor.{layer}_lora.up.weight"),
    "peft": ("base_model.model.{name}.lora_A.weight", "base_model.model.{name}.lora_B.weight"),
    "kohya": ("lora_unet_{flat}.lora_down.weight", "lora_unet_{flat}.lora_up.weight"),
}  # fmt: skip


def written(path: Path, folder: Path, layout: str) -> Path:
    """The same changes of some attention, by the names of a layout."""
    generator, state = torch.Generator().manual_seed(5), {}
    for name, layer in stock_of(folder).unet.named_modules():
        if name.endswith(("attn1.to_q", "attn2.to_v")) and isinstance(layer, torch.nn.Linear):
            block, _, last = name.rpartition(".")
            for pattern, shape in zip(
                LAYOUTS[layout], ((2, layer.in_features), (layer.out_features, 2)), strict=True
            ):
                key = pattern.format(name=name, block=block, layer=last, flat=name.replace(".", "_"))
                state[key] = torch.randn(shape, generator=generator) * 0.4
    path.parent.mkdir(exist_ok=True)
    save_file(state, path)
    return path


def test_every_layout_is_the_same_lora(folders: dict[str, Path], tmp_path: Path) -> None:
    classic = folders["classic"]
    shelf = {name: written(tmp_path / f"{name}.safetensors", classic, name) for name in LAYOUTS}
    here = Registry({"classic": ModelSource("classic", classic, loras=tuple(shelf.items()))})
    assert set(here.models()["classic"].loras) == set(shelf)
    jobs = {name: spec(seeds=(4,), steps=2, loras=((name, 0.7),)) for name in shelf}
    expected = theirs(classic, shelf, jobs["kohya"])
    for job in jobs.values():
        assert gap(ours(here, job), expected) <= TOLERANCE
    assert gap(ours(here, spec(seeds=(4,), steps=2)), expected) > 100 * TOLERANCE


def test_peft_s_own_scale_lies_beside_its_file(folders: dict[str, Path], tmp_path: Path) -> None:
    shelf = {
        name: written(tmp_path / name / "peft.safetensors", folders["classic"], "peft")
        for name in ("flat", "scaled")
    }
    (tmp_path / "scaled" / "adapter_config.json").write_text('{"r": 2, "lora_alpha": 1}')
    here = Registry({"classic": ModelSource("classic", folders["classic"], loras=tuple(shelf.items()))})
    half, whole = (
        ours(here, spec(seeds=(4,), steps=2, loras=(worn,))) for worn in (("flat", 0.5), ("scaled", 1.0))
    )
    assert gap(half, whole) <= TOLERANCE


def test_a_lora_of_the_text_encoder_alone(folders: dict[str, Path], tmp_path: Path) -> None:
    generator, state = torch.Generator().manual_seed(1), {}
    for name, layer in stock_of(folders["classic"]).text_encoder.named_modules():
        if name.endswith(("q_proj", "fc1")) and isinstance(layer, torch.nn.Linear):
            key = "lora_te_text_model_" + name.removeprefix("text_model.").replace(".", "_")
            state[f"{key}.lora_down.weight"] = torch.randn((2, layer.in_features), generator=generator)
            state[f"{key}.lora_up.weight"] = torch.randn((layer.out_features, 2), generator=generator)
    shelf = {name: tmp_path / f"{name}.safetensors" for name in ("texts", "second")}
    save_file(state, shelf["texts"])
    save_file({key.replace("_te_", "_te2_"): weight for key, weight in state.items()}, shelf["second"])
    here = Registry({"classic": ModelSource("classic", folders["classic"], loras=tuple(shelf.items()))})
    assert here.models()["classic"].unfit_loras == {
        "second": "second.safetensors was made for another kind of model: its text_encoder_2 takes 32 "
        "values, and this model's 0"
    }
    job = spec(seeds=(4,), steps=2, loras=(("texts", 0.7),))
    assert gap(ours(here, job), theirs(folders["classic"], shelf, job)) <= TOLERANCE
    assert gap(ours(here, job), ours(here, spec(seeds=(4,), steps=2))) > 100 * TOLERANCE


def test_a_lora_of_no_shape_is_left_out_and_not_its_model(folders: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "flat.safetensors"
    save_file({"lora_te_layers_0_q_proj.lora_down.weight": torch.ones(4)}, file)
    here = Registry({"classic": ModelSource("classic", folders["classic"], loras=(("flat", file),))})
    assert here.models()["classic"].unfit_loras == {"flat": "flat.safetensors holds no LoRA"}


def test_a_lora_in_eight_bits(folders: dict[str, Path], tmp_path: Path) -> None:
    file = written(tmp_path / "small.safetensors", folders["classic"], "kohya")
    save_file({key: weight.to(torch.float8_e4m3fn) for key, weight in load_file(file).items()}, file)
    here = Registry({"classic": ModelSource("classic", folders["classic"], loras=(("small", file),))})
    job = spec(seeds=(4,), steps=2, loras=(("small", 0.7),))
    assert gap(ours(here, job), ours(here, spec(seeds=(4,), steps=2))) > 100 * TOLERANCE


@pytest.mark.parametrize("kind", ["hada_w1_a", "lokr_w1", "dora_scale"])
def test_what_would_be_left_out_or_not_read_is_refused(
    folders: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    file = written(tmp_path / "odd.safetensors", folders["classic"], "kohya")
    state = load_file(file)
    save_file({**state, f"{next(iter(state)).partition('.')[0]}.{kind}": torch.ones(1, 16)}, file)
    info = Registry({"m": ModelSource("m", folders["classic"], loras=(("odd", file),))}).models()["m"]
    assert info.unfit_loras["odd"] == (
        "odd.safetensors is a LoHa, LoKr, DoRA of kohya's or the like, which is not read here; choose a "
        "LoRA or LoCon"
    )


@pytest.mark.parametrize("spoilt", ["nan", "inf", "whole numbers", "no layer of it", "one half"])
def test_what_could_only_spoil_pictures_fails_its_job_alone(
    folders: dict[str, Path], tmp_path: Path, spoilt: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Found when it is put on; whoever paints without it, before and after, is not touched."""
    file = written(tmp_path / "odd.safetensors", folders["classic"], "kohya")
    state = load_file(file)
    if spoilt == "whole numbers":
        state = {key: weight.to(torch.int8) for key, weight in state.items()}
    elif spoilt == "one half":
        state = load_file(written(file, folders["classic"], "peft"))
        del state[next(key for key in state if "lora_A" in key)]
    elif spoilt == "no layer of it":
        key = "base_model.model.nowhere.attn2.to_k"
        state = {f"{key}.lora_A.weight": torch.ones(2, 32), f"{key}.lora_B.weight": torch.ones(16, 2)}
    else:
        next(iter(state.values()))[0, 0] = float(spoilt)
    save_file(state, file)
    fresh = Registry({"classic": ModelSource("classic", folders["classic"], loras=(("odd", file),))})
    here = Bench(fresh)
    here.run(spec("good", user="bob"), spec("bad", loras=(("odd", 1.0),)), spec("more", user="cyd"))
    assert not here.failed("bad").retryable
    assert str(here.failed("bad").error) == (
        "The LoRA 'odd' cannot be used with this model; leave it out, or choose another."
    )
    assert f"{file} cannot be loaded: " in caplog.text
    assert alike(here.finished("good").images, here.finished("more").images)


@pytest.mark.parametrize("spoilt", [torch.full((2, 32), torch.nan), torch.ones((2, 32), dtype=torch.int8)])
def test_words_that_could_only_spoil_pictures_are_left_out(
    folders: dict[str, Path], tmp_path: Path, spoilt: torch.Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "myst.safetensors"
    save_file({"emb": spoilt}, file)
    source = ModelSource("classic", folders["classic"], embeddings=(("<myst>", file),))
    here = Bench(Registry({"classic": source}))
    here.run(spec(prompt="red <myst> sea"))
    assert here.finished("job")
    assert "embedding '<myst>' is left out: myst.safetensors cannot be loaded: its emb is no" in caplog.text
