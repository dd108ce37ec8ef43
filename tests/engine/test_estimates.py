"""What jobs cost: learned, reckoned from the nearest, remembered over restarts. No torch."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.api import Hires, InitImage
from engine.estimates import KEPT, Estimates
from tests.engine.specs import spec


def test_what_ran_before_is_known() -> None:
    estimates = Estimates()
    estimates.learn(spec(), 3.0)
    assert estimates.expect(spec(prompt="the sea", seeds=(8, 9))) == 3.0


def test_a_running_average() -> None:
    estimates = Estimates()
    for _ in range(20):
        estimates.learn(spec(), 3.0)
    estimates.learn(spec(), 4.0)
    assert estimates.expect(spec()) == pytest.approx(3.3)


@pytest.mark.parametrize(
    ("changes", "times"),
    [
        ({"steps": 8}, 2.0),
        ({"width": 128}, 2.0),
        ({"seeds": (1,)}, 0.5),
        ({"guidance_scale": 1.0}, 0.5),
        ({"prompt": "a AND b AND c"}, 2.0),
        ({"prompt": "a AND b", "guidance_scale": 1.0}, 1.0),
        ({"stop": 0.5}, 0.5),
        ({"init": InitImage(b"", 0.25)}, 0.25),
        ({"hires": Hires(2.0, 0.5)}, 3.0),
    ],
)
def test_work_decides_where_nothing_else_is_known(changes: dict[str, Any], times: float) -> None:
    estimates = Estimates()
    estimates.learn(spec(), 3.0)
    assert estimates.expect(spec(**changes)) == pytest.approx(3.0 * times)


def test_what_steps_do_not_cost_is_told_apart() -> None:
    """Two seconds of decoding and one for each step."""
    estimates = Estimates()
    estimates.learn(spec(steps=4), 6.0)
    estimates.learn(spec(steps=20), 22.0)
    assert estimates.expect(spec(steps=50)) == pytest.approx(52.0)
    assert estimates.expect(spec(steps=10)) == pytest.approx(12.0)


def test_a_mere_enlargement_is_no_guide_to_anything_else() -> None:
    """It calls the model for nothing: by its work other jobs cannot be reckoned."""
    estimates = Estimates()
    enlarged = spec(init=InitImage(b"", 0.0), hires=Hires(2, 0), seeds=(1,))
    assert estimates.expect(enlarged) > 0
    estimates.learn(enlarged, 8.0)
    assert estimates.expect(replace(enlarged, seeds=(1, 2))) == 16.0
    unheard_of = Estimates().expect(spec(seeds=(1,)))
    assert estimates.expect(spec(seeds=(1,))) == unheard_of
    estimates.learn(spec(steps=100), 100.0)
    assert estimates.expect(spec(seeds=(1,), steps=1)) == pytest.approx(0.5)


def test_models_are_told_apart() -> None:
    estimates = Estimates()
    estimates.learn(spec(), 3.0)
    assert estimates.expect(spec(model="sketchy")) < 0.1


def test_it_outlives_the_process_on_the_same_device(tmp_path: Path) -> None:
    file = tmp_path / "learned.json"
    before = Estimates(file)
    before.concern("cuda:0")
    before.learn(spec(), 3.0)
    before.save(now=True)
    for about, expected in (("cuda:0", 3.0), ("cpu", Estimates().expect(spec()))):
        after = Estimates(file)
        after.concern(about)
        assert after.expect(spec()) == expected


def test_it_is_written_now_and_then(tmp_path: Path) -> None:
    now = 0.0
    estimates = Estimates(tmp_path / "learned.json", clock=lambda: now)
    estimates.learn(spec(), 3.0)
    estimates.save()
    assert not list(tmp_path.iterdir())
    now = 31.0
    estimates.save()
    assert [file.name for file in tmp_path.iterdir()] == ["learned.json"]


def test_two_devices_do_not_write_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    estimates = Estimates(tmp_path / "learned.json")
    writing, go_on = threading.Event(), threading.Event()
    written: list[str] = []
    replace = Path.replace

    def slow(file: Path, target: Path) -> Path:
        written.append(file.read_text())
        writing.set()
        go_on.wait(30)
        return replace(file, target)

    monkeypatch.setattr(Path, "replace", slow)
    savers = [threading.Thread(target=estimates.save, kwargs={"now": True}) for _ in range(2)]
    estimates.learn(spec(), 3.0)
    savers[0].start()
    assert writing.wait(30)
    estimates.learn(spec(), 4.0)
    savers[1].start()
    savers[1].join(0.1)
    assert len(written) == 1
    go_on.set()
    for saver in savers:
        saver.join()
    assert len(written) == 2


def _learned(*rows: str) -> str:
    return f'{{"about": "cpu", "seconds": [{", ".join(rows)}]}}'


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        _learned("[1]"),
        "\0",
        "[" * 100_000,
        _learned('["classic", Infinity, 1, 1, 1, 1.0]'),
        _learned('["classic", 1e400, 1, 1, 1, 1.0]'),
        _learned(f'["classic", {"9" * 400}, 1, 1, 1, 1.0]'),
        _learned('["classic", 0, 0, 1, 1, 1.0]'),
        _learned('["classic", 9, 9, 0, 1, 1.0]'),
        _learned('["classic", 9, 9, -8, 1, 1.0]'),
        *(
            _learned(f'["classic", 4096, 4096, 8, 2, {cost}]')
            for cost in ("NaN", "Infinity", "-5", "0", "1e300")
        ),
        _learned(*(f'["classic", {side}, {side}, 1, 1, 1.0]' for side in range(1, 90_000))),
    ],
)
def test_a_damaged_file_is_no_fault(tmp_path: Path, content: str) -> None:
    file = tmp_path / "learned.json"
    file.write_text(content)
    estimates = Estimates(file)
    estimates.concern("cpu")
    assert 0 < estimates.expect(spec()) < 60
    assert len(estimates._seconds) <= KEPT
    estimates.learn(spec(), 3.0)
    estimates.save(now=True)
    again = Estimates(file)
    again.concern("cpu")
    assert again.expect(spec()) == 3.0


def test_a_disk_that_takes_nothing_is_no_fault(tmp_path: Path) -> None:
    estimates = Estimates(tmp_path / "nowhere" / "learned.json")
    estimates.learn(spec(), 3.0)
    estimates.save(now=True)
    assert estimates.expect(spec()) == 3.0
