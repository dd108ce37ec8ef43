"""What people write with brackets, resolved as stable-diffusion-webui does; nothing is ever an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.prompting import DEEPEST, Chunk, Fragment, chunked, compositions, timeline, weighed


def flat(text: str) -> list[tuple[str, float]]:
    """Fragments of a text without BREAK, weights rounded."""
    (stretch,) = weighed(text)
    return [(part.text, round(part.weight, 4)) for part in stretch]


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("a red apple", [("a red apple", 1)]),
        ("", []),
        ("(a) b", [("a", 1.1), (" b", 1)]),
        ("[a] b", [("a", round(1 / 1.1, 4)), (" b", 1)]),
        ("((a))", [("a", 1.21)]),
        ("([a])", [("a", 1)]),
        ("(a:1.5)", [("a", 1.5)]),
        ("(a:.5)", [("a", 0.5)]),
        ("(a:-1)", [("a", -1)]),
        ("(a : 1.5 )", [("a ", 1.5)]),
        ("(a (b:2) c:0.5)", [("a ", 0.5), ("b", 1), (" c", 0.5)]),
        ("(ratio 16:9 of (b))", [("ratio 16:9 of ", 1.1), ("b", 1.21)]),
        ("(a:b)", [("a:b", 1.1)]),
        ("(a:)", [("a:", 1.1)]),
        ("(a:1.2.3)", [("a:1.2.3", 1.1)]),
        (r"\(a\) \[b\] \\", [(r"(a) [b] \ ".strip(), 1)]),
        (r"(a\):1.5)", [("a)", 1.5)]),
        ("time 12:30 | noon", [("time 12:30 | noon", 1)]),
        ("a) b]", [("a) b]", 1)]),
        ("(a", [("(a", 1)]),
        ("[a", [("[a", 1)]),
        ("(a [b)", [("(a [b)", 1)]),
        ("(a ]b)", [("a ]b", 1.1)]),
        ("smile :) (x)", [("smile :) ", 1), ("x", 1.1)]),
        ("()", []),
    ],
)
def test_weights(text: str, fragments: list[tuple[str, float]]) -> None:
    assert flat(text) == fragments


def test_break_starts_a_stretch_at_any_depth() -> None:
    assert weighed("a BREAK (b BREAK c:2) BREAKER") == (
        (Fragment("a", 1),),
        (Fragment("b", 2),),
        (Fragment("c", 2), Fragment(" BREAKER", 1)),
    )


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("[cat:dog:0.5] x", ["cat x", "cat x", "dog x", "dog x"]),
        ("[cat:dog:1]", ["cat", "dog", "dog", "dog"]),
        ("[cat:dog:1.0]", ["cat"] * 4),
        ("[cat:0.25]", ["", "cat", "cat", "cat"]),
        ("[cat::3]", ["cat", "cat", "cat", ""]),
        ("[cat:dog:0]", ["dog"] * 4),
        ("[a|b|]", ["a", "b", "", "a"]),
        ("[a:b|c:d]", ["a:b", "c:d", "a:b", "c:d"]),
        ("([cat:dog:0.5]:1.3)", ["(cat:1.3)", "(cat:1.3)", "(dog:1.3)", "(dog:1.3)"]),
        ("[(a:1.2):[b:c:0.75]:0.5]", ["(a:1.2)", "(a:1.2)", "b", "c"]),
        ("[a:b:c:0.5]", ["[a:b:c:0.5]"] * 4),
        ("[plain]", ["[plain]"] * 4),
    ],
)
def test_edits_and_turns(text: str, seen: list[str]) -> None:
    assert list(timeline(text, 4)) == seen


def test_an_edit_counts_steps_where_a_step_calls_the_model_twice() -> None:
    assert timeline("[a:b:2]", 4, 7) == ("a",) * 3 + ("b",) * 4


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a cat at 12:30", [("a cat at 12:30", 1)]),
        ("a AND b", [("a", 1), ("b", 1)]),
        ("a :0.7 AND b:-.5 AND c : 2", [("a", 0.7), ("b", -0.5), ("c", 2)]),
        ("SAND ANDROID and", [("SAND ANDROID and", 1)]),
        ("AND", [("", 1), ("", 1)]),
        ("a :" + "9" * 400 + " AND b", [("a :" + "9" * 400, 1), ("b", 1)]),
    ],
)
def test_compositions(text: str, parts: list[tuple[str, float]]) -> None:
    assert [(part.text, part.weight) for part in compositions(text)] == parts


def letters(text: str) -> list[int]:
    return [ord(letter) for letter in text.replace(" ", "")]


def chunks(text: str, size: int, comma: int | None = ord(",")) -> list[str]:
    return ["".join(map(chr, chunk.tokens)) for chunk in chunked(weighed(text), letters, size, comma)]


@pytest.mark.parametrize(
    ("text", "size", "pieces"),
    [
        ("", 4, [""]),
        ("abcd", 4, ["abcd"]),
        ("abcde", 4, ["abcd", "e"]),
        ("a BREAK b", 4, ["a", "b"]),
        ("abcd BREAK", 4, ["abcd", ""]),
        ("ab,cde", 4, ["ab,", "cde"]),
        ("a," + "b" * 30, 24, ["a," + "b" * 22, "b" * 8]),
    ],
)
def test_chunks(text: str, size: int, pieces: list[str]) -> None:
    assert chunks(text, size) == pieces


def test_every_token_keeps_its_weight() -> None:
    assert chunked(weighed("a(b:2)c"), letters, 2) == (
        Chunk((ord("a"), ord("b")), (1, 2)),
        Chunk((ord("c"),), (1,)),
    )


@given(st.text(alphabet="ab :|()[]\\.5BREAKND ", max_size=60))
def test_nothing_is_an_error_and_plain_letters_stay(text: str) -> None:
    for part in compositions(text):
        for moment in timeline(part.text, 5):
            assert all(fragment.text for stretch in weighed(moment) for fragment in stretch)


@pytest.mark.parametrize(
    "text", ["(" * 6000, "(" * 3000 + ")" * 3000, "[" * 3000 + "a:b:0.5]" * 400, "[:" * 3000]
)
def test_hostile_depth(text: str) -> None:
    assert len(timeline(text, 150)) == 150
    assert weighed(text)
    assert max((part.weight for part in weighed(text)[0]), default=1) <= 1.1**DEEPEST + 1
