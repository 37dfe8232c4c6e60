"""Sends a user's day with RudderStack's SDK for Python: `python send.py [DATA_PLANE_URL]`."""

import sys

from rudderstack.analytics.client import Client


def main(data_plane_url: str) -> None:
    """Send an identify, some tracks and a page, and wait until the router has them."""
    client = Client("fan-out", host=data_plane_url)
    user = "ada.lovelace@example.com"
    client.identify(user, {"name": "Ada Lovelace", "role": "mathematician"})
    client.page(user, "Docs", "Notes on the Engine", {"url": "https://example.com/notes"})
    for number in range(1, 11):
        client.track(user, "Note Written", {"note": number, "engine": "Analytical Engine"})
    client.track(user, "Program Published", {"title": "Note G"})
    client.shutdown()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080")
