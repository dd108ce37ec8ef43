"""What flags mean in numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bot.config import Settings, load
from bot.domain.job import CHANGES, Action, Job, JobStatus, Place, Requester
from bot.domain.prompt import Prompt, parse
from bot.domain.sentence import say
from bot.errors import PromptError
from bot.services import specs
from bot.ui.locales import translated
from engine.api import Hires, ModelInfo
from engine.fake import SKETCH

SETTINGS = load(None, {})
SD15 = replace(
    SKETCH, name="sd15", native_size=512, size_multiple=8, min_size=256, max_size=1024, guidance_scale=7.5
)


def job(text: str, **changes: object) -> Job:
    made = Job(
        "a" * 32, 1, Action.IMAGINE, Requester(1), Place(None, 2), parse(text), (7,), JobStatus.QUEUED, 0.0
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ratio", "size"),
    [
        ("1:1", (512, 512)),
        ("3:2", (624, 416)),
        ("2:3", (416, 624)),
        ("4:1", (1024, 256)),
        ("16:9", (680, 384)),
    ],
)
def test_ar_keeps_the_native_area_on_the_raster(ratio: str, size: tuple[int, int]) -> None:
    assert specs.size_of(parse(f"x --ar {ratio}"), SD15) == size


@pytest.mark.parametrize(
    ("ratio", "native", "size"),
    [
        ("3:2", 64, (72, 48)),
        ("16:9", 64, (88, 48)),
        ("2:1", 64, (96, 48)),
        ("3:2", 16, (24, 16)),
        ("1:1", 60, (64, 64)),
    ],
)
def test_on_a_coarse_raster_the_shape_goes_before_the_area(
    ratio: str, native: int, size: tuple[int, int]
) -> None:
    small = replace(SD15, native_size=native, min_size=8, max_size=2 * native)
    assert specs.size_of(parse(f"x --ar {ratio}"), small) == size


def test_ar_stays_within_the_largest_size() -> None:
    narrow = replace(SD15, max_size=640)
    assert specs.size_of(parse("x --ar 4:1"), narrow) == (640, 256)
    assert specs.size_of(parse("x --ar 3:2"), replace(SD15, max_size=512)) == (512, 344)


@pytest.mark.parametrize(
    ("flags", "steps"), [("", 20), ("--quality 0.5", 10), ("--quality 2", 40), ("--steps 7 --quality 2", 7)]
)
def test_steps(flags: str, steps: int) -> None:
    assert specs.steps_of(parse(f"x {flags}"), SD15, SETTINGS) == steps


def test_quality_never_passes_the_models_most() -> None:
    assert specs.steps_of(parse("x --quality 2"), replace(SD15, max_steps=30), SETTINGS) == 30


@pytest.mark.parametrize(
    ("flags", "scale"),
    [
        ("", 7.5),
        ("--stylize 100", 7.5),
        ("--stylize 0", 4.5),
        ("--stylize 1000", 13.5),
        ("--chaos 100", 3.6),
        ("--stylize 0 --chaos 50", 3.45),
    ],
)
def test_guidance(flags: str, scale: float) -> None:
    assert specs.guidance_of(parse(f"x {flags}"), SD15) == pytest.approx(scale)


def test_models_without_guidance_stay_without() -> None:
    assert specs.guidance_of(parse("x --stylize 1000"), replace(SD15, guidance_scale=1.0)) == 1.0


def test_iw_and_variations() -> None:
    strengths = [specs.input_strength(parse(f"x --iw {weight}"), Action.IMAGINE) for weight in (0.5, 1, 3)]
    assert strengths == [0.7746, 0.6, 0.216]
    assert specs.input_strength(parse("x"), Action.VARIATION) == 0.65
    assert not specs.uses_pictures(parse("x --iw 0"))


def test_a_creative_upscale_adds_no_more_detail_than_the_model_can() -> None:
    upscale = job("x", change=CHANGES[Action.UPSCALE_CREATIVE])
    for most, detail in ((1.0, 0.3), (0.15, 0.15)):
        spec = specs.build(upscale, replace(SKETCH, most_detail=most), SETTINGS)
        assert spec.hires == Hires(2.0, detail)


def test_the_whole_spec() -> None:
    spec = specs.build(job("a cat --no fog, rain --stop 50 --tile --relax"), SD15, SETTINGS, lane="relax")
    assert (spec.prompt, spec.negative_prompt, spec.stop, spec.tile) == ("a cat", "fog, rain", 0.5, True)
    assert (spec.lane, spec.user, spec.sampler) == ("relax", "1", "ddim")


def test_the_servers_negative_prompt_is_added(tmp_path: Path) -> None:
    settings: Settings = load(
        None, {"TESSERA_MODELS__SD15__PATH": str(tmp_path), "TESSERA_MODELS__SD15__NEGATIVE_PROMPT": "blurry"}
    )
    assert specs.build(job("x --no fog"), SD15, settings).negative_prompt == "fog, blurry"


@pytest.mark.parametrize(
    ("model", "text", "pictures", "sentence"),
    [
        (
            replace(SD15, max_steps=30),
            "x --steps 40",
            0,
            "`--steps 40`: the value must be a whole number from 1 to 30",
        ),
        (replace(SD15, image_to_image=False), "x", 1, "The model `sd15` cannot start from a picture"),
        (replace(SD15, negative_prompt=False), "x --no fog", 0, "The model `sd15` cannot honour `--no`"),
        (replace(SD15, stop=False), "x --stop 50", 0, "The model `sd15` cannot honour `--stop`"),
    ],
)
def test_what_a_model_cannot_do(model: ModelInfo, text: str, pictures: int, sentence: str) -> None:
    with pytest.raises(PromptError) as told:
        specs.check(parse(text), model, SETTINGS, pictures=bool(pictures))
    assert sentence in str(told.value)


def test_an_unknown_model_is_answered_with_those_there_are() -> None:
    with pytest.raises(
        PromptError, match=r"`--model` `flux`: there is no such model here; choose one of sd15"
    ):
        specs.model_of(parse("x --model flux"), {"sd15": SD15}, "sd15")


def settings_of(tmp_path: Path, **keys: str) -> Settings:
    """A server with the model sd15 and more of its keys."""
    path = tmp_path / "config.toml"
    own = "\n".join(f"{key} = {value}" for key, value in keys.items())
    path.write_text(f'[models.sd15]\npath = "{tmp_path}"\n{own}\n', encoding="utf-8")
    return load(path, {})


MODELS = {"sketch": SKETCH, "sd15": SD15}


def read(text: str, settings: Settings = SETTINGS, models: dict[str, ModelInfo] = MODELS) -> Prompt:
    (prompt,) = specs.read(text, settings, models)
    return prompt


@pytest.mark.parametrize(
    ("flags", "scale"),
    [
        ("--weird 3000", 3.6),
        ("--weird 1500 --chaos 50", 3.6),
        ("--exp 100", 10.5),
        ("--cfg 3 --stylize 1000 --chaos 50", 3.0),
        ("--style expressive", 8.625),
    ],
)
def test_more_flags_that_steer_the_guidance(flags: str, scale: float) -> None:
    assert specs.guidance_of(parse(f"x {flags}"), SD15, SETTINGS) == pytest.approx(scale)


def test_a_draft_takes_half_the_steps_unless_they_are_given() -> None:
    assert specs.steps_of(parse("x --draft"), SD15, SETTINGS) == 10
    assert specs.steps_of(parse("x --draft --steps 30"), SD15, SETTINGS) == 30


def test_an_exact_size_goes_before_the_shape() -> None:
    assert specs.size_of(parse("x --size 500x760 --ar 1:1"), SD15) == (496, 760)


def test_sampler_lane_and_loras_reach_the_spec() -> None:
    inked = replace(SD15, loras=("ink",), samplers=("ddim", "euler a"))
    spec = specs.build(job("a cat <lora:ink:0.8> --sampler Euler A --turbo"), inked, SETTINGS, lane="turbo")
    assert (spec.prompt, spec.sampler, spec.lane) == ("a cat", "euler a", "turbo")
    assert spec.loras == (("ink", 0.8),)


def test_parts_and_weights_as_the_model_takes_them() -> None:
    weighing = replace(SD15, prompt_weights=True)
    text = "a (red:1.2) cat::2 dog::1 fog::-0.5 --no rain"
    assert specs.wording(parse(text), weighing, SETTINGS) == specs.Wording(
        "a (red:1.2) cat :0.6667 AND dog :0.3333", "rain, fog", ()
    )
    deaf = replace(SD15, prompt_weights=False)
    assert specs.wording(parse(text), deaf, SETTINGS) == specs.Wording("a red cat, dog", "rain, fog", ())


def test_braces_that_were_escaped_are_braces_to_the_model() -> None:
    assert specs.wording(parse(r"a \{b, c\}"), SD15, SETTINGS).text == "a {b, c}"


def test_a_style_frames_every_part(tmp_path: Path) -> None:
    weighing = replace(SD15, prompt_weights=True, loras=("pencil",))
    settings = load(None, {})
    said = specs.wording(parse("cat::1 dog::1 --style watercolor"), weighing, settings)
    assert said.text == (
        "cat, watercolor painting on paper, soft washes :0.5 AND "
        "dog, watercolor painting on paper, soft washes :0.5"
    )
    assert said.negative == "photo"


def test_a_servers_own_style_with_loras_weighed_by_stylize(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        "[styles.book]\nprefix = 'a page'\nmodel = 'sd15'\nloras = { pencil = 0.5, other = 1.0 }\n"
    )
    settings = load(path, {})
    penciled = replace(SD15, loras=("pencil",))
    models = {"sketch": SKETCH, "sd15": penciled}
    prompt = read("cat --style book --stylize 1000", settings, models)
    assert specs.model_of(prompt, models, "sketch", settings) is penciled
    assert specs.wording(prompt, penciled, settings).loras == (("pencil", 0.75),)
    assert specs.wording(prompt.with_values(stylize=0), penciled, settings).loras == (("pencil", 0.0),)
    assert (
        specs.model_of(read("cat --style book --v sketch", settings, models), models, "sd15", settings)
        == SKETCH
    )


def test_niji_is_a_model_of_that_name_or_the_anime_style(tmp_path: Path) -> None:
    named = settings_of(tmp_path, aliases='["niji", "6.1"]')
    assert specs.model_of(read("cat --niji 6", named), MODELS, "sketch", named) == SD15
    assert specs.wording(read("cat --niji 6", named), SD15, named).text == "cat"
    assert read("cat --v 6.1", named).get("model") == "sd15"
    assert specs.model_of(read("cat --niji"), MODELS, "sketch", SETTINGS) == SKETCH
    assert specs.wording(read("cat --niji"), SKETCH, SETTINGS).text.startswith("cat, anime style")


def test_novelais_braces_weigh_on_its_models_alone(tmp_path: Path) -> None:
    anime = settings_of(tmp_path, syntax='"novelai"')
    weighing = {"sketch": SKETCH, "sd15": replace(SD15, prompt_weights=True)}
    prompt = read("{red, blue} cat --v sd15 --no {fog}", anime, weighing)
    assert specs.wording(prompt, weighing["sd15"], anime) == specs.Wording(
        "(red, blue:1.05) cat", "(fog:1.05)", ()
    )
    assert len(specs.read("{red, blue} cat", anime, weighing)) == 2


def test_what_a_model_always_adds_and_what_raw_leaves_out(tmp_path: Path) -> None:
    own = settings_of(
        tmp_path,
        prefix='"best"',
        suffix='"sharp"',
        negative_prompt='"text"',
        presets='{ default = "lowres", heavy = "bad hands" }',
    )
    said = {
        flags: (
            specs.wording(parse(f"cat {flags}"), SD15, own).text,
            specs.wording(parse(f"cat {flags}"), SD15, own).negative,
        )
        for flags in ("", "--raw", "--preset heavy", "--preset none", "--raw --preset heavy")
    }
    assert said == {
        "": ("best, cat, sharp", "lowres, text"),
        "--raw": ("cat", "text"),
        "--preset heavy": ("best, cat, sharp", "bad hands, text"),
        "--preset none": ("best, cat, sharp", "text"),
        "--raw --preset heavy": ("cat", "bad hands, text"),
    }


def test_references_and_their_weights() -> None:
    prompt = parse("cat --sref http://x.org/a::3 http://x.org/b --sw 1000 --oref http://x.org/c --ow 50")
    assert specs.reference_links(prompt) == (
        ("sref", "http://x.org/a"),
        ("sref", "http://x.org/b"),
        ("oref", "http://x.org/c"),
    )
    found = specs.references_of(prompt, [b"1", b"2", b"3"])
    assert [(one.data, one.kind.value, one.weight) for one in found] == [
        (b"1", "style", 1.8),
        (b"2", "style", 0.6),
        (b"3", "character", 0.3),
    ]


def test_uploads_are_named_as_the_files_they_became() -> None:
    prompt = parse("cat --sref attachment:1::2", attached=("attachment:0",), lent=("attachment:1",))
    kept = specs.with_kept(
        prompt, {"attachment:0": "input:inputs/a.png", "attachment:1": "input:inputs/b.png"}
    )
    assert kept == Prompt("cat", ("library:a.png",), {"sref": ("library:b.png::2",)})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("--sampler heun", "The model `sketch` has no sampler `heun`; choose one of "),
        ("<lora:ink>", "The model `sketch` has no LoRA `ink`, nor any other here; leave it out."),
        ("--size 4096x64", "`--size 4096x64`: the model `sketch` paints from "),
        ("--preset heavy", "`--preset` `heavy`: the model `sketch` has no such preset; choose one of none."),
        (
            "--cref http://x.org/a",
            "The model `sketch` has no adapter for character references; leave `--cref` out",
        ),
        ("--style oil-paint", "`--style` `oil-paint`: there is no such style here; choose one of anime, "),
    ],
)
def test_faults_of_the_model_come_in_the_parsers_answer(text: str, sentence: str) -> None:
    with pytest.raises(PromptError) as caught:
        specs.read(f"cat {text} --seed x", SETTINGS, MODELS)
    assert caught.value.faults[0].startswith("`--seed x`") or caught.value.faults[1].startswith("`--seed x`")
    assert any(fault.startswith(sentence) for fault in caught.value.faults)


def test_a_lora_that_is_there_and_does_not_fit_says_why() -> None:
    unfit = {"ink": say("{file} is not a whole safetensors file; copy it again", file="ink.safetensors")}
    models = {"sketch": replace(MODELS["sketch"], unfit_loras=unfit)}
    with pytest.raises(PromptError) as caught:
        specs.read("cat <lora:ink>", SETTINGS, models)
    (fault,) = caught.value.faults
    assert fault == (
        "LoRA 'ink' does not fit `sketch`: ink.safetensors is not a whole safetensors file; copy it again."
    )
    assert translated(fault, "zh-CN") == (
        "LoRA 'ink' 不适合 `sketch`：ink.safetensors 不是完整的 safetensors 文件；请重新复制。"
    )


def test_the_limit_of_the_typed_text_is_the_servers() -> None:
    short = load(None, {"TESSERA_LIMITS__MAX_PROMPT": "10"})
    with pytest.raises(PromptError, match="has 11 characters; at most 10 are taken"):
        specs.read("a cat aaaaa", short, MODELS)


def test_nudity_is_checked_where_the_channel_does_not_allow_it() -> None:
    strict = load_safety(nudity="refused", nudity_channels=[5])
    for settings, channel, expected in ((Settings(), 1, ()), (strict, 1, ("nudity",)), (strict, 5, ())):
        assert specs.checks_of(Place(1, channel), settings) == expected


def load_safety(**keys: object) -> Settings:
    return Settings.model_validate({"safety": keys})
