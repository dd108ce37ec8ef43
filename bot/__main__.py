"""The command line, and the only place that builds the real engine."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import bot
from bot.cli.failures import EXIT_CODES, FAILED, guarded
from bot.config import Settings, load
from bot.errors import DiscordLoginError, EngineStartError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.cli.models import Shelf
    from engine.api import Engine
    from engine.profile import ModelSource
    from engine.sources import HubModel

CODES = "Exit codes:\n\n" + "\n".join(f"- {code}: {meaning}" for code, meaning in EXIT_CODES.items())
app = typer.Typer(
    name="tessera",
    help="A Midjourney of one's own: a Discord bot that paints with diffusion models on your machine.",
    epilog=CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
database = typer.Typer(
    help="Look after the database: upgrade, backup, check.", no_args_is_help=True, epilog=CODES
)
app.add_typer(database, name="db")
models = typer.Typer(
    help="Look after the models: list, pull, check, remove.", no_args_is_help=True, epilog=CODES
)
app.add_typer(models, name="models")

QUIET = {"TRANSFORMERS_VERBOSITY": "error", "DIFFUSERS_VERBOSITY": "error"}
LIBRARIES = {
    "HF_HUB_OFFLINE": "1",
    "DIFFUSERS_DISABLE_REMOTE_CODE": "1",
    **QUIET,
    "GOMP_SPINCOUNT": "10000",
}
"""How the libraries behind the engine behave: nothing is fetched, no code of models runs, no advice.

OpenMP threads soon sleep at a barrier: spinning for a partner whose core is taken cost seven times the work.
"""

Names = Annotated[list[str] | None, typer.Argument(help="Names from the configuration; all when left out.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="Configuration file (TOML). Without one, defaults and environment hold."
    ),
]


def _version(asked: bool) -> None:
    if asked:
        print(f"tessera {bot.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


@app.command(epilog=CODES)
def run(config: Config = None) -> None:
    """Serve Discord until stopped (Ctrl-C or SIGTERM).

    The bot's token comes from DISCORD_TOKEN or from [discord] token in the configuration file. Everything is
    kept in the data folder: [data] dir, or TESSERA_DATA_DIR, or ./data.
    """
    import asyncio

    settings = _settings(config)

    from bot.ui.client import NO_TOKEN, run_bot
    from bot.web.server import serving

    if settings.discord.token is None:
        raise DiscordLoginError(NO_TOKEN)
    asyncio.run(run_bot(settings, build_engine(settings), serving))


@app.command(epilog=CODES, context_settings={"ignore_unknown_options": True})
def imagine(
    text: Annotated[
        list[str], typer.Argument(help='The prompt, as in Discord: "a red apple --ar 3:2 --seed 7".')
    ],
    out: Annotated[Path, typer.Option(help="Picture file to write: .png, .webp or .jpg.")] = Path("grid.png"),
    config: Config = None,
) -> None:
    """Paint one prompt into a file, without Discord.

    The prompt takes the same path as in Discord. Its seed and the seconds it took are printed; a PNG also
    carries them with all parameters.
    """
    from bot.cli.imagine import imagine as paint

    done = paint(_settings(config, quiet=True), " ".join(text), out, build_engine)
    width, height = done.size
    print(f"{done.path}: {width}x{height}, seed {done.seed}, {done.seconds:.1f} seconds")


@app.command(epilog=CODES)
def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")] = 8765,
    browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser, where there is a display.")
    ] = True,
    config: Config = None,
) -> None:
    """Try the real bot in a simulated Discord, in your browser: no token, no GPU, no download.

    The page is served on this machine only; its address is printed, and opened where there is a display.
    """
    import asyncio

    settings = _settings(config)

    from bot.ui.demo import run_demo

    asyncio.run(run_demo(settings, port, build_engine(settings), browser=browser))


@app.command(epilog=CODES)
def doctor(config: Config = None) -> None:
    """Check Python, device, memory, models, database and folders: each line is ok, or says what to type."""
    from bot.cli.doctor import Machine, examine

    failed = False
    for finding in examine(config, os.environ, Machine(describe_device, describe_model)):
        print(finding, flush=True)
        failed = failed or bool(finding.mend)
    if failed:
        raise typer.Exit(FAILED)


@database.command(epilog=CODES)
def upgrade(config: Config = None) -> None:
    """Bring the database to this version's schema; `run` does the same at its start. A copy is kept."""
    from bot.cli import databases

    print(databases.upgrade(_settings(config, quiet=True)))


@database.command(epilog=CODES)
def backup(
    target: Annotated[
        Path | None, typer.Argument(help="File or folder; by default a dated file here.")
    ] = None,
    config: Config = None,
) -> None:
    """Copy the database, also while the bot is running."""
    from bot.cli import databases

    print(databases.backup(_settings(config, quiet=True), target))


@database.command(epilog=CODES)
def check(config: Config = None) -> None:
    """Look for damage in the database; exit code 3 when there is some."""
    from bot.cli import databases

    print(databases.verify(_settings(config, quiet=True)))


@models.callback()
def _models() -> None: ...


@models.command("list", epilog=CODES)
def list_models(config: Config = None) -> None:
    """List the models that `--model` takes, the default first, and how to add one."""
    from bot.cli.models import describe

    print(describe(_settings(config, quiet=True), describe_model))


@models.command("pull", epilog=CODES)
def pull_models(names: Names = None, config: Config = None) -> None:
    """Fetch models that have a hub and a revision in the configuration; goes on where it was cut off.

    Every file is checked by its SHA-256. Pickles and a model's own code are never fetched. A token for gated
    models comes from HF_TOKEN or [hub] token.
    """
    from bot.cli.models import pull

    settings = _settings(config, quiet=True)
    for line in pull(settings, names or [], _shelf(settings)):
        print(line, flush=True)


@models.command("check", epilog=CODES)
def check_models(names: Names = None, config: Config = None) -> None:
    """Check models: every byte of those from a hub, the others as the bot does at its start."""
    from bot.cli.models import check

    settings = _settings(config, quiet=True)
    well = True
    for line, sound in check(settings, names or [], _shelf(settings), describe_model):
        print(line, flush=True)
        well = well and sound
    if not well:
        raise typer.Exit(FAILED)


@models.command("remove", epilog=CODES)
def remove_model(
    name: Annotated[str, typer.Argument(help="Name from the configuration.")], config: Config = None
) -> None:
    """Delete the files that `pull` brought for a model. Stop the bot first, or let it use another one."""
    from bot.cli.models import remove

    settings = _settings(config, quiet=True)
    print(remove(settings, name, _shelf(settings)))


def _shelf(settings: Settings) -> Shelf:
    from bot.cli.models import Shelf
    from engine import sources

    _tell_libraries(QUIET)
    return Shelf(
        pull=lambda name: sources.pull(_hub_model(settings, name)),
        check=lambda name: sources.check(_hub_model(settings, name)),
        remove=lambda name: sources.remove(_hub_model(settings, name)),
    )


def _hub_model(settings: Settings, name: str) -> HubModel:
    from engine.sources import HubModel

    model, token = settings.models[name], settings.hub.token
    return HubModel(
        name=name,
        repo=str(model.hub),
        revision=str(model.revision),
        folder=settings.folder_of(name),
        mirrors=model.mirrors or settings.hub.mirrors,
        token=token.get_secret_value() if token else None,
        variant=model.variant,
        sha256=model.sha256,
    )


def build_engine(settings: Settings) -> Engine:
    """The engine that paints; EngineStartError without its default model. Tests swap it."""
    _tell_libraries(LIBRARIES)
    from engine.runtime import LocalEngine

    engine = LocalEngine(
        {name: _source(settings, name) for name in settings.models},
        device=settings.engine.device,
        dtype=settings.engine.dtype,
        max_rows=settings.engine.max_rows,
        threads=settings.engine.threads,
        preview_interval=settings.engine.preview_interval,
        default=settings.engine.default_model,
        memory=_bytes(settings.engine.memory_gb or None),
        spare=_bytes(settings.engine.aside_gb if settings.engine.aside_gb >= 0 else None),
        learned=settings.data.dir / "costs.json",
        compile=settings.engine.compile,
        compiled=settings.data.dir / "compiled",
        segmenter=settings.segmentation.path,
        captioner=settings.captioning.path,
    )
    for name, fault in engine.faults.items():
        if name == settings.engine.default_model:
            raise EngineStartError(str(fault))
        logging.getLogger("bot").warning("model %s is left out: %s", name, fault)
    return engine


def _tell_libraries(variables: Mapping[str, str]) -> None:
    """Before any of them is imported: they read this as they load."""
    for variable, value in variables.items():
        os.environ.setdefault(variable, value)


def _bytes(gibibytes: float | None) -> int | None:
    return None if gibibytes is None else int(gibibytes * 2**30)


def describe_device(settings: Settings) -> str:
    """The device that would be used, in words; EngineError when the configured one is not there."""
    from engine.device import LARGE, describe, pick_devices, pick_dtypes

    devices = pick_devices(settings.engine.device)
    small, large = (
        str(each).removeprefix("torch.") for each in pick_dtypes(settings.engine.dtype, devices[0])
    )
    numbers = small if small == large else f"{small}, models over {LARGE >> 20} MiB in {large}"
    return f"{', '.join(map(describe, devices))}, {numbers}"


def describe_model(settings: Settings, name: str) -> str:
    """What a model's folder holds; ModelUnavailable names the file that is missing or broken."""
    _tell_libraries(QUIET)
    from engine.models.family import PIPELINES
    from engine.profile import read_profile

    info = read_profile(_source(settings, name), PIPELINES).info
    facts = [
        f"{info.family}, {info.native_size * info.upscale} pixels, complete in {settings.folder_of(name)}",
        *(f"without LoRA {lora!r}: {reason}" for lora, reason in info.unfit_loras.items()),
    ]
    if info.unfit_references:
        facts.append(f"without its IP-Adapter: {info.unfit_references}")
    return "; ".join(facts)


def _source(settings: Settings, name: str) -> ModelSource:
    from engine.profile import ModelSource

    model = settings.models[name]
    return ModelSource(
        name=name,
        path=settings.folder_of(name),
        config=model.config,
        hub=model.hub,
        description=model.description or None,
        native_size=model.native_size,
        steps=model.steps,
        guidance_scale=model.guidance_scale,
        guidance_rescale=model.guidance_rescale,
        sampler=model.sampler,
        max_size=model.max_size,
        loras=_loras(settings),
        embeddings=_small_files(settings.engine.embeddings_dir),
        ip_adapter=model.ip_adapter,
        image_encoder=model.image_encoder,
    )


def _loras(settings: Settings) -> tuple[tuple[str, Path], ...]:
    """Those of the folder, and those with a section of their own, which go first."""
    listed = {name: lora.path for name, lora in settings.loras.items()}
    return tuple({**dict(_small_files(settings.engine.loras_dir)), **listed}.items())


def _small_files(folder: Path) -> tuple[tuple[str, Path], ...]:
    from engine.lora import files_in

    return tuple(files_in(folder).items())


def _settings(config: Path | None, *, quiet: bool = False) -> Settings:
    """The configuration, with logging set up by it."""
    from bot.cli.logs import configure

    settings = load(config, os.environ)
    configure(settings, quiet=quiet)
    return settings


def main() -> None:
    """Entry point of ``tessera`` and ``python -m bot``."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.exit(guarded(lambda: app(standalone_mode=False, prog_name="tessera")))


if __name__ == "__main__":
    main()
