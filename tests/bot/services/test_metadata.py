"""Pictures of other programs say how they were made; hostile ones say nothing and harm nothing."""

from __future__ import annotations

import io
import json
import struct
import zlib
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bot.domain.prompt import parse
from bot.services.metadata import Found, read

WEBUI = (
    "a cat, best quality\nNegative prompt: bad hands, fog\n"
    "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x768, Model hash: 1, Model: sd15"
)
FLAGS = "--seed 5 --no bad hands, fog --steps 20 --cfg 7 --sampler euler a --size 512x768"
COMFY: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 5,
            "steps": 20,
            "cfg": 7.0,
            "sampler_name": "euler_ancestral",
            "scheduler": "normal",
            "positive": ["8", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["9", 0], "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "bad hands, fog", "clip": ["4", 1]}},
    "8": {"class_type": "ConditioningZero", "inputs": {"conditioning": ["6", 0]}},
    "9": {"class_type": "PrimitiveString", "inputs": {"value": "a cat, best quality"}},
}
WORKFLOW = {
    "nodes": [
        {"type": "CLIPTextEncode", "widgets_values": ["a cat, best quality"]},
        {"type": "CLIPTextEncode", "widgets_values": ["bad hands, fog"]},
        {"type": "KSampler", "widgets_values": [5, "fixed", 20, 7, "euler_ancestral", "normal", 1]},
    ]
}
FOOOCUS = {
    "prompt": "a cat, best quality",
    "negative_prompt": "bad hands, fog",
    "steps": 20,
    "guidance_scale": 7.0,
    "resolution": "(512, 768)",
    "seed": "5",
    "sampler": "euler_ancestral",
    "scheduler": "normal",
    "base_model": "sd15",
}
NOVELAI = {
    "prompt": "a cat, best quality",
    "uc": "bad hands, fog",
    "steps": 20,
    "scale": 7,
    "seed": 5,
    "sampler": "k_euler_ancestral",
    "width": 512,
    "height": 768,
}


def png(**texts: str) -> bytes:
    info = PngInfo()
    for key, value in texts.items():
        info.add_itxt(key, value) if not value.isascii() else info.add_text(key, value)
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def jpeg(comment: bytes) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", exif=exif.tobytes())
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "source", "without"),
    [
        (png(parameters=WEBUI), "stable-diffusion-webui", ""),
        (jpeg(b"UNICODE\0" + WEBUI.encode("utf-16-be")), "stable-diffusion-webui", ""),
        (jpeg(b"UNICODE\0" + WEBUI.encode("utf-16-le")), "stable-diffusion-webui", ""),
        (jpeg(b"ASCII\0\0\0" + WEBUI.encode()), "stable-diffusion-webui", ""),
        (png(prompt=json.dumps(COMFY)), "ComfyUI", ""),
        (png(workflow=json.dumps(WORKFLOW)), "ComfyUI", " --size 512x768"),
        (png(parameters=json.dumps(FOOOCUS)), "Fooocus", ""),
        (png(Comment=json.dumps(NOVELAI), Software="NovelAI"), "NovelAI", ""),
    ],
    ids=["png", "exif be", "exif le", "exif ascii", "comfy", "workflow", "fooocus", "novelai"],
)
def test_each_programs_words_become_the_same_prompt(data: bytes, source: str, without: str) -> None:
    found = read(data)
    assert found is not None
    assert (found.source, found.seed) == (source, 5)
    assert found.prompt == "a cat, best quality " + FLAGS.replace(without, "")


def test_a_model_of_the_same_name_is_taken_over() -> None:
    for data in (png(parameters=WEBUI), png(prompt=json.dumps(COMFY)), png(parameters=json.dumps(FOOOCUS))):
        found = read(data, models=("sketch", "sd15"))
        assert found is not None and found.model == "sd15"
        assert found.prompt.endswith(" --model sd15")


def test_our_own_picture_is_pinned_to_its_seed() -> None:
    own = {"prompt": "library:ab.png 一只猫 --ar 3:2 --seed 3 --n 4 --repeat 4", "seed": 5, "model": "sketch"}
    assert read(png(tessera=json.dumps(own), parameters=WEBUI)) == Found(
        "一只猫 --ar 3:2 --seed 5 --n 1", "Tessera", 5, "sketch"
    )


def test_foreign_words_are_neither_flags_nor_links() -> None:
    kept = {
        **FOOOCUS,
        "prompt": "a --video cat https://evil.org/x —ar \0 <@1>",
        "negative_prompt": "--turbo fog",
        "seed": 2**40,
        "steps": 9999,
        "sampler": {"a": 1},
        "guidance_scale": True,
    }
    found = read(png(parameters=json.dumps(kept)))
    assert found is not None
    assert found.prompt == "a video cat https: //evil.org/x ar \ufffd <@1> --no turbo fog --size 512x768"
    assert parse(found.prompt).images == ()


def test_a_picture_without_words_says_nothing() -> None:
    assert read(png()) is None
    assert read(png(parameters="holiday 2019")) is None


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def bomb(name: bytes) -> bytes:
    whole = png()
    packed = zlib.compress(b"a" * 50_000_000, 9)
    head = b"parameters\0\0" if name == b"zTXt" else b"parameters\0\1\0\0\0"
    return whole[:33] + chunk(name, head + packed) + whole[33:]


HOSTILE = {
    "nothing": b"",
    "text": b"hello",
    "cut short": png(parameters=WEBUI)[:60],
    "zTXt bomb": bomb(b"zTXt"),
    "iTXt bomb": bomb(b"iTXt"),
    "deep json": png(prompt="[" * 100_000),
    "huge number": png(parameters='{"prompt": "a", "seed": ' + "9" * 10_000 + "}"),
    "loop": png(
        prompt=json.dumps(
            {
                "1": {"inputs": {"positive": ["2", 0], "negative": ["2", 0], "steps": 5}},
                "2": {"inputs": {"text": ["2", 0]}},
            }
        )
    ),
    "wrong kinds": png(prompt="[1, 2]", workflow='{"nodes": [3, {"type": "KSampler", "widgets_values": 5}]}'),
    "null inputs": png(prompt='{"1": null, "2": {"inputs": null}}'),
    "not unicode": jpeg(b"UNICODE\0\xff"),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_pictures_say_nothing(data: bytes) -> None:
    assert read(data) is None
