"""Runs `destination-router` commands for pages, each in a process of its own.

Work that needs the conformance suite runs this way, because the router does not import the suite.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import msgspec

_COMMAND = (sys.executable, "-m", "destination_router_start")
_SECONDS = 300.0
_MOST_BYTES = 4 * 2**20


class Ran(msgspec.Struct, frozen=True):
    """What a command printed, and how it ended."""

    status: int
    output: str
    errors: str


class CommandRuns:
    """Runs commands, two at a time. It ends one that takes five minutes."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(2)

    async def run(self, arguments: Sequence[str], given: str = "") -> Ran:
        """Run `destination-router` with some arguments.

        Args:
            arguments: the arguments as typed. No shell reads them.
            given: its standard input.
        """
        async with self._slots:
            process = await asyncio.create_subprocess_exec(
                *_COMMAND,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                async with asyncio.timeout(_SECONDS):
                    output, errors = await process.communicate(given.encode())
            except TimeoutError:
                return Ran(-1, "", "it took more than five minutes, and was ended")
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        return Ran(process.returncode or 0, _text(output), _text(errors))


def _text(content: bytes) -> str:
    return content[:_MOST_BYTES].decode("utf-8", "replace")
