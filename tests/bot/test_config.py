"""The configuration: every fault by its sentence, place and number; and what is secret stays so."""

from __future__ import annotations

import copy
import tomllib
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bot.config import SKETCH_MODEL, Section, Settings, key_lines, load
from bot.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
SECRET = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GZabcd.canary-canary-canary-canary-0"


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(path: Path | None, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {})
    assert caught.value.exit_code == 2
    return caught.value.faults


def test_nothing_at_all_works() -> None:
    loaded = load(None, {})
    assert loaded == Settings()
    assert loaded.engine.default_model in loaded.models
    assert loaded.models["sketch"].path == SKETCH_MODEL
    assert loaded.discord.token is None


def test_the_example_is_the_defaults() -> None:
    assert load(EXAMPLE, {}) == Settings()


def test_the_example_names_every_key() -> None:
    text = EXAMPLE.read_text()
    uncommented = tomllib.loads("\n".join(_uncommented(line) for line in text.splitlines()))
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            assert set(uncommented[name]) == set(section.model_fields), name
    assert load_dict(uncommented).models["sd15"].steps == 25
    assert load_dict(uncommented).loras["ink"].weight == 0.8


def _uncommented(line: str) -> str:
    bare = line.removeprefix("# ")
    section = bare.startswith(("[models", "[styles", "[loras", "[quota.")) and "<" not in bare
    return bare if "=" in bare or section else line


def load_dict(raw: dict[str, Any]) -> Settings:
    return Settings.model_validate(copy.deepcopy(raw))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("[quota]\nday = -5", "line 2: quota.day: must be at least 0, not -5"),
        ("[quota]\nday = 1.5", "line 2: quota.day: must be a whole number, not 1.5"),
        ('[quota]\nday = "100"', "line 2: quota.day: must be a whole number, not '100'"),
        ("[quota]\nday = true", "line 2: quota.day: must be a whole number, not true"),
        (
            '[quota]\nunit = "image"',
            "line 2: quota.unit: must be one of 'images' or 'gpu_seconds', not 'image'",
        ),
        ("[quota]\nrelax_factor = nan", "line 2: quota.relax_factor: must be a finite number, not nan"),
        ("[quota.roles.abc]\nday = 1", "line 1: quota.roles.abc: must be a whole number, not 'abc'"),
        ("[quota.roles.12]\ndya = 1", "line 2: quota.roles.12.dya: there is no such key; did you mean day?"),
        ("[limits]\nrunning = 0", "line 2: limits.running: must be at least 1, not 0"),
        ("[limits]\nmax_images = 10", "line 2: limits.max_images: must be at most 9, not 10"),
        ("[limits]\nupload_mb = 0", "line 2: limits.upload_mb: must be more than 0, not 0"),
        ("limits = 3", "line 1: limits: must be a section with keys of its own, not 3"),
        (
            '[engine]\ndevice = "tpu"',
            "line 2: engine.device: must be auto, cpu, cuda, cuda:N or mps, not 'tpu'",
        ),
        (
            '[engine]\ndevice = "cpu\\n"',
            "line 2: engine.device: must be auto, cpu, cuda, cuda:N or mps, not 'cpu\\n'",
        ),
        (
            "[engine]\ndtype = 16",
            "line 2: engine.dtype: must be one of 'auto', 'float32', 'bfloat16' or 'float16', not 16",
        ),
        (
            '[engine]\ndefault_model = "sd15"',
            "line 2: engine.default_model: there is no model 'sd15'; "
            "add [models.sd15] or choose one of sketch",
        ),
        (
            "[models.x]\nsteps = 5",
            "line 1: models.x.path: is missing; give the model's folder or file, or hub and revision to pull "
            "it",
        ),
        (
            '[models.x]\nhub = "a/b"',
            "line 1: models.x.revision: is missing; "
            "give the 40 digits of a commit, from the model's page on the hub",
        ),
        (
            '[models.x]\nhub = "a/b"\nrevision = "main"',
            "line 3: models.x.revision: must be a commit's 40 digits in full (no branch, no tag), not 'main'",
        ),
        (
            f'[models.x]\nrevision = "{"a" * 40}"\nhub = "a"',
            "line 3: models.x.hub: must be owner/name as on the model's page, not 'a'",
        ),
        (
            '[models.x]\npath = "m"\nsha256 = { "unet/a.safetensors" = "12" }',
            "line 3: models.x.sha256.unet/a.safetensors: must be 64 digits from 0 to f, not '12'",
        ),
        (
            '[hub]\nmirrors = ["ftp://x"]',
            "line 2: hub.mirrors: must be an address that begins with https:// or http://, not 'ftp://x'",
        ),
        ("[hub]\nmirrors = []", "line 2: hub.mirrors: is empty; https://huggingface.co is the usual one"),
        (
            '[models.x]\npath = "m"\naliases = ["6", "Sketch"]',
            "line 3: models.x.aliases: 'Sketch' already names another model",
        ),
        (
            '[models.x]\npath = "m"\naliases = ["6"]\n[models.y]\npath = "m"\naliases = ["6"]',
            "line 6: models.y.aliases: '6' already names another model",
        ),
        (
            '[models."a b"]\npath = "m"',
            "line 1: models.a b: must be a name of letters, digits, dots and dashes, not 'a b'",
        ),
        ("[models]\nx = 5", "line 2: models.x: must be a section with keys of its own, not 5"),
        ("[models]\nsketch = 5", "line 2: models.sketch: must be a section with keys of its own, not 5"),
        ("[data]\ndir = 5", "line 2: data.dir: must be a path in quotes, not 5"),
        (
            '[data]\ndir = "~nobody-here/x"',
            "line 2: data.dir: has a ~ that is no home folder here; write the whole path",
        ),
        ('[data]\ndir = "a\\u0000b"', "line 2: data.dir: is no path"),
        ("[discord]\nguild_ids = 5", "line 2: discord.guild_ids: must be a list in square brackets, not 5"),
        ('[discord]\nguild_ids = [1,\n"x"]', "line 2: discord.guild_ids: must be a whole number, not 'x'"),
        ("[discord]\nadmin_role_ids = [-1]", "line 2: discord.admin_role_ids: must be more than 0, not -1"),
        (
            '[moderation]\nblocked_words = [""]',
            "line 2: moderation.blocked_words: must be at least 1 character long, not ''",
        ),
        ('[web]\nenabled = "yes"', "line 2: web.enabled: must be true or false, not 'yes'"),
        ("[web]\nport = 65536", "line 2: web.port: must be at most 65535, not 65536"),
        (
            '[log]\nlevel = "loud"',
            "line 2: log.level: must be one of 'debug', 'info', 'warning' or 'error', not 'loud'",
        ),
        ("[engine]\nmax_row = 4", "line 2: engine.max_row: there is no such key; did you mean max_rows?"),
        ("[engine]\nport = 4", "line 2: engine.port: there is no such key here; it belongs in [web]"),
        ("[log]\nxyz = 4", "line 2: log.xyz: there is no such key; there are level, format"),
        ("[limit]\nrunning = 4", "line 1: limit: there is no such key; did you mean limits?"),
    ],
)
def test_each_fault_has_its_sentence_and_line(tmp_path: Path, line: str, sentence: str) -> None:
    path = written(tmp_path, line)
    assert faults(path) == (f"{path} {sentence}",)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[quota]\nday = ", "line 2: not TOML: Invalid value."),
        ("[quota]\nday = 1\nday = 2", "line 3: not TOML: this key is given twice."),
        ("[quota]\n[quota]", "line 2: not TOML: Cannot declare ('quota',) twice."),
        ('[log]\nlevel = "info', "line 2: not TOML: Unterminated string."),
        ("[quota", "line 1: not TOML: Expected ']' at the end of a table declaration."),
    ],
)
def test_what_is_not_toml_is_told_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    path = written(tmp_path, text)
    assert faults(path) == (f"{path} {sentence}",)


def test_all_faults_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[web]\nport = -1\n\n[engine]\ndevice = "gpu"\ndefault_model = "x"\nwindw = 2\n[quota]\nday = "x"\n',
    )
    found = faults(path, {"TESSERA_LIMITS__RUNNING": "many"})
    assert [fault.split(": ")[0] for fault in found] == [
        "TESSERA_LIMITS__RUNNING",
        *(f"{path} line {line}" for line in (2, 5, 6, 7, 9)),
    ]


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    assert faults(missing) == (f"{missing}: there is no such file; copy config.example.toml.",)
    assert faults(tmp_path) == (f"{tmp_path}: cannot be read (Is a directory).",)
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# caf\xe9")
    assert faults(latin) == (f"{latin}: byte 5 is not UTF-8; save it as UTF-8 text.",)


def test_a_byte_order_mark_and_windows_lines_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf[quota]\r\nday = 7\r\n")
    assert load(path, {}).quota.day == 7
    path.write_bytes(b"\xef\xbb\xbf[quota]\r\nday = -7\r\n")
    assert faults(path) == (f"{path} line 2: quota.day: must be at least 0, not -7",)


@pytest.mark.parametrize(
    ("variable", "text", "keys", "value"),
    [
        ("TESSERA_QUOTA__DAY", "5", "quota.day", 5),
        ("TESSERA_QUOTA__RELAX_FACTOR", "0.5", "quota.relax_factor", 0.5),
        ("TESSERA_WEB__ENABLED", "true", "web.enabled", True),
        ("TESSERA_WEB__ENABLED", "TRUE", "web.enabled", True),
        ("TESSERA_WEB__ENABLED", "1", "web.enabled", True),
        ("TESSERA_WEB__ENABLED", "off", "web.enabled", False),
        ("TESSERA_WEB__HOST", "0.0.0.0", "web.host", "0.0.0.0"),
        ("TESSERA_DISCORD__GUILD_IDS", "1, 2", "discord.guild_ids", (1, 2)),
        ("TESSERA_DISCORD__GUILD_IDS", "[1, 2]", "discord.guild_ids", (1, 2)),
        ("TESSERA_DISCORD__GUILD_IDS", "", "discord.guild_ids", ()),
        ("TESSERA_MODERATION__BLOCKED_WORDS", "a, b c, 7", "moderation.blocked_words", ("a", "b c", "7")),
        ("TESSERA_MODERATION__BLOCKED_WORDS", '["a,b"]', "moderation.blocked_words", ("a,b",)),
        ("TESSERA_LOG__LEVEL", "debug", "log.level", "debug"),
        ("TESSERA_LOG__LEVEL", "DEBUG", "log.level", "debug"),
        ("TESSERA_DATA__DIR", "/srv/x", "data.dir", Path("/srv/x")),
        ("TESSERA_DATA_DIR", "/srv/y", "data.dir", Path("/srv/y")),
        ("TESSERA_DATA_DIR", "", "data.dir", Path("data")),
        ("TESSERA_HOME", "x", "data.dir", Path("data")),
    ],
)
def test_values_of_the_environment_are_read_as_their_key_wants_them(
    variable: str, text: str, keys: str, value: object
) -> None:
    found: Any = load(None, {variable: text})
    for key in keys.split("."):
        found = getattr(found, key)
    assert found == value


def _keys(section: Any, head: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every key of the configuration with its type; of sections that people name, one of each kind."""
    for key, field in section.model_fields.items():
        kind = field.annotation
        inside = [arg for arg in get_args(kind) if isinstance(arg, type) and issubclass(arg, Section)]
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from _keys(kind, (*head, key))
        elif inside:
            yield from _keys(inside[0], (*head, key, "123" if head == ("quota",) else "mine"))
        else:
            yield (*head, key), kind


_BESIDE = {
    "models": {"path": '"/m"', "hub": '"a/b"', "revision": f'"{"0" * 40}"'},
    "loras": {"path": '"/l"'},
}
"""What those sections cannot be without."""
_SAMPLES = {
    "guild_ids": "[7]",
    "admin_role_ids": "[7]",
    "nudity_channels": "[7]",
    "device": '"cpu"',
    "default_model": '"sketch"',
    "mirrors": '["https://hub"]',
    "hub": '"own/name"',
    "revision": f'"{"1" * 40}"',
    "sha256": f'{{ file = "{"2" * 64}" }}',
    "presets": '{ heavy = "low" }',
    "loras": "{ ink = 0.5 }",
    "aliases": '["six"]',
    "blocked_words": '["bad", "worse words"]',
    "variant": '"fp16"',
    "max_images": "4",
    "shares": "{ 123 = 2.5 }",
    "guidance_rescale": "0.5",
}


def _sample(keys: tuple[str, ...], kind: Any) -> str:
    """A TOML value that is not the key's default."""
    told = str(kind)
    if keys[-1] in _SAMPLES:
        return _SAMPLES[keys[-1]]
    if "Literal" in told:
        return f'"{get_args(kind)[-1]}"'
    if kind is bool:
        return "true"
    if "float" in told:
        return "1.0" if keys[-1] == "relax_factor" else "1.5"
    return "9" if "int" in told else '"words"'


@pytest.mark.parametrize(("keys", "kind"), list(_keys(Settings)), ids=lambda keys: str(keys)[:60])
def test_every_key_can_be_set_by_the_environment(tmp_path: Path, keys: tuple[str, ...], kind: Any) -> None:
    *head, key = keys
    values = {**_BESIDE.get(keys[0], {}), key: _sample(keys, kind)}
    table = "\n".join([f"[{'.'.join(head)}]", *(f"{name} = {value}" for name, value in values.items())])
    by_file = load(written(tmp_path, table), {})
    environ = {
        "__".join(("TESSERA", *head, name)).upper().replace("TESSERA__", "TESSERA_"): value.strip('"')
        for name, value in values.items()
    }
    assert load(None, environ) == by_file
    assert by_file != Settings() or key == "default_model"


def test_the_environment_reaches_names_that_no_variable_can_spell(tmp_path: Path) -> None:
    path = written(tmp_path, '[models."SD-1.5/pruned"]\npath = "/a"\n[styles.Ink]\nprefix = "a"\n')
    loaded = load(path, {"TESSERA_MODELS__SD_1_5_PRUNED__STEPS": "9", "TESSERA_STYLES__INK__SUFFIX": "b"})
    assert (loaded.models["SD-1.5/pruned"].steps, loaded.styles["Ink"].suffix) == (9, "b")
    assert set(loaded.models) == {"sketch", "SD-1.5/pruned"}


def test_nested_keys_too_and_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, '[models.sd15]\npath = "/a"\nsteps = 9\n[quota.roles.12]\nhour = 1\n')
    environ = {
        "TESSERA_MODELS__SD15__PATH": "/b",
        "TESSERA_MODELS__SKETCH__STEPS": "5",
        "TESSERA_QUOTA__ROLES__12__DAY": "7",
        "TESSERA_DATA_DIR": "/short",
        "TESSERA_DATA__DIR": "/long",
    }
    loaded = load(path, environ)
    assert (loaded.models["sd15"].path, loaded.models["sd15"].steps) == (Path("/b"), 9)
    assert (loaded.models["sketch"].path, loaded.models["sketch"].steps) == (SKETCH_MODEL, 5)
    assert (loaded.quota.roles[12].hour, loaded.quota.roles[12].day) == (1, 7)
    assert loaded.data.dir == Path("/long")


@pytest.mark.parametrize(
    ("variable", "text", "sentence"),
    [
        ("TESSERA_QUOTA__DAY", "x", "quota.day: must be a whole number, not 'x'"),
        ("TESSERA_QUOTA__DAY", "", "quota.day: must be a whole number, not ''"),
        ("TESSERA_QUOTA__DYA", "1", "quota.dya: there is no such key; did you mean day?"),
        ("TESSERA_QUOTAS__DAY", "1", "quotas: there is no such key; did you mean quota?"),
        ("TESSERA_QUOTA__DAY__X", "1", "quota.day: must be a whole number, not {'x': '1'}"),
        ("TESSERA_QUOTA_DAY", "1", "write TESSERA_QUOTA__DAY, with two underscores after the section"),
        ("TESSERA_DATA_DIR", "a\0b", "data.dir: is no path"),
        ("TESSERA_WEB__ENABLED", "perhaps", "web.enabled: must be true or false, not 'perhaps'"),
        ("TESSERA_QUOTA__ROLES", "5", "quota.roles: must be a section with keys of its own, not 5"),
    ],
)
def test_a_fault_of_the_environment_names_the_variable(variable: str, text: str, sentence: str) -> None:
    assert faults(None, {variable: text}) == (f"{variable}: {sentence}",)


def test_a_variable_inside_a_plain_value_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "[quota]\nday = 5")
    assert faults(path, {"TESSERA_QUOTA__DAY__X": "1"}) == (
        "TESSERA_QUOTA__DAY__X: quota.day.x is inside a key that holds a plain value",
    )


@pytest.mark.parametrize(
    "environ",
    [{"DISCORD_TOKEN": f" {SECRET}\n"}, {"TESSERA_DISCORD__TOKEN": SECRET, "DISCORD_TOKEN": "other"}],
)
def test_the_token_comes_from_the_environment(environ: dict[str, str]) -> None:
    token = load(None, environ).discord.token
    assert token is not None and token.get_secret_value() == SECRET


def test_an_empty_token_is_none(tmp_path: Path) -> None:
    path = written(tmp_path, '[discord]\ntoken = " "')
    assert load(path, {"DISCORD_TOKEN": ""}).discord.token is None


def test_the_token_is_never_printed() -> None:
    loaded = load(None, {"DISCORD_TOKEN": SECRET})
    for text in (repr(loaded), str(loaded), loaded.model_dump_json(), str(loaded.model_dump())):
        assert "canary" not in text


@pytest.mark.parametrize(
    "text",
    [
        f'[discord]\ntoken = ["{SECRET}"]',
        f'[discord.token]\nvalue = "{SECRET}"',
        f'[discord]\ntoken = "Bot {SECRET}"',
        f'[discord]\ntoken = "{SECRET}é"',
        f'[discord]\ntokn = "{SECRET}"',
        f'discord = "{SECRET}"',
        f'[discord]\ntoken = "{SECRET}',
        f'[discord]\ntoken = "{SECRET}"\ntoken = "{SECRET}"',
        f'token = "{SECRET}"',
        f'[hub]\ntoken = ["{SECRET}"]',
        f'[hub]\nmirrors = ["https://me:{SECRET}@hub"]',
        f'[models.m]\npath = "/m"\nmirrors = "https://me:{SECRET}@hub"',
    ],
)
def test_not_even_a_wrong_token_is_echoed(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text), {})
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().quota.day = 5  # type: ignore[misc]


def test_lines_of_keys_in_every_spelling() -> None:
    text = (
        '# top\na = 1\nb.c = [1,\n  2]\n[t]\nx = """\ny = 1\n"""\nz = {p = 1, q = {r = 2}}\n'
        '["u.v".w]\nk = 3\n[[list]]\nm = 1\n[t.deep]\nn = 1'
    )
    assert key_lines(text) == {
        ("a",): 2,
        ("b",): 3,
        ("b", "c"): 3,
        ("t",): 5,
        ("t", "x"): 6,
        ("t", "z"): 9,
        ("t", "z", "p"): 9,
        ("t", "z", "q"): 9,
        ("t", "z", "q", "r"): 9,
        ("u.v",): 10,
        ("u.v", "w"): 10,
        ("u.v", "w", "k"): 11,
        ("list",): 12,
        ("list", "m"): 13,
        ("t", "deep"): 14,
        ("t", "deep", "n"): 15,
    }


NAMES = st.sampled_from(
    [*Settings.model_fields, "day", "dir", "token", "path", "sketch", "roles", "12", "zz"]
)
LEAVES = st.none().map(lambda _: "x") | st.integers() | st.floats() | st.booleans() | st.text(max_size=3)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.dictionaries(NAMES, inner, max_size=4) | st.lists(inner, max_size=2),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, TREES, max_size=4))
def test_no_value_of_any_shape_escapes_as_another_error(raw: dict[str, Any]) -> None:
    environ = {f"TESSERA_{name}__{key}".upper(): str(value) for name, key, value in _pairs(raw)}
    environ = {name: text for name, text in environ.items() if "\0" not in text}
    try:
        load(None, environ)
    except ConfigError as error:
        assert error.faults


def _pairs(raw: dict[str, Any]) -> list[tuple[str, str, Any]]:
    return [(a, b, leaf) for a, inner in raw.items() if isinstance(inner, dict) for b, leaf in inner.items()]


def test_loras_by_name_and_weight(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[loras.ink]\npath = "/loras/ink.safetensors"\nweight = 0.6\n[engine]\nloras_dir = "more"\n'
    )
    settings = load(file, {})
    assert (settings.loras["ink"].path, settings.loras["ink"].weight) == (Path("/loras/ink.safetensors"), 0.6)
    assert settings.engine.loras_dir == Path("more")
    file.write_text("[loras.ink]\nweight = 9\n")
    with pytest.raises(ConfigError) as refusal:
        load(file, {})
    assert str(refusal.value).splitlines() == [
        f"{file} line 1: loras.ink.path: is missing",
        f"{file} line 2: loras.ink.weight: must be at most 4, not 9",
    ]
