"""Fetches the pictures from npm and writes one 160 px RGBA sprite per thing and vendor.

    python -m training.fetch

Fluent 3D and flat are learned from; the other vendors' drawings serve the judge alone. Needs npm and the
`train` extra.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import resvg_py
from PIL import Image

from training.paths import DATA, SPRITES
from training.things import STYLES, THINGS, Thing

PACKAGES = {
    "fluent3d": "@lobehub/fluent-emoji-3d@1.1.0",  # MIT
    "flat": "@iconify-json/fluent-emoji-flat@1.2.6",  # MIT
    "noto": "@iconify-json/noto@1.2.9",  # Apache-2.0, judging only
    "twemoji": "@iconify-json/twemoji@1.2.5",  # CC-BY-4.0, judging only
    "openmoji": "@iconify-json/openmoji@1.2.29",  # CC-BY-SA-4.0, judging only
    "emojione": "@iconify-json/emojione@1.2.3",  # CC-BY-4.0, judging only
    "emojibase": "emojibase-data@17.0.0",  # MIT: words for things the model does not know
}
JUDGING = ("noto", "twemoji", "openmoji", "emojione")
SIZE = 160

LIGHTHOUSE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 160"><defs>
<linearGradient id="w"><stop offset="0" stop-color="#fff"/><stop offset=".6" stop-color="#f1eef6"/>
<stop offset="1" stop-color="#b9b2cc"/></linearGradient>
<linearGradient id="r"><stop offset="0" stop-color="#ff5a55"/><stop offset=".6" stop-color="#e22a38"/>
<stop offset="1" stop-color="#a3123a"/></linearGradient>
<linearGradient id="k" y2="1" x2="0"><stop offset="0" stop-color="#7b8794"/>
<stop offset="1" stop-color="#4b5563"/></linearGradient>
<radialGradient id="y"><stop offset="0" stop-color="#fffbd0"/><stop offset="1"
stop-color="#ffc21f"/></radialGradient></defs>
<ellipse cx="80" cy="146" rx="58" ry="13" fill="url(#k)"/><path d="M60 56h40l14 90H46z" fill="url(#w)"/>
<path d="M57.200 74h45.600l3.200 20H54z M50.800 114h58.400l3.200 20H47.600z" fill="url(#r)"/>
<rect x="52" y="48" width="56" height="9" rx="4" fill="#5b4a66"/><rect x="64" y="22" width="32" height="27"
fill="url(#y)"/><path d="M64 22v26M80 22v26M96 22v26" stroke="#5b4a66" stroke-width="4"/>
<path d="M58 24Q80 -12 102 24z" fill="url(#r)"/><rect x="72" y="126" width="16" height="20" rx="8"
fill="#5b4a66"/></svg>"""


FLATTENED = {"g": "#e22a30", "w": "#f1eef6", "r": "#e22a38", "k": "#566270", "y": "#ffdf70"}
"""The colours that stand for the gradients of what is drawn here."""


@cache
def unpack(name: str) -> Path:
    """Download one npm package into training/data, once, and return its folder."""
    folder = DATA / name
    if not folder.exists():
        DATA.mkdir(parents=True, exist_ok=True)
        packed = subprocess.run(
            ["npm", "pack", "--silent", PACKAGES[name]], cwd=DATA, check=True, capture_output=True, text=True
        ).stdout.split()[-1]
        with tarfile.open(DATA / packed) as archive:
            archive.extractall(DATA / f"{name}.part", filter="data")
        (DATA / f"{name}.part" / "package").rename(folder)
        (DATA / f"{name}.part").rmdir()
    return folder


def fluent(thing: Thing) -> Image.Image | None:
    """The Fluent 3D picture of a thing."""
    for suffix in ("", "-fe0f"):
        path = unpack("fluent3d") / "assets" / f"{thing.code}{suffix}.webp"
        if path.exists():
            return Image.open(path).convert("RGBA")
    return None


def rasterise(svg: str) -> Image.Image:
    """Draw an SVG at SIZE pixels."""
    picture = resvg_py.svg_to_bytes(svg_string=svg, width=SIZE, height=SIZE)
    return Image.open(io.BytesIO(bytes(picture))).convert("RGBA")


@cache
def table(vendor: str, name: str) -> dict[str, Any]:
    """One of the tables of an Iconify set."""
    found: dict[str, Any] = json.loads((unpack(vendor) / f"{name}.json").read_text(encoding="utf-8"))
    return found


def iconify(vendor: str, thing: Thing) -> Image.Image | None:
    """A thing's picture from an Iconify set, or None where the set has none."""
    icons = table(vendor, "icons")
    chars = table(vendor, "chars") or table("noto", "chars")  # EmojiOne names its icons as Noto does
    name = chars.get(thing.code) or chars.get(f"{thing.code}-fe0f")
    if name is None or name not in icons["icons"]:
        return None
    icon = icons["icons"][name]
    width, height = icon.get("width", icons.get("width", 16)), icon.get("height", icons.get("height", 16))
    return rasterise(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
    )


def shape(key: str) -> str:
    """A plain shape with a soft highlight, as SVG, drawn here."""
    body = {
        "circle": '<circle cx="80" cy="80" r="74"',
        "square": '<rect x="12" y="12" width="136" height="136" rx="10"',
        "triangle": '<path d="M80 10L152 144H8z" stroke-linejoin="round"',
    }[key]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 160"><defs><radialGradient id="g" '
        'cx=".35" cy=".3" r=".8"><stop offset="0" stop-color="#ff7a70"/><stop offset=".5" '
        'stop-color="#e22a30"/><stop offset="1" stop-color="#a81a2c"/></radialGradient></defs>'
        f'{body} fill="url(#g)"/></svg>'
    )


def squared(picture: Image.Image) -> Image.Image:
    """Crop to what is drawn and centre it on a square of SIZE pixels, so that scale means one thing."""
    box = picture.getchannel("A").point(lambda a: 255 if a > 16 else 0).getbbox()
    drawn = picture.crop(box)
    scale = SIZE / max(drawn.size)
    drawn = drawn.resize(
        (max(1, round(drawn.width * scale)), max(1, round(drawn.height * scale))), Image.Resampling.LANCZOS
    )
    canvas = Image.new("RGBA", (SIZE, SIZE))
    canvas.paste(drawn, ((SIZE - drawn.width) // 2, (SIZE - drawn.height) // 2))
    return canvas


def drawn_here(thing: Thing, vendor: str) -> Image.Image | None:
    """The things no emoji set has: shaded, or each part in one colour for the flat style."""
    svg = LIGHTHOUSE if thing.key == "lighthouse" else shape(thing.key)
    if vendor == "flat":
        for gradient, colour in FLATTENED.items():
            svg = svg.replace(f"url(#{gradient})", colour)
    return rasterise(svg) if vendor in ("fluent3d", "flat") else None


def picture_of(vendor: str, thing: Thing) -> Image.Image | None:
    """A thing's picture in a vendor's set, or None where the set has none."""
    if not thing.code:
        return drawn_here(thing, vendor)
    return fluent(thing) if vendor == "fluent3d" else iconify(vendor, thing)


def main() -> None:
    """Write training/data/sprites/<vendor>/<thing>.png."""
    unpack("emojibase")
    for vendor in (*(style.vendor for style in STYLES), *JUDGING):
        folder = SPRITES / vendor
        folder.mkdir(parents=True, exist_ok=True)
        pictures = {thing.key: picture_of(vendor, thing) for thing in THINGS}
        for key, picture in pictures.items():
            if picture is not None:
                squared(picture).save(folder / f"{key}.png")
        missing = [key for key, picture in pictures.items() if picture is None]
        print(f"{vendor}: {len(THINGS) - len(missing)} of {len(THINGS)} things; not {', '.join(missing)}")


if __name__ == "__main__":
    main()
