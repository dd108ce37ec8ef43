"""Sets of alternatives become prompts, and never more than an order may hold."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.permutations import MOST, expand
from bot.domain.prompt import Prompt, parse, parse_all, render
from bot.errors import PromptError


@pytest.mark.parametrize(
    ("typed", "prompts"),
    [
        ("a red bird", ["a red bird"]),
        ("a {red, blue} bird", ["a red bird", "a blue bird"]),
        ("{a, b} {c, d}", ["a c", "a d", "b c", "b d"]),
        ("cat --ar {3:2, 1:1}", ["cat --ar 3:2", "cat --ar 1:1"]),
        ("a {red, {dark, light} blue} bird", ["a red bird", "a dark blue bird", "a light blue bird"]),
        (r"{red\, pastel, yellow} bird", ["red, pastel bird", "yellow bird"]),
        (r"a \{red, blue\} bird", [r"a \{red, blue\} bird"]),
        ("a {red} bird", ["a {red} bird"]),
        ("{ {a, b} }", ["{ a }", "{ b }"]),
        ("a {red bird, b", ["a {red bird, b"]),
        ("一只{红，蓝}鸟", ["一只红鸟", "一只蓝鸟"]),
        ("一只｛红，蓝、绿｝鸟", ["一只红鸟", "一只蓝鸟", "一只绿鸟"]),
        ("一只｛红｝鸟", ["一只｛红｝鸟"]),
        ("{, red }bird", ["bird", "redbird"]),
    ],
)
def test_sets_multiply_and_nest(typed: str, prompts: list[str]) -> None:
    assert list(expand(typed)) == prompts


def test_where_braces_weigh_words_sets_stand_behind_flags() -> None:
    assert expand("{red, blue} cat --ar {3:2, 1:1} —c={1, 2}", emphasis=True) == (
        "{red, blue} cat --ar 3:2 —c=1",
        "{red, blue} cat --ar 3:2 —c=2",
        "{red, blue} cat --ar 1:1 —c=1",
        "{red, blue} cat --ar 1:1 —c=2",
    )


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("{a, b}" * 6, "`{a, b}` and `--repeat` ask for 64 jobs; at most 40 may be ordered at once."),
        ("{a,b}" * 1200, "`{a, b}` and `--repeat` ask for more than 40 jobs; ask for 40 or fewer."),
        (
            "{" * 3000 + "a,b" + "}" * 2997,
            "Sets in `{}` may stand inside each other 8 deep; please use fewer.",
        ),
    ],
)
def test_more_than_an_order_may_hold_is_refused_before_it_is_written_out(typed: str, sentence: str) -> None:
    with pytest.raises(PromptError) as caught:
        expand(typed)
    assert caught.value.faults == (sentence,)
    assert caught.value.prompt == typed


def test_all_prompts_of_an_order_with_each_fault_once() -> None:
    assert parse_all("{red, blue} cat --c {1, 2}", parse) == tuple(
        parse(f"{color} cat --c {chaos}") for color in ("red", "blue") for chaos in (1, 2)
    )
    with pytest.raises(PromptError) as caught:
        parse_all("{red, blue} cat --c {1, x} --video", parse)
    assert caught.value.faults == (
        "`--video`: Tessera paints still pictures; leave it out.",
        "`--c x`: the value must be a whole number from 0 to 100.",
    )
    assert caught.value.prompt == "{red, blue} cat --c {1, x} --video"


def test_a_long_order_stops_at_its_first_faulty_prompts() -> None:
    read: list[str] = []

    def one(single: str) -> Prompt:
        read.append(single)
        return parse(single)

    with pytest.raises(PromptError) as caught:
        parse_all("{1, 2, 3, 4, 5} --seed x " + "a" * 1600, one)
    assert len(read) == 2 and len(caught.value.faults) == 1


def test_repeats_go_on_counting_from_a_seed() -> None:
    seeds = [prompt.get("seed") for prompt in parse_all("cat --n 4 --repeat 3 --seed 4294967290", parse)]
    assert seeds == [4294967290, 4294967294, 2]
    assert parse_all("cat --r 2", parse) == (Prompt("cat"), Prompt("cat"))
    with pytest.raises(PromptError, match=r"ask for 80 jobs; at most 40 may be"):
        parse_all("{a, b} cat --repeat 40", parse)


def test_options_may_hold_sets() -> None:
    prompts = parse_all("cat --mine", parse, options={"mine": "{red, blue} --ar 3:2"})
    assert [render(prompt) for prompt in prompts] == ["cat red --ar 3:2", "cat blue --ar 3:2"]


PIECES = st.sampled_from(["{", "}", ",", "，", "\\", "\\{", "a", " ", "--ar ", "3:2", "猫"])


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join)), st.booleans())
def test_any_text_is_expanded_or_refused(text: str, emphasis: bool) -> None:
    try:
        prompts = expand(text, emphasis=emphasis)
    except PromptError as error:
        assert error.faults
    else:
        assert 1 <= len(prompts) <= MOST
        if "{" not in text:
            assert prompts == (text,)
