"""A new user's walk: /help, a grid, one picture of it, a favourite, and that found again in /history."""

from __future__ import annotations

import pytest

pytest.importorskip("simcord", reason="the demo extra (SimCord) is not installed")
pytest.importorskip("selenium", reason="selenium is not installed")

from selenium import webdriver

from tests.e2e.page import NEEDS, PAINTED_S, Demo, Page

pytestmark = NEEDS


def test_from_help_to_a_favourite_found_again(demo: Demo, browser: webdriver.Chrome) -> None:
    """Each step is told by the one before: /help names /imagine and U2, the heart names /history."""
    page = Page(browser, demo.url())
    _reads_help(page)
    page.imagine("a red apple")
    page.until(lambda: "a red apple - @ada (fast)" in page.text(), PAINTED_S)
    page.until(lambda: page.pictures() == 1)
    page.screenshot("walk-2-grid.png")

    page.press("U2", lambda: "a red apple - Image #2 @ada" in page.text())
    page.until(lambda: page.pictures() >= 2)
    page.screenshot("walk-3-single.png")

    page.press("❤️", lambda: "Kept among your favourites" in page.text())
    page.until(lambda: "button-style-1" in str(page.buttons("❤️")[-1].get_attribute("class")))
    page.screenshot("walk-4-favourite.png")
    _finds_it_again(page)
    assert demo.interrupt() == 0


def _reads_help(page: Page) -> None:
    page.choose("help")
    page.send()
    page.until(lambda: "/imagine paints a grid" in page.text() and "U1 posts picture 1" in page.text())
    page.screenshot("walk-1-help.png")


def _finds_it_again(page: Page) -> None:
    """The favourite alone, not the grid it comes from, as a line and as a picture."""
    page.choose("history")
    page.take("favourites")
    page.take("True")
    page.send()
    page.until(lambda: "Your pictures" in page.text())
    found = page.text().partition("Your pictures")[2]
    assert "jobs found: 1 " in found
    assert "a red apple · single picture" in found
    assert "grid" not in found
    page.until(lambda: page.pictures() >= 3)
    page.screenshot("walk-5-history.png")
