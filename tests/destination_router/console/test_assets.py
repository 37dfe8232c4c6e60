"""The files that pages load: vendored as they were published, with their licence.

htmx and its extension for server-sent events are files of the package htmx.org 4.0.1 on npm.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files

import httpx
from console_served import Served

PUBLISHED = {
    "htmx.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
    "hx-sse.min.js": "18ef2761356ec1fe0bb6d92612315b37517a7c1e9856b661c5ae81fef239d103",
    "htmx-LICENSE.txt": "d3d2456f76414f2456104660ebd65aff1c04cd7966b942bdabd63f3cdb316a38",
}


def test_vendored_files_are_as_they_were_published() -> None:
    """`npm pack htmx.org@4.0.1` gives the same bytes."""
    folder = files("destination_router.console") / "static"
    found = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in PUBLISHED}
    assert found == PUBLISHED


def test_a_file_is_kept_by_browsers_until_it_changes(console: Served) -> None:
    """Its address says which version it is."""
    page = httpx.get(f"{console.url}/login").text
    path = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    assert "immutable" in httpx.get(console.url + path).headers["cache-control"]
    other = httpx.get(console.url + path.partition("?")[0])
    assert other.headers["cache-control"] == "no-cache"
    assert other.headers["content-type"].startswith("text/css")
