"""A double click is one order; the next one, a moment later, is another."""

from __future__ import annotations

import pytest

from bot.errors import UserError
from bot.ui.presses import TWICE, Presses


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_second_of_two_clicks_is_told_kindly() -> None:
    clock = Clock()
    presses = Presses(clock)
    with presses.once(1, "u"):
        clock.now += 1.9
    with pytest.raises(UserError) as told, presses.once(1, "u"):
        raise AssertionError("let in")
    assert str(told.value) == TWICE
    for user, button in ((2, "u"), (1, "v")):
        with presses.once(user, button):
            pass
    clock.now += 0.2
    with presses.once(1, "u"):
        pass


def test_a_click_that_came_to_nothing_may_be_repeated_at_once() -> None:
    presses = Presses(Clock())
    with pytest.raises(UserError, match="no credit"), presses.once(1, "u"):
        raise UserError("no credit")
    with presses.once(1, "u"):
        pass


def test_who_has_the_result_may_press_at_once() -> None:
    presses = Presses(Clock())
    with presses.once(1, "v", 50), presses.once(1, "u", 51):
        pass
    presses.answered(50)
    with presses.once(1, "v", 52):
        pass
    with pytest.raises(UserError), presses.once(1, "u", 53):
        raise AssertionError("let in")


def test_a_press_counts_while_it_is_dealt_with() -> None:
    """Pictures of an order may take longer to fetch than a double click."""
    clock = Clock()
    presses = Presses(clock)
    with presses.once(1, "u", 50):
        clock.now += 60
        with pytest.raises(UserError), presses.once(1, "u", 51):
            raise AssertionError("let in")
    with presses.once(1, "u", 52):
        presses.answered(52)
    with presses.once(1, "u", 53):
        pass
