"""The gateway: hello, identify, ready, guild create, heartbeats, dispatch, resume."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import zlib
from dataclasses import dataclass, field
from enum import IntEnum

from aiohttp import WSMsgType, web

from tests.wire.faults import Traffic
from tests.wire.world import Json, World

GUILD_MESSAGES = 1 << 9


class Op(IntEnum):
    """Gateway opcodes, as Discord numbers them."""

    DISPATCH = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    RESUME = 6
    INVALID_SESSION = 9
    HELLO = 10
    ACK = 11


AUTHENTICATION_FAILED = 4004


class Connection:
    """One socket, with the compression its client asked for."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        compress = request.query.get("compress")
        if compress not in (None, "zlib-stream"):
            raise web.HTTPBadRequest(text=f"the stand-in does not speak {compress}")
        self.socket = socket
        self._request = request
        self._stream = zlib.compressobj() if compress else None
        self._outbox: asyncio.Queue[Json | None] = asyncio.Queue()

    def put(self, payload: Json) -> None:
        self._outbox.put_nowait(payload)

    def abort(self) -> None:
        """End without a closing handshake, as a broken line does."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def write(self) -> None:
        """Send what was put, in order, until the socket ends."""
        while (payload := await self._outbox.get()) is not None:
            text = json.dumps(payload)
            try:
                await self._send(text)
            except ConnectionError:
                return

    async def _send(self, text: str) -> None:
        if self._stream is None:
            await self.socket.send_str(text)
            return
        data = self._stream.compress(text.encode()) + self._stream.flush(zlib.Z_SYNC_FLUSH)
        await self.socket.send_bytes(data)


@dataclass(eq=False)
class Session:
    """What survives a dropped socket: the numbered events, to be replayed."""

    intents: int
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    sequence: int = 0
    events: list[Json] = field(default_factory=list)
    connection: Connection | None = None

    def dispatch(self, event: str, data: Json) -> None:
        self.sequence += 1
        payload: Json = {"op": Op.DISPATCH, "s": self.sequence, "t": event, "d": data}
        self.events.append(payload)
        if self.connection is not None:
            self.connection.put(payload)


class Gateway:
    """All sessions of the one bot; the newest identified one hears the events."""

    def __init__(self, world: World, traffic: Traffic, token: str) -> None:
        self._world = world
        self._traffic = traffic
        self._token = token
        self._sessions: dict[str, Session] = {}
        self._current: Session | None = None
        self.base = ""
        self.heartbeats = 0

    @property
    def connected(self) -> bool:
        """Whether the bot hears what is dispatched now."""
        return self._current is not None and self._current.connection is not None

    def dispatch(self, event: str, data: Json) -> None:
        """To the current session; kept for a resume while its socket is away."""
        if self._current is not None:
            self._current.dispatch(event, data)

    def tell_message(self, event: str, data: Json) -> None:
        """Message events, for sessions that asked for them."""
        if self._current is not None and self._current.intents & GUILD_MESSAGES:
            self._current.dispatch(event, {**data, "guild_id": str(self._world.guild_id)})

    async def drop(self, code: int = 1006) -> None:
        """Take the socket away; 1006 without a closing handshake. The session stays resumable."""
        session = self._current
        if session is None or session.connection is None:
            raise AssertionError("no gateway to drop")
        connection, session.connection = session.connection, None
        if code == 1006:
            connection.abort()
            return
        await connection.socket.close(code=code)

    def forget_sessions(self) -> None:
        """The next RESUME is answered with INVALID_SESSION."""
        self._sessions.clear()

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One socket from HELLO to its end."""
        socket = web.WebSocketResponse(max_msg_size=0)
        connection = Connection(socket, request)
        await socket.prepare(request)
        writer = asyncio.ensure_future(connection.write())
        connection.put({"op": Op.HELLO, "d": {"heartbeat_interval": 41250}})
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._receive(connection, json.loads(message.data))
        finally:
            writer.cancel()
            self._detach(connection)
        return socket

    def _detach(self, connection: Connection) -> None:
        for session in self._sessions.values():
            if session.connection is connection:
                session.connection = None
        self._world.touch()

    async def _receive(self, connection: Connection, payload: Json) -> None:
        match payload["op"]:
            case Op.HEARTBEAT:
                self.heartbeats += 1
                connection.put({"op": Op.ACK})
            case Op.IDENTIFY:
                await self._identify(connection, payload["d"])
            case Op.RESUME:
                await self._resume(connection, payload["d"])
        self._world.touch()

    async def _identify(self, connection: Connection, data: Json) -> None:
        self._traffic.identifies.append(time.monotonic())
        if data["token"] != self._token:
            await connection.socket.close(code=AUTHENTICATION_FAILED)
            return
        session = Session(intents=data["intents"], connection=connection)
        self._sessions[session.id] = session
        self._current = session
        session.dispatch("READY", self._ready(session))
        session.dispatch("GUILD_CREATE", self._world.guild())

    def _ready(self, session: Session) -> Json:
        return {
            "v": 10,
            "user": self._world.bot.payload(),
            "guilds": [{"id": str(self._world.guild_id), "unavailable": True}],
            "session_id": session.id,
            "resume_gateway_url": f"{self.base}/gateway",
            "application": {"id": str(self._world.application_id), "flags": 0},
        }

    async def _resume(self, connection: Connection, data: Json) -> None:
        self._traffic.resumes += 1
        if data["token"] != self._token:
            await connection.socket.close(code=AUTHENTICATION_FAILED)
            return
        session = self._sessions.get(data["session_id"])
        if session is None:
            connection.put({"op": Op.INVALID_SESSION, "d": False})
            return
        session.connection = connection
        self._current = session
        for payload in session.events:
            if payload["s"] > data["seq"]:
                connection.put(payload)
        session.dispatch("RESUMED", {})
