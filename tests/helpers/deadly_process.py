"""A process with a worker that dies of a message: what a test of poisoned messages runs.

Its arguments: the table `[eventlog]` as JSON; `decide`, `pack` or `together`; and the file into
which it writes what it delivers.
"""

PROCESS = """
import asyncio, os, signal, sys
from pathlib import Path
from typing import Any

import httpx
import msgspec

from destination_router import HttpRequest, hookimpl
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.sender import Sender
from destination_router.delivery.worker import Worker
from destination_router.config.router_toml import EventLogConfig
from destination_router.eventlog.opening import open_log
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import check_destination
from destination_router.service.workers import LoggedLetters

config = msgspec.json.decode(sys.argv[1], type=EventLogConfig)
where, delivered = sys.argv[2], Path(sys.argv[3])


class Deadly:
    @hookimpl
    def settings_schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": False, "properties": {}}

    @hookimpl
    def on_identify(self) -> list[HttpRequest]:
        return []

    @hookimpl
    def on_track(self, message: Any) -> list[HttpRequest]:
        if where == "decide" and message.event == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        return [HttpRequest(url="https://vendor.example/", json={"event": message.event})]

    @hookimpl
    def pack(self, requests: list[HttpRequest]) -> list[HttpRequest]:
        if where == "pack" and any(request.json["event"] == "deadly" for request in requests):
            os.kill(os.getpid(), signal.SIGKILL)
        if where == "together" and sum(r.json["event"] == "deadly" for r in requests) > 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return requests


def vendor(request: httpx.Request) -> httpx.Response:
    with delivered.open("ab") as file:
        file.write(request.content + b"\\n")
    return httpx.Response(204)


async def main() -> None:
    log = open_log(config, ["c"], {}, request_seconds=1.0)
    connection = Connection("c", check_destination(Deadly(), "deadly", "deadly 1.0"), {})
    settings = DeliverySettings(linger=0.0, timeout=1.0)
    async with Sender(connection, settings, transport=httpx.MockTransport(vendor)) as sender:
        worker = Worker(
            connection, log, sender, dead_letters=LoggedLetters(log), settings=settings,
            attempts=log.attempts(), may_send=log.ownership("c").may_send,
        )
        running = asyncio.create_task(worker.run())
        async with asyncio.timeout(300):
            # Brokers that have not answered yet tell nothing.
            while (lag := (await log.lags()).get("c")) is None or lag.messages:
                await asyncio.sleep(0.01)
        await worker.stop(5.0)
        await running
    log.close()


asyncio.run(main())
"""
