"""A newcomer's first minute: one command, the page in a browser, /imagine, U2, V3."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("simcord", reason="the demo extra (SimCord) is not installed")
pytest.importorskip("selenium", reason="selenium is not installed")

from selenium import webdriver

from tests.e2e.page import NEEDS, PAINTED_S, Demo, Page

pytestmark = NEEDS


def test_from_the_first_command_to_variations(demo: Demo, browser: webdriver.Chrome) -> None:
    """Progress is seen live, the grid comes, U2 and V3 do what they say, Ctrl-C ends it cleanly."""
    page = Page(browser, demo.url())
    page.imagine("a red apple")
    page.until(lambda: "a red apple - @ada (fast)" in page.text(), PAINTED_S)
    assert any(re.search(r"a red apple - @ada \(\d+%\) \(fast\)\s*Cancel", seen) for seen in page.seen())
    assert page.previews() > 0
    page.until(lambda: page.pictures() == 1)
    assert not page.buttons("Cancel")
    page.screenshot("demo.png")

    page.press("U2", lambda: "a red apple - Image #2 @ada" in page.text())
    page.press("V3", lambda: "a red apple - Variations (Strong) by @ada" in page.text())
    page.until(lambda: "a red apple - Variations (Strong) by @ada (fast)" in page.text(), PAINTED_S)
    page.until(lambda: page.pictures() >= 3)
    assert demo.interrupt() == 0
