"""The demo as a person meets it: its process, and its page in a browser without a screen."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue

import pytest
from PIL import Image

pytest.importorskip("simcord", reason="the demo extra (SimCord) is not installed")
pytest.importorskip("selenium", reason="selenium is not installed")

from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).parent.parent.parent
IMAGES = ROOT / "docs" / "images"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
CHOSEN = ".command-chip"
PAINTED_S = 900.0
"""Two busy cores paint a grid in this time, whatever else they do."""

WATCH = """
const list = document.getElementById('channel-message-list');
window.seen = [];
new MutationObserver(() => window.seen.push(list.innerText)).observe(
    list, {childList: true, subtree: true, characterData: true});
window.previews = 0;
list.addEventListener('load', event => { window.previews += event.target.alt === 'preview.jpg'; }, true);
"""
"""Progress may be quicker than a look at the page every tenth of a second."""

NEEDS = [
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="no chromium with chromedriver on this machine"),
    pytest.mark.timeout(3000),
]


@dataclass
class Demo:
    """The process, and what it printed."""

    process: subprocess.Popen[str]
    lines: Queue[str | None] = field(default_factory=Queue)
    said: list[str] = field(default_factory=list)

    def url(self) -> str:
        """The address it prints."""
        while (line := self.lines.get(timeout=PAINTED_S)) is not None:
            self.said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+/#\S+", line):
                return found[0]
        raise AssertionError("the demo ended:\n" + "".join(self.said))

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=300)


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Demo]:
    """``python -m bot demo --port 0``, with the embedded model."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", "demo", "--port", "0"],
        cwd=ROOT,
        env={**os.environ, "TESSERA_DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    running = Demo(process)
    reader = threading.Thread(target=_read, args=(running,), daemon=True)
    reader.start()
    try:
        yield running
    finally:
        process.kill()
        process.wait()
        reader.join()
        if process.stdout is not None:
            process.stdout.close()


def _read(demo: Demo) -> None:
    assert demo.process.stdout is not None
    for line in demo.process.stdout:
        demo.lines.put(line)
    demo.lines.put(None)


@contextlib.contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """Debian's chromium without a screen; nothing is downloaded."""
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.add_argument("--window-size=1280,1180")
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    """What a person does on the page, and what they see."""

    def __init__(self, browser: webdriver.Chrome, url: str) -> None:
        self.browser = browser
        browser.get(url)
        self.until(lambda: "Welcome to Tessera" in self.text())
        browser.execute_script(WATCH)

    def until(self, holds: Callable[[], object], timeout: float = 120.0, every: float = 0.1) -> object:
        """Wait for something to be seen; what is drawn anew between two looks is looked at again."""
        changed = (StaleElementReferenceException, ElementClickInterceptedException)
        wait = WebDriverWait(self.browser, timeout, poll_frequency=every, ignored_exceptions=changed)
        try:
            return wait.until(lambda _: holds())
        except TimeoutException as error:
            status = self.browser.find_element(By.ID, "toolbar").text
            raise AssertionError(f"Not seen in time; the page says:\n{status}\n{self.text()}") from error

    def seen(self) -> list[str]:
        """Every state of the messages since the page was opened, however short."""
        return list(self.browser.execute_script("return window.seen"))

    def previews(self) -> int:
        """How many unfinished pictures the page has shown."""
        return int(self.browser.execute_script("return window.previews"))

    def text(self) -> str:
        """All messages of the channel."""
        return self.browser.find_element(By.ID, "channel-message-list").text

    def imagine(self, prompt: str) -> None:
        """Type the command as one does in Discord."""
        self.choose("imagine")
        self.until(lambda: self._typing("prompt"))
        self._focused().send_keys(prompt)
        self.send()

    def choose(self, command: str) -> None:
        """Type a command's name and take it from the list."""
        box = self.browser.find_element(By.ID, "channel-composer-input")
        box.click()
        box.send_keys(f"/{command}")
        self._click(f"//*[@role='option'][.//strong[normalize-space()='/{command}']]")
        self.until(lambda: self.browser.find_elements(By.CSS_SELECTOR, CHOSEN))

    def take(self, offer: str) -> None:
        """One of what is offered: an option of the command, or a value of it."""
        self._click(f"//*[@role='option'][.//span[normalize-space()='{offer}']]")

    def send(self) -> None:
        """Press the arrow until the command is gone: the page may be deaf to it for a while."""
        self.until(self._sent, every=1.0)

    def buttons(self, label: str) -> list[WebElement]:
        """The buttons with this label, oldest first."""
        path = f"//*[@id='channel-message-list']//button[normalize-space()='{label}']"
        return self.browser.find_elements(By.XPATH, path)

    def press(self, label: str, seen: Callable[[], object]) -> None:
        """The newest of them, as soon as it can be pressed, until what it does is ``seen``.

        The page refuses what is pressed while it is drawn anew, and after an answer that was lost it takes
        nothing more until it is opened again; a person does that, and presses again.
        """
        for _ in range(10):
            self.until(lambda: self._pressed(label))
            try:
                self.until(seen, 60.0)
                return
            except AssertionError:
                self.browser.refresh()
                self.until(lambda: "Welcome to Tessera" in self.text())
                if seen():
                    return
        raise AssertionError(f"{label} was pressed ten times; the page says:\n{self.text()}")

    def _pressed(self, label: str) -> bool:
        found = self.buttons(label)
        if not (found and found[-1].is_enabled()):
            return False
        button = found[-1]
        self.browser.execute_script(
            "arguments[0].scrollIntoView({block: 'center'}); arguments[1].textContent = ''",
            button,
            self.browser.find_element(By.ID, "action-status"),
        )
        button.click()
        # The page refuses what was pressed while it was drawn anew; a person presses again.
        return "not completed" not in self._status()

    def _status(self) -> str:
        """What the page says came of the last press; nothing where it says nothing for a while."""
        element = self.browser.find_element(By.ID, "action-status")
        try:
            self.until(lambda: "completed" in element.text, timeout=20.0)
        except AssertionError:
            return ""
        return str(element.text)

    def pictures(self) -> int:
        """Pictures that are loaded."""
        script = """return [...document.querySelectorAll('#channel-message-list img')]
            .filter(image => image.complete && image.naturalWidth > 100).length"""
        return int(self.browser.execute_script(script))

    def screenshot(self, name: str) -> None:
        """For the documentation; only on demand, so that an ordinary run leaves the tree as it is."""
        if os.environ.get("TESSERA_SCREENSHOT") != "1":
            return
        self.browser.execute_script(
            "const list = document.getElementById('channel-timeline'); list.scrollTop = list.scrollHeight"
        )
        seen = Image.open(io.BytesIO(self.browser.get_screenshot_as_png())).convert("RGB")
        seen.quantize(256, dither=Image.Dither.NONE).save(IMAGES / name, optimize=True)

    def _click(self, path: str) -> None:
        def clicked() -> bool:
            found = self.browser.find_elements(By.XPATH, path)
            if found:
                found[0].click()
            return bool(found)

        self.until(clicked)

    def _sent(self) -> bool:
        if not self.browser.find_elements(By.CSS_SELECTOR, CHOSEN):
            return True
        self.browser.find_element(By.ID, "send-message").click()
        return False

    def _typing(self, option: str) -> bool:
        return self._focused().get_attribute("data-option") == option

    def _focused(self) -> WebElement:
        return self.browser.switch_to.active_element
