"""Which words matter, and shorter prompts of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.essence import shorter, words

LONG = (
    "please paint a beautiful masterpiece of a red fox in the snow, highly detailed, 8k, trending on "
    "artstation, morning light, red fox"
)


def weights(text: str) -> dict[str, float]:
    return {word.text: word.weight for word in words(text)}


def test_grammar_weighs_nothing_and_praise_little() -> None:
    found = weights(LONG)
    assert found["please"] == found["a"] == found["of"] == 0
    assert 0 < found["beautiful"] <= 0.2 and 0 < found["8k"] <= 0.2 and 0 < found["masterpiece"] <= 0.2
    assert found["snow"] > 0.5 > found["beautiful"]


def test_what_comes_early_weighs_more_and_a_repeat_nothing() -> None:
    first, second = (word.weight for word in words("fox snow"))
    assert first > second > 0
    assert [word.weight for word in words("fox fox")][1] == 0


def test_five_shorter_prompts_each_shorter_than_the_one_before() -> None:
    found = shorter(LONG)
    assert 3 <= len(found) <= 5
    assert list(found) == sorted(found, key=len, reverse=True)
    assert all("fox" in text and "please" not in text for text in found)
    assert len(found[-1].split()) <= 3


def test_commas_stay_between_what_they_part() -> None:
    assert shorter("a red fox, deep snow, morning light, tall trees")[0].count(",") >= 1


def test_chinese_is_parted_without_spaces() -> None:
    found = words("一只可爱的红色狐狸，雪地，杰作")
    assert [word.text for word in found] == ["一只可爱的", "红色狐狸", "雪地", "杰作"]
    assert found[-1].weight <= 0.2 < found[1].weight
    assert shorter("一只可爱的红色狐狸，雪地，高清，杰作，晨光")[-1] == "一只可爱的"


@pytest.mark.parametrize("text", ["", "fox", "的", "!!!", "a the of"])
def test_what_cannot_be_shortened_is_not(text: str) -> None:
    assert shorter(text) == ()


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    """Words stand where they say, and shorter is shorter."""
    for word in words(text):
        assert text[word.start : word.end] == word.text and 0 <= word.weight <= 1
    assert all(len(found) < len(text) for found in shorter(text))
