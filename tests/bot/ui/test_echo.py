"""Promise 16: whatever is typed, our message neither pings, nor links, nor loses its shape."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.domain.job import Action, Job, JobStatus, Place, Requester
from bot.domain.prompt import Prompt
from bot.ui import wording
from bot.ui.echo import CONTENT_LIMIT, escape, prompt_echo, quoted_block, units

USER = 1234567890123456789
HOSTILE = (
    "@everyone",
    "@here look",
    "<@1234567890123456789> hi",
    "<@!1234567890123456789>",
    "<@&1234567890123456789>",
    "<#1234567890123456789>",
    "</imagine:1234567890123456789>",
    "<t:0:R> <id:customize> <:smile:1234567890123456789> <a:x:1234567890123456789>",
    "**bold** __under__ ~~gone~~ ||spoiler|| `code` ```block```",
    "ends with two stars**",
    "ends with a backslash\\",
    "backslashes \\\\ \\* \\",
    "[click me](https://evil.example/x)",
    "see https://evil.example/a_b_c and http://x.example",
    "HTTPS://EVIL.EXAMPLE steam://run/1",
    "<https://evil.example>",
    "discord.gg/abcdef discord.com/invite/abc discordapp.com/invite/abc",
    "# heading\n## heading\n> quote\n- list\n1. list\n-# small",
    "new\nlines\r\nand\ttabs\u2028and\u2029more",
    "\u202eright to left \u2066isolated",
    "\x00\x01\x1b[31mred\x7f",
    "lone \ud800 surrogate",
    "zal\u0334\u0335go \u200b\u200d\ufeff",
    "👨‍👩‍👧‍👦" * 40,
    "* " * 1500,
    "\\" * 3000,
    "@everyone " * 300,
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 " * 500,
)


def job(text: str, action: Action = Action.IMAGINE, **values: object) -> Job:
    prompt = Prompt(text).with_values(**values)  # type: ignore[arg-type]
    return Job(
        "ab" * 16,
        1,
        action,
        Requester(USER),
        Place(1, 2),
        prompt,
        (1, 2, 3, 4),
        JobStatus.QUEUED,
        0.0,
        parent_id="cd" * 16 if action is not Action.IMAGINE else None,
        index=2 if action is not Action.IMAGINE else None,
    )


def unescaped(text: str, pattern: str) -> bool:
    """Whether ``pattern`` occurs where no backslash takes its meaning away."""
    bare = re.sub(r"\\[^0-9A-Za-z\s]", "", text)
    return re.search(pattern, bare) is not None


def assert_harmless(content: str, user: int = USER) -> None:
    """What every message that echoes a prompt must hold; ``content`` ends in the part that we wrote."""
    assert units(content) <= CONTENT_LIMIT
    found = re.fullmatch(r"\*\*(?P<echo>(?:\\.|[^\\*])+)\*\* - (?P<rest>[^*]*)", content, re.DOTALL)
    assert found, content
    echo = found["echo"]
    assert "\n" not in echo
    assert not unescaped(echo, r"[*_~`|<>\[\]#]")
    assert not re.search(r"@(everyone|here|[!&]?\d)", echo, re.IGNORECASE)
    assert not re.search(r"(?<!\\)://", echo)
    assert not re.search(r"discord(app)?\.(gg|com)", echo, re.IGNORECASE)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\ud800-\udfff\x00-\x1f]", echo)
    assert re.findall(r"<@!?\d+>", content) == [f"<@{user}>"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_prompts_are_harmless(text: str) -> None:
    """Each known trick, in every kind of message."""
    assert_harmless(wording.waiting(job(text)))
    assert_harmless(wording.progress(job(text), 31))
    assert_harmless(wording.done(job(text)))
    assert_harmless(wording.done(job(text, Action.UPSCALE)))
    assert_harmless(wording.ended(job(text), "It failed."))


@settings(max_examples=500, deadline=None)
@given(
    st.text(alphabet=st.characters(), min_size=1, max_size=300)
    | st.lists(st.sampled_from(HOSTILE)).map(" ".join)
)
@example("\\")
@example("a**")
@example("@\u202eeveryone")
@example("http:\u200e//evil.example")
@example("discord\u2067.gg/x")
def test_any_prompt_is_harmless(text: str) -> None:
    """Five hundred more, made up from every block of Unicode."""
    assert_harmless(wording.done(job(text)))


@pytest.mark.parametrize(
    ("action", "values", "content"),
    [
        (Action.IMAGINE, {}, f"**a red apple** - <@{USER}> (fast)"),
        (Action.REROLL, {}, f"**a red apple** - <@{USER}> (fast)"),
        (Action.IMAGINE, {"speed": "relax"}, f"**a red apple --relax** - <@{USER}> (relaxed)"),
        (
            Action.IMAGINE,
            {"visibility": "stealth"},
            f"**a red apple --stealth** - <@{USER}> (fast, stealth)",
        ),
        (Action.IMAGINE, {"ar": (3, 2)}, f"**a red apple --ar 3:2** - <@{USER}> (fast)"),
        (Action.UPSCALE, {}, f"**a red apple** - Image #3 <@{USER}>"),
        (Action.VARIATION, {}, f"**a red apple** - Variations (Strong) by <@{USER}> (fast)"),
    ],
)
def test_results_read_as_clients_expect(action: Action, values: dict[str, object], content: str) -> None:
    """The formats of Midjourney's bot, letter by letter."""
    assert wording.done(job("a red apple", action, **values)) == content


def test_waiting_and_progress_read_as_clients_expect() -> None:
    """The two stages before the result."""
    assert wording.waiting(job("a red apple")) == f"**a red apple** - <@{USER}> (Waiting to start)"
    line = wording.wait_line(2, 61.2, 1_000.0)
    assert wording.waiting(job("a red apple"), str(line)) == (
        f"**a red apple** - <@{USER}> (Waiting to start)\n-# 2 jobs before it; ready about <t:1062:R>"
    )
    assert wording.progress(job("a red apple"), 31) == f"**a red apple** - <@{USER}> (31%) (fast)"


def test_a_long_prompt_loses_words_not_flags() -> None:
    """Six thousand characters fit, with what matters most at the end."""
    content = wording.done(job("word " * 1190, ar=(3, 2), seed=7))
    assert units(content) <= CONTENT_LIMIT
    assert "… --ar 3:2 --seed 7** - " in content


def test_uploaded_pictures_are_named_for_what_they_are() -> None:
    """Nobody can do anything with the name of a file in our library."""
    prompt = Prompt("a cat", ("library:" + "ab" * 16, "https://x.example/a.png"))
    assert prompt_echo(prompt, 500) == r"\[picture\] https\://x.example/a.png a cat"


def test_a_cut_never_splits_an_escape() -> None:
    """Else the ellipsis, or our closing stars, would be escaped."""
    for limit in range(2, 40):
        cut = escape("*" * 60, limit)
        assert units(cut) <= limit
        assert re.fullmatch(r"(\\\*)*…", cut)


def test_a_prompt_to_copy_stays_in_its_block() -> None:
    """Backticks would end the block; too long a prompt is for a file."""
    assert quoted_block("a ```\nb", 100) == "```\na ʻʻʻ\nb\n```"
    assert quoted_block("a" * 100, 100) is None
