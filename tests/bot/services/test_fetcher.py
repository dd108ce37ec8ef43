"""Links that must not reach into the house, and pictures that are none."""

from __future__ import annotations

import asyncio
import io
import ipaddress
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from PIL import Image

from bot.config import Limits
from bot.errors import PictureRefused
from bot.services import fetcher as fetching
from bot.services.admission import Upload
from bot.services.fetcher import Fetcher, is_public


def encoded(form: str, size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, form, **options)
    return buffer.getvalue()


class Names(AbstractResolver):
    """Every name resolves to the addresses given, one more for each question: rebinding included."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        version = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [ResolveResult(hostname=host, host=address, port=port, family=version, proto=0, flags=0)]

    async def close(self) -> None:
        return


NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2002:c0a8:1::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
    "100::1",
    "5f00::1",
    "3fff::1",
]
PUBLIC = (
    "8.8.8.8",
    "1.1.1.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::",
)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_addresses_that_are_not_visited(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_that_are_visited(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


class Canary:
    """A server on this machine that counts who comes."""

    def __init__(self) -> None:
        self.visits = 0
        self.answers: dict[str, Callable[[web.Request], web.StreamResponse]] = {}
        self.port = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.visits += 1
        return self.answers[request.path](request)


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    made = Canary()
    app = web.Application()
    app.router.add_get("/{path:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    made.answers["/a.png"] = lambda _: web.Response(body=encoded("PNG"))
    yield made
    await runner.cleanup()


HOSTS = [
    "127.0.0.1",
    "localhost",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "127.1",
    "127.0.1",
    "0",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:0:0:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "user:pass@127.0.0.1",
    "127.0.0.1.",
    "localhost.",
    "LOCALHOST",
    "１２７.0.0.1",
    "127。0。0。1",
    "ⓛocalhost",
    "[fe80::1%25lo]",
    "017700000001",
    "127.0.0.1#@example.com",
]


@pytest.mark.parametrize("host", HOSTS)
async def test_no_spelling_of_this_machine_is_visited(canary: Canary, host: str) -> None:
    name, mark, rest = host.partition("#")
    fetcher = Fetcher(Limits(), ports=None)
    with pytest.raises(PictureRefused):
        await fetcher.link(f"http://{name}:{canary.port}/a.png{mark}{rest}")
    assert canary.visits == 0
    fetcher.close()


async def test_the_sentence_for_private_addresses(canary: Canary) -> None:
    fetcher = Fetcher(Limits(), ports=None)
    link = f"http://127.0.0.1:{canary.port}/a.png"
    with pytest.raises(PictureRefused) as told:
        await fetcher.link(link)
    assert str(told.value) == (
        f"`{link}` leads to an address that is not on the public internet; upload the picture instead."
    )
    fetcher.close()


def _only(*allowed: str) -> Callable[[ipaddress.IPv4Address | ipaddress.IPv6Address], bool]:
    return lambda address: str(address) in allowed


async def test_a_name_that_points_here_is_not_visited(canary: Canary) -> None:
    fetcher = Fetcher(Limits(), ports=None, resolver=Names("127.0.0.1"))
    with pytest.raises(PictureRefused, match="not on the public internet"):
        await fetcher.link(f"http://example.com:{canary.port}/a.png")
    assert canary.visits == 0
    fetcher.close()


@pytest.mark.parametrize("host", ["127.0.0.2", "elsewhere.example", "[::1]"])
async def test_redirects_are_checked_like_links(canary: Canary, host: str) -> None:
    """The first hop is allowed, by the name's first answer; the second is not."""
    canary.answers["/go"] = lambda _: web.Response(
        status=302, headers={"Location": f"http://{host}:{canary.port}/a.png"}
    )
    names = Names("127.0.0.1", "127.0.0.2")
    fetcher = Fetcher(Limits(), ports=None, allowed=_only("127.0.0.1"), resolver=names)
    with pytest.raises(PictureRefused, match="not on the public internet"):
        await fetcher.link(f"http://start.example:{canary.port}/go")
    assert canary.visits == 1
    fetcher.close()


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://x/a.png", "gopher://x", "data:image/png,x"]
)
async def test_redirects_to_other_schemes(canary: Canary, location: str) -> None:
    canary.answers["/go"] = lambda _: web.Response(status=302, headers={"Location": location})
    fetcher = Fetcher(Limits(), ports=None, allowed=lambda _: True)
    with pytest.raises(PictureRefused, match="only http and https links"):
        await fetcher.link(f"http://127.0.0.1:{canary.port}/go")
    fetcher.close()


async def test_endless_redirects(canary: Canary) -> None:
    canary.answers["/go"] = lambda _: web.Response(status=302, headers={"Location": "/go"})
    fetcher = Fetcher(Limits(), ports=None, allowed=lambda _: True)
    with pytest.raises(PictureRefused, match="sends me on more than 3 times"):
        await fetcher.link(f"http://127.0.0.1:{canary.port}/go")
    assert canary.visits == 4
    fetcher.close()


async def test_a_picture_is_fetched_through_a_redirect(canary: Canary) -> None:
    canary.answers["/go"] = lambda _: web.Response(status=302, headers={"Location": "/a.png"})
    fetcher = Fetcher(Limits(), ports=None, allowed=lambda _: True)
    png = await fetcher.link(f"http://127.0.0.1:{canary.port}/go")
    assert Image.open(io.BytesIO(png)).size == (40, 30)
    fetcher.close()


async def test_ports_of_other_services_are_left_alone(canary: Canary) -> None:
    fetcher = Fetcher(Limits(), allowed=lambda _: True)
    with pytest.raises(PictureRefused, match="is not visited; use a link without a port number"):
        await fetcher.link("http://127.0.0.1:6379/a.png")
    fetcher.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "[::1]", "[::ffff:10.0.0.1]"])
async def test_a_private_address_is_named_before_its_port(host: str) -> None:
    """Or people would take the port away, only to be refused again."""
    fetcher = Fetcher(Limits())
    with pytest.raises(PictureRefused, match="not on the public internet"):
        await fetcher.link(f"http://{host}:9000/a.png")
    fetcher.close()


async def test_size_is_counted_while_it_streams(canary: Canary) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(40):
            await response.write(b"x" * 65536)
        return response

    canary.handle = endless  # type: ignore[method-assign]
    app = web.Application()
    app.router.add_get("/{path:.*}", endless)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fetcher = Fetcher(Limits(upload_mb=1), ports=None, allowed=lambda _: True)
    with pytest.raises(PictureRefused, match="is larger than 1 MiB; make it smaller"):
        await fetcher.link(f"http://127.0.0.1:{runner.addresses[0][1]}/a.png")
    fetcher.close()
    await runner.cleanup()


async def test_a_dead_link(canary: Canary) -> None:
    canary.answers["/gone"] = lambda _: web.Response(status=404)
    fetcher = Fetcher(Limits(), ports=None, allowed=lambda _: True)
    with pytest.raises(PictureRefused, match="answered with error 404"):
        await fetcher.link(f"http://127.0.0.1:{canary.port}/gone")
    fetcher.close()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width: int, height: int, *, depth: int = 8, colour: int = 2, body: bytes = b"") -> bytes:
    """A PNG that says it is ``width`` x ``height``, whatever it holds."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = _chunk(b"IDAT", body or zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + data + _chunk(b"IEND", b"")


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


PNG, JPEG = encoded("PNG", (64, 64)), encoded("JPEG", (64, 64))
WEBP, GIF = encoded("WEBP", (64, 64)), encoded("GIF", (64, 64))
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "one byte": b"\x89",
    "text": b"hello",
    "html": b"<html><body><img src=x></body></html>",
    "svg": SVG,
    "svg with xml": b'<?xml version="1.0"?>' + SVG,
    "billion laughs": b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><svg>&b;</svg>',
    "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file",
    "zip": b"PK\x03\x04" + b"\0" * 60,
    "elf": b"\x7fELF" + b"\0" * 60,
    "pickle": b"\x80\x04\x95\x1a\0\0\0\0\0\0\0\x8c\x05posix\x8c\x06system\x93",
    "mp4": b"\0\0\0\x18ftypmp42" + b"\0" * 60,
    "avif": b"\0\0\0\x1cftypavif" + b"\0" * 60,
    "bmp": encoded("BMP"),
    "tiff": encoded("TIFF"),
    "ico": encoded("ICO"),
    "ppm": b"P6\n99999 99999\n255\n",
    "xbm": b"#define im_width 9\n#define im_height 9\nstatic char im_bits[] = {0};",
    "psd": b"8BPS\0\1" + b"\0" * 60,
    "tga": encoded("TGA"),
    "wmf": b"\xd7\xcd\xc6\x9a\0\0" + b"\0" * 60,
    "png magic alone": PNG[:8],
    "png header alone": PNG[:33],
    "png cut": PNG[: len(PNG) // 2],
    "png without end": PNG[:60],
    "png bad crc": _flipped(PNG, 30),
    "png bad data": _flipped(PNG, len(PNG) - 20),
    "png empty data": png_header(64, 64),
    "png bomb": png_header(50_000, 50_000),
    "png bomb by width": png_header(2**31 - 1, 1),
    "png bomb by height": png_header(1, 2**31 - 1),
    "png no width": png_header(0, 64),
    "png bad colour": png_header(64, 64, colour=5),
    "png bad depth": png_header(64, 64, depth=3),
    "png garbage data": png_header(64, 64, body=b"not zlib"),
    "png text bomb": PNG[:33] + _chunk(b"zTXt", b"k\0\0" + zlib.compress(b"\0" * 80_000_000, 9)) + PNG[33:],
    "jpeg magic alone": JPEG[:4],
    "jpeg header alone": JPEG[:20],
    "jpeg cut": JPEG[: len(JPEG) // 2],
    "jpeg bomb": JPEG.replace(
        b"\xff\xc0\x00\x11\x08\x00\x40\x00\x40", b"\xff\xc0\x00\x11\x08\xff\xff\xff\xff"
    ),
    "webp cut": WEBP[: len(WEBP) // 2],
    "webp header alone": WEBP[:16],
    "gif header alone": GIF[:6],
    "gif without frames": GIF[:13],
    "gif bomb": GIF[:6] + struct.pack("<HH", 65535, 65535) + GIF[10:],
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_pictures_are_refused_in_two_seconds(name: str) -> None:
    data = HOSTILE[name]
    fetcher = Fetcher(Limits())
    began = time.process_time()  # the wall's clock tells how busy the machine is
    with pytest.raises(PictureRefused) as told:
        await fetcher.upload(_upload(data))
    assert time.process_time() - began < 2
    sentence = str(told.value)
    assert sentence.startswith("`x.png` ") and ("PNG, JPEG, WebP" in sentence or "million pixels" in sentence)
    fetcher.close()


GROWTH = """
import asyncio, resource
from bot.config import Limits
from bot.errors import PictureRefused
from bot.services.fetcher import Fetcher
from tests.bot.services.test_fetcher import HOSTILE, _upload

async def all_of_them():
    fetcher, refused = Fetcher(Limits()), 0
    for data in HOSTILE.values():
        try:
            await fetcher.upload(_upload(data))
        except PictureRefused:
            refused += 1
    return refused

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(asyncio.run(all_of_them()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_hostile_pictures_take_little_memory() -> None:
    """In a process of their own, since what a process took at its most is all that can be asked."""
    said = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True)
    refused, kilobytes = map(int, said.stdout.split())
    assert refused == len(HOSTILE) >= 40
    assert kilobytes < 256 * 1024


@pytest.mark.parametrize("data", [png_header(8000, 8000), png_header(40_000_001, 1)])
async def test_too_many_pixels_are_refused_by_the_header(data: bytes) -> None:
    fetcher = Fetcher(Limits())
    with pytest.raises(PictureRefused) as told:
        await fetcher.upload(_upload(data))
    assert str(told.value) == "`x.png` has more than 40 million pixels; make it smaller."
    fetcher.close()


def _upload(data: bytes, size: int | None = None) -> Upload:
    async def read() -> bytes:
        return data

    return Upload("x.png", "image/png", len(data) if size is None else size, read)


async def test_what_claims_to_be_small_is_measured() -> None:
    fetcher = Fetcher(Limits(upload_mb=0.00011))
    for upload in (_upload(PNG), _upload(PNG, size=1)):
        with pytest.raises(PictureRefused, match=r"is larger than 0\.00011 MiB; make it smaller"):
            await fetcher.upload(upload)
    fetcher.close()


@pytest.mark.parametrize("data", [PNG, JPEG, WEBP, GIF], ids=["png", "jpeg", "webp", "gif"])
async def test_the_four_formats_become_plain_png(data: bytes) -> None:
    fetcher = Fetcher(Limits())
    with Image.open(
        io.BytesIO(await fetcher.upload(_upload(data + b"PK\x03\x04 a zip behind it")))
    ) as picture:
        assert (picture.format, picture.size, picture.mode) == ("PNG", (64, 64), "RGB")
        assert not picture.info
    fetcher.close()


async def test_the_camera_was_held_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    fetcher = Fetcher(Limits())
    with Image.open(io.BytesIO(await fetcher.upload(_upload(encoded("JPEG", exif=exif))))) as picture:
        assert picture.size == (30, 40)
    fetcher.close()


async def test_the_first_frame_of_an_animation_is_taken() -> None:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    fetcher = Fetcher(Limits())
    with Image.open(io.BytesIO(await fetcher.upload(_upload(buffer.getvalue())))) as picture:
        assert picture.getpixel((0, 0)) == (255, 0, 0)
    fetcher.close()


async def test_clear_parts_become_white() -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(buffer, "PNG")
    fetcher = Fetcher(Limits())
    with Image.open(io.BytesIO(await fetcher.upload(_upload(buffer.getvalue())))) as picture:
        assert picture.getpixel((0, 0)) == (255, 255, 255)
    fetcher.close()
    await asyncio.sleep(0)


async def test_waiting_for_others_pictures_is_not_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that takes for ever is refused; the one behind it is read when its turn comes."""
    free, begun = threading.Event(), threading.Event()

    def clean(data: bytes, pixels: int) -> bytes:
        if data == b"slow":
            begun.set()
            free.wait(60)
        return data

    monkeypatch.setattr(fetching, "clean", clean)
    monkeypatch.setattr(fetching, "DECODE_S", 0.5)
    fetcher = Fetcher(Limits())
    slow = asyncio.create_task(fetcher.upload(_upload(b"slow")))
    await asyncio.to_thread(begun.wait, 60)
    quick = asyncio.create_task(fetcher.upload(_upload(b"quick")))
    with pytest.raises(PictureRefused, match="takes too long to read"):
        await slow
    done, _ = await asyncio.wait({quick}, timeout=0.2)
    assert not done
    free.set()
    assert await quick == b"quick"
    fetcher.close()
