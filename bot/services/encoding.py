"""Pictures as files that say how they were made: text chunks in PNG, EXIF in WebP and JPEG."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

from PIL import Image
from PIL.PngImagePlugin import PngInfo

PARAMETERS, OWN, SOFTWARE = "parameters", "tessera", "Software"
"""Keys of the text: what stable-diffusion-webui writes, our own JSON, and who made it."""
_EXIF_IFD, _USER_COMMENT, _DESCRIPTION, _SOFTWARE = 0x8769, 0x9286, 0x010E, 0x0131
_JPEG_ROOM = 65_000
"""Bytes of EXIF that a JPEG's segment holds, nearly."""
_UNICODE = b"UNICODE\0"
"""Exif 2.32, 4.6.5: the character code in front of a user comment; the same readers take UTF-16 after it."""


def png(picture: Image.Image, text: Mapping[str, str], compress_level: int = 4) -> bytes:
    """PNG bytes with ``text`` in its chunks (any Unicode); ``compress_level`` 0 to 9."""
    info = PngInfo()
    for key, value in text.items():
        info.add_text(key, value)
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "PNG", pnginfo=info, compress_level=compress_level)
    return buffer.getvalue()


def webp(picture: Image.Image, text: Mapping[str, str], quality: int, *, lossless: bool = False) -> bytes:
    """WebP bytes; ``quality`` 0 to 100, of the compression's effort where it is ``lossless``."""
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=quality, lossless=lossless, method=0, exif=_exif(text))
    return buffer.getvalue()


def jpeg(picture: Image.Image, text: Mapping[str, str], quality: int) -> bytes:
    """JPEG bytes; ``quality`` 1 to 95."""
    exif = _exif(text)
    if len(exif.tobytes()) > _JPEG_ROOM:
        exif = _exif({PARAMETERS: text[PARAMETERS]})
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=quality, exif=exif)
    return buffer.getvalue()


def text_of(picture: Image.Image) -> dict[str, str]:
    """The text of an opened PNG, as :func:`png` wrote it."""
    return {str(key): value for key, value in picture.info.items() if isinstance(value, str)}


def _exif(text: Mapping[str, str]) -> Image.Exif:
    """The same text where programs look for it in WebP and JPEG: the parameters in the user comment."""
    exif = Image.Exif()
    if parameters := text.get(PARAMETERS):
        exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = _UNICODE + parameters.encode("utf-16-be", "replace")
    if own := text.get(OWN):
        exif[_DESCRIPTION] = "".join(char if char.isascii() else json.dumps(char)[1:-1] for char in own)
    if software := text.get(SOFTWARE):
        exif[_SOFTWARE] = software
    return exif
