"""Logins are counted over restarts; a loop of crashes makes at most forty an hour."""

from __future__ import annotations

from pathlib import Path

from bot.ui.logins import FILE, FREE, Logins


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_crash_loop_makes_forty_logins_an_hour_at_most(tmp_path: Path) -> None:
    clock, made = Clock(), []
    while clock.now < 1_000_000.0 + 4 * 3600:
        logins = Logins(tmp_path, clock)  # another process
        clock.now += logins.wait()
        logins.note()
        made.append(clock.now)
        clock.now += 3.0
    worst = max(sum(at <= other < at + 3600 for other in made) for at in made)
    assert FREE < worst <= 40
    assert sum(at < made[0] + 3600 for at in made) >= 35


def test_an_ordinary_start_waits_for_nothing(tmp_path: Path) -> None:
    clock = Clock()
    for _ in range(FREE):
        assert Logins(tmp_path, clock).wait() == 0
        Logins(tmp_path, clock).note()
        clock.now += 60
    assert Logins(tmp_path, clock).wait() == 300
    clock.now += 3600
    assert Logins(tmp_path, clock).wait() == 0


def test_a_file_of_nonsense_and_a_clock_that_went_back_hold_up_nobody(tmp_path: Path) -> None:
    clock = Clock()
    for text in ("", "{", "[null]", "7", '["x"]'):
        (tmp_path / FILE).write_text(text)
        assert Logins(tmp_path, clock).wait() == 0
    for _ in range(FREE):
        Logins(tmp_path, clock).note()
    clock.now -= 86_400
    assert Logins(tmp_path, clock).wait() == 0


def test_a_disk_that_takes_nothing_stops_no_login(tmp_path: Path) -> None:
    Logins(tmp_path / "missing", Clock()).note()
