"""What a connection to My Destination is configured with, as JSON Schema."""

from destination_router import Json

SETTINGS_SCHEMA: dict[str, Json] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "My Destination",
    "type": "object",
    "additionalProperties": False,
    "required": ["apiKey"],
    "properties": {
        "apiKey": {
            "title": "API key",
            "description": "The key of the project. Hidden wherever a request is shown.",
            "type": "string",
            "minLength": 1,
            "writeOnly": True,
            "examples": ["an-api-key"],
        },
    },
}
