"""Pictures from strangers: links that must not reach into the house, bytes that must not be trusted."""

from __future__ import annotations

import asyncio
import io
import ipaddress
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver
from PIL import Image, ImageOps
from yarl import URL

from bot.config import Limits
from bot.domain.prompt import quoted
from bot.domain.sentence import say
from bot.errors import PictureRefused

if TYPE_CHECKING:
    from bot.services.admission import Upload

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
REDIRECTS = 3
PORTS = frozenset({80, 443, 8080, 8443})
TIMEOUT = aiohttp.ClientTimeout(total=15, connect=5, sock_read=5)
DECODE_S = 10.0
KEPT_SIDE = 2048
"""Pixels of the longest side of what is kept: a picture to start from needs no more."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")
_UNICAST = ipaddress.ip_network("2000::/3")
_DOCUMENTATION = ipaddress.ip_network("3fff::/20")
"""RFC 9637, younger than Python 3.11's tables."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Forbidden(OSError):
    """The address to be dialled is not one of the public internet."""


def is_public(address: Address) -> bool:
    """Whether an address is global unicast, looking through every way of wrapping IPv4 in IPv6."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        if (inner := _wrapped(address)) is not None:
            return is_public(inner)
        if address not in _UNICAST or address in _DOCUMENTATION:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _wrapped(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in _NAT64 or address in _COMPATIBLE:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour


class Fetcher:
    """``link`` and ``upload`` give clean PNG bytes or raise PictureRefused with a sentence.

    The check sits where the socket is made, so what is checked is what is dialled: names, literals, redirects
    and rebinding alike. ``allowed``, ``ports`` and ``resolver`` are for tests.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        allowed: Callable[[Address], bool] = is_public,
        ports: frozenset[int] | None = PORTS,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._limit = int(limits.upload_mb * 2**20)
        self._pixels = limits.picture_pixels
        self._allowed = allowed
        self._ports = ports
        self._resolver = resolver
        # One at a time: a picture of the largest size allowed takes some hundred MiB while it is read.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="decode")

    async def link(self, url: str) -> bytes:
        """Fetch a picture by its http(s) address, following up to three redirects by hand."""
        return await self.decoded(await self.fetch(url), quoted(url))

    async def fetch(self, url: str) -> bytes:
        """The bytes at an address, within the limits, unread: for the text that a picture may hold."""
        try:
            async with asyncio.timeout(TIMEOUT.total), self._session() as session:
                return await self._follow(session, url)
        except Forbidden:
            raise _private(url) from None
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            raise self._unreachable(url, error) from error

    async def upload(self, upload: Upload) -> bytes:
        """Read and check an attachment."""
        return await self.decoded(await self.receive(upload), quoted(upload.name))

    async def receive(self, upload: Upload) -> bytes:
        """An attachment's bytes, within the limits, unread."""
        if upload.size > self._limit:
            raise self._too_large(quoted(upload.name))
        data = await upload.read()
        if len(data) > self._limit:
            raise self._too_large(quoted(upload.name))
        return data

    def close(self) -> None:
        """Wait for the picture being read."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            socket_factory=self._socket, resolver=self._resolver, use_dns_cache=False, limit=4
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=TIMEOUT,
            auto_decompress=False,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "Tessera"},
        )

    def _socket(self, info: Any) -> socket.socket:
        family, kind, protocol, _, address = info
        if not self._allowed(ipaddress.ip_address(address[0])):
            raise Forbidden(address[0])
        return socket.socket(family, kind, protocol)

    async def _follow(self, session: aiohttp.ClientSession, url: str) -> bytes:
        target = URL(url)
        for _ in range(REDIRECTS + 1):
            self._check(target, url)
            async with session.get(target, allow_redirects=False) as response:
                if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
                    target = target.join(URL(response.headers["Location"]))
                    continue
                return await self._read(response, url)
        raise PictureRefused(
            say(
                "{link} sends me on more than {most} times; link the picture itself.",
                link=quoted(url),
                most=REDIRECTS,
            )
        )

    def _check(self, target: URL, url: str) -> None:
        if target.scheme not in ("http", "https") or not target.host:
            raise PictureRefused(
                say("{typed}: only http and https links to pictures are taken.", typed=quoted(url))
            )
        if (literal := _literal(target.host)) is not None and not self._allowed(literal):
            # Told before the port: to leave the port out would not help.
            raise Forbidden(target.host)
        if self._ports is not None and target.port not in self._ports:
            raise PictureRefused(
                say(
                    "{link}: port {port} is not visited; use a link without a port number.",
                    link=quoted(url),
                    port=target.port,
                )
            )

    async def _read(self, response: aiohttp.ClientResponse, url: str) -> bytes:
        if response.status != 200:
            raise PictureRefused(
                say(
                    "{link} answered with error {status}; try the link in a browser.",
                    link=quoted(url),
                    status=response.status,
                )
            )
        if (response.content_length or 0) > self._limit:
            raise self._too_large(quoted(url))
        data = bytearray()
        async for chunk in response.content.iter_chunked(65536):
            data += chunk
            if len(data) > self._limit:
                raise self._too_large(quoted(url))
        return bytes(data)

    async def decoded(self, data: bytes, name: str) -> bytes:
        """Strangers' bytes as a plain PNG without any text; ``name`` stands in the sentence of a refusal."""
        try:
            return await self._cleaned(data)
        except TooManyPixels:
            raise PictureRefused(
                say(
                    "{name} has more than {most:g} million pixels; make it smaller.",
                    name=name,
                    most=self._pixels / 1e6,
                )
            ) from None
        except TimeoutError:
            raise PictureRefused(
                say("{name} takes too long to read; save it as a plain PNG or JPEG.", name=name)
            ) from None
        except Exception as error:
            raise PictureRefused(
                say("{name} is not a picture I can read; PNG, JPEG, WebP and GIF are taken.", name=name)
            ) from error

    async def _cleaned(self, data: bytes) -> bytes:
        """The limit is for the reading: the time in which others' pictures are read does not count."""
        loop, begun = asyncio.get_running_loop(), asyncio.Event()

        def work() -> bytes:
            loop.call_soon_threadsafe(begun.set)
            return clean(data, self._pixels)

        reading = loop.run_in_executor(self._pool, work)
        waiting = asyncio.create_task(begun.wait())
        try:
            await asyncio.wait((reading, waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        async with asyncio.timeout(DECODE_S):
            return await reading

    def _too_large(self, name: str) -> PictureRefused:
        return too_large(name, self._limit)

    def _unreachable(self, url: str, error: BaseException) -> PictureRefused:
        if _is_forbidden(error):
            return _private(url)
        if isinstance(error, TimeoutError):
            return PictureRefused(
                say("{link} did not answer in time; try again or upload the picture.", link=quoted(url))
            )
        return PictureRefused(
            say("{link} cannot be reached; check the link, or upload the picture.", link=quoted(url))
        )


class TooManyPixels(ValueError):
    """Refused from the header, before anything is decoded."""


def clean(data: bytes, pixels: int) -> bytes:
    """The first frame, upright, on white, at most 2048 pixels a side, as plain PNG bytes.

    Raises TooManyPixels, or whatever Pillow raises for bytes that are damaged or of no format of ours.
    """
    with Image.open(io.BytesIO(data), formats=FORMATS) as file:
        # An animated WebP decodes into several canvases at once.
        animated = file.format == "WEBP" and getattr(file, "is_animated", False)
        if file.width * file.height > (pixels // 4 if animated else pixels):
            raise TooManyPixels
        file.draft("RGB", (KEPT_SIDE, KEPT_SIDE))
        file.load()
        picture: Image.Image = file.convert("RGBA") if file.mode in ("P", "PA", "1") else file
        picture.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.LANCZOS)
        upright = ImageOps.exif_transpose(picture)
    layered = upright.convert("RGBA")
    flat = Image.new("RGB", layered.size, "white")
    flat.paste(layered, mask=layered.getchannel("A"))
    buffer = io.BytesIO()
    flat.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _literal(host: str) -> Address | None:
    """The address that a host is by itself; None for names. What is dialled is checked again."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _private(url: str) -> PictureRefused:
    return PictureRefused(
        say(
            "{link} leads to an address that is not on the public internet; upload the picture instead.",
            link=quoted(url),
        )
    )


def _is_forbidden(error: BaseException | None) -> bool:
    """Forbidden may arrive wrapped by aiohttp, or among several addresses' errors."""
    if error is None:
        return False
    if isinstance(error, Forbidden):
        return True
    inner = [getattr(error, "os_error", None), error.__cause__, error.__context__]
    return any(_is_forbidden(cause) for cause in inner if cause is not error)


def too_large(name: str, most: int) -> PictureRefused:
    """For a picture of more than ``most`` bytes; ``name`` is quoted already."""
    return PictureRefused(
        say("{name} is larger than {most:.3g} MiB; make it smaller.", name=name, most=most / 2**20)
    )
