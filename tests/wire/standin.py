"""The stand-in as tests use it: a server to point a bot at, users who type and click, conditions to wait for.

async with StandIn() as discord:
    order = await discord.slash(discord.user("ann"), "imagine", prompt="a red apple")
    result = await discord.wait_for(lambda: discord.result_of(order))
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web

from tests.wire.faults import Faults, Traffic
from tests.wire.gateway import Gateway
from tests.wire.rest import PREFIX, Rest
from tests.wire.world import (
    ADMINISTRATOR,
    EVERYTHING,
    MEMBER,
    Attachment,
    Channel,
    Interaction,
    Json,
    Kind,
    Message,
    User,
    World,
)

T = TypeVar("T")
TOKEN = "MTIz.canary.wire-stand-in-secret-token-0123456789"
DEADLINE = 150.0


@dataclass(frozen=True, slots=True)
class File:
    """A picture a user uploads with a command."""

    name: str
    data: bytes
    content_type: str = "image/png"


class StandIn:
    """A Discord of one guild on a port of 127.0.0.1; everything lives in the loop of the test."""

    def __init__(self, token: str = TOKEN) -> None:
        self.token = token
        self.world = World()
        self.faults = Faults()
        self.traffic = Traffic()
        self.gateway = Gateway(self.world, self.traffic, token)
        self.rest = Rest(self.world, self.gateway, self.faults, self.traffic, token)
        self.channel = self.world.add_channel("studio")
        self.base = ""
        self._runner: web.AppRunner | None = None

    # life

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self.rest.guard], client_max_size=64 * 2**20)
        app.add_routes([*self.rest.routes(), web.get("/gateway", self.gateway.serve)])
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base = f"http://{host}:{port}"
        self.rest.base = self.base
        self.gateway.base = f"ws://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.faults.clear()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def api(self) -> str:
        """What ``discord.http.Route.BASE`` is to be."""
        return self.base + PREFIX

    @property
    def gateway_url(self) -> str:
        """What ``DiscordWebSocket.DEFAULT_GATEWAY`` is to be."""
        return f"{self.gateway.base}/gateway"

    # waiting

    async def wait_for(self, condition: Callable[[], T], timeout: float = DEADLINE, what: str = "") -> T:
        """The first true value of ``condition``, tried again after each change; AssertionError when late."""
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            changed = asyncio.ensure_future(self.world.change())
            await asyncio.wait({changed}, timeout=min(0.5, max(0.0, deadline - time.monotonic())))
            changed.cancel()
            if time.monotonic() >= deadline and not condition():
                raise AssertionError(f"not within {timeout} s: {what}\n{self.describe()}")
        return value

    async def connected(self, timeout: float = DEADLINE) -> None:
        """Until the bot hears interactions."""
        await self.wait_for(lambda: self.gateway.connected, timeout, "bot on the gateway")

    def describe(self) -> str:
        """The newest messages and requests, for failing tests."""
        messages = [
            f"  {'-' if m.deleted else ' '} {m.id} {m.stages} {[a.filename for a in m.attachments]}"
            for m in self.world.messages[-12:]
        ]
        requests = [f"  {s.method} {s.path[:110]} -> {s.status}" for s in self.traffic.seen[-25:]]
        return "\n".join(["messages:", *messages, "requests:", *requests])

    # people

    def user(self, name: str, *role_ids: int, permissions: int = MEMBER) -> User:
        """The member with this name, made at the first mention."""
        known = (user for user in self.world.users.values() if user.name == name)
        return next(known, None) or self.world.add_user(name, *role_ids, permissions=permissions)

    def admin(self, name: str = "root") -> User:
        return self.user(name, permissions=MEMBER | ADMINISTRATOR)

    def say(self, user: User, text: str, channel: Channel | None = None) -> Message:
        """An ordinary message of a member."""
        message = Message(self.world.ids.next(), channel or self.channel, user, text)
        self.gateway.tell_message("MESSAGE_CREATE", message.payload(self.base))
        return self.world.add_message(message)

    async def slash(
        self, user: User, command: str, *, to: Channel | None = None, wait: bool = True, **options: object
    ) -> Interaction:
        """Type a command (``"quota show"`` for a subcommand) and wait until the bot acknowledged it."""
        data = self._command_data(command, options)
        interaction = self._dispatch(Kind.COMMAND, user, to or self.channel, data)
        return await self._acknowledged(interaction) if wait else interaction

    async def autocomplete(self, user: User, command: str, focused: str, **options: object) -> list[Json]:
        """What is offered while the user types into ``focused``."""
        data = self._command_data(command, options, focused)
        interaction = self._dispatch(Kind.AUTOCOMPLETE, user, self.channel, data)
        return (await self._acknowledged(interaction)).choices

    async def click(self, user: User, message: Message, wanted: str, *, wait: bool = True) -> Interaction:
        """Press the button with this label or custom id."""
        return await self.press(user, message, message.button(wanted)["custom_id"], wait=wait)

    async def press(self, user: User, message: Message, custom_id: str, *, wait: bool = True) -> Interaction:
        """Send a component interaction with any custom id, also one that no message shows."""
        data = {"custom_id": custom_id, "component_type": 2}
        interaction = self._dispatch(Kind.COMPONENT, user, message.channel, data, message)
        return await self._acknowledged(interaction) if wait else interaction

    async def submit(self, user: User, opened: Interaction, values: dict[str, str]) -> Interaction:
        """Fill and send the modal that ``opened`` was answered with; ``values`` by custom id of the input."""
        modal = opened.modal
        assert modal is not None, "no modal was opened"
        rows = [_filled(component, values) for component in modal["components"]]
        data = {"custom_id": modal["custom_id"], "components": rows}
        interaction = self._dispatch(Kind.MODAL, user, opened.channel, data, opened.source)
        return await self._acknowledged(interaction)

    async def _acknowledged(self, interaction: Interaction) -> Interaction:
        await self.wait_for(lambda: interaction.callback, 10.0, f"acknowledgement of {interaction.data}")
        return interaction

    def repeat(self, interaction: Interaction) -> None:
        """Deliver an interaction a second time, as the gateway may."""
        self.gateway.dispatch("INTERACTION_CREATE", self._payload(interaction))

    def expire(self, interaction: Interaction) -> None:
        """As if its 15 minutes were over."""
        interaction.expired = True

    def expire_all(self) -> None:
        for interaction in self.world.interactions:
            interaction.expired = True

    def end_nonce_window(self) -> None:
        """As if minutes had passed since every send."""
        self.world.end_nonce_window()

    # what came of it

    def results(self, channel: Channel | None = None) -> list[Message]:
        """Standing messages with a picture and no percentage: finished jobs, oldest first."""
        return [m for m in self.world.standing(channel) if m.attachments and not is_progress(m)]

    def results_for(self, text: str) -> list[Message]:
        """Finished jobs whose message mentions ``text``, also those deleted since."""
        return [m for m in self.results() if text in m.content]

    # interaction payloads

    def _dispatch(
        self, kind: Kind, user: User, channel: Channel, data: Json, source: Message | None = None
    ) -> Interaction:
        interaction = Interaction(
            id=self.world.ids.next(),
            token=self.world.new_token(),
            kind=kind,
            user=user,
            channel=channel,
            data=data,
            source=source,
            sent_at=time.monotonic(),
        )
        self.world.add_interaction(interaction)
        self.gateway.dispatch("INTERACTION_CREATE", self._payload(interaction))
        return interaction

    def _payload(self, interaction: Interaction) -> Json:
        user, in_dm = interaction.user, interaction.channel.recipient is not None
        payload: Json = {
            "id": str(interaction.id),
            "application_id": str(self.world.application_id),
            "type": int(interaction.kind),
            "data": interaction.data,
            "token": interaction.token,
            "version": 1,
            "channel_id": str(interaction.channel.id),
            "channel": interaction.channel.payload(),
            "locale": "en-US",
            "app_permissions": str(EVERYTHING),
            "entitlements": [],
            "attachment_size_limit": self.rest.upload_limit,
        }
        if interaction.source is not None:
            payload["message"] = interaction.source.payload(self.base)
        if in_dm:
            owners = {"1": str(user.id)}
            context = 2 if interaction.channel.closed else 1
            about = {"context": context, "authorizing_integration_owners": owners}
            return {**payload, "user": user.payload(), **about}
        guild = {"id": str(self.world.guild_id), "locale": "en-US", "features": []}
        place = {"guild_id": str(self.world.guild_id), "guild": guild, "guild_locale": "en-US"}
        owners = {"0": str(self.world.guild_id)}
        member = {"member": user.member(), "context": 0, "authorizing_integration_owners": owners}
        return {**payload, **place, **member}

    def _command_data(self, command: str, options: dict[str, object], focused: str | None = None) -> Json:
        name, *path = command.split()
        known = {one["name"]: one for one in self.world.commands()}
        assert name in known, f"no command /{name}; registered: {sorted(known)}"
        spec, data = known[name], {"id": known[name]["id"], "name": name, "type": 1}
        resolved: Json = {}
        level: Json = data
        for part in path:
            spec = next(option for option in spec["options"] if option["name"] == part)
            level["options"] = [{"name": part, "type": spec["type"]}]
            level = level["options"][0]
        kinds = {option["name"]: option for option in spec.get("options", [])}
        unknown = set(options) - set(kinds)
        assert not unknown, f"/{command} has no option {unknown}; it has {sorted(kinds)}"
        if focused is None:
            missing = {key for key, option in kinds.items() if option.get("required")} - set(options)
            assert not missing, f"/{command} needs {missing}"
        level["options"] = [
            {
                "name": key,
                "type": kinds[key]["type"],
                "value": self._resolve(value, kinds[key]["type"], resolved),
                **({"focused": True} if key == focused else {}),
            }
            for key, value in options.items()
        ]
        return {**data, **({"resolved": resolved} if resolved else {})}

    def _resolve(self, value: object, kind: int, resolved: Json) -> object:
        """The wire form of an option's value; users, roles and files go into ``resolved``."""
        if isinstance(value, User):
            resolved.setdefault("users", {})[str(value.id)] = value.payload()
            resolved.setdefault("members", {})[str(value.id)] = value.member()
            return str(value.id)
        if isinstance(value, File):
            stored = self.world.add_attachment(value.name, value.data, value.content_type)
            resolved.setdefault("attachments", {})[str(stored.id)] = self._attachment(stored)
            return str(stored.id)
        if kind in (8, 9) and isinstance(value, int):
            resolved.setdefault("roles", {})[str(value)] = self.world.role_payload(value)
            return str(value)
        return value

    def _attachment(self, stored: Attachment) -> Json:
        return {**stored.payload(self.base), "ephemeral": True}


def is_progress(message: Message) -> bool:
    """Whether the message still says that its job is under way."""
    return bool(re.search(r"\((Waiting to start|\d+%)", message.content))


def _filled(component: dict[str, Any], values: dict[str, str]) -> Json:
    """A modal's component as the client sends it back."""
    if "custom_id" in component:
        value = values.get(component["custom_id"], component.get("value", ""))
        return {"type": component["type"], "custom_id": component["custom_id"], "value": value}
    if "component" in component:
        return {"type": component["type"], "component": _filled(component["component"], values)}
    return {
        "type": component["type"],
        "components": [_filled(inner, values) for inner in component["components"]],
    }
