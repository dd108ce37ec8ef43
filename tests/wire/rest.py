"""REST as discord.py 2.7 speaks it: only what a bot of this kind calls, but that as Discord answers it."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from aiohttp import web
from multidict import MultiMapping

from tests.wire.checks import ApiError, Upload, check_body, check_not_empty, check_uploads
from tests.wire.faults import Fault, Faults, Traffic, Way, reset_connection
from tests.wire.gateway import Gateway
from tests.wire.world import Attachment, Callback, Channel, Flag, Interaction, Json, Message, User, World

PREFIX = "/api/v10"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Rest:
    """The handlers, over one World."""

    def __init__(self, world: World, gateway: Gateway, faults: Faults, traffic: Traffic, token: str) -> None:
        self._world = world
        self._gateway = gateway
        self._faults = faults
        self._traffic = traffic
        self._token = token
        self.base = ""
        self.upload_limit = 10 * 2**20
        # 3 s at Discord, as benchmarks/ack_latency measures; no test is to fail for a core lent elsewhere.
        self.ack_deadline = 30.0

    def routes(self) -> list[web.RouteDef]:
        """Every route; paths are Discord's."""
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/users/@me", self._me),
            ("GET", "/oauth2/applications/@me", self._application),
            ("GET", "/applications/@me", self._application),
            ("GET", "/gateway", self._gateway_url),
            ("GET", "/gateway/bot", self._gateway_url),
            ("POST", "/users/@me/channels", self._open_dm),
            ("GET", "/users/{user}", self._user),
            ("GET", "/guilds/{guild}", self._guild),
            ("GET", "/guilds/{guild}/members/{user}", self._member),
            ("GET", "/channels/{channel}", self._channel),
            ("GET", "/applications/{app}/commands", self._commands),
            ("PUT", "/applications/{app}/commands", self._sync),
            ("GET", "/applications/{app}/guilds/{guild}/commands", self._commands),
            ("PUT", "/applications/{app}/guilds/{guild}/commands", self._sync),
            ("POST", "/interactions/{interaction}/{token}/callback", self._callback),
            ("POST", "/webhooks/{app}/{token}", self._follow_up),
            ("GET", "/webhooks/{app}/{token}/messages/{message}", self._get_answer),
            ("PATCH", "/webhooks/{app}/{token}/messages/{message}", self._edit_answer),
            ("DELETE", "/webhooks/{app}/{token}/messages/{message}", self._delete_answer),
            ("POST", "/channels/{channel}/messages", self._send),
            ("GET", "/channels/{channel}/messages", self._history),
            ("GET", "/channels/{channel}/messages/{message}", self._fetch),
            ("PATCH", "/channels/{channel}/messages/{message}", self._edit),
            ("DELETE", "/channels/{channel}/messages/{message}", self._delete),
            ("POST", "/channels/{channel}/typing", self._typing),
        ]
        made = [web.route(method, PREFIX + path, handler) for method, path, handler in table]
        return [*made, web.get("/attachments/{attachment}/{name}", self._serve_attachment)]

    # the way of every request

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Faults, authorisation, errors as JSON, and the record."""
        if not request.path.startswith(PREFIX):
            return await handler(request)
        fault = self._faults.take(request)
        response = await self._answer(request, handler, fault)
        self._traffic.record(request, response.status)
        if fault is not None and fault.way in (Way.RESET, Way.DROP):
            reset_connection(request)
        if fault is not None and fault.way is Way.HOLD:
            await fault.released.wait()
        self._world.touch()
        return response

    async def _answer(
        self, request: web.Request, handler: Handler, fault: Fault | None
    ) -> web.StreamResponse:
        if fault is not None and fault.way is Way.RESET:
            return web.Response(status=500)
        if fault is not None and fault.way is Way.REFUSE:
            return reply(fault.body, status=fault.status, headers=fault.headers)
        try:
            self._authorise(request)
            response = await handler(request)
        except ApiError as error:
            body = {"message": error.message, "code": error.code}
            response = reply(body, status=error.status)
        response.headers.update(RATE_HEADERS)
        return response

    def _authorise(self, request: web.Request) -> None:
        if request.match_info.get("token") is not None:
            return
        if request.headers.get("Authorization") != f"Bot {self._token}":
            raise ApiError(401, 0, "401: Unauthorized")

    # things to look up

    async def _me(self, request: web.Request) -> web.Response:
        return reply(self._world.bot.payload())

    async def _application(self, request: web.Request) -> web.Response:
        owner = User(self._world.guild_id, "owner")
        body: Json = {
            "id": str(self._world.application_id),
            "name": "tessera",
            "description": "",
            "icon": None,
            "summary": "",
            "verify_key": "0" * 64,
            "bot_public": False,
            "bot_require_code_grant": False,
            "owner": owner.payload(),
            "team": None,
            "flags": 0,
        }
        return reply(body)

    async def _gateway_url(self, request: web.Request) -> web.Response:
        limit = {"total": 1000, "remaining": 999, "reset_after": 0, "max_concurrency": 1}
        url = f"{self._gateway.base}/gateway"
        return reply({"url": url, "shards": 1, "session_start_limit": limit})

    async def _open_dm(self, request: web.Request) -> web.Response:
        user = self._find_user(int((await request.json())["recipient_id"]))
        for channel in self._world.channels.values():
            if channel.recipient is user:
                return reply(channel.payload())
        return reply(self._world.add_channel("", user).payload())

    async def _user(self, request: web.Request) -> web.Response:
        return reply(self._find_user(int(request.match_info["user"])).payload())

    async def _guild(self, request: web.Request) -> web.Response:
        return reply(self._world.guild())

    async def _member(self, request: web.Request) -> web.Response:
        return reply(self._find_user(int(request.match_info["user"])).member())

    def _find_user(self, user_id: int) -> User:
        user = self._world.users.get(user_id)
        if user is None:
            raise ApiError(404, 10013, "Unknown User")
        return user

    async def _channel(self, request: web.Request) -> web.Response:
        return reply(self._find_channel(request).payload())

    def _find_channel(self, request: web.Request) -> Channel:
        channel = self._world.channels.get(int(request.match_info["channel"]))
        if channel is None:
            raise ApiError(404, 10003, "Unknown Channel")
        if channel.closed:
            raise ApiError(403, 50001, "Missing Access")
        return channel

    async def _serve_attachment(self, request: web.Request) -> web.Response:
        attachment = self._world.attachments.get(int(request.match_info["attachment"]))
        if attachment is None:
            raise web.HTTPNotFound
        return web.Response(body=attachment.data, content_type=attachment.content_type)

    # commands

    async def _commands(self, request: web.Request) -> web.Response:
        guild = request.match_info.get("guild")
        commands = self._world.guild_commands.get(int(guild), []) if guild else self._world.global_commands
        return reply(commands)

    async def _sync(self, request: web.Request) -> web.Response:
        self._traffic.syncs += 1
        guild = request.match_info.get("guild")
        base: Json = {"application_id": str(self._world.application_id), "version": "1"}
        commands = [{**base, "id": str(self._world.ids.next()), **c} for c in await request.json()]
        if guild:
            self._world.guild_commands[int(guild)] = commands
        else:
            self._world.global_commands = commands
        return reply(commands)

    # interactions

    async def _callback(self, request: web.Request) -> web.Response:
        body, uploads = await read_body(request)
        interaction = self._find_interaction(request, 10062)
        if interaction.id != int(request.match_info["interaction"]):
            raise ApiError(404, 10062, "Unknown interaction")
        now = time.monotonic()
        if now - interaction.sent_at > self.ack_deadline and interaction.callback is None:
            raise ApiError(404, 10062, "Unknown interaction")
        if interaction.callback is not None:
            raise ApiError(400, 40060, "Interaction has already been acknowledged.")
        kind, data = Callback(body["type"]), body.get("data") or {}
        self._respond(interaction, kind, data, uploads)
        interaction.callback, interaction.acked_at = kind, now
        return reply(self._callback_answer(interaction))

    def _respond(self, interaction: Interaction, kind: Callback, data: Json, uploads: list[Upload]) -> None:
        if kind is Callback.MESSAGE:
            check_not_empty(data, uploads)
            interaction.original = self._make(interaction.channel, data, uploads, interaction)
        elif kind is Callback.DEFER:
            flags = (data.get("flags") or 0) | Flag.LOADING
            interaction.original = self._make(interaction.channel, {"flags": flags}, [], interaction)
        elif kind is Callback.DEFER_UPDATE:
            interaction.original = interaction.source
        elif kind is Callback.UPDATE and interaction.source is not None:
            interaction.original = self._change(interaction.source, data, uploads)
        elif kind is Callback.CHOICES:
            interaction.choices = data["choices"]
        elif kind is Callback.MODAL:
            interaction.modal = data

    def _callback_answer(self, interaction: Interaction) -> Json:
        original = interaction.original
        about: Json = {"id": str(interaction.id), "type": int(interaction.kind)}
        if original is None:
            return {"interaction": about}
        about |= {
            "response_message_id": str(original.id),
            "response_message_loading": original.loading,
            "response_message_ephemeral": original.ephemeral,
        }
        resource: Json = {"type": int(interaction.callback or 0), "message": original.payload(self.base)}
        return {"interaction": about, "resource": resource}

    def _find_interaction(self, request: web.Request, code: int = 10015) -> Interaction:
        interaction = self._world.by_token.get(request.match_info["token"])
        if interaction is None:
            raise ApiError(404, code, "Unknown Webhook")
        if interaction.expired:
            raise ApiError(401, 50027, "Invalid Webhook Token")
        return interaction

    async def _follow_up(self, request: web.Request) -> web.Response:
        body, uploads = await read_body(request)
        interaction = self._find_interaction(request)
        if interaction.callback is None:
            raise ApiError(404, 10015, "Unknown Webhook")
        check_not_empty(body, uploads)
        original = interaction.original
        if original is not None and original.loading and not original.deleted:
            kept = original.flags & Flag.EPHEMERAL
            message = self._change(original, {**body, "flags": kept}, uploads)
        else:
            message = self._make(interaction.channel, body, uploads, interaction)
            interaction.followups.append(message)
        if request.query.get("wait") == "1":
            return reply(message.payload(self.base))
        return web.Response(status=204)

    def _find_answer(self, request: web.Request) -> Message:
        interaction = self._find_interaction(request)
        wanted = request.match_info["message"]
        known = [interaction.original, *interaction.followups]
        for message in known:
            if message is None or message.deleted:
                continue
            if wanted == str(message.id) or (wanted == "@original" and message is known[0]):
                return message
        raise ApiError(404, 10008, "Unknown Message")

    async def _get_answer(self, request: web.Request) -> web.Response:
        return reply(self._find_answer(request).payload(self.base))

    async def _edit_answer(self, request: web.Request) -> web.Response:
        body, uploads = await read_body(request)
        message = self._change(self._find_answer(request), body, uploads)
        return reply(message.payload(self.base))

    async def _delete_answer(self, request: web.Request) -> web.Response:
        self._remove(self._find_answer(request))
        return web.Response(status=204)

    # messages in channels

    async def _send(self, request: web.Request) -> web.Response:
        body, uploads = await read_body(request)
        channel = self._find_channel(request)
        nonce = body.get("nonce")
        known = self._world.with_nonce(self._world.bot, str(nonce)) if nonce is not None else None
        if known is not None and body.get("enforce_nonce"):
            return reply(known.payload(self.base))
        check_not_empty(body, uploads)
        self._check_reference(body)
        return reply(self._make(channel, body, uploads).payload(self.base))

    def _check_reference(self, body: Json) -> None:
        reference = body.get("message_reference")
        if not reference or reference.get("fail_if_not_exists") is False:
            return
        if self._world.message(int(reference["message_id"])) is None:
            raise ApiError(400, 50035, "message_reference: Unknown message")

    async def _history(self, request: web.Request) -> web.Response:
        channel, query = self._find_channel(request), request.query
        limit = int(query.get("limit", 50))
        if not 1 <= limit <= 100:
            raise ApiError(400, 50035, "limit: must be between 1 and 100")
        found = select(self._world.standing(channel), query, limit)
        return reply([message.payload(self.base) for message in reversed(found)])

    def _find_message(self, request: web.Request) -> Message:
        message = self._world.message(int(request.match_info["message"]))
        if message is None or message.ephemeral or message.channel is not self._find_channel(request):
            raise ApiError(404, 10008, "Unknown Message")
        return message

    async def _fetch(self, request: web.Request) -> web.Response:
        return reply(self._find_message(request).payload(self.base))

    async def _edit(self, request: web.Request) -> web.Response:
        body, uploads = await read_body(request)
        message = self._find_message(request)
        if message.author is not self._world.bot:
            raise ApiError(403, 50005, "Cannot edit a message authored by another user")
        return reply(self._change(message, body, uploads).payload(self.base))

    async def _delete(self, request: web.Request) -> web.Response:
        self._remove(self._find_message(request))
        return web.Response(status=204)

    async def _typing(self, request: web.Request) -> web.Response:
        self._find_channel(request)
        return web.Response(status=204)

    # what all ways of writing share

    def _make(
        self, channel: Channel, body: Json, uploads: list[Upload], interaction: Interaction | None = None
    ) -> Message:
        check_body(body)
        check_uploads(uploads, self.upload_limit)
        nonce, reference = body.get("nonce"), body.get("message_reference")
        message = Message(
            id=self._world.ids.next(),
            channel=channel,
            author=self._world.bot,
            content=body.get("content") or "",
            embeds=body.get("embeds") or [],
            components=body.get("components") or [],
            attachments=self._store(uploads),
            flags=body.get("flags") or 0,
            nonce=None if nonce is None else str(nonce),
            reply_to=int(reference["message_id"]) if reference else None,
            allowed_mentions=body.get("allowed_mentions"),
            interaction=interaction,
        )
        self._world.add_message(message)
        if not message.ephemeral:
            self._gateway.tell_message("MESSAGE_CREATE", message.payload(self.base))
        return message

    def _change(self, message: Message, body: Json, uploads: list[Upload]) -> Message:
        check_body(body)
        check_uploads(uploads, self.upload_limit)
        for key in ("content", "embeds", "components"):
            if key in body:
                setattr(message, key, body[key] or ("" if key == "content" else []))
        if "allowed_mentions" in body:
            message.allowed_mentions = body["allowed_mentions"]
        message.attachments = self._kept(message, body) + self._store(uploads)
        message.flags &= ~Flag.LOADING
        message.previews += bool(uploads)
        message.stages.append(message.content)
        if not message.ephemeral:
            self._gateway.tell_message("MESSAGE_UPDATE", message.payload(self.base))
        self._world.touch()
        return message

    def _kept(self, message: Message, body: Json) -> list[Attachment]:
        """Without the key all old files stay; with it only those it names."""
        if "attachments" not in body:
            return message.attachments
        named = {str(entry["id"]) for entry in body["attachments"] or ()}
        return [attachment for attachment in message.attachments if str(attachment.id) in named]

    def _store(self, uploads: list[Upload]) -> list[Attachment]:
        return [self._world.add_attachment(u.filename, u.data, u.content_type) for u in uploads]

    def _remove(self, message: Message) -> None:
        message.deleted = True
        data: Json = {"id": str(message.id), "channel_id": str(message.channel.id)}
        self._gateway.tell_message("MESSAGE_DELETE", data)
        self._world.touch()


RATE_HEADERS = {
    "X-RateLimit-Limit": "1000",
    "X-RateLimit-Remaining": "999",
    "X-RateLimit-Reset": "4102444800",
    "X-RateLimit-Reset-After": "1",
    "X-RateLimit-Bucket": "standin",
}
"""A bucket that never empties: what is measured is the bot, and real buckets would only slow the tests."""


def reply(data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON without a charset: discord.py compares the content type as a whole."""
    body = json.dumps(data).encode()
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def select(messages: list[Message], query: MultiMapping[str], limit: int) -> list[Message]:
    """Discord's before, after and around over messages in order of age."""
    if "before" in query:
        return [m for m in messages if m.id < int(query["before"])][-limit:]
    if "after" in query:
        return [m for m in messages if m.id > int(query["after"])][:limit]
    if "around" in query:
        middle, half = int(query["around"]), limit // 2
        older = [m for m in messages if m.id < middle][-half:]
        return older + [m for m in messages if m.id >= middle][: limit - len(older)]
    return messages[-limit:]


async def read_body(request: web.Request) -> tuple[Json, list[Upload]]:
    """The JSON of a request and its files, in order."""
    if request.content_type != "multipart/form-data":
        return cast(Json, await request.json()), []
    form = await request.post()
    body = cast(Json, json.loads(str(form["payload_json"])))
    files = [value for key, value in form.items() if key.startswith("files[")]
    named = [file for file in files if isinstance(file, web.FileField)]
    return body, [Upload(f.filename, f.file.read(), guess_type(f.filename)) for f in named]


def guess_type(filename: str) -> str:
    """Discord names the type by what it sees; the suffix is close enough."""
    suffix = filename.rsplit(".", 1)[-1].lower()
    known = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp"}
    return known.get(suffix, "application/octet-stream")
