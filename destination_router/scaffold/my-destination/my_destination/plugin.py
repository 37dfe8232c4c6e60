"""What becomes of each call. A call that has no hook here is not for this destination."""

from destination_router import BearerAuth, HttpRequest, Identify, Json, Reject, Track, hookimpl
from starlette.applications import Starlette

from my_destination.settings import SETTINGS_SCHEMA
from my_destination.simulator import create_simulator

API = "https://api.my-destination.example"


@hookimpl
def settings_schema() -> dict[str, Json]:
    """Describe the settings of a connection."""
    return SETTINGS_SCHEMA


@hookimpl
def on_identify(message: Identify, settings: dict[str, Json]) -> list[HttpRequest]:
    """Set the traits of a user."""
    if message.user_id is None:
        raise Reject("missing_user", "traits need a user: send a userId", "userId")
    body = {"user": message.user_id, "traits": message.traits}
    return [HttpRequest(url=f"{API}/users", json=body, auth=BearerAuth(settings["apiKey"]))]


@hookimpl
def on_track(message: Track, settings: dict[str, Json]) -> list[HttpRequest]:
    """Record an event. A repeat has the same `id`, so that the vendor keeps one."""
    if not message.event or not message.event.strip():
        raise Reject("missing_event", "send the event's name", "event")
    user = message.user_id or message.anonymous_id
    if user is None:
        raise Reject("missing_user", "send a userId or an anonymousId", "userId")
    body = {
        "id": message.message_id,
        "user": user,
        "event": message.event,
        "properties": message.properties,
        "time": message.timestamp,
    }
    return [HttpRequest(url=f"{API}/events", json=body, auth=BearerAuth(settings["apiKey"]))]


@hookimpl
def origins() -> list[str]:
    """Name where requests go, so that a mistyped `--origin` is refused."""
    return [API]


@hookimpl
def simulator(settings: dict[str, Json]) -> Starlette:
    """Stand in for the vendor, for demos and tests."""
    return create_simulator(settings["apiKey"])
