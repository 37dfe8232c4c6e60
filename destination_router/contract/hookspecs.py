"""The contract between a destination and its host: the hooks that a destination may implement.

A destination is a module (or an instance) whose functions carry `@hookimpl`. Hooks are pure,
synchronous and total: a message and settings in; a list of requests out, or `raise Reject`.
`Ignored(reason)` means "ignored on purpose", and so does `[]`, which says no reason; `None` is a
bug, and the host reports it as one. The host does all I/O. An implementation takes only the
arguments it names.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pluggy

from destination_router.contract.deletion import UserDeletion
from destination_router.contract.messages import (
    Alias,
    Group,
    Identify,
    Message,
    Page,
    Screen,
    Track,
)
from destination_router.contract.records import (
    Field,
    HttpRequest,
    HttpResponse,
    Ignored,
    Imported,
    Json,
    Outcome,
    Quota,
)

PROJECT = "destination_router"
"""The name of the entry-point group and of the pluggy project."""

F = TypeVar("F", bound=Callable[..., Any])

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function, or a method, as the implementation of the hook that has its name."""


class SharedManagerWarning(UserWarning):
    """Two destinations are registered with one plugin manager, which hears one of them alone."""


class _SecondDestination(SharedManagerWarning):
    """Pluggy's `warn_on_impl` of one manager: true from the second implementation on.

    pluggy asks for its truth whenever a plugin with the hook is registered, and warns with it.
    """

    def __init__(self) -> None:
        super().__init__(
            "two destinations are registered with one PluginManager: its hooks call one of them, "
            "and the events of the other are lost. Make a manager for each destination"
        )
        self._seen = 0

    def __bool__(self) -> bool:
        self._seen += 1
        return self._seen > 1


class _OncePerManager(dict[str, Any]):
    """What pluggy keeps of a hook's specification; each manager asks for its own warning."""

    def get(self, key: str, default: Any = None) -> Any:
        return _SecondDestination() if key == "warn_on_impl" else super().get(key, default)


def _of_one_destination(specification: F) -> F:
    """Let a manager warn of a second destination: this hook is one that every destination has."""
    marked = f"{PROJECT}_spec"
    setattr(specification, marked, _OncePerManager(getattr(specification, marked)))
    return specification


REQUIRED_HOOKS = ("settings_schema", "on_identify", "on_track")


class Destination:
    """Every hook. `settings_schema`, `on_identify` and `on_track` are required.

    Register one destination with a `pluggy.PluginManager`, and make another manager for the next:
    a hook of two would call one of them alone. A manager with two warns (`SharedManagerWarning`).
    """

    # -- required ---------------------------------------------------------------------------

    @_of_one_destination
    @hookspec(firstresult=True)
    def settings_schema(self) -> dict[str, Json]:  # type: ignore[empty-body]
        """Describe the settings as JSON Schema 2020-12.

        The schema is closed (`additionalProperties: false`), every field has a title and a
        description, and a secret is marked `writeOnly: true`, which hides its value wherever the
        host shows a request. The host validates settings, fills in defaults and resolves
        `{env = NAME}` and `{file = PATH}` before any other hook sees them.
        """

    @hookspec(firstresult=True)
    def on_identify(self, message: Identify, settings: Any) -> list[HttpRequest] | Ignored:  # type: ignore[empty-body]
        """Map an identify call: who the user is."""

    @hookspec(firstresult=True)
    def on_track(self, message: Track, settings: Any) -> list[HttpRequest] | Ignored:  # type: ignore[empty-body]
        """Map a track call: what the user did."""

    # -- the other four calls ---------------------------------------------------------------

    @hookspec(firstresult=True)
    def on_page(self, message: Page, settings: Any) -> list[HttpRequest] | Ignored:  # type: ignore[empty-body]
        """Map a page call: a page that the user saw."""

    @hookspec(firstresult=True)
    def on_screen(self, message: Screen, settings: Any) -> list[HttpRequest] | Ignored:  # type: ignore[empty-body]
        """Map a screen call: a screen that the user saw."""

    @hookspec(firstresult=True)
    def on_group(self, message: Group, settings: Any) -> list[HttpRequest] | Ignored:  # type: ignore[empty-body]
        """Map a group call: the account that the user belongs to."""

    @hookspec(firstresult=True)
    def on_alias(self, message: Alias, settings: Any) -> list[HttpRequest] | Ignored:  # type: ignore[empty-body]
        """Map an alias call: two ids of one user."""

    # -- what makes a destination good ------------------------------------------------------

    @hookspec(firstresult=True)
    def display_names(self) -> list[str]:  # type: ignore[empty-body]
        """Name what senders call this destination in `integrations`, in any casing.

        The plugin's own name and the connection's name count without being listed.
        """

    @hookspec(firstresult=True)
    def more_display_names(self, settings: Any) -> list[str]:  # type: ignore[empty-body]
        """Name what else senders may call it, which depends on the connection's settings.

        For a destination that takes another system's place: an opt-out under the name that it had
        there still counts.
        """

    @hookspec(firstresult=True)
    def takes_any_type(self, settings: Any) -> bool:  # type: ignore[empty-body]
        """Say whether messages are wanted whose fields are of the wrong type.

        Without it the host rejects, say, `properties` that are text. With it such a field is
        empty, and `message.as_sent("properties")` gives what the sender wrote. In HIPAA mode the
        host rejects it all the same, because it could not mask it.
        """

    @hookspec(firstresult=True)
    def configure(self, settings: dict[str, Json]) -> object:
        """Turn valid settings into what the other hooks receive as `settings`.

        Called once per connection. Without it they receive the dict itself.

        Raises:
            ValueError: settings that are valid each but not together; the text says what to do.
        """

    @hookspec(firstresult=True)
    def default_subscription(self, settings: Any) -> str:  # type: ignore[empty-body]
        """Say which messages a connection takes unless it says otherwise, in FQL.

        Example: `type = "track" or type = "identify"`. Without it, all that it has a hook for.
        """

    @hookspec(firstresult=True)
    def fields(self) -> dict[str, list[Field]]:  # type: ignore[empty-body]
        """Name each call's fields (`{"track": [Field(...), ...]}`) that a mapping may override.

        The host evaluates what a connection overrides, puts it in the place of the part that the
        field stands for, and then calls the same hook: a plugin need not know of mappings.
        """

    @hookspec(firstresult=True)
    def import_settings(self, system: str, config: dict[str, Json]) -> Imported:  # type: ignore[empty-body]
        """Translate what another system exported for this vendor into a connection's settings.

        Args:
            system: `segment` or `rudderstack`.
            config: a destination of that system's export, as it is there.

        Raises:
            ValueError: it is not this vendor's, or lacks what nothing can stand for.
        """

    @hookspec(firstresult=True)
    def settings_from(self, system: str, config: dict[str, Json]) -> dict[str, Json]:  # type: ignore[empty-body]
        """Read the configuration that another system keeps for this destination, as settings.

        Called before the settings are checked, with keys and values as that system spells them.
        Keys that the settings schema does not know may stay: the host leaves them out and says
        so. Without it, what has the name of a setting is that setting.

        Args:
            system: whose configuration it is: `rudderstack`.
            config: what it holds.
        """

    @hookspec(firstresult=True)
    def client_side(self, settings: Any) -> dict[str, Json]:  # type: ignore[empty-body]
        """Tell a browser SDK how it loads this destination by itself, in device mode.

        Returns:
            `{"name", "displayName", "config"}`: the name and the display name by which the SDKs
            know their integration for this vendor, and what that integration reads. A browser
            will see all of it: no secrets.
        """

    @hookspec(firstresult=True)
    def pack(self, requests: list[HttpRequest], settings: Any) -> list[HttpRequest]:  # type: ignore[empty-body]
        """Turn single requests, in order, into bulk requests.

        Every `message_ids` entry is kept and nothing is sent twice; the requests of one message
        keep their order among themselves. Each user's requests keep their order too, save where
        the vendor makes another order harmless; the docstring of an implementation says where
        and why. A bulk states its `costs`, and `items` if answers name an item by its index.
        """

    @hookspec(firstresult=True)
    def window(self, settings: Any) -> int:  # type: ignore[empty-body]
        """Say how many messages `pack` wants to see at once, at most.

        For a vendor whose bulks hold more than the host's 1000, or where fewer are better. The
        configuration of a router may make it fewer.
        """

    @hookspec(firstresult=True)
    def on_response(  # type: ignore[empty-body]
        self, request: HttpRequest, response: HttpResponse, settings: Any
    ) -> dict[str, Outcome] | Outcome:
        """Read a vendor's answer: one outcome for all, or one per message id.

        Without it, and for a message id that is left out, `default_outcome` decides. An answer
        that refuses the connection, such as its key, is `Outcome.held` for all: then it costs no
        message. One that refuses a single record is that record's `Outcome.rejected`.
        """

    @hookspec(firstresult=True)
    def quotas(self, settings: Any) -> list[Quota]:  # type: ignore[empty-body]
        """Declare the vendor's documented rate limits; the host keeps within them."""

    @hookspec(firstresult=True)
    def origins(self, settings: Any) -> list[str]:  # type: ignore[empty-body]
        """List the origins that requests go to, those of `user_deletion` included.

        Example: `["https://api.vendor.example"]`. With it the host refuses to send elsewhere an
        origin that is never sent to, such as a mistyped one; without it, it can only warn.
        """

    @hookspec(firstresult=True)
    def cautions(self, settings: Any) -> list[str]:  # type: ignore[empty-body]
        """Say what settings that work may not do, as sentences; `check` and `run` tell them.

        For what only the vendor's side could show: an environment that ignores a kind of request.
        """

    @hookspec(firstresult=True)
    def user_deletion(self, settings: Any) -> UserDeletion:  # type: ignore[empty-body]
        """Give the functions with which the host deletes users at the vendor.

        Pure, as hooks are: which requests, and what answers mean. `UserDeletion` says which.
        """

    @hookspec(firstresult=True)
    def simulator(self, settings: Any) -> Callable[[Any, Any, Any], Awaitable[None]]:  # type: ignore[empty-body]
        """Build a stand-in vendor, an ASGI app, for `demo`, `check`, `simulate` and tests.

        It answers any origin that the destination sends to. What it serves at
        `GET /_simulator/users`, `/_simulator/events` and `/_simulator/accounts`
        (`{"users": [...]}` and so on) is what `destination-router demo` shows in the end.
        """


TRANSFORMATIONS = f"{PROJECT}.transformations"
"""The name of the entry-point group of transformations in code."""


class Transformation:
    """The one hook of a transformation in code, which a connection names in its configuration."""

    @hookspec(firstresult=True)
    def transform_message(self, message: Message, connection: str) -> Message | None:
        """Change a message before a connection maps it, or drop it.

        Pure, synchronous and total, like every hook. It sees the message before privacy, so
        whoever installs one trusts it with all that comes in.

        Args:
            message: not to be changed: copy it with `msgspec.structs.replace`, or make a new one.
            connection: the connection's name.

        Returns:
            The message, the same or another; None to drop it.

        Raises:
            Reject: the message cannot be used.
        """
