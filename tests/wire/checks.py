"""What Discord refuses in a message, with its numbers."""

from __future__ import annotations

from dataclasses import dataclass

from tests.wire.world import Json, with_custom_id

INVALID_FORM_BODY = 50035
EMPTY_MESSAGE = 50006
TOO_LARGE = 40005


@dataclass
class ApiError(Exception):
    """An error answer: HTTP status, Discord's code, its words."""

    status: int
    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Upload:
    """One file of a multipart request."""

    filename: str
    data: bytes
    content_type: str


def _refuse(sentence: str) -> None:
    raise ApiError(400, INVALID_FORM_BODY, sentence)


def check_body(body: Json) -> None:
    """Lengths and counts of a message body; ApiError 50035 with the field's name."""
    if len(body.get("content") or "") > 2000:
        _refuse("content: must be 2000 or fewer in length")
    if len(str(body.get("nonce") or "")) > 25:
        _refuse("nonce: must be 25 or fewer in length")
    if len(body.get("attachments") or ()) > 10:
        _refuse("attachments: must be 10 or fewer")
    _check_embeds(body.get("embeds") or [])
    _check_components(body.get("components") or [])


def check_not_empty(body: Json, uploads: list[Upload]) -> None:
    """Discord takes no message without anything in it."""
    if not uploads and not any(body.get(key) for key in ("content", "embeds", "components")):
        raise ApiError(400, EMPTY_MESSAGE, "Cannot send an empty message")


def check_uploads(uploads: list[Upload], limit: int) -> None:
    """Each file against the limit, all of them against 25 MiB."""
    if any(len(upload.data) > limit for upload in uploads):
        raise ApiError(413, TOO_LARGE, "Request entity too large")
    if sum(len(upload.data) for upload in uploads) > 25 * 2**20:
        raise ApiError(413, TOO_LARGE, "Request entity too large")


def _check_embeds(embeds: list[Json]) -> None:
    if len(embeds) > 10:
        _refuse("embeds: must be 10 or fewer")
    total = 0
    for embed in embeds:
        texts = [embed.get("title", ""), embed.get("description", "")]
        for entry in embed.get("fields", []):
            texts += [entry["name"], entry["value"]]
            if not entry["name"] or not entry["value"]:
                _refuse("embeds.fields: this field is required")
            if len(entry["name"]) > 256 or len(entry["value"]) > 1024:
                _refuse("embeds.fields: too long")
        if len(embed.get("description", "")) > 4096 or len(embed.get("fields", [])) > 25:
            _refuse("embeds: too long")
        total += sum(map(len, texts)) + len(embed.get("footer", {}).get("text", ""))
    if total > 6000:
        _refuse("embeds: must be 6000 or fewer in all")


def _check_components(components: list[Json]) -> None:
    rows = [component for component in components if component.get("type") == 1]
    if len(rows) > 5 or any(not 1 <= len(row.get("components", [])) <= 5 for row in rows):
        _refuse("components: at most 5 rows of 1 to 5")
    seen: set[str] = set()
    for component in with_custom_id(components):
        custom_id = component["custom_id"]
        if not 1 <= len(custom_id) <= 100:
            _refuse("custom_id: must be between 1 and 100 in length")
        if custom_id in seen:
            _refuse(f"custom_id: component custom id cannot be duplicated: {custom_id}")
        if len(component.get("label") or "") > 80:
            _refuse("label: must be 80 or fewer in length")
        seen.add(custom_id)
