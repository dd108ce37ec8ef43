"""What a model is given for weights of every dialect."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain import weights
from bot.domain.prompt import parse
from bot.domain.weights import Part
from bot.errors import PromptError


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a cat", [("a cat", 1)]),
        ("hot:: dog", [("hot", 1), ("dog", 1)]),
        ("hot::2 dog", [("hot", 2), ("dog", 1)]),
        ("a red cat::1.5 fog::-0.5", [("a red cat", 1.5), ("fog", -0.5)]),
        ("a::.5, b::", [("a", 0.5), ("b", 1)]),
        ("a::2dogs", [("a", 1), ("2dogs", 1)]),
        ("猫：：２ 雾::－１", [("猫", 2), ("雾", -1)]),
        ("std::vector", [("std", 1), ("vector", 1)]),
        ("::2 a", [("a", 1)]),
        ("::", []),
    ],
)
def test_a_weight_covers_the_text_before_it(text: str, parts: list[tuple[str, float]]) -> None:
    assert weights.parts(text) == tuple(Part(*part) for part in parts)


@pytest.mark.parametrize(
    ("text", "total"), [("a::1 b::-2", "-1"), ("a::-1", "-1"), ("a::1 b::-1", "0"), ("a::0", "0")]
)
def test_weights_must_add_up_to_something(text: str, total: str) -> None:
    with pytest.raises(PromptError) as caught:
        parse(f"{text} --seed x")
    assert caught.value.faults[1] == (
        f"The weights behind `::` add up to {total}; together they must be more than 0, "
        "for example `cat::2 fog::-1`."
    )


def test_parts_become_a_composition_or_a_list() -> None:
    text = "a dog::1 a hot meal::3 fog::-0.5 rain::-1"
    assert weights.positive(text, weighted=True) == "a dog :0.25 AND a hot meal :0.75"
    assert weights.positive(text, weighted=False) == "a hot meal, a dog"
    assert weights.negative(text, weighted=True) == ("fog", "(rain:2)")
    assert weights.negative(text, weighted=False) == ("fog", "rain")
    framed = weights.positive("a::1 b::1", weighted=True, frame=lambda part: f"oil, {part}")
    assert framed == "oil, a :0.5 AND oil, b :0.5"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a (red:1.2) cat", "a red cat"),
        ("a ((red)) [blue] cat", "a red blue cat"),
        ("[cat:dog:0.5]", "dog"),
        ("[cat::0.5]", "cat"),
        ("a [cat|dog] here", "a cat here"),
        ("a BREAK b AND c", "a, b, c"),
        (r"a \(red\) cat", "a (red) cat"),
        ("a :) smile (", "a :) smile ("),
        ("ratio (3:2) x", "ratio 3 x"),
        ("BRAND new ANDES", "BRAND new ANDES"),
    ],
)
def test_a_model_without_weights_reads_words_alone(text: str, plain: str) -> None:
    assert weights.plain(text) == plain
    assert weights.has_weights(text) == (plain != text)


@pytest.mark.parametrize("text", ["bl(ock)ed", "bl{ock}ed", "b[l]{o}(ck)ed", "bl((ock:1.2))ed"])
def test_no_brackets_hide_a_word(text: str) -> None:
    assert weights.bare(text) == "blocked"


def test_novelai_brackets_become_weights_and_round_ones_text() -> None:
    assert weights.from_novelai("{{a}} [b] (c) {d") == r"((a:1.05):1.05) (b:0.9524) \(c\) {d"


def test_loras_leave_the_text() -> None:
    assert weights.loras("a <lora:ink:0.8> cat <lora:flat> <lora:ink:-0.5>") == (
        "a cat",
        (("ink", -0.5), ("flat", 1.0)),
    )
    assert weights.loras("a <lora:> <lora:a b> <b>") == ("a <lora:> <lora:a b> <b>", ())


NASTY = st.lists(
    st.sampled_from(
        ["(", ")", "[", "]", "{", "}", ":", "::", "1.2", "-", "a", " ", "\\", "AND", "<lora:", ">"]
    ),
    max_size=40,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), NASTY))
def test_nothing_of_it_ever_fails(text: str) -> None:
    weights.plain(weights.from_novelai(text))
    weights.has_weights(text)
    weights.loras(text)
    for weighted in (True, False):
        weights.positive(text, weighted=weighted)
        weights.negative(text, weighted=weighted)
