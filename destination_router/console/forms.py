"""Reads the fields of a form, within bounds."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

_FORM = "application/x-www-form-urlencoded"
MOST_BYTES = 2 * 2**20
_MOST_FIELDS = 2000


class Form:
    """The fields of a form. Each may be there several times."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def get(self, name: str, default: str = "") -> str:
        """Return the last value of a field."""
        values = self.all(name)
        return values[-1] if values else default

    def all(self, name: str) -> list[str]:
        """Return all values of a field."""
        return [value for key, value in self._pairs if key == name]

    def names(self) -> set[str]:
        """Return the names of the fields."""
        return {name for name, _ in self._pairs}


async def read_form(request: Request, most_bytes: int = MOST_BYTES) -> Form:
    """Read the form of a request.

    Args:
        request: the request whose body is the form.
        most_bytes: how long the body may be.

    Raises:
        HTTPException: the body is no form, or it is too large.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        raise HTTPException(415, f"send a form, as {_FORM}")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most_bytes:
            raise HTTPException(413, f"this form may have {most_bytes} bytes")
    try:
        pairs = parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise HTTPException(413, f"a form may have {_MOST_FIELDS} fields") from None
    return Form(pairs)
