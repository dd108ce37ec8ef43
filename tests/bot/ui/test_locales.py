"""Every sentence that users read has a Chinese one with the same fields, and is said in it."""

from __future__ import annotations

import ast
import copy
import string
from collections.abc import Iterator
from pathlib import Path

import discord
import pytest

from bot.domain.flags import FLAGS
from bot.domain.sentence import Sentence, dumped, join, loaded, say, sentence_of
from bot.errors import UserError
from bot.services.dispatcher import PictureUnreadable
from bot.ui.locales import TABLES, translated
from engine.api import EngineError, unusable
from engine.fake import Failure
from tests.bot.ui.world import World, answers

ROOT = Path(__file__).parents[3]
CHINESE = TABLES["zh"]
REFUSALS = {"UserError", "NotAllowed", "PictureRefused", "TooManyJobs", "QuotaExceeded"} | {
    "InvalidSpec",
    "OutOfMemory",
    "HeldBack",
    "BrokenFrame",
}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of a plain name in the bot and the engine, with its file."""
    for path in sorted(path for folder in ("bot", "engine") for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                yield str(path.relative_to(ROOT)), node


def said() -> set[str]:
    """The English sentences of the whole bot."""
    keys = [call.args[0] for _, call in calls() if isinstance(call.func, ast.Name) and call.func.id == "say"]
    assert all(isinstance(key, ast.Constant) for key in keys), "a key is a literal, or no test could find it"
    return {str(key.value) for key in keys if isinstance(key, ast.Constant)}


def fields(pattern: str) -> set[tuple[str, str | None]]:
    return {(name, form) for _, name, form, _ in string.Formatter().parse(pattern) if name is not None}


def test_every_sentence_is_there() -> None:
    english = said()
    assert len(english) > 120
    assert not english - CHINESE.keys()
    assert not {flag.help for flag in FLAGS} - CHINESE.keys()


def test_none_is_left_over() -> None:
    """A sentence that nobody says any more is in the way of those that are."""
    assert not CHINESE.keys() - said() - {flag.help for flag in FLAGS}


def test_none_has_lost_or_gained_a_field() -> None:
    for english, chinese in CHINESE.items():
        assert fields(english) == fields(chinese), english
        assert any(char >= "\u3000" for char in chinese), english


def test_what_is_refused_is_refused_in_sentences() -> None:
    """A plain string would be English to everybody."""
    for file, call in calls():
        if isinstance(call.func, ast.Name) and call.func.id in REFUSALS and call.args:
            assert not isinstance(call.args[0], ast.Constant | ast.JoinedStr), f"{file}:{call.lineno}"


@pytest.mark.parametrize("locale", ["zh-CN", "zh-TW", discord.Locale.chinese])
def test_sentences_are_said_with_their_fields(locale: str) -> None:
    inner = say("{number} images", number=4)
    outer = say("Gave {amount} to {name}.", amount=inner, name="lin")
    assert translated(outer, locale) == "已给 lin 4 张图。"
    assert translated(join((inner, "plain")), locale) == "4 张图\nplain"
    assert translated(outer, "en-US") == outer == "Gave 4 images to lin."
    assert type(translated(outer, "en-US")) is str
    copied = copy.deepcopy(outer)
    assert translated(copied, locale) == translated(outer, locale)
    assert translated("free text", locale) == "free text"


def test_a_stored_sentence_can_still_be_said_otherwise() -> None:
    outer = say("Gave {amount} to {name}.", amount=say("{number} images", number=4), name="{lin}")
    kept = loaded(dumped(outer))
    assert isinstance(kept, Sentence) and kept == outer
    assert translated(kept, "zh-CN") == "已给 {lin} 4 张图。"
    for text in ("plain", '{"say": broken', '{"say": 1}'):
        assert loaded(dumped(text)) == text


def test_an_error_keeps_its_sentence() -> None:
    error = UserError(say("unlimited"))
    assert translated(sentence_of(error), "zh-CN") == "不限"
    assert sentence_of(UserError()) == ""


async def test_replies_are_in_the_users_language(world: World) -> None:
    """Of whoever asks, in the same channel."""
    world.speaks(world.lin, "zh-CN")
    asked = await world.imagine("a cat --ar 99:1")
    assert "`--ar 99:1`：值必须是两个整数" in asked.response.content
    assert "你的提示词是：" in asked.response.content
    facts = await world.lin.slash(world.channel, "info")
    assert facts.response.content.startswith("**今日** 100 中还剩 100 张图")
    asked = await world.imagine("a cat --ar 99:1", world.max)
    assert "`--ar 99:1`: the value must be" in asked.response.content


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("::2 ".join("abcdefghi"), "`::` 把提示词分成 9 个部分，而模型 `sketch` 在一张图中最多支持 8 个"),
        (" AND ".join("abcdefghi"), "一个提示词最多可用 AND 连接 8 个部分。"),
        ("a cat --cref http://x.org/a.png", "模型 `sketch` 没有角色参考的适配器"),
    ],
)
async def test_what_the_engine_refuses_is_refused_in_chinese(world: World, text: str, sentence: str) -> None:
    """In the words that were typed, and none of its own is left in English."""
    world.speaks(world.lin, "zh-CN")
    (told,) = answers(await world.imagine(text))
    assert told.ephemeral and sentence in told.content


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PictureUnreadable(), "它的起始图片无法读取；请附上或链接另一张。没有扣费。"),
        (
            unusable("sketch"),
            "模型 sketch 目前无法使用，它所需的某些文件缺失或损坏；请另选模型，"
            "并告知本机器人的管理者。没有扣费。",
        ),
    ],
)
async def test_what_fails_in_the_engine_is_told_in_chinese(
    world: World, error: EngineError, told: str
) -> None:
    """Where the picture was to appear; the sentence is kept in the job's row till then."""
    world.speaks(world.lin, "zh-CN")
    asked = await world.imagine("a cat")
    await world.until(lambda: world.engine.submitted, "the engine has it")
    world.engine.failures["a cat"] = Failure(error)
    world.engine.step()
    await world.until(lambda: "没有扣费" in asked.response.content, "told")
    assert told in asked.response.content
