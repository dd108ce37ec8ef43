"""The prompt language: every fault by its sentence, and rendering as the inverse of parsing."""

from __future__ import annotations

import contextlib
import copy
import pickle
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain import weights
from bot.domain.flags import BY_NAME, BY_SPELLING, FLAGS, Flag, FlagValue, Kind, read_value, write_value
from bot.domain.prompt import (
    MAX_IMAGES,
    MAX_LENGTH,
    Prompt,
    dumps,
    loads,
    nearest,
    option_fault,
    out_of_range,
    parse,
    parse_all,
    render,
    suffix_faults,
    unknown_model,
)
from bot.domain.sentence import Sentence
from bot.errors import PromptError

EMPTY = "The prompt is empty; say what to paint, for example `a red apple --ar 3:2`."


def faults(text: str) -> tuple[str, ...]:
    with pytest.raises(PromptError) as caught:
        parse(text)
    return caught.value.faults


@pytest.mark.parametrize(
    ("typed", "text", "values"),
    [
        ("a red apple", "a red apple", {}),
        ("  a \n red\tapple ", "a red apple", {}),
        ("一只猫\u3000蓝色背景", "一只猫 蓝色背景", {}),
        ("cat --ar 3:2 --seed 7", "cat", {"ar": (3, 2), "seed": 7}),
        ("--ar 3:2 cat", "cat", {"ar": (3, 2)}),
        ("a cat --seed 7 on a mat", "a cat on a mat", {"seed": 7}),
        ("cat --ar 1920:1080", "cat", {"ar": (16, 9)}),
        ("cat --ar 3x2", "cat", {"ar": (3, 2)}),
        ("cat --ar 3/2", "cat", {"ar": (3, 2)}),
        ("cat --ar=3:2", "cat", {"ar": (3, 2)}),
        ("cat —ar 3:2", "cat", {"ar": (3, 2)}),
        ("cat ——ar 3:2", "cat", {"ar": (3, 2)}),
        ("cat –ar 3:2", "cat", {"ar": (3, 2)}),
        ("猫 －－ａｒ ３：２", "猫", {"ar": (3, 2)}),
        ("猫，--ar 3：2", "猫，", {"ar": (3, 2)}),
        ("红苹果--tile", "红苹果", {"tile": True}),
        ("cat --ar 3:2, --seed 7.", "cat", {"ar": (3, 2), "seed": 7}),
        ("cat --no fog, two  people", "cat", {"no": ("fog", "two people")}),
        ("cat --no 雾，人、狗 --tile", "cat", {"no": ("雾", "人", "狗"), "tile": True}),
        ("cat --no fog --no fog, rain", "cat", {"no": ("fog", "rain")}),
        ("cat --seed 7 --seed 8", "cat", {"seed": 8}),
        ("cat --fast --relax", "cat", {"speed": "relax"}),
        (
            "cat --c 5 --s 10 --q .5 --v sd1.5",
            "cat",
            {"chaos": 5, "stylize": 10, "quality": 0.5, "model": "sd1.5"},
        ),
        ("cat --iw 1.25 --n 9 --steps 150 --stop 10", "cat", {"iw": 1.25, "n": 9, "steps": 150, "stop": 10}),
        (
            "cat --seed 4294967295 --quality 2 --chaos 0",
            "cat",
            {"seed": 2**32 - 1, "quality": 2.0, "chaos": 0},
        ),
    ],
)
def test_what_people_type(typed: str, text: str, values: dict[str, FlagValue]) -> None:
    assert parse(typed) == Prompt(text, (), values)


@pytest.mark.parametrize(
    "text",
    [
        "well--known rock--n--roll",
        "a -- b",
        "yes--no 7",
        "cat--ar or cat--n dogs",
        "a --- b",
        "up — and down",
        "minus --5 degrees",
        "arrow --> here",
        "一只猫——在雨中",
        "苹果 ——红色",
        "-ar 3:2",
        "a `b` **c** @everyone <@1> ||d||",
        "👩‍👩‍👧 \u202eright to left\u202c",
        "e\u0301 Ａ １ ½ \ufffe \ue000 \U0010fffd",
        "library:0123 attachment:0",
    ],
)
def test_text_that_only_looks_like_more_is_kept(text: str) -> None:
    assert parse(text) == Prompt(text)
    assert parse(render(parse(text))) == parse(text)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", EMPTY),
        (" \n\t ", EMPTY),
        ("\u200b\u200d", EMPTY),
        ("--tile", EMPTY),
        ("cat --AR 3:2", "`--AR`: flags are written in lowercase; write `--ar`."),
        ("cat --sedd 4", "`--sedd`: there is no such flag; did you mean `--seed`?"),
        ("cat --seed", "`--seed`: a value is missing; it must be a whole number from 0 to 4294967295."),
        (
            "cat --seed --tile",
            "`--seed`: a value is missing; it must be a whole number from 0 to 4294967295.",
        ),
        ("cat --seed=", "`--seed`: a value is missing; it must be a whole number from 0 to 4294967295."),
        ("cat --seed -1", "`--seed -1`: the value must be a whole number from 0 to 4294967295."),
        ("cat --seed 1.5", "`--seed 1.5`: the value must be a whole number from 0 to 4294967295."),
        (
            "cat --seed 4294967296",
            "`--seed 4294967296`: the value must be a whole number from 0 to 4294967295.",
        ),
        ("cat --seed dog", "`--seed dog`: the value must be a whole number from 0 to 4294967295."),
        ("cat --chaos 101", "`--chaos 101`: the value must be a whole number from 0 to 100."),
        ("cat --c 101", "`--c 101`: the value must be a whole number from 0 to 100."),
        ("cat --stylize 1001", "`--stylize 1001`: the value must be a whole number from 0 to 1000."),
        ("cat --quality 3", "`--quality 3`: the value must be one of 0.25, 0.5, 1, 2, 4."),
        ("cat --steps 0", "`--steps 0`: the value must be a whole number from 1 to 150."),
        ("cat --stop 9", "`--stop 9`: the value must be a whole number from 10 to 100."),
        ("cat --iw 3.01", "`--iw 3.01`: the value must be a number from 0 to 3."),
        ("cat --iw nan", "`--iw nan`: the value must be a number from 0 to 3."),
        ("cat --n 10", "`--n 10`: the value must be a whole number from 1 to 9."),
        ("cat --ar 3", "`--ar 3`: the value must be two whole numbers like `3:2`, from 1:4 to 4:1."),
        ("cat --ar 0:2", "`--ar 0:2`: the value must be two whole numbers like `3:2`, from 1:4 to 4:1."),
        ("cat --ar 9:2", "`--ar 9:2`: the value must be two whole numbers like `3:2`, from 1:4 to 4:1."),
        ("cat --model ../x", "`--model ../x`: the value must be a model's name, like `sketch`."),
        (
            "cat --no=--tile",
            "`--no --tile`: the value must be a list of words with commas, like `fog, people`.",
        ),
        ("cat --no a,—b", "`--no a,—b`: the value must be a list of words with commas, like `fog, people`."),
        ("cat --no , ,", "`--no , ,`: the value must be a list of words with commas, like `fog, people`."),
        ("cat--ar 3:2", "`cat--ar`: put a space before `--ar`."),
        ("a cat--c 5 --tile", "`cat--c`: put a space before `--c`."),
        ("cat--n --tile 4", "`cat--n`: put a space before `--n`."),
        ("cat --tile=yes", "`--tile=yes`: `--tile` takes no value; write it alone."),
        (
            "cat https://x.org/a.png",
            "`https://x.org/a.png`: image links go before the text; move it to the front.",
        ),
        ("file:///etc/passwd cat", "`file:///etc/passwd`: only http and https links to pictures are taken."),
        ("https:// cat", "`https://` is not a complete link; copy it again from the picture."),
        ("http://[::1 cat", "`http://[::1` is not a complete link; copy it again from the picture."),
        ("ca\0t", "Character 3 of the prompt (U+0000) is a control code, not text; please leave it out."),
        ("cat\ud83d", "Character 4 of the prompt (U+D83D) is a control code, not text; please leave it out."),
        ("x" * 6012, "The prompt has 6,012 characters; at most 6,000 are taken. Please shorten it."),
        ("cat --seed `1`", "`--seed ʻ1ʻ`: the value must be a whole number from 0 to 4294967295."),
    ],
)
def test_each_fault_has_its_sentence(typed: str, sentence: str) -> None:
    assert faults(typed) == (sentence,)


def test_an_unknown_flag_like_no_other_lists_what_there_is() -> None:
    (fault,) = faults("cat --xyzzy")
    assert fault.startswith("`--xyzzy`: there is no such flag. Flags are --ar, --seed, ")
    assert fault.endswith(", --fast, --relax, --turbo.")


def test_a_thousand_faults_are_all_named_and_few_are_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guessing takes half a millisecond a word, and the event loop waits for it."""
    asked: list[str] = []
    monkeypatch.setattr("bot.domain.reading.nearest", lambda word, known: asked.append(word))
    found = faults(" ".join(f"--x{number}" for number in range(700)))
    assert len(found) == 701 and len(asked) == 10
    assert found[-2] == "`--x699`: there is no such flag."


def test_all_faults_come_at_once_and_the_prompt_with_them() -> None:
    typed = "http://[ cat --seed x --chaos 200 --AR 3:2 --stop"
    with pytest.raises(PromptError) as caught:
        parse(typed)
    assert len(caught.value.faults) == 5
    assert caught.value.prompt == typed
    assert str(caught.value) == "\n".join(caught.value.faults)


def test_an_empty_prompt_is_told_beside_its_flags_faults() -> None:
    assert faults("--chaos 200") == (
        "`--chaos 200`: the value must be a whole number from 0 to 100.",
        EMPTY,
    )


def test_the_repeated_prompt_can_be_written_anywhere() -> None:
    with pytest.raises(PromptError) as caught:
        parse("a\ud800\0b")
    assert caught.value.prompt == "a\ufffd\ufffdb"


def test_thousands_of_digits_are_out_of_range_not_a_crash() -> None:
    (fault,) = faults("cat --seed " + "9" * 5000)
    assert fault.endswith("…`: the value must be a whole number from 0 to 4294967295.")
    assert len(fault) < 140


def test_links_come_first_wrapped_or_with_a_query() -> None:
    cdn = "https://cdn.discordapp.com/attachments/1/2/a.png?ex=6&is=5&hm=ab--tile"
    prompt = parse(f"<{cdn}> http://x.org/b.jpg a cat --iw 2")
    assert prompt == Prompt("a cat", (cdn, "http://x.org/b.jpg"), {"iw": 2.0})


def test_pictures_that_came_beside_the_text_stand_first_and_suffice() -> None:
    assert parse("", attached=("attachment:0",)) == Prompt("", ("attachment:0",))
    prompt = parse("http://x.org/b.jpg cat", attached=("attachment:0",))
    assert prompt.images == ("attachment:0", "http://x.org/b.jpg")
    assert parse(render(prompt), attached=("attachment:0",)) == prompt


def test_a_link_alone_suffices() -> None:
    assert parse("https://x.org/a.png").images == ("https://x.org/a.png",)


def test_more_links_than_are_fetched_are_refused() -> None:
    links = " ".join(f"http://x.org/{number}.png" for number in range(12))
    assert faults(links + " cat") == (f"12 image prompts were given; at most {MAX_IMAGES} are taken.",)


def test_a_server_may_allow_less() -> None:
    with pytest.raises(PromptError) as caught:
        parse("cat --n 5 --steps 40 --iw 3", highs={"n": 4, "steps": 30, "iw": 2.5})
    assert caught.value.faults == (
        "`--n 5`: the value must be a whole number from 1 to 4.",
        "`--steps 40`: the value must be a whole number from 1 to 30.",
        "`--iw 3`: the value must be a number from 0 to 2.5.",
    )
    with pytest.raises(PromptError, match="has 5 characters; at most 4 are"):
        parse("a cat", max_length=4)


def test_sentences_for_what_only_the_model_knows() -> None:
    assert out_of_range("steps", 80, 50) == "`--steps 80`: the value must be a whole number from 1 to 50."
    assert unknown_model("6", ("sketch", "sd15")) == (
        "`--model` `6`: there is no such model here; choose one of sketch, sd15."
    )
    assert nearest("Skech", ("sketch", "sd15")) == "sketch"


def test_a_model_that_is_not_here_is_told_beside_all_other_faults() -> None:
    with pytest.raises(PromptError) as caught:
        parse("cat --v 6 --seed x", models=("sketch", "sd15"))
    assert caught.value.faults[0] == ("`--v` `6`: there is no such model here; choose one of sketch, sd15.")
    assert len(caught.value.faults) == 2
    assert parse("cat --v sd15", models=("sketch", "sd15")).get("model") == "sd15"


def test_what_is_not_given_has_its_default() -> None:
    prompt = parse("cat")
    assert [prompt.get(flag.name) for flag in FLAGS] == [flag.default for flag in FLAGS]
    with pytest.raises(KeyError):
        prompt.get("wings")


def test_a_changed_copy() -> None:
    prompt = parse("cat --seed 7 --tile")
    assert prompt.with_values(seed=8, tile=None) == parse("cat --seed 8")
    assert prompt.get("seed") == 7
    with pytest.raises(ValueError, match="no such flag: wings"):
        prompt.with_values(wings=2)


def test_prompts_are_values() -> None:
    prompt = parse("cat --seed 7 --no a, b")
    twin = parse("--no a,b --seed 7 cat")
    assert prompt == twin and hash(prompt) == hash(twin)
    assert pickle.loads(pickle.dumps(prompt)) == prompt == copy.deepcopy(prompt)
    with pytest.raises(TypeError):
        prompt.values["seed"] = 8  # type: ignore[index]


def test_json_drops_flags_the_table_has_lost() -> None:
    assert loads('{"text": "cat", "images": [], "values": {"seed": 7, "wings": 2}}') == parse("cat --seed 7")


def test_every_row_of_the_table_is_sound() -> None:
    assert len(BY_SPELLING) == sum(len(flag.spellings) for flag in FLAGS)
    for flag in FLAGS:
        assert flag.help.endswith(".")
        assert bool(flag.example) == (flag.kind not in (Kind.SWITCH, Kind.MODE))
        if flag.example:
            assert read_value(flag, flag.example) is not None


def test_switches_have_no_value_to_read() -> None:
    with pytest.raises(ValueError, match="--tile takes no value"):
        read_value(BY_NAME["tile"], "yes")


PIECES = st.sampled_from(
    [f"--{spelling}" for spelling in BY_SPELLING]
    + [
        "--",
        "a--ar",
        "a--n",
        "4",
        "—",
        "——ar",
        "–no",
        "－－ar",
        "--AR",
        "--x",
        "a::2",
        "b::-.5",
        "：：３",
        "(a",
        "b:1.2)",
        "{a,",
        "b}",
        "\\{",
        "Negative prompt:",
        "Steps: 5, Seed: 3,",
        "Sampler: Euler a",
        "random",
        "::2",
        '"euler',
        "6",
        "=",
        "3:2",
        "７",
        ",",
        "，",
        "猫",
        "cat",
        "http://x.org/a",
    ]
    + [
        "<https://x.org/b?c=--tile>",
        "attachment:0",
        "`",
        "\\",
        "-",
        "\u200b",
        "0.5",
        "-1",
        "1e9",
        "library:1",
    ]
)
WORD = st.one_of(PIECES, st.text(max_size=8), st.lists(PIECES, min_size=2, max_size=3).map("".join))
NASTY = st.one_of(st.text(), st.lists(WORD, max_size=12).map(" ".join))


@settings(max_examples=400, deadline=None)
@given(NASTY, st.sampled_from([(), ("attachment:0",)]))
def test_rendering_is_the_inverse_of_parsing(typed: str, attached: tuple[str, ...]) -> None:
    try:
        prompt = parse(typed, attached=attached)
    except PromptError as error:
        assert error.faults and all(fault.encode() for fault in error.faults)
        error.prompt.encode()
        return
    again = parse(render(prompt), attached=attached, max_length=2 * MAX_LENGTH)
    assert again == prompt
    assert render(again) == render(prompt)
    assert loads(dumps(prompt)) == prompt
    hash(prompt)


NAMES = st.from_regex(r"[A-Za-z0-9][a-z0-9._+-]{0,20}[a-z0-9]", fullmatch=True)
LINKS = ("https://x.org/a.png", "http://x.org/b?c=--tile::2", "https://x.org/c::0.5")
VALUES: dict[Kind, st.SearchStrategy[FlagValue]] = {
    Kind.RATIO: st.sampled_from([(1, 1), (3, 2), (9, 16), (4, 1), (1, 4), (1999, 1000)]),
    Kind.SIZE: st.tuples(st.integers(16, 16384), st.integers(16, 16384)),
    Kind.WORDS: st.lists(st.sampled_from(["fog", "(a, b:1.2)", "雾"]), min_size=1, unique=True).map(tuple),
    Kind.LINKS: st.lists(st.sampled_from(LINKS), min_size=1, unique=True).map(tuple),
    Kind.NAME: NAMES.filter(lambda name: name.lower() != "raw"),
    Kind.PHRASE: st.sampled_from(["euler", "euler a", "dpm++ 2m sde karras"]),
    Kind.SWITCH: st.just(True),
}


def _values(flag: Flag) -> st.SearchStrategy[FlagValue]:
    if flag.choices:
        return st.sampled_from(flag.choices)
    if flag.kind is Kind.INTEGER:
        return st.integers(int(flag.low), int(flag.high))
    if flag.kind is Kind.NUMBER:
        return st.decimals(flag.low, flag.high, places=3).map(float)
    return VALUES[flag.kind]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_every_value_of_every_flag_survives(data: st.DataObject) -> None:
    flags = data.draw(st.lists(st.sampled_from(FLAGS), unique=True))
    prompt = Prompt("a cat", (), {flag.name: data.draw(_values(flag)) for flag in flags})
    assert parse(render(prompt)) == prompt


@given(
    st.sampled_from([flag for flag in FLAGS if flag.kind is Kind.RATIO]),
    st.integers(1, 99999),
    st.integers(1, 99999),
)
def test_ratios_are_reduced_and_bounded(flag: Flag, width: int, height: int) -> None:
    value = read_value(flag, f"{width}:{height}")
    if flag.low <= width / height <= flag.high:
        assert isinstance(value, tuple) and read_value(flag, write_value(flag, value)) == value
    else:
        assert value is None


def test_every_block_of_unicode_is_painted_or_refused_with_a_sentence() -> None:
    for start in range(0, 0x110000, 0x80):
        text = "".join(chr(point) for point in range(start, min(start + 0x80, 0x110000)))
        try:
            prompt = parse(f"cat {text}")
        except PromptError as error:
            assert error.faults
        else:
            assert parse(render(prompt)) == prompt


@pytest.mark.parametrize(
    ("typed", "text", "values"),
    [
        ("cat --w 500 --draft --raw --exp 20", "cat", {"weird": 500, "exp": 20, "draft": True, "raw": True}),
        ("cat --style raw --p anime", "cat", {"raw": True, "style": "anime"}),
        ("cat --niji", "cat", {"niji": ""}),
        ("cat --niji 6 dogs", "cat dogs", {"niji": "6"}),
        ("cat --niji dogs --tile", "cat dogs", {"niji": "", "tile": True}),
        ("cat --sampler Euler A --tile", "cat", {"sampler": "euler a", "tile": True}),
        ('cat --sampler "Euler_A" dogs', "cat dogs", {"sampler": "euler a"}),
        ("cat --cfg 7.5 --size 512×768", "cat", {"cfg": 7.5, "size": (512, 768)}),
        ("cat --turbo --stealth --r 3", "cat", {"speed": "turbo", "visibility": "stealth", "repeat": 3}),
        ("cat --no (a, b:1.2), fog, (a, c:1.1)", "cat", {"no": ("(a, b:1.2)", "fog", "(a, c:1.1)")}),
        ("cat --no (a --no b)", "cat", {"no": ("(a, b)",)}),
        (
            "cat --sref https://x.org/a.png::2 <https://x.org/b.png> dog --cref http://x.org/c --cw 50",
            "cat dog",
            {
                "sref": ("https://x.org/a.png::2", "https://x.org/b.png"),
                "cref": ("http://x.org/c",),
                "cw": 50,
            },
        ),
        ("猫——ar ３：２——niji ６", "猫", {"ar": (3, 2), "niji": "6"}),
    ],
)
def test_the_rest_of_midjourneys_flags(typed: str, text: str, values: dict[str, FlagValue]) -> None:
    assert parse(typed) == Prompt(text, (), values)
    assert parse(render(parse(typed))) == parse(typed)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("cat --video", "`--video`: Tessera paints still pictures; leave it out."),
        (
            "cat --hd",
            "`--hd` named an old model of Midjourney's; leave it out, or choose a model with `--model`.",
        ),
        ("cat --sv 4", "`--sv` belongs to Midjourney's own models; leave it out."),
        ("cat --sameseed 4", "`--sameseed` is no flag here; write `--seed 7`."),
        (
            "cat --upbeta",
            "`--upbeta`: enlarging has its own buttons under the picture; leave it out.",
        ),
        (
            "cat --sref random",
            "`--sref random`: style codes belong to Midjourney's own models; give a link to a picture, "
            "or one of this server's styles with `--style`.",
        ),
        (
            "cat --cref me",
            "`--cref me`: the value must be http or https links to pictures, "
            "like `https://example.org/character.png`.",
        ),
        ("cat --oref ftp://x.org/a", "`ftp://x.org/a`: only http and https links to pictures are taken."),
        ("cat --weird 3001", "`--weird 3001`: the value must be a whole number from 0 to 3000."),
        ("cat --repeat 1", "`--repeat 1`: the value must be a whole number from 2 to 40."),
        ("cat --niji 9", "`--niji 9`: the value must be one of 4, 5, 6, 7, or nothing."),
        (
            "cat --size 8x512",
            "`--size 8x512`: the value must be width and height in pixels like `512x768`, "
            "each from 16 to 16384.",
        ),
        ("cat --p", "`--p`: a value is missing; it must be a style's name, like `raw`."),
        ("cat --sampler", "`--sampler`: a value is missing; it must be a sampler's name, like `euler a`."),
    ],
)
def test_what_only_midjourney_has_is_told_kindly(typed: str, sentence: str) -> None:
    assert faults(typed) == (sentence,)


def test_styles_and_other_names_of_models_are_known() -> None:
    known = {"models": ("sketch", "Anything"), "styles": ("anime",), "aliases": {"6.1": "sketch"}}
    assert parse("cat --v 6.1 --style Anime", **known).values == {"style": "anime", "model": "sketch"}  # type: ignore[arg-type]
    assert parse("cat --v anything", **known).get("model") == "Anything"  # type: ignore[arg-type]
    with pytest.raises(PromptError) as caught:
        parse("cat --style oil", **known)  # type: ignore[arg-type]
    assert caught.value.faults == ("`--style` `oil`: there is no such style here; choose one of anime.",)


def test_uploads_may_be_references_without_starting_the_picture() -> None:
    prompt = parse("cat --sref attachment:1::2", attached=("attachment:0",), lent=("attachment:1",))
    assert prompt == Prompt("cat", ("attachment:0",), {"sref": ("attachment:1::2",)})
    assert faults("cat --sref attachment:1")[0].startswith("`--sref attachment:1`: the value must be")


def test_more_references_than_are_fetched_are_refused() -> None:
    links = " ".join(f"http://x.org/{number}.png" for number in range(6))
    assert faults(f"cat --sref {links}") == ("`--sref`: 6 pictures were given; at most 5 are taken.",)


def test_options_stand_for_their_text_once_and_never_for_a_flag() -> None:
    options = {"mine": "oil painting --ar 3:2 --mine", "ar": "9"}
    with pytest.raises(PromptError) as caught:
        parse("cat --mine", options=options)
    assert "`--mine`: there is no such flag" in caught.value.faults[0]
    assert parse("cat —mine --ar 1:1", options={"mine": "oil --ar 3:2"}) == parse("cat oil --ar 1:1")


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("mine", None),
        ("my-2", None),
        ("ar", "`--ar` is a flag already; choose another name for your option."),
        ("Mine", "`Mine` cannot be the name of an option; use 1 to 32 lowercase letters, digits and dashes"),
        ("", "`` cannot be the name of an option"),
        ("a b", "`a b` cannot be the name of an option"),
    ],
)
def test_names_of_options(name: str, fault: str | None) -> None:
    told = option_fault(name)
    assert (told is None) if fault is None else (told is not None and told.startswith(fault))


def test_a_suffix_comes_behind_and_fills_in_what_is_not_said() -> None:
    suffix = ", oil painting --ar 3:2 --no fog --seed 7"
    assert parse("cat --ar 1:1 --no rain", suffix=suffix) == Prompt(
        "cat, oil painting", (), {"ar": (1, 1), "seed": 7, "no": ("rain", "fog")}
    )
    assert parse("cat", suffix="  ") == Prompt("cat")


def test_a_broken_suffix_says_where_it_comes_from() -> None:
    with pytest.raises(PromptError) as caught:
        parse("cat", suffix="--seed x")
    assert caught.value.faults == (
        "In your suffix (change it with /prefer suffix): `--seed x`: "
        "the value must be a whole number from 0 to 4294967295.",
    )
    assert suffix_faults("http://x.org/a.png oil") == (
        "`http://x.org/a.png`: image links go before the text; move it to the front.",
    )
    assert suffix_faults("--ar 3:2") == ()


def test_a_review_is_told_in_the_same_answer() -> None:
    seen: list[Prompt] = []

    def review(prompt: Prompt) -> tuple[Sentence, ...]:
        seen.append(prompt)
        return (out_of_range("steps", 80, 50),)

    with pytest.raises(PromptError) as caught:
        parse("cat --steps 80 --seed x", review=review)
    assert len(caught.value.faults) == 2 and seen == [Prompt("cat", (), {"steps": 80})]
    with pytest.raises(PromptError):
        parse("cat --v 6", models=("sketch",), review=review)
    assert len(seen) == 1


def test_sentences_remember_what_they_say() -> None:
    (fault,) = faults("cat --seed x")
    assert isinstance(fault, Sentence) and fault.key == "{typed}: the value must be {allowed}."
    assert fault.fields["typed"] == "`--seed x`"
    assert isinstance(fault.fields["allowed"], Sentence)


@pytest.mark.parametrize(
    "hostile",
    [
        "(",
        "a::",
        "{",
        "--no ",
        "<lora:",
        "--sref http://a ",
        "[a:",
        " ",
        "猫--a",
        "Steps: 1, Seed: ",
        "--p x ",
    ],
)
def test_hostile_text_costs_steps_in_proportion_to_its_length(hostile: str) -> None:
    """Counted in lines of our own code, since clocks lie on a busy machine."""
    short, long = (_lines_run(hostile * (size // len(hostile))) for size in (1500, 6000))
    assert long < 8 * short


def _lines_run(text: str) -> int:
    count = 0

    def trace(frame: object, event: str, arg: object) -> object:
        nonlocal count
        count += 1
        return trace

    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        with contextlib.suppress(PromptError):
            parse_all(text, parse)
        weights.plain(text)
    finally:
        sys.settrace(None)
    return count
