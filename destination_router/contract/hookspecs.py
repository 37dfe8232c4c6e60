"""The contract between a destination and its host: the hooks that a destination may implement.

A destination is a module (or an instance) whose functions carry `@hookimpl`. Hooks are pure,
synchronous and total: they take a message and settings, and return a list of requests or raise
`Reject`. `Ignored(reason)` means "ignored on purpose". So does `[]`, which gives no reason. `None`
is a bug, and the host reports it as one. The host does all I/O. An implementation takes only the
arguments that it names.
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
    """Two destinations are registered with one plugin manager, which calls only one of them."""


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

    Register one destination with a `pluggy.PluginManager`, and make another manager for the next.
    A manager with two destinations would call only one of them, so it warns
    (`SharedManagerWarning`).
    """

    # -- required ---------------------------------------------------------------------------

    @_of_one_destination
    @hookspec(firstresult=True)
    def settings_schema(self) -> dict[str, Json]:  # type: ignore[empty-body]
        """Describe the settings as JSON Schema 2020-12.

        The schema is closed (`additionalProperties: false`). Every field has a title and a
        description. Mark a secret `writeOnly: true`: the host then hides its value wherever it
        shows a request. The host validates settings, fills in defaults, and resolves
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
        """List the names that senders use for this destination in `integrations`.

        Names count in any casing. The plugin's own name and the connection's name count without
        being listed.
        """

    @hookspec(firstresult=True)
    def more_display_names(self, settings: Any) -> list[str]:  # type: ignore[empty-body]
        """List further names for this destination that depend on the connection's settings.

        A destination that replaces another system's needs this: an opt-out under the name that
        the destination has in that system still counts.
        """

    @hookspec(firstresult=True)
    def takes_any_type(self, settings: Any) -> bool:  # type: ignore[empty-body]
        """Say whether you want messages whose fields are of the wrong type.

        Without this hook, the host rejects such a message, for example one whose `properties` are
        text. If the hook returns true, such a field is empty, and `message.as_sent("properties")`
        gives what the sender wrote. In HIPAA mode, the host rejects the message all the same,
        because it could not mask the field.
        """

    @hookspec(firstresult=True)
    def configure(self, settings: dict[str, Json]) -> object:
        """Turn valid settings into what the other hooks receive as `settings`.

        The host calls it once per connection. Without this hook, the others receive the dict.

        Raises:
            ValueError: Each setting is valid, but they do not fit together. The text says what
                to do.
        """

    @hookspec(firstresult=True)
    def default_subscription(self, settings: Any) -> str:  # type: ignore[empty-body]
        """Return the subscription, in FQL, of a connection that has none of its own.

        Example: `type = "track" or type = "identify"`. Without this hook, the connection takes
        every call that the destination has a hook for.
        """

    @hookspec(firstresult=True)
    def fields(self) -> dict[str, list[Field]]:  # type: ignore[empty-body]
        """List each call's fields (`{"track": [Field(...), ...]}`) that a mapping may override.

        The host evaluates a connection's mapping and puts each value where its field's part of
        the message is. Then it calls the same hook, so a plugin need not know of mappings.
        """

    @hookspec(firstresult=True)
    def import_settings(self, system: str, config: dict[str, Json]) -> Imported:  # type: ignore[empty-body]
        """Translate another system's export for this vendor into a connection's settings.

        Args:
            system: `segment` or `rudderstack`.
            config: One destination of that system's export, unchanged.

        Raises:
            ValueError: The export is another vendor's, or lacks something that has no default.
        """

    @hookspec(firstresult=True)
    def settings_from(self, system: str, config: dict[str, Json]) -> dict[str, Json]:  # type: ignore[empty-body]
        """Turn the configuration that another system keeps for this destination into settings.

        The host calls it before it checks the settings. Keys and values are spelt as in that
        system. Keys that the settings schema does not know may stay: the host leaves them out
        and says so. Without this hook, a key that has the name of a setting is that setting.

        Args:
            system: The system that keeps the configuration: `rudderstack`.
            config: The configuration.
        """

    @hookspec(firstresult=True)
    def client_side(self, settings: Any) -> dict[str, Json]:  # type: ignore[empty-body]
        """Tell a browser SDK how to load this destination by itself, in device mode.

        Returns:
            `{"name", "displayName", "config"}`: the name and the display name that the SDKs have
            for their integration of this vendor, and the configuration that the integration
            reads. Browsers see all of it, so put no secrets there.
        """

    @hookspec(firstresult=True)
    def pack(self, requests: list[HttpRequest], settings: Any) -> list[HttpRequest]:  # type: ignore[empty-body]
        """Turn single requests, in order, into bulk requests.

        Keep every `message_ids` entry, and send nothing twice. Keep the order of one message's
        requests, and the order of each user's requests. If the vendor makes another order
        harmless, the docstring of the implementation says where and why. A bulk states its
        `costs`. It states `items` if the vendor's answers name an item by its index.
        """

    @hookspec(firstresult=True)
    def window(self, settings: Any) -> int:  # type: ignore[empty-body]
        """Return how many messages `pack` wants to see at once, at most.

        Without this hook, the number is 1000. Return more if the vendor's bulks hold more, or
        less if smaller bulks are better. A router's configuration may set a lower number.
        """

    @hookspec(firstresult=True)
    def on_response(  # type: ignore[empty-body]
        self, request: HttpRequest, response: HttpResponse, settings: Any
    ) -> dict[str, Outcome] | Outcome:
        """Read a vendor's answer: return one outcome for all messages, or one per message id.

        Without this hook, and for a message id that you leave out, `default_outcome` decides. If
        the vendor refuses the connection, for example its key, return `Outcome.held` for all: no
        message is lost. If it refuses a single record, return `Outcome.rejected` for that one.
        """

    @hookspec(firstresult=True)
    def quotas(self, settings: Any) -> list[Quota]:  # type: ignore[empty-body]
        """Declare the vendor's documented rate limits. The host keeps within them."""

    @hookspec(firstresult=True)
    def origins(self, settings: Any) -> list[str]:  # type: ignore[empty-body]
        """List the origins that requests go to, including those of `user_deletion`.

        Example: `["https://api.vendor.example"]`. A router's configuration may send an origin
        elsewhere. With this hook, the host refuses an origin there that no request goes to, such
        as a mistyped one. Without it, the host can only warn.
        """

    @hookspec(firstresult=True)
    def cautions(self, settings: Any) -> list[str]:  # type: ignore[empty-body]
        """Warn of settings that are valid and may not do what their user expects.

        Return sentences: `check` and `run` print them. Use it for what only the vendor's side
        could show, such as an environment that ignores a kind of request.
        """

    @hookspec(firstresult=True)
    def user_deletion(self, settings: Any) -> UserDeletion:  # type: ignore[empty-body]
        """Return the functions with which the host deletes users at the vendor.

        They are pure, as hooks are: they make requests, and read answers. `UserDeletion` lists
        them.
        """

    @hookspec(firstresult=True)
    def simulator(self, settings: Any) -> Callable[[Any, Any, Any], Awaitable[None]]:  # type: ignore[empty-body]
        """Build a stand-in vendor, an ASGI app, for `demo`, `check`, `simulate` and tests.

        The app answers for any origin that the destination sends to. At its end,
        `destination-router demo` shows what the app serves at `GET /_simulator/users`,
        `/_simulator/events` and `/_simulator/accounts` (`{"users": [...]}` and so on).
        """


TRANSFORMATIONS = f"{PROJECT}.transformations"
"""The name of the entry-point group of transformations in code."""


class Transformation:
    """The one hook of a transformation in code, which a connection names in its configuration."""

    @hookspec(firstresult=True)
    def transform_message(self, message: Message, connection: str) -> Message | None:
        """Change a message before a connection maps it, or drop it.

        It is pure, synchronous and total, as every hook is. It sees the message before privacy
        does, so install only one that you trust with everything that comes in.

        Args:
            message: Do not change it: copy it with `msgspec.structs.replace`, or make a new one.
            connection: The connection's name.

        Returns:
            The same message or another one. None drops it.

        Raises:
            Reject: The message cannot be used.
        """
