"""A whole destination: every identify and track is posted to one URL."""

from destination_router import HttpRequest, hookimpl


@hookimpl
def settings_schema():
    token = {"title": "Token", "description": "Of the box.", "type": "string", "writeOnly": True}
    return {"type": "object", "additionalProperties": False, "properties": {"token": token}}


@hookimpl
def on_identify(message, settings):
    body = {"who": message.user_id, "traits": message.traits, "token": settings.get("token")}
    return [HttpRequest(url="https://postbox.example/users", json=body)]


@hookimpl
def on_track(message, settings):
    body = {"what": message.event, "properties": message.properties}
    return [HttpRequest(url="https://postbox.example/events", json=body)]
