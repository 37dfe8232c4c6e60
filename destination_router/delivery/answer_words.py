"""Cuts the beginning of a vendor's answer, without secrets."""

from __future__ import annotations

from destination_router.contract.records import HttpResponse
from destination_router.pipeline.connection import Connection

MOST_CHARACTERS = 2000
_READ_BYTES = 5 * MOST_CHARACTERS


def answer_words(connection: Connection, response: HttpResponse) -> str:
    """Get the beginning of an answer, without secrets.

    Not all of a megabyte is looked through for each message of a bulk, and where it was cut, half
    a secret may stand, which nobody would find.
    """
    text = response.body[:_READ_BYTES].decode("utf-8", "replace")
    words = connection.told_answer(text)
    if len(response.body) > _READ_BYTES:
        words = words[:-MOST_CHARACTERS]
    return words[:MOST_CHARACTERS]
