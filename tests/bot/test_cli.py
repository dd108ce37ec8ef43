"""The command line: every error one sentence and a documented code; nothing painted that cannot be kept."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

import bot.__main__ as commands
from bot.cli import doctor, failures, imagine, logs
from bot.config import Settings, load
from bot.errors import (
    DiscordLoginError,
    EngineStartError,
    PictureRefused,
    PromptError,
    QuotaExceeded,
    StoreError,
    UserError,
)
from bot.store.lock import FolderLock
from bot.store.tables import HEAD
from bot.ui.demo import has_display
from docs import generate
from engine.api import EngineError, ModelUnavailable
from engine.fake import Failure, FakeEngine

BUILD = commands.build_engine
SECRET = "canary-canary-canary"


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str


Tessera = Callable[..., Said]


@pytest.fixture
def tessera(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Tessera]:
    """Run the command line in this process, with a data folder and a log of its own and the fake engine."""
    monkeypatch.setenv("TESSERA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("DISCORD_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "build_engine", lambda settings: FakeEngine())
    root = logging.getLogger()
    before = (root.handlers[:], root.level)

    def run(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["tessera", *words])
        with pytest.raises(SystemExit) as ended:
            commands.main()
        captured = capfd.readouterr()
        return Said(int(ended.value.code or 0), captured.out, captured.err)

    yield run
    root.handlers[:], root.level = before
    logging.captureWarnings(False)


@pytest.mark.parametrize(
    "words",
    [(), ("run",), ("demo",), ("imagine",), ("doctor",), ("db",), ("db", "backup"), ("models", "list")],
)
def test_help_reads_well_and_lists_the_exit_codes(tessera: Tessera, words: tuple[str, ...]) -> None:
    said = tessera(*words, "--help")
    assert said.code == 0 and not said.err
    for code, meaning in failures.EXIT_CODES.items():
        assert f"{code}: {meaning.replace('`', '')}" in said.out


@pytest.mark.parametrize("words", [(), ("db",), ("models",)])
def test_nothing_typed_shows_the_help(tessera: Tessera, words: tuple[str, ...]) -> None:
    said = tessera(*words)
    assert said.code == 2 and "Usage: tessera" in said.out and not said.err


def test_every_error_of_the_operator_has_a_documented_code() -> None:
    for error in (DiscordLoginError("x"), StoreError("x"), imagine.OutRefused("x")):
        assert error.exit_code in failures.EXIT_CODES


def test_version(tessera: Tessera) -> None:
    assert re.fullmatch(r"tessera \d+\.\d+\.\d+\n", tessera("--version").out)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("paint",), "No such command 'paint'. See `tessera --help`."),
        (("run", "--conf"), "No such option: --conf"),
        (("imagine",), "Missing argument 'text'. See `tessera --help`."),
        (("run", "--config", "none.toml"), "none.toml: there is no such file; copy config.example.toml."),
        (
            ("imagine", "cat", "--config", "none.toml"),
            "none.toml: there is no such file; copy config.example.toml.",
        ),
        (("imagine", ""), "The prompt is empty; say what to paint, for example `a red apple --ar 3:2`."),
        (("imagine", "a {red, blue} cat"), "This asks for 2 jobs; the command line paints one at a time."),
        (("imagine", "cat --n 10"), "`--n 10`: the value must be a whole number from 1 to 9."),
        (
            ("imagine", "cat", "--ar", "9:1"),
            "`--ar 9:1`: the value must be two whole numbers like `3:2`, from 1:4 to 4:1.",
        ),
        (("imagine", "cat", "--out", "x.gif"), "--out x.gif: the name must end in .png, .webp, .jpg, .jpeg."),
        (("imagine", "cat", "--out", "no/x.png"), "--out no/x.png: there is no folder no; make it first."),
        (
            ("imagine", "cat --model sd15"),
            "`--model` `sd15`: there is no such model here; choose one of sketch.",
        ),
    ],
)
def test_wrong_usage_is_one_sentence_and_code_2(
    tessera: Tessera, words: tuple[str, ...], sentence: str
) -> None:
    said = tessera(*words)
    assert said.code == 2 and not said.out
    assert said.err.startswith(sentence) and said.err.count("\n") == 1


def test_all_faults_of_a_prompt_are_told(tessera: Tessera) -> None:
    said = tessera("imagine", "cat --seed x --chaos 101 --xyz")
    assert said.code == 2 and len(said.err.splitlines()) == 3


def test_all_faults_of_the_configuration_are_told(tessera: Tessera, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(f'[discord]\ntoken = ["{SECRET}"]\n[quota]\nday = -1\n')
    said = tessera("run", "--config", "bad.toml")
    assert said.code == 2 and SECRET not in said.err
    assert said.err.splitlines() == [
        "bad.toml line 2: discord.token: must be text in quotes",
        "bad.toml line 4: quota.day: must be at least 0, not -1",
    ]


def test_run_without_a_token_says_how_to_get_on(tessera: Tessera) -> None:
    said = tessera("run")
    assert said.code == 4 and said.err.count("\n") == 1
    assert "DISCORD_TOKEN" in said.err and "tessera demo" in said.err


def test_an_out_that_is_a_folder_or_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(imagine.OutRefused, match="this is a folder; add a file name"):
        imagine.check_out(tmp_path / "folder.png")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(imagine.OutRefused, match="this cannot be written; choose another place"):
        imagine.check_out(tmp_path / "x.png")


def test_nothing_is_built_before_prompt_and_out_are_known_to_be_right(
    tessera: Tessera, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Settings] = []
    monkeypatch.setattr(commands, "build_engine", built.append)
    assert tessera("imagine", "cat --n 10").code == tessera("imagine", "cat", "--out", "x.gif").code == 2
    assert not built


@pytest.mark.parametrize(
    ("name", "kind", "words", "size"),
    [
        ("grid.png", "PNG", ("a red apple --seed 7",), (512, 512)),
        ("one.webp", "WEBP", ("a", "cat", "--n", "1", "--seed", "7"), (256, 256)),
        ("wide.JPG", "JPEG", ("猫，--ar 2：1 --n 2 --seed 7",), (768, 192)),
    ],
)
def test_imagine_paints_by_the_same_path_without_discord(
    tessera: Tessera, tmp_path: Path, name: str, kind: str, words: tuple[str, ...], size: tuple[int, int]
) -> None:
    said = tessera("imagine", *words, "--out", name)
    assert said.code == 0, said.err
    assert re.fullmatch(rf"{name}: {size[0]}x{size[1]}, seed 7, \d+\.\d seconds\n", said.out), said.out
    with Image.open(tmp_path / name) as picture:
        assert (picture.format, picture.size) == (kind, size)
        if kind == "PNG":
            assert "Seed: 7" in picture.info["parameters"]
    assert not (tmp_path / "data").exists()


def test_imagine_works_beside_a_running_bot_and_takes_no_credit(
    tessera: Tessera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("TESSERA_QUOTA__DAY", "1")
    lock = FolderLock(tmp_path / "data")
    try:
        assert tessera("imagine", "cat").code == 0
    finally:
        lock.release()


def test_a_job_that_fails_in_the_engine_is_one_sentence(
    tessera: Tessera, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = {"cat": Failure(EngineError("The picture came out black."))}
    monkeypatch.setattr(commands, "build_engine", lambda settings: FakeEngine(failures=failing))
    said = tessera("imagine", "cat")
    assert said.code == 5 and "The picture came out black." in said.err


def test_a_missing_model_folder_is_one_sentence(tessera: Tessera, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(settings: Settings) -> FakeEngine:
        raise ModelUnavailable("There is no model_index.json in /models/x.")

    monkeypatch.setattr(commands, "build_engine", refuse)
    said = tessera("imagine", "cat")
    assert (said.code, said.err) == (5, "There is no model_index.json in /models/x.\n")


def test_the_models_are_listed_with_what_is_wrong(tessera: Tessera, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[models.mine]\npath = "none"\n[engine]\ndefault_model = "mine"\n')
    said = tessera("models", "list", "--config", "c.toml")
    lines = said.out.splitlines()
    assert said.code == 0
    assert lines[0].startswith("mine (default): NOT USABLE: Model 'mine': there is no folder none;")
    assert lines[1].startswith("sketch: a sketch model that comes with Tessera, to try things out")
    assert 'path = "/path/to/stable-diffusion-v1-5"' in said.out


def test_a_default_model_without_its_folder_is_not_replaced_in_silence() -> None:
    settings = load(None, {"TESSERA_MODELS__SKETCH__PATH": "/nowhere/at/all"})
    with pytest.raises((EngineStartError, ModelUnavailable), match="there is no folder /nowhere/at/all"):
        BUILD(settings)


def test_the_database_is_made_checked_and_copied(tessera: Tessera, tmp_path: Path) -> None:
    path = tmp_path / "data" / "tessera.db"
    assert (
        tessera("db", "check").err
        == f"There is no database in {path.parent} yet; `tessera db upgrade` makes one.\n"
    )
    assert tessera("db", "upgrade").out == f"{path} is now at revision {HEAD}, newly made.\n"
    assert tessera("db", "upgrade").out == f"{path} is up to date (revision {HEAD}).\n"
    assert tessera("db", "check").out == f"{path} is sound (revision {HEAD}).\n"
    assert tessera("db", "backup", "copy.db").code == 0
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT version_num FROM alembic_version").fetchone() == (HEAD,)
    again = tessera("db", "backup", "copy.db")
    assert (again.code, again.err) == (3, "copy.db exists already; name another file.\n")
    assert tessera("db", "backup", "no/copy.db").err == "There is no folder no; make it first.\n"
    assert tessera("db", "backup", ".").code == 0 and len(list(tmp_path.glob("tessera-*.db"))) == 1


def test_a_damaged_database_is_code_3(tessera: Tessera, tmp_path: Path) -> None:
    assert tessera("db", "upgrade").code == 0
    path = tmp_path / "data" / "tessera.db"
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    path.write_bytes(data)
    said = tessera("db", "check")
    assert said.code == 3 and "damaged" in said.err and said.err.count("\n") == 1


def test_a_database_of_a_newer_version_is_code_3(tessera: Tessera, tmp_path: Path) -> None:
    assert tessera("db", "upgrade").code == 0
    with closing(sqlite3.connect(tmp_path / "data" / "tessera.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    said = tessera("db", "upgrade")
    assert said.code == 3 and "newer version of Tessera" in said.err


def test_a_folder_in_use_is_code_3(tessera: Tessera, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    lock = FolderLock(tmp_path / "data")
    try:
        said = tessera("db", "upgrade")
    finally:
        lock.release()
    assert said.code == 3 and "already in use by process" in said.err


def test_a_blocked_word_is_a_wrong_prompt(tessera: Tessera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSERA_MODERATION__BLOCKED_WORDS", '["gore"]')
    said = tessera("imagine", "gore and more")
    assert said.code == 2 and "gore" in said.err and len(said.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("platform", "environ", "shown"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"DISPLAY": "localhost:10", "SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}, False),
        ("darwin", {}, True),
        ("win32", {}, True),
    ],
)
def test_a_browser_is_opened_only_where_it_is_seen(
    platform: str, environ: dict[str, str], shown: bool
) -> None:
    assert has_display(platform, environ) is shown


@pytest.mark.parametrize(("words", "opened"), [((), ["http://page"]), (("--no-open",), [])])
def test_the_demo_opens_its_page_unless_told_not_to(
    tessera: Tessera, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], opened: list[str]
) -> None:
    @asynccontextmanager
    async def live(*_: object) -> AsyncIterator[tuple[str, asyncio.Task[None]]]:
        yield "http://page", asyncio.create_task(asyncio.sleep(0))

    shown: list[str] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    monkeypatch.setattr("bot.ui.demo.live_demo", live)
    monkeypatch.setattr("webbrowser.open", shown.append)
    said = tessera("demo", *words)
    assert (said.code, shown) == (0, opened) and "http://page" in said.out


def test_a_bug_is_one_sentence_that_says_what_to_report(
    tessera: Tessera, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(settings: Settings) -> FakeEngine:
        raise KeyError("wings")

    monkeypatch.setattr(commands, "build_engine", crash)
    said = tessera("imagine", "cat")
    assert said.code == 1 and "Traceback" not in said.err
    assert re.fullmatch(
        r"Tessera hit a bug \(KeyError at test_cli\.py:\d+\); "
        r"run the same with TESSERA_LOG__LEVEL=debug for what to report\.\n",
        said.err,
    )
    monkeypatch.setenv("TESSERA_LOG__LEVEL", "debug")
    assert "Traceback" in tessera("imagine", "cat").err


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PromptError(("a", "b"), "p"), ("a\nb", 2)),
        (QuotaExceeded("Full until noon (<t:123:R>).", 123), ("Full until noon.", 1)),
        (UserError("`gore` is not painted here."), ("`gore` is not painted here.", 2)),
        (PictureRefused("That is no picture."), ("That is no picture.", 2)),
        (OSError(28, "No space left on device", "/x"), ("/x: No space left on device.", 1)),
        (EngineError("No."), ("No.", 5)),
    ],
)
def test_errors_become_a_sentence_and_a_code(error: Exception, expected: tuple[str, int]) -> None:
    assert failures.explain(error) == expected


def test_ctrl_c_is_a_word_and_a_code(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    assert failures.guarded(interrupted) == 130
    assert capsys.readouterr().err == "Stopped.\n"


def test_ctrl_c_while_painting_leaves_quietly(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, bot.__main__ as m; from engine.fake import FakeEngine\n"
        "class Held(FakeEngine):\n"
        "    def submit(self, spec): os.kill(os.getpid(), signal.SIGINT)\n"
        "m.build_engine = lambda settings: Held(manual=True)\n"
        "sys.argv = ['tessera', 'imagine', 'cat']; m.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=_environment(tmp_path),
        capture_output=True,
        timeout=250,
    )
    assert (done.returncode, done.stdout) == (130, b"")
    assert done.stderr.decode().endswith("Stopped.\n") and b"Traceback" not in done.stderr


def test_python_m_bot_is_tessera(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bot", "--version"],
        capture_output=True,
        timeout=250,
        env=_environment(tmp_path),
    )
    assert done.stdout.startswith(b"tessera ")


def _environment(folder: Path) -> dict[str, str]:
    root = str(Path(commands.__file__).parent.parent)
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": root, "TMPDIR": str(folder), "HOME": str(folder)}


MACHINE = doctor.Machine(
    device=lambda settings: "cpu, 2 threads", model=lambda settings, name: f"{name} is complete"
)


def findings(machine: doctor.Machine = MACHINE, **environ: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for finding in doctor.examine(None, environ, machine):
        found.setdefault(finding.subject, []).append(str(finding))
    return found


def test_the_doctor_finds_a_sound_machine_sound(tmp_path: Path) -> None:
    found = findings(TESSERA_DATA_DIR=str(tmp_path / "data"))
    lines = [line for lines in found.values() for line in lines]
    assert all(line.startswith("ok   ") for line in lines), lines
    assert found["device"] == ["ok   device: cpu, 2 threads"]
    assert found["model sketch"] == ["ok   model sketch: sketch is complete"]
    assert found["data folder"] == [f"ok   data folder: {tmp_path / 'data'} (will be made)"]
    assert {"Python", "torch", "memory", "disk", "database", "temporary folder", "token"} < set(found)
    assert not (tmp_path / "data").exists()


def test_the_doctor_says_what_to_type(tmp_path: Path) -> None:
    def no_device(settings: Settings) -> str:
        raise EngineError("there is no CUDA device here")

    def no_model(settings: Settings, name: str) -> str:
        raise ModelUnavailable("/models/x/model_index.json is missing")

    (tmp_path / "file").write_text("")
    found = findings(
        doctor.Machine(no_device, no_model),
        TESSERA_DATA_DIR=str(tmp_path / "file"),
        TESSERA_QUOTA__DAY="-1",
        DISCORD_TOKEN=SECRET,
    )
    assert found["configuration"] == [
        "FAIL configuration: TESSERA_QUOTA__DAY: quota.day: must be at least 0, not -1 "
        "-> mend it in the environment; the rest assumes defaults"
    ]
    assert found["device"] == [
        "FAIL device: auto: there is no CUDA device here -> set [engine] device to auto or cpu"
    ]
    assert found["model sketch"] == [
        "FAIL model sketch: /models/x/model_index.json is missing "
        "-> download it again, or mend [models.sketch] path"
    ]
    found = findings(TESSERA_DATA_DIR=str(tmp_path / "file"), DISCORD_TOKEN=SECRET)
    assert found["data folder"] == [
        f"FAIL data folder: {tmp_path / 'file'} is not a folder -> set TESSERA_DATA_DIR to a folder"
    ]
    assert found["token"] == ["ok   token: set"]


def test_the_doctor_looks_at_the_database(tmp_path: Path) -> None:
    (tmp_path / "tessera.db").write_bytes(b"not a database, but long enough to be looked at" * 9)
    (line,) = findings(TESSERA_DATA_DIR=str(tmp_path))["database"]
    assert line.startswith("FAIL database: ") and line.endswith(
        "-> put a backup in its place, or move it away"
    )


def test_the_doctor_s_exit_code(tessera: Tessera, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(commands, "describe_device", MACHINE.device)
    monkeypatch.setattr(commands, "describe_model", MACHINE.model)
    assert tessera("doctor").code == 0
    monkeypatch.setenv("TESSERA_DATA_DIR", str(tmp_path / "x.png"))
    (tmp_path / "x.png").write_text("")
    said = tessera("doctor")
    assert said.code == 1 and "FAIL data folder" in said.out and not said.err


def record(message: str, *args: object, **more: object) -> logging.LogRecord:
    made = logging.LogRecord("bot.ui", logging.INFO, "f.py", 1, message, args, None)
    made.__dict__.update(more)
    return made


def test_logs_hold_no_secrets(capfd: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError(f"bad token {SECRET}")
    except ValueError:
        trouble = sys.exc_info()
    for kind in (logs.Lines, logs.JsonLines):
        text = kind([SECRET, ""]).format(record("sent %s", SECRET, exc_info=trouble))
        assert "canary" not in text and "Traceback" in text and logs.HIDDEN in text
        text = kind([]).format(record("POST /api/v10/webhooks/12/aW50-ZXJh_Y3Rpb24/messages"))
        assert "aW50" not in text and "/messages" in text


def test_json_logs_are_one_object_a_line() -> None:
    line = logs.JsonLines([]).format(record("two\nlines %d", 7, created=0.0))
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00Z",
        "level": "info",
        "logger": "bot.ui",
        "message": "two\nlines 7",
    }
    assert "\n" not in line


def test_configured_logging(tessera: Tessera, capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(load(None, {"TESSERA_LOG__LEVEL": "warning", "DISCORD_TOKEN": SECRET}))
    logging.getLogger("x").info("quiet")
    logging.getLogger("x").warning("loud %s", SECRET)
    err = capfd.readouterr().err
    assert "quiet" not in err and err.endswith(f"WARNING x: loud {logs.HIDDEN}\n")
    logs.configure(load(None, {"HF_TOKEN": SECRET}))
    logging.getLogger("x").warning("the hub said no to %s", SECRET)
    assert capfd.readouterr().err.endswith(f"no to {logs.HIDDEN}\n")


def test_the_generated_pages_are_fresh() -> None:
    assert generate.stale() == []


def test_stale_pages_are_told(tmp_path: Path) -> None:
    assert generate.stale(tmp_path) == list(generate.PAGES)
