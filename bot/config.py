"""TOML and environment -> frozen settings; every fault is reported at once, with key and line or variable."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections import abc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from bot.errors import ConfigError

PREFIX = "TESSERA_"
SHORT_VARIABLES: dict[str, tuple[str, ...]] = {
    "DISCORD_TOKEN": ("discord", "token"),
    f"{PREFIX}DATA_DIR": ("data", "dir"),
    "HF_TOKEN": ("hub", "token"),
    "HF_ENDPOINT": ("hub", "mirrors"),
}
"""Variables with names of their own; the long name wins where both are set."""
SKETCH_MODEL = Path(__file__).parent.parent / "engine" / "assets" / "sketch"
"""The model that comes with the package; ``[models.sketch]`` always exists."""


def _expanded(path: Path) -> Path:
    try:
        expanded = path.expanduser()
    except RuntimeError:
        raise ValueError("has a ~ that is no home folder here; write the whole path") from None
    if not str(path) or "\0" in str(path):
        raise ValueError("is no path")
    return expanded


Snowflake = Annotated[int, Field(gt=0, lt=2**63)]
Snowflakes = Annotated[tuple[Snowflake, ...], Field(strict=False)]
Folder = Annotated[Path, Field(strict=False), AfterValidator(_expanded)]
IdKey = Annotated[int, Field(strict=False, gt=0, lt=2**63)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/+-]{0,63}$")]
Names = Annotated[tuple[Name, ...], Field(strict=False)]
Credit = Annotated[int, Field(ge=0, lt=2**53)]


class Section(BaseModel):
    """A table of the file: unknown keys are faults, types are not guessed, nothing changes after loading."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, allow_inf_nan=False
    )


def _bare(token: SecretStr | None) -> SecretStr | None:
    plain = token.get_secret_value().strip() if token else ""
    if not plain.isascii() or len(plain.split()) > 1:
        raise ValueError("must be the bare token, without spaces or other characters around it")
    return SecretStr(plain) if plain else None


class Discord(Section):
    """How the bot signs in, and whom it obeys."""

    token: SecretStr | None = Field(
        None,
        description="Bot token of https://discord.com/developers/applications; better in DISCORD_TOKEN.",
    )
    guild_ids: Snowflakes = Field(
        (), description="Servers that get the commands at once (for development); empty: all servers."
    )
    admin_role_ids: Snowflakes = Field(
        (),
        description="Roles that may set quotas and delete any picture, beside administrators.",
    )
    report_channel_id: int = Field(
        0, ge=0, lt=2**63, description="Channel that is told of reported pictures; 0: the log alone."
    )

    @field_validator("token")
    @classmethod
    def _token(cls, token: SecretStr | None) -> SecretStr | None:
        return _bare(token)


class Data(Section):
    """Where everything is kept."""

    dir: Folder = Field(
        Path("data"),
        description="Folder of the database and pictures, made at start; also TESSERA_DATA_DIR.",
    )


class Engine(Section):
    """What paints."""

    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d{1,3})?(,cuda:\d{1,3})*)$",
        description="auto, cpu, cuda (every GPU), cuda:N, several as cuda:0,cuda:1, or mps.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="Numbers to calculate in: float32, bfloat16, float16; auto: bfloat16 where it is faster.",
    )
    max_rows: int = Field(8, ge=1, le=256, description="Pictures that share one step of the device.")
    threads: int = Field(0, ge=0, le=1024, description="CPU threads; 0 lets torch choose.")
    compile: Literal["off", "blocks", "graphs"] = Field(
        "off",
        description="off, blocks (compile a model's blocks: minutes once, then faster; for GPUs) or graphs "
        "(CUDA graphs too).",
    )
    memory_gb: float = Field(
        0,
        ge=0,
        le=10_000,
        description="Memory of each device that models may fill, in GiB; 0: three quarters of a GPU's. The "
        "longest unused ones leave first.",
    )
    aside_gb: float = Field(
        -1,
        ge=-1,
        le=10_000,
        description="The machine's memory for models that left a GPU, in GiB; -1: half of it. What does not "
        "fit is read from the disk again.",
    )
    preview_interval: float = Field(
        1.0, ge=0, le=3600, description="Seconds between two previews of a job; 0 sends one at every step."
    )
    default_model: str = Field("sketch", description="The model that paints when a prompt names none.")
    loras_dir: Folder = Field(
        Path("loras"),
        description="Folder of LoRAs (.safetensors), called by their files' names without ending; may lack.",
    )
    embeddings_dir: Folder = Field(
        Path("embeddings"),
        description="Folder of textual inversions; each is a word by its file's name; may lack.",
    )
    window: int = Field(8, ge=1, le=1000, description="Jobs the engine holds at once; the rest wait as rows.")


HUB = "https://huggingface.co"
Mirror = Annotated[
    str, Field(pattern=r"^https?://[^\s/@?#]+(/[^\s?#]*)?$"), AfterValidator(lambda url: url.rstrip("/"))
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]


def _some(mirrors: tuple[str, ...]) -> tuple[str, ...]:
    if not mirrors:
        raise ValueError(f"is empty; {HUB} is the usual one")
    return mirrors


class Hub(Section):
    """Where `tessera models pull` fetches models that have a `hub` name; nothing else ever goes there."""

    mirrors: Annotated[tuple[Mirror, ...], Field(strict=False), AfterValidator(_some)] = Field(
        (HUB,),
        description="Addresses that speak the hub's language, tried in this order; also HF_ENDPOINT.",
    )
    token: SecretStr | None = Field(
        None,
        description="For gated models; sent to the first mirror only. Better in HF_TOKEN.",
    )

    @field_validator("token")
    @classmethod
    def _token(cls, token: SecretStr | None) -> SecretStr | None:
        return _bare(token)


class Model(Section):
    """A model of one's own, a folder or one .safetensors file; its name in brackets is what --model takes."""

    hub: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$",
        description="Its owner/name on the hub, for `tessera models pull`; needs `revision`.",
    )
    revision: str | None = Field(
        None,
        validate_default=True,
        pattern=r"^[0-9a-f]{40}$",
        description="Commit on the hub, in full, so that what is fetched never changes.",
    )
    path: Folder | None = Field(
        None,
        validate_default=True,
        description="Folder with model_index.json, or one .safetensors file with everything. May be left out "
        "beside `hub`: it is models/<name> in the data folder then.",
    )
    config: Folder | None = Field(
        None,
        description="Folder with model_index.json for a `path` that is one file; otherwise looked for beside "
        "it, in a folder of the file's name, in config, or right there.",
    )
    mirrors: Annotated[tuple[Mirror, ...], Field(strict=False)] = Field(
        (), description="Mirrors of this model, in place of [hub] mirrors."
    )
    variant: str = Field(
        "", pattern=r"^\w{0,32}$", description="Variant of the weights to fetch: fp16 is half the size."
    )
    sha256: Annotated[Mapping[str, Sha256], Field(strict=False)] = Field(
        {}, description="SHA-256 of files by their path, checked in place of what the mirror says."
    )
    description: str = Field("", max_length=100, description="A line for the list of models.")
    native_size: int | None = Field(
        None,
        ge=8,
        le=8192,
        description="Side of the square it was trained on, in pixels; otherwise read from the model.",
    )
    steps: int | None = Field(None, ge=1, le=150, description="Steps when a prompt does not say.")
    guidance_scale: float | None = Field(
        None, ge=0, le=100, description="How strongly the prompt pulls (classifier-free guidance)."
    )
    guidance_rescale: float | None = Field(
        None, ge=0, le=1, description="For models whose noise schedule ends in pure noise: 0.7 is usual."
    )
    sampler: str | None = Field(
        None, description="Sampler by the name people know; otherwise read from the model."
    )
    max_size: int | None = Field(None, ge=8, le=16384, description="Longest side it may paint, in pixels.")
    ip_adapter: Folder | None = Field(
        None,
        description="IP-Adapter (.safetensors) for --sref, --cref, --oref and blends by what is seen; "
        "docs/models.md names some.",
    )
    image_encoder: Folder | None = Field(
        None,
        description="Folder of its image encoder (CLIP; SigLIP for SD3); otherwise image_encoder beside it "
        "or in the model.",
    )
    negative_prompt: str | None = Field(None, description="Always added to what --no takes out.")
    aliases: Names = Field(
        (), description='Other names for --model, such as "6.1"; one named niji paints what asks for --niji.'
    )
    syntax: Literal["a1111", "novelai"] = Field(
        "a1111",
        description="How words are weighed: (a:1.2) in a1111, {a} and [a] in novelai (sets of alternatives "
        "then work behind flags only).",
    )
    prefix: str = Field("", max_length=1000, description="Put before every prompt, unless it says --raw.")
    suffix: str = Field("", max_length=1000, description="Put behind every prompt, unless it says --raw.")
    presets: Mapping[Name, str] = Field(
        {}, description="Undesired content by name, for --preset; the one named default is always added."
    )

    @field_validator("revision")
    @classmethod
    def _pinned(cls, revision: str | None, info: ValidationInfo) -> str | None:
        if revision is None and info.data.get("hub"):
            raise ValueError("is missing; give the 40 digits of a commit, from the model's page on the hub")
        return revision

    @field_validator("path")
    @classmethod
    def _somewhere(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is None and info.data.get("hub", "") is None:
            raise ValueError("is missing; give the model's folder or file, or hub and revision to pull it")
        return path


class Style(Section):
    """A style profile of one's own; its name in the brackets is what --style takes."""

    prefix: str = Field("", max_length=1000, description="Put before the prompt.")
    suffix: str = Field("", max_length=1000, description="Put behind the prompt.")
    negative_prompt: str = Field("", max_length=1000, description="Added to what --no takes out.")
    guidance: float = Field(1.0, gt=0, le=10, description="Times the model's guidance scale.")
    model: str = Field("", description="Model that paints when a prompt names none.")
    loras: Mapping[str, float] = Field({}, description="LoRAs by name, with their weights.")


class Lora(Section):
    """A LoRA by its name in the brackets; models that it does not fit refuse it with the reason."""

    path: Folder = Field(description="The .safetensors file.")
    weight: float = Field(1.0, ge=-4, le=4, description="How strongly it works where nothing else is said.")


class Limits(Section):
    """What one user, or one order, may take."""

    running: int = Field(3, ge=1, le=1000, description="Jobs of one user at work at the same time.")
    waiting: int = Field(10, ge=0, le=10_000, description="Jobs of one user that may wait beside them.")
    max_images: int = Field(9, ge=1, le=9, description="Pictures of one job (--n).")
    max_steps: int = Field(150, ge=1, le=150, description="Steps of one job (--steps).")
    max_prompt: int = Field(6000, ge=1, le=6000, description="Characters of a prompt.")
    upload_mb: float = Field(10, gt=0, le=500, description="Size of a picture taken from a user, in MiB.")
    picture_pixels: int = Field(40_000_000, ge=1, le=10**9, description="Pixels of such a picture.")
    attempts: int = Field(3, ge=1, le=10, description="Tries of a job that fails in the engine.")
    shares: Annotated[Mapping[IdKey, Annotated[float, Field(gt=0, le=100)]], Field(strict=False)] = Field(
        {},
        description="By role id, how many times the device's time of others who wait its members get; the "
        "highest of a user's roles counts.",
    )


class Buckets(Section):
    """Credit per calendar hour, day and month (UTC); a key left out is inherited, 0 is unlimited."""

    hour: Credit | None = Field(None, description="Per hour; inherited when left out, 0 is unlimited.")
    day: Credit | None = Field(None, description="Per day; inherited when left out, 0 is unlimited.")
    month: Credit | None = Field(None, description="Per month; inherited when left out, 0 is unlimited.")


class Quota(Section):
    """Credit of each user per calendar hour, day and month (UTC)."""

    unit: Literal["images", "gpu_seconds"] = Field(
        "images", description="What is counted: images, gpu_seconds."
    )
    hour: Credit = Field(0, description="Per hour; 0 is unlimited.")
    day: Credit = Field(100, description="Per day; 0 is unlimited.")
    month: Credit = Field(0, description="Per month; 0 is unlimited.")
    relax_factor: float = Field(0.0, ge=0, le=1, description="What relaxed jobs cost, as a share.")
    turbo_factor: float = Field(2.0, ge=1, le=100, description="What turbo jobs cost, times a fast one.")
    roles: Annotated[Mapping[IdKey, Buckets], Field(strict=False)] = Field(
        {}, description="[quota.roles.<id>]: for a role; the most generous of a user's roles counts."
    )
    guilds: Annotated[Mapping[IdKey, Buckets], Field(strict=False)] = Field(
        {}, description="[quota.guilds.<id>]: for everyone in a server."
    )
    users: Annotated[Mapping[IdKey, Buckets], Field(strict=False)] = Field(
        {}, description="[quota.users.<id>]: for one user, before role and server."
    )


class Moderation(Section):
    """What is not painted."""

    blocked_words: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)] = Field(
        (), description="Words and phrases that no prompt may hold, in any spelling of case."
    )


class Safety(Section):
    """What painted pictures may show. What is held back is not charged."""

    nudity: Literal["allowed", "refused"] = Field(
        "allowed",
        description="allowed or refused; to refuse it takes a detector: pip install 'tessera[safety]'. "
        "Where it is refused, pictures are shown once they are checked, without previews.",
    )
    nudity_channels: Snowflakes = Field(
        (), description="Channels (age-restricted ones) where it is allowed all the same."
    )


class Captioning(Section):
    """What puts a picture into words, for /describe. Without it, only colours, light and shape are told."""

    path: Folder | None = Field(
        None,
        description="Folder of a BLIP, GIT or ViT-GPT2 model as transformers saves it (model.safetensors).",
    )


class Segmentation(Section):
    """What finds "the sky" in a picture, for Vary (Region). Without it, regions are numbered fields."""

    path: Folder | None = Field(
        None, description="Folder of a CLIPSeg model as transformers saves it, with model.safetensors."
    )

    @field_validator("path", mode="before")
    @classmethod
    def _path(cls, path: object) -> object:
        return None if path == "" else path


class Web(Section):
    """A small web server for monitoring: /healthz, /readyz, /metrics."""

    enabled: bool = Field(False, description="Whether it runs.")
    host: str = Field("127.0.0.1", min_length=1, description="Address it listens on.")
    port: int = Field(8080, ge=0, le=65535, description="Port it listens on.")


class Log(Section):
    """What the bot writes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug, info, warning or error; prompts appear at debug only."
    )
    format: Literal["text", "json"] = Field("text", description="text for people, json for machines.")


class Settings(Section):
    """The whole configuration; ``Settings()`` works as it stands."""

    discord: Discord = Discord()
    data: Data = Data()
    engine: Engine = Engine()
    hub: Hub = Hub()
    models: Mapping[Name, Model] = Field({}, validate_default=True)
    styles: Mapping[Name, Style] = {}
    loras: Mapping[Name, Lora] = {}
    limits: Limits = Limits()
    quota: Quota = Quota()
    moderation: Moderation = Moderation()
    safety: Safety = Safety()
    captioning: Captioning = Captioning()
    segmentation: Segmentation = Segmentation()
    web: Web = Web()
    log: Log = Log()

    @field_validator("models", mode="before")
    @classmethod
    def _with_sketch(cls, models: object) -> object:
        if not isinstance(models, Mapping):
            return models
        own = models.get("sketch", {})
        return {**models, "sketch": {"path": SKETCH_MODEL, **own} if isinstance(own, Mapping) else own}

    def folder_of(self, name: str) -> Path:
        """Where a model lies, or will when it is pulled; a name with slashes is one folder all the same."""
        return self.models[name].path or self.data.dir / "models" / name.replace("/", "--")


Keys = tuple[str, ...]


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the file (None: all defaults), let the environment override it; ConfigError names every fault."""
    raw, places = _read_file(path) if path else ({}, {})
    faults: list[str] = []
    for named, variable, value in _overrides(environ):
        keys = _as_written(named, raw)
        if _put(raw, keys, value):
            places = {key: place for key, place in places.items() if key[: len(keys)] != keys}
            places[keys] = variable
            for end in range(1, len(keys)):
                places.setdefault(keys[:end], variable)
        else:
            faults.append(f"{variable}: {'.'.join(keys)} is inside a key that holds a plain value")
    faults += [f"{variable}: {sentence}" for variable, sentence in _misspelt(environ)]
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        faults += [_fault(detail, places) for detail in error.errors(include_url=False)]
    faults += _cross_faults(raw, places)
    if faults or settings is None:
        raise ConfigError(tuple(sorted(dict.fromkeys(faults), key=_line)))
    return settings


def _line(fault: str) -> int:
    found = re.search(r" line (\d+): ", fault)
    return int(found[1]) if found else 0


def _read_file(path: Path) -> tuple[dict[str, Any], dict[Keys, str]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        raw = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError((f"{path}: there is no such file; copy config.example.toml.",)) from None
    except OSError as error:
        raise ConfigError((f"{path}: cannot be read ({error.strerror}).",)) from None
    except UnicodeDecodeError as error:
        raise ConfigError((f"{path}: byte {error.start} is not UTF-8; save it as UTF-8 text.",)) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError((_syntax_fault(path, text, str(error)),)) from None
    return raw, {keys: f"{path} line {line}" for keys, line in key_lines(text).items()}


def _syntax_fault(path: Path, text: str, message: str) -> str:
    found = re.fullmatch(r"(?P<what>.*?) \(at (?:line (?P<line>\d+), column \d+|end of document)\)", message)
    if not found:
        return f"{path}: not TOML: {message}."
    what = found["what"]
    if what == "Cannot overwrite a value":
        what = "this key is given twice"
    return f"{path} line {found['line'] or len(text.splitlines())}: not TOML: {what}."


def key_lines(text: str) -> dict[Keys, int]:
    """The line (from 1) of every key and table of a valid TOML text; tomllib itself says none."""
    lines = text.replace("\r\n", "\n").split("\n")
    places: dict[Keys, int] = {}
    table: Keys = ()
    start = 0
    while start < len(lines):
        end, statement = _statement(lines, start)
        header = lines[start].lstrip().startswith("[")
        paths = list(_paths(statement))
        if header and paths:
            table = paths[-1]
        for keys in paths:
            places.setdefault(keys if header else table + keys, start + 1)
        start = end
    return places


def _statement(lines: list[str], start: int) -> tuple[int, dict[str, Any]]:
    """The statement that starts at a line, read alone, and the line after it (values may span lines)."""
    for end in range(start + 1, len(lines) + 1):
        try:
            return end, tomllib.loads("\n".join(lines[start:end]))
        except tomllib.TOMLDecodeError:
            continue
    return start + 1, {}


def _paths(value: object, prefix: Keys = ()) -> Iterator[Keys]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*prefix, key)
            yield from _paths(inner, (*prefix, key))
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict):
                yield from _paths(inner, prefix)


def _overrides(environ: Mapping[str, str]) -> Iterator[tuple[Keys, str, object]]:
    """Keys, variable and value of everything the environment sets; later ones win."""
    for variable, keys in SHORT_VARIABLES.items():
        if environ.get(variable, "").strip():
            yield keys, variable, _from_text(keys, environ[variable])
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and "__" in variable:
            keys = tuple(variable.removeprefix(PREFIX).lower().split("__"))
            yield keys, variable, _from_text(keys, environ[variable])


def _from_text(keys: Keys, text: str) -> object:
    """A variable's text as the type that the key wants; left as it is where it does not fit."""
    annotation = _annotation(keys)
    told, plain = str(annotation), text.strip()
    if get_origin(annotation) is Literal:
        return plain.lower()
    if annotation is bool:
        return _TRUTH.get(plain.lower(), plain)
    if "tuple" in told and not plain.startswith("["):
        entries = [entry.strip() for entry in plain.split(",") if entry.strip()]
        return entries if "str" in told else [_literal(entry) for entry in entries]
    if any(kind in told for kind in ("tuple", "int", "float", "Mapping")):
        return _literal(plain)
    return text


_TRUTH = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
"""How people write these in an environment, where everything is text."""


def _as_written(keys: Keys, raw: Mapping[str, Any]) -> Keys:
    """A variable's keys as the file spells them: MY_MODEL may stand for [models."My-Model"]."""
    spelt: list[str] = []
    table: object = raw
    for key in keys:
        own = table if isinstance(table, Mapping) else {}
        spelt.append(key if key in own else next((name for name in own if _as_variable(name) == key), key))
        table = own.get(spelt[-1])
    return tuple(spelt)


def _as_variable(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", name.lower())


def _literal(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _annotation(keys: Keys) -> object:
    """The declared type of a key; None for a key that does not exist."""
    section: object = Settings
    for key in keys:
        if isinstance(section, type) and issubclass(section, Section):
            field = section.model_fields.get(key)
            section = field.annotation if field else None
        else:
            section = get_args(section)[1] if get_origin(section) is abc.Mapping else None
    return section


def _misspelt(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """TESSERA_QUOTA_DAY for TESSERA_QUOTA__DAY would otherwise be silently without effect."""
    known = {
        f"{PREFIX}{section}_{key}".upper(): f"{PREFIX}{section}__{key}".upper() for section, key in _keys()
    }
    for variable in environ:
        if variable in known and variable not in SHORT_VARIABLES:
            yield variable, f"write {known[variable]}, with two underscores after the section"


def _keys() -> Iterator[tuple[str, str]]:
    for section, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            for key in field.annotation.model_fields:
                yield section, key


def _put(raw: dict[str, Any], keys: Keys, value: object) -> bool:
    """Set a nested value; False when a key on the way holds something other than a table."""
    table: Any = raw
    for key in keys[:-1]:
        table = table.setdefault(key, {}) if isinstance(table, dict) else None
    if not isinstance(table, dict):
        return False
    table[keys[-1]] = value
    return True


def _cross_faults(raw: Mapping[str, Any], places: Mapping[Keys, str]) -> Iterator[str]:
    """What no single key shows; read from the raw values, so that it is told beside all other faults."""
    engine, models = raw.get("engine"), raw.get("models", {})
    name = engine.get("default_model") if isinstance(engine, Mapping) else None
    known = sorted({"sketch", *models}) if isinstance(models, Mapping) else []
    if isinstance(name, str) and known and name not in known:
        keys = ("engine", "default_model")
        yield (
            f"{_place(keys, places)}engine.default_model: there is no model {name!r}; "
            f"add [models.{name}] or choose one of {', '.join(known)}"
        )
    for name, alias in _taken_aliases(models if isinstance(models, Mapping) else {}):
        place = _place(("models", name, "aliases"), places)
        yield f"{place}models.{name}.aliases: {alias!r} already names another model"


def _taken_aliases(models: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Models and those of their aliases that another model has as its name, or before them as an alias."""
    taken = {str(name).lower(): name for name in ("sketch", *models)}
    for name, own in models.items():
        aliases = own.get("aliases", ()) if isinstance(own, Mapping) else ()
        for alias in aliases if isinstance(aliases, list | tuple) else ():
            if taken.setdefault(str(alias).lower(), name) != name:
                yield name, str(alias)


def _place(keys: Keys, places: Mapping[Keys, str]) -> str:
    """Where the nearest enclosing key was given: a line or a variable."""
    while keys:
        if keys in places:
            return f"{places[keys]}: "
        keys = keys[:-1]
    return ""


def _fault(detail: ErrorDetails, places: Mapping[Keys, str]) -> str:
    keys = tuple(part for part in detail["loc"] if isinstance(part, str) and part != "[key]")
    return f"{_place(keys, places)}{'.'.join(keys)}: {_complaint(detail, keys)}"


_SECRET = frozenset({("discord",), ("discord", "token"), ("hub",), ("hub", "token")})


def _complaint(detail: ErrorDetails, keys: Keys) -> str:
    """The second half of a fault. Never holds a secret: of those, not even the wrong value is shown."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(keys)
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(context["error"])
    hidden = keys in _SECRET or (keys[-1:] == ("mirrors",) and "@" in str(detail["input"]))  # a password
    given = "" if hidden else f", not {_short(detail['input'])}"
    return f"must be {_wanted(kind, context, detail['msg'], keys)}{given}"


_WANTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text in quotes",
    "path_type": "a path in quotes",
    "tuple_type": "a list in square brackets",
    "model_type": "a section with keys of its own",
    "dict_type": "a section with keys of its own",
    "mapping_type": "a section with keys of its own",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "one of {expected}",
    "string_too_short": "at least {min_length} character long",
    "string_too_long": "at most {max_length} characters long",
}


_SHAPES = {
    "hub": "owner/name as on the model's page",
    "revision": "a commit's 40 digits in full (no branch, no tag)",
    "mirrors": "an address that begins with https:// or http://",
    "variant": "a word, such as fp16",
    "sha256": "64 digits from 0 to f",
}


def _wanted(kind: str, context: Mapping[str, Any], message: str, keys: Keys) -> str:
    if kind == "string_pattern_mismatch" and "cuda" in context["pattern"]:
        return "auto, cpu, cuda, cuda:N or mps"
    shape = next((_SHAPES[key] for key in reversed(keys) if key in _SHAPES), None)
    if kind == "string_pattern_mismatch" and shape:
        return shape
    if kind == "string_pattern_mismatch":
        return "a name of letters, digits, dots and dashes"
    plain = {name: int(edge) if isinstance(edge, float) else edge for name, edge in context.items()}
    return _WANTED[kind].format(**plain) if kind in _WANTED else message


def _short(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _unknown(keys: Keys) -> str:
    parent = _annotation(keys[:-1]) if len(keys) > 1 else Settings
    siblings = tuple(parent.model_fields) if isinstance(parent, type) and issubclass(parent, Section) else ()
    homes = [section for section, key in _keys() if key == keys[-1]]
    if guess := difflib.get_close_matches(keys[-1].lower(), siblings, n=1, cutoff=0.6):
        return f"there is no such key; did you mean {guess[0]}?"
    if homes:
        return f"there is no such key here; it belongs in [{homes[0]}]"
    return f"there is no such {'key' if len(keys) > 1 else 'section'}; there are {', '.join(siblings)}"
