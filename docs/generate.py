"""Writes what would drift from the code if kept by hand; ``--check`` fails when it has drifted.

``python -m docs.generate`` writes ``docs/prompts.md``, ``docs/commands.md``, ``docs/config.md``,
``docs/cli.md``, ``docs/models.md`` and ``config.example.toml`` from the flag table, the commands, the
settings and the engine's registry.
"""

from __future__ import annotations

import os
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import typer
from pydantic.fields import FieldInfo
from typer.cli import get_docs_for_click

from bot.config import SHORT_VARIABLES, Lora, Model, Section, Settings, Style
from bot.domain import flags
from bot.domain.flags import FLAGS, FOREIGN, Flag, Kind
from bot.domain.permutations import DEEPEST, MOST
from bot.domain.prompt import MAX_IMAGES, MAX_LENGTH
from bot.domain.styles import BUILT_IN
from engine.api import BLEND_STRENGTH
from engine.models.family import FAMILIES
from engine.samplers import EPSILON, FLOW, SAMPLE, sampler_choice, samplers_for

ROOT = Path(__file__).parent.parent
MARK = "<!-- Written by `make docs` from the code; changes here are overwritten. -->\n\n"
SAMPLE_ID = "123456789012345678"
NAMED: dict[str, type[Section]] = {"models": Model, "styles": Style, "loras": Lora}
"""Tables of tables: a section for each name that the operator chooses."""
SAMPLE_NAMES = {"models": "sd15", "styles": "storybook", "loras": "ink"}
SAMPLES = {
    "models.hub": '"stable-diffusion-v1-5/stable-diffusion-v1-5"',
    "models.revision": f'"{"0123456789" * 4}"',
    "models.variant": '"fp16"',
    "models.sha256": f'{{ "unet/diffusion_pytorch_model.safetensors" = "{"0123456789abcdef" * 4}" }}',
    "loras.path": '"/models/loras/ink.safetensors"',
    "loras.weight": "0.8",
    "models.path": '"/models/stable-diffusion-v1-5"',
    "models.description": '"Photographs and paintings"',
    "models.native_size": "512",
    "models.steps": "25",
    "models.config": '"/models/stable-diffusion-v1-5"',
    "models.guidance_scale": "7.5",
    "models.guidance_rescale": "0.7",
    "models.sampler": '"dpm++ 2m"',
    "models.max_size": "1024",
    "models.ip_adapter": '"/models/ip-adapter/ip-adapter_sd15.safetensors"',
    "models.image_encoder": '"/models/ip-adapter/image_encoder"',
    "models.negative_prompt": '"blurry"',
    "models.aliases": '["1.5", "6"]',
    "models.prefix": '"masterpiece"',
    "models.suffix": '"best quality"',
    "models.presets": '{ default = "lowres", heavy = "lowres, bad anatomy, jpeg artifacts" }',
    "styles.prefix": '"a page of a storybook"',
    "styles.suffix": '"soft pencil, warm light"',
    "styles.negative_prompt": '"photo"',
    "styles.model": '"sd15"',
    "styles.loras": "{ pencil = 0.7 }",
}
_SDXL_BLOCK = "the block of style that InstantStyle names"
ADAPTERS = {
    "sd1": (
        "`models/ip-adapter_sd15.safetensors` of h94/IP-Adapter",
        "`models/image_encoder` there",
        "all but the coarsest",
    ),
    "sdxl": (
        "`sdxl_models/ip-adapter_sdxl.safetensors` of h94/IP-Adapter",
        "`sdxl_models/image_encoder` there",
        _SDXL_BLOCK,
    ),
    "kolors": (
        "`ip_adapter_plus_general.safetensors` of Kwai-Kolors/Kolors-IP-Adapter-Plus, revision refs/pr/4",
        "`image_encoder` there",
        _SDXL_BLOCK,
    ),
    "sd3": (
        "`ip-adapter.safetensors` of guiyrt/InstantX-SD3.5-Large-IP-Adapter-diffusers, which is "
        "InstantX/SD3.5-Large-IP-Adapter without its pickle",
        "google/siglip-so400m-patch14-384",
        "all",
    ),
    "flux": (
        "`ip_adapter.safetensors` of XLabs-AI/flux-ip-adapter",
        "openai/clip-vit-large-patch14",
        "all",
    ),
}
"""By family: published adapters, their encoders, and where a style reference goes."""


def prompts() -> str:
    """The prompt language, from the flag table."""
    return "\n".join((_flags(), _meanings(), _several(), _tables()))


def _flags() -> str:
    rows = "\n".join(_flag_row(flag) for flag in FLAGS)
    return f"""{MARK}# What to type after /imagine

`[image links] text [--flags]`, for example `a red apple on a blue plate --ar 3:2 --seed 7`.

| flag | values | left out | what it does |
|---|---|---|---|
{rows}

- Flags are lowercase and may stand anywhere behind the links; what is not a flag or its value is text.
- `—ar`, `–ar` and `－－ar` count as `--ar`, `--ar=3:2` as `--ar 3:2`. Full-width digits and punctuation are
  fine, and behind Chinese no space is needed: `一只猫，--ar 3：2`. A dash with spaces around it is text.
- A flag that is given twice counts as written last; the lists of `--no` and of pictures add up.
- `--no` and `--sampler` reach to the next flag; a sampler in quotation marks ends with them.
- Up to {MAX_IMAGES} pictures may come first: http or https links, or an upload; then text is optional.
- At most {MAX_LENGTH:,} characters.
- When something is wrong, one answer that only you see names every fault, the value and what is allowed, and
  repeats the prompt, so that nothing is lost.
"""


def _meanings() -> str:
    rows = "\n".join(f"| `--{flag.spellings[0]}` | {flag.means} | {flag.zh} |" for flag in FLAGS)
    return f"""## What becomes of them on an open model

What the chosen model cannot do is refused with its reason, or told by the explanation of the prompt.

| flag | in numbers | 中文 |
|---|---|---|
{rows}
"""


def _several() -> str:
    return f"""## Several prompts in one

- `hot::2 dog::1` are two ideas, the first twice as heavy; a weight covers the text since the one before. All
  weights together must be more than 0. Parts of negative weight go to the negative prompt. A model that
  understands weights paints `hot :0.67 AND dog :0.33`; for others the parts are a list, heaviest first.
- `a {{red, blue}} bird --ar {{3:2, 1:1}}` are four jobs, up to {MOST} in all, confirmed with their price
  before they start. Sets stand inside each other up to {DEEPEST} deep; `\\,` is a comma inside an
  alternative, `\\{{` and `\\}}` are brackets. `--repeat 3` orders three grids of each; with `--seed` they
  go on counting.
- An option of your own (`/prefer option set`) is written like a flag and stands for its text; your suffix
  (`/prefer suffix`) comes behind every prompt, and its flags give way to those you type.

## Weights of other programs

- stable-diffusion-webui: `(a:1.2)`, `(a)`, `[a]`, `[a:b:0.5]`, `BREAK`, `AND` and `<lora:name:0.8>`, where
  the model understands them; for others the words are kept, the weights left out, as the explanation says.
  A model without the LoRA refuses it. Pasted parameters (`Negative prompt: ... Steps: 20, Sampler: ...`) are
  understood as a whole.
- NovelAI: `{{a}}` and `[a]` weigh by 1.05 on models with `syntax = "novelai"` in the configuration; sets of
  alternatives then work behind flags only. `--preset` chooses among such a model's undesired contents.
"""


def _tables() -> str:
    styles = "\n".join(
        f"| `{name}` | {style.suffix} | {style.negative_prompt} | {style.guidance:g} |"
        for name, style in BUILT_IN.items()
    )
    foreign = "\n".join(f"| `--{name}` | {flags.foreign(name, f'`--{name}`')} |" for name in FOREIGN)
    return f"""## Styles that come with the bot

`--style NAME`; the configuration changes and adds some (`[styles.NAME]`).

| style | adds | takes out | guidance x |
|---|---|---|---|
{styles}

## What other programs call a flag

| flag | answer |
|---|---|
{foreign}
"""


def _flag_row(flag: Flag) -> str:
    names = " ".join(f"`--{spelling}`" for spelling in flag.spellings)
    values = "" if flag.kind in (Kind.SWITCH, Kind.MODE) else flags.allowed(flag)
    return f"| {names} | {values} | {_left_out(flag)} | {flag.help} |"


def _left_out(flag: Flag) -> str:
    if flag.default is None or flag.default is False or flag.default == ():
        texts = {"seed": "random", "model": "the server's", "preset": "the model's"}
        return texts.get(flag.name, "the model's" if flag.name in ("steps", "cfg", "sampler", "size") else "")
    return f"`{flags.write_value(flag, flag.default)}`"


def models() -> str:
    """What works with which family of models, from the engine's registry; each cell has its test."""
    names = list(next(iter(FAMILIES.values())).abilities)
    rows = "\n".join(
        f"| {family.title} | {' | '.join('yes' if able else '–' for able in family.abilities.values())} |"
        for family in FAMILIES.values()
    )
    return f"""{MARK}# Models

| family | {" | ".join(names)} |
|---|{"---|" * len(names)}
{rows}

- What a model cannot do is refused before the job is queued, with the reason. Weights in prompts are the one
  exception: where there is a `–`, the words are kept, the weights left out, and the explanation says so.
- **references** (`--sref`, `--cref`, `--oref`) need an IP-Adapter for the model, as below.
- **blend** mixes what an IP-Adapter sees in the pictures; without one, their latents under one noise are
  mixed and painted anew at a strength of {BLEND_STRENGTH}; families without native batching start from the
  pictures' mean, but for FLUX.2, which looks at each of them.
- **upscale** enlarges a picture as it is; a **second pass** also paints the enlarged one once more.
- **native batching**: jobs share each step of the model and join and leave between two steps. The others run
  as diffusers wrote them, one job at a time, with progress, and a cancel between two steps.
- **Any other** pipeline of diffusers that paints from a text (AuraFlow, Chroma, Lumina 2, Stable Cascade,
  perturbed-attention guidance ...) runs as those without native batching do. Its call and
  its folder say what it takes; image to image and inpaint work where diffusers has a sibling of the same
  parts, LoRAs where diffusers loads them. What makes films or sounds, needs more than a text, or is half a
  pipeline is refused with that reason; code that lies in a folder is never run.

{_references()}
{_folders()}
{_samplers()}"""


def _references() -> str:
    rows = "\n".join(
        f"| {family.title} | {' | '.join(ADAPTERS[family.name])} |"
        for family in FAMILIES.values()
        if family.references
    )
    return f"""## Reference pictures

`ip_adapter` and `image_encoder` in the model's section of the configuration: a .safetensors file (a pickle is
never loaded) and a folder. Those of another model, or without their encoder, are named with the reason when
the bot starts, and the model goes without.

| family | `ip_adapter`, for example | its `image_encoder` | layers that `--sref` reaches |
|---|---|---|---|
{rows}

`--cref` and `--oref` reach all layers. Which of a transformer's layers carry style alone is not known, so
there `--sref` does as `--cref`, and the explanation of a prompt says so. Several references add up, each with
its own weight.
"""


def _folders() -> str:
    rows = "\n".join(
        f"| {family.title} | {', '.join(f'`{kind}`' for kind in family.pipelines)} | {family.size} | "
        f"{family.steps} | {family.guidance_scale:g} |"
        for family in FAMILIES.values()
    )
    return f"""## What a folder is known by

`_class_name` of its `model_index.json`; steps and guidance scale are the family's, where neither the folder
nor the configuration says anything else.

| family | pipelines | pixels | steps | guidance |
|---|---|---|---|---|
{rows}
"""


def _samplers() -> str:
    return f"""## Samplers

Any spelling of stable-diffusion-webui, ComfyUI or diffusers will do: `DPM++ 2M Karras`, `dpmpp_2m_karras`,
`EulerAncestralDiscreteScheduler`. A model has those that can read what it predicts.

| trained by | samplers |
|---|---|
| noise or velocity | {sampler_choice(samplers_for(EPSILON))} |
| the picture itself | {sampler_choice(samplers_for(SAMPLE))} |
| flow matching | {sampler_choice(samplers_for(FLOW))} |
"""


def config() -> str:
    """Every key of the configuration."""
    parts = "\n".join("".join(_section(name, section)) for name, section in sections())
    short = ", ".join(f"`{variable}` for `{'.'.join(keys)}`" for variable, keys in SHORT_VARIABLES.items())
    return f"""{MARK}# Configuration

`tessera run --config config.toml`. Without a file everything has the default below. `config.example.toml`
holds all keys to begin with. Each key can be set by the environment, which wins: `TESSERA_<SECTION>__<KEY>`,
so `TESSERA_QUOTA__DAY=50`, `TESSERA_MODELS__SD15__PATH=/models/sd15`; also {short}.
Lists are written `a,b` or as in TOML, tables as in TOML, true and false also `1` and `0`. `SD_1_5` stands for
a section that the file calls `SD-1.5`. Relative folders begin at the folder the command runs in. Faults are
reported all at once, with key and line or variable.

{parts}"""


def sections() -> Iterator[tuple[str, type[Section]]]:
    """Tables of the file by name, in the order of the settings."""
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if name in NAMED:
            yield f"{name}.<name>", NAMED[name]
        else:
            yield name, typing.cast(type[Section], kind)


def _section(name: str, section: type[Section]) -> Iterator[str]:
    yield f"## [{name}]\n\n{section.__doc__}\n\n| key | type | default | |\n|---|---|---|---|\n"
    for key, field in section.model_fields.items():
        yield f"| `{key}` | {_type(field)} | {_default(field)} | {field.description} |\n"


def _type(field: FieldInfo) -> str:
    kind: object = field.annotation
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        kind = next(arg for arg in typing.get_args(kind) if arg is not type(None))
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) is typing.Literal:
        return "text"
    if typing.get_origin(kind) is tuple:
        inner = str(typing.get_args(kind)[0])
        return "list of texts" if "str" in inner else "list of ids"
    if typing.get_origin(kind) is Mapping and Section not in getattr(typing.get_args(kind)[1], "__mro__", ()):
        return "table"
    names = {int: "whole number", float: "number", bool: "true/false", str: "text", Path: "path"}
    return names.get(typing.cast(type, kind), "secret" if "Secret" in str(kind) else "sections")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "" if field.default in (None, "", {}) else f"`{_toml(field.default)}`"


def _toml(value: object) -> str:
    match value:
        case None:
            return '""'
        case bool():
            return str(value).lower()
        case int() if value >= 1_000_000:
            return f"{value:_}"
        case int() | float():
            return str(value)
        case tuple():
            return "[" + ", ".join(_toml(entry) for entry in value) + "]"
        case dict():
            return "{" + ", ".join(f"{key} = {_toml(entry)}" for key, entry in value.items()) + "}"
        case _:
            return f'"{value}"'


def example() -> str:
    """A file with every key at its default; what has none is shown in a comment."""
    parts = ["# Every key of Tessera with its default: change what you need, drop the rest.\n"]
    parts.append("# Written by `make docs` from bot/config.py. Explained in docs/config.md.\n")
    for name, section in sections():
        parts.append("\n" + "".join(_example_section(name, section)))
    return "".join(parts)


def _example_section(name: str, section: type[Section]) -> Iterator[str]:
    mark = "# " if "<" in name else ""
    table = name.partition(".")[0]
    yield f"# {section.__doc__}\n{mark}[{name.replace('<name>', SAMPLE_NAMES.get(table, ''))}]\n"
    later: list[str] = []
    for key, field in section.model_fields.items():
        if _type(field) == "sections":
            later.append(f"# {field.description}\n# [{name}.{key}.{SAMPLE_ID}]\n# day = 500\n")
        else:
            value = SAMPLES.get(f"{table}.{key}") if mark else None
            value = value or _toml(field.default)
            aside = "# " if field.default is None and "Secret" not in str(field.annotation) else mark
            yield f"# {field.description}\n{aside}{key} = {value}\n"
    yield from later


def cli() -> str:
    """Every command with its options, from the command line itself."""
    from bot.__main__ import CODES, app

    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="tessera")
    text = get_docs_for_click(obj=command, ctx=context, name="tessera", title="The command line")
    once, *rest = text.split(CODES)
    return MARK + (once + CODES + "".join(rest)).strip().replace("\n\n\n", "\n") + "\n"


def commands() -> str:
    """Every command on Discord in both languages, from the commands themselves."""
    from discord import app_commands

    from bot.ui.commands import COMMANDS
    from bot.ui.commands.menus import MENUS
    from bot.ui.locales.zh_commands import COMMANDS as ZH

    rows = []
    for command in COMMANDS:
        leaves = command.walk_commands() if isinstance(command, app_commands.Group) else [command]
        for leaf in leaves:
            if isinstance(leaf, app_commands.Command):
                names = " ".join(ZH[name] for name in leaf.qualified_name.split())
                options = " ".join(f"`{parameter.display_name}`" for parameter in leaf.parameters)
                told = f"{leaf.description} | {names}：{ZH[leaf.description]}"
                rows.append(f"| `/{leaf.qualified_name}` | {options} | {told} |")
    menus = "\n".join(f"| {menu.name} | {ZH[menu.name]} |" for menu in MENUS)
    listed = "\n".join(rows)
    return f"""{MARK}# Commands on Discord

Only `/quota` is for admins. What is answered to one person is in that person's language.

| command | options | what it does | 中文 |
|---|---|---|---|
{listed}

Right-click on a message, Apps:

| menu | 中文 |
|---|---|
{menus}

The owner of a picture may also react: ✉️ sends it by direct message with job and seeds, ❌ cancels or deletes.
"""


PAGES: dict[str, Callable[[], str]] = {
    "docs/commands.md": commands,
    "docs/prompts.md": prompts,
    "docs/config.md": config,
    "docs/cli.md": cli,
    "docs/models.md": models,
    "config.example.toml": example,
}


def stale(root: Path = ROOT) -> list[str]:
    """The pages that no longer say what the code says."""
    return [
        name
        for name, page in PAGES.items()
        if not (root / name).exists() or (root / name).read_text() != page()
    ]


def main() -> int:
    """Write the pages, or only look at them with ``--check``."""
    os.environ["NO_COLOR"] = "1"
    old = stale()
    if "--check" in sys.argv:
        for name in old:
            print(f"{name} is stale; type `make docs`.", file=sys.stderr)
        return bool(old)
    for name in old:
        (ROOT / name).write_text(PAGES[name]())
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
