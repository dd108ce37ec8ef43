"""Buttons: what they carry comes back, and nothing foreign is taken for ours."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.custom_id import MAX_LENGTH, CustomId, decode, encode, from_match, template

JOB = "0123456789abcdef0123456789abcdef"
ACTIONS = ("upscale", "variation", "reroll", "cancel", "delete", "up", "upscale_subtle")


@given(st.from_regex(r"[a-z][a-z_]{0,31}", fullmatch=True), st.uuids(), st.none() | st.integers(0, 99))
def test_what_goes_in_comes_out(action: str, job: object, index: int | None) -> None:
    custom_id = CustomId(action, f"{job}".replace("-", ""), index)
    assert decode(encode(custom_id)) == custom_id
    assert len(encode(custom_id)) <= MAX_LENGTH


def test_templates_of_actions_are_disjoint() -> None:
    texts = [encode(CustomId(action, JOB, index)) for action in ACTIONS for index in (None, 0, 12)]
    for action, text in itertools.product(ACTIONS, texts):
        found = template(action).fullmatch(text)
        assert bool(found) == (decode(text).action == action)
        if found:
            assert from_match(found) == decode(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tessera",
        f"tessera:upscale:{JOB[:-1]}",
        f"tessera:upscale:{JOB.upper()}",
        f"tessera:Upscale:{JOB}",
        f"tessera:upscale:{JOB}:100",
        f"tessera:upscale:{JOB}:-1",
        f"tessera:upscale:{JOB}:１",
        f"tessera:upscale:{JOB}:1\n",
        f"other:upscale:{JOB}:1",
        "x" * 100,
    ],
)
def test_foreign_ids_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a button of this bot"):
        decode(text)


@pytest.mark.parametrize(
    "custom_id",
    [
        CustomId("Up", JOB),
        CustomId("", JOB),
        CustomId("up", "x"),
        CustomId("up", JOB, 100),
        CustomId("up", JOB, -1),
    ],
)
def test_what_no_button_can_carry_is_never_sent(custom_id: CustomId) -> None:
    with pytest.raises(ValueError):
        encode(custom_id)


def test_an_action_is_a_plain_word() -> None:
    with pytest.raises(ValueError, match="is no action"):
        template(".*")
