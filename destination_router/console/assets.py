"""The files that pages load, read once and served under names that change with their content."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOREVER = "public, max-age=31536000, immutable"


class Assets:
    """The files of `static/`."""

    def __init__(self) -> None:
        folder = files("destination_router.console") / "static"
        self._files = {
            file.name: file.read_bytes()
            for file in folder.iterdir()
            if file.name[file.name.rfind(".") :] in _KINDS
        }
        self._versions = {
            name: hashlib.sha256(content).hexdigest()[:12] for name, content in self._files.items()
        }

    def url(self, name: str) -> str:
        """Return the URL of a file."""
        return f"/static/{name}?v={self._versions[name]}"

    async def answer(self, request: Request) -> Response:
        """Serve a file. Its name is looked up, never opened."""
        name = request.path_params["name"]
        if name not in self._files:
            raise HTTPException(404)
        is_current = request.query_params.get("v") == self._versions[name]
        headers = {"cache-control": _FOREVER if is_current else "no-cache"}
        kind = _KINDS[name[name.rfind(".") :]]
        return Response(self._files[name], media_type=kind, headers=headers)
