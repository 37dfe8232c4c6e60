"""Small, fixed pieces of the router's work, each in one process: what `instructions.py` counts.

Each prepares, works once so that what is kept is kept, and calls `MARK` around the same work again.
Senders and vendor are in the same process and do as little as they can: some thousand instructions
for each request, none for each event.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import httpx
import msgspec
import orjson
import transformer
import uvicorn

from destination_router.config.router_toml import (
    ConnectionConfig,
    ConsoleConfig,
    EventLogConfig,
    QuarantineConfig,
    RouterConfig,
    SourceConfig,
)
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.quarantine import Watch
from destination_router.delivery.sender import Sender
from destination_router.delivery.worker import Delivery, Worker
from destination_router.eventlog.interface import Event
from destination_router.eventlog.memory import MemoryPairings
from destination_router.eventlog.sqlite.attempt_book import LoggedAttempts
from destination_router.eventlog.sqlite.log import SqliteEventLog
from destination_router.eventlog.sqlite.pairing_book import LoggedPairings
from destination_router.eventlog.sqlite.quarantine_book import LoggedQuarantine
from destination_router.eventlog.sqlite.standing_book import LoggedStanding
from destination_router.eventlog.sqlite.trace_file import TraceFile, trace_path
from destination_router.files.line_sources import line_source
from destination_router.files.resuming import SendState
from destination_router.files.sending import send_lines
from destination_router.gateway.app import create_gateway
from destination_router.gateway.sources import Sources
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import load_plugin
from destination_router.service.configured import Configured
from destination_router.service.connections import connect
from destination_router.service.health import CountedLog
from destination_router.service.metrics import Intake
from destination_router.service.serving import serving
from destination_router.service.tracing import Tracer, Tracing
from destination_router.service.workers import LoggedLetters, Workers
from destination_router.transformer.app import create_transformer
from destination_router.transformer.destinations import find_destinations
from destination_router.transformer.processing import process
from destination_router.transformer.proxy_calls import ProxyCalls
from destination_router.transformer.router_batches import batch_jobs

PER_POST = 100
SENDERS = 4
JOBS = 5
"""In one request to the proxy."""

ORIGIN = "https://heapanalytics.com"

_AT_MOST_A_SECOND = 25
"""So many events in one request are a second's; else there are five requests a second."""

Around = Callable[[], contextlib.AbstractContextManager[None]]
"""What is measured happens within."""


def wire(first: int, count: int) -> list[bytes]:
    """Make events of 1.4 KB as they lie in the log: `transformer.message`."""
    return [orjson.dumps(transformer.message(number)) for number in range(first, first + count)]


def posts(first: int, count: int, at_once: int = PER_POST) -> list[bytes]:
    """Make requests to the gateway, of many events each, as a browser's SDK sends them."""
    added = {"receivedAt", "request_ip", "rudderId", "timestamp"}
    made = []
    for start in range(first, first + count, at_once):
        events = [
            {
                name: value
                for name, value in transformer.message(number).items()
                if name not in added
            }
            for number in range(start, start + at_once)
        ]
        made.append(orjson.dumps({"batch": events, "sentAt": events[0]["sentAt"]}))
    return made


def connection() -> Connection:
    """Make Heap's connection, without its quotas, which would measure Heap."""
    from heap_destination import plugin  # noqa: PLC0415 -- before it is loaded

    if hasattr(plugin, "quotas"):
        del plugin.quotas
    return Connection("heap", load_plugin("heap"), {"appId": "11"})


# -- who speaks HTTP with the router ---------------------------------------------------------------


class _Vendor(asyncio.Protocol):
    """Answers every request with 200 and no word; `seen` is told the bodies, if somebody asks."""

    def __init__(self, seen: Callable[[bytes], None] | None) -> None:
        self._seen = seen
        self._missing = 0
        self._head = b""
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._missing:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            length = head.lower().partition(b"content-length: ")[2]
            self._missing = int(length.partition(b"\r\n")[0])
            self._head, data = b"", body
        self._missing -= len(data)
        if self._seen is not None:
            self._body.append(data)
        if not self._missing:
            if self._seen is not None:
                self._seen(b"".join(self._body))
                self._body.clear()
            assert isinstance(self._transport, asyncio.Transport)  # noqa: S101
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


@contextlib.asynccontextmanager
async def vendor(seen: Callable[[bytes], None] | None = None) -> AsyncIterator[str]:
    """Answer on a loopback port."""
    server = await asyncio.get_running_loop().create_server(lambda: _Vendor(seen), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"


class _Poster:
    """Posts bodies over one connection, one after the other."""

    def __init__(self, url: str, path: str, more: str = "") -> None:
        self._port = int(url.rpartition(":")[2])
        self._head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{more}".encode()

    async def post(self, bodies: list[bytes]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        for body in bodies:
            writer.write(self._head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head:
                raise SystemExit(f"unexpected answer: {head!r}")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
        writer.close()
        await writer.wait_closed()


# -- the pieces ------------------------------------------------------------------------------------


def reference(around: Around, count: int) -> None:
    """Do what all is compared with: `orjson.loads` and `orjson.dumps` of the messages."""
    events = wire(0, count)

    def work() -> None:
        for event in events:
            orjson.dumps(orjson.loads(event))

    _twice(work, around)


def decide(around: Around, count: int) -> None:
    """Wire JSON → decisions."""
    heap, events = connection(), wire(0, count)

    def work() -> None:
        for event in events:
            assert heap.decide(event).result == "requests"  # noqa: S101

    _twice(work, around)


def transform(around: Around, count: int) -> None:
    """Requests of 200 events to the transformer, without HTTP."""
    heap = find_destinations()["heap"]
    bodies = transformer.bodies("compacted")[: count // transformer.PER_REQUEST]

    def work() -> None:
        for body in bodies:
            process("heap", heap, body, str)

    _twice(work, around)


def gateway(around: Around, count: int) -> None:
    """Posts of a hundred events, from four senders → the log."""
    asyncio.run(_gateway(around, count))


async def _gateway(around: Around, count: int) -> None:
    with _log() as log:
        sources = Sources([SourceConfig(name="shop", write_keys=("benchmark",))])
        app = create_gateway(log, sources)
        async with serving(app, "127.0.0.1", 0) as url:
            poster = _Poster(url, "/v1/batch", "Authorization: Basic YmVuY2htYXJrOg==\r\n")

            async def work(first: int) -> None:
                made = posts(first, count)
                with around() if first else contextlib.nullcontext():
                    shares = [made[n::SENDERS] for n in range(SENDERS)]
                    await asyncio.gather(*(poster.post(share) for share in shares))

            await work(0)
            await work(count)


def deliver(around: Around, count: int) -> None:
    """A log with events → the vendor, and the log again."""
    asyncio.run(_deliver(around, count))


def traced(around: Around, count: int) -> None:
    """As `deliver`, with a console that nobody looks at, at 5,000 events a second."""
    asyncio.run(_deliver(around, count, traced_share=25 / 5000))


def watched(around: Around, count: int) -> None:
    """As `deliver`, with a console where somebody looks at Live, at 5,000 events a second."""
    asyncio.run(_deliver(around, count, traced_share=200 / 5000, viewers=1))


async def _deliver(around: Around, count: int, traced_share: float = 0.0, viewers: int = 0) -> None:
    with _log() as log:
        heap = connection()
        async with contextlib.AsyncExitStack() as stack:
            settings = DeliverySettings(origins={ORIGIN: await stack.enter_async_context(vendor())})
            sender = await stack.enter_async_context(Sender(heap, settings))
            traces = told = looked = None
            if traced_share:
                traces = stack.enter_context(contextlib.closing(TraceFile(trace_path(log.path))))
                told = Tracing(traces, keep=round(traced_share * count))
                if viewers:
                    looked = await _looked_at(stack, log, heap, traces, viewers)
            for first in (0, count):
                await log.append(wire(first, count))
                with around() if first else contextlib.nullcontext():
                    tracer = None if told is None else told.tracer(heap)
                    worker = await _drained(heap, log, sender, settings, count, tracer)
                    if told is not None:  # once: five times too often
                        counts = {heap.name: worker.stats}
                        await told.tell(counts, {heap.name: worker.quota_use()}, None)
                    if looked is not None:
                        await looked()


async def _drained(  # noqa: PLR0913, PLR0917 -- each is a part
    heap: Connection,
    log: SqliteEventLog,
    sender: Sender,
    settings: DeliverySettings,
    count: int,
    tracer: Tracer | None = None,
) -> Worker:
    left, done = count, asyncio.Event()

    def report(deliveries: Sequence[Delivery]) -> None:
        nonlocal left
        if tracer is not None:
            tracer.ended(deliveries)
        left -= len(deliveries)
        if not left:
            done.set()

    worker = Worker(
        heap,
        log,
        sender,
        dead_letters=LoggedLetters(log),
        settings=settings,
        pairings=LoggedPairings(log),
        standing=LoggedStanding(log),
        quarantine=Watch(heap.name, QuarantineConfig(), LoggedQuarantine(log)),
        attempts=LoggedAttempts(log, log.path.with_name("attempts")),
        report=report,
        observer=tracer,
    )
    working = asyncio.create_task(worker.run())
    await done.wait()
    await worker.stop(600)
    await working
    return worker


def slow(around: Around, count: int) -> None:
    """A whole router, gateway to vendor, at five events a second, one in each request."""
    asyncio.run(_slow(around, count))


def slow_traced(around: Around, count: int) -> None:
    """As `slow`, with a console that nobody looks at: each event is traced."""
    asyncio.run(_slow(around, count, console=True))


def slow_watched(around: Around, count: int) -> None:
    """As `slow`, with a console in the same process, and somebody at Live."""
    asyncio.run(_slow(around, count, console=True, viewers=1))


def slow_watched_by_many(around: Around, count: int) -> None:
    """As `slow_watched`, with ten people at Live."""
    asyncio.run(_slow(around, count, console=True, viewers=10))


def slow_batches(around: Around, count: int) -> None:
    """As `slow`, with 25 events a second, all in one request."""
    asyncio.run(_slow(around, count, at_once=25))


def slow_batches_traced(around: Around, count: int) -> None:
    """As `slow_batches`, with a console that nobody looks at: a sample is traced."""
    asyncio.run(_slow(around, count, at_once=25, console=True))


def slow_batches_watched(around: Around, count: int) -> None:
    """As `slow_batches`, with somebody at Live."""
    asyncio.run(_slow(around, count, at_once=25, console=True, viewers=1))


def slow_fives(around: Around, count: int) -> None:
    """As `slow`, with 25 events a second, five in each request."""
    asyncio.run(_slow(around, count, at_once=5))


def slow_fives_traced(around: Around, count: int) -> None:
    """As `slow_fives`, with a console that nobody looks at: a sample is traced."""
    asyncio.run(_slow(around, count, at_once=5, console=True))


def slow_fives_watched(around: Around, count: int) -> None:
    """As `slow_fives`, with somebody at Live."""
    asyncio.run(_slow(around, count, at_once=5, console=True, viewers=1))


def slow_private(around: Around, count: int) -> None:
    """As `slow`, in HIPAA mode."""
    asyncio.run(_slow(around, count, private=True))


def slow_private_traced(around: Around, count: int) -> None:
    """As `slow_private`, with a console that nobody looks at: what is kept is masked again."""
    asyncio.run(_slow(around, count, private=True, console=True))


def slow_private_watched(around: Around, count: int) -> None:
    """As `slow_private`, with somebody at Live."""
    asyncio.run(_slow(around, count, private=True, console=True, viewers=1))


async def _slow(  # noqa: PLR0913 -- each is a way to run it, by keyword
    around: Around,
    count: int,
    *,
    at_once: int = 1,
    console: bool = False,
    viewers: int = 0,
    private: bool = False,
) -> None:
    uvicorn.Server.main_loop = _until_exit  # type: ignore[method-assign] -- its clock ticks
    with _log() as log:
        heap = _private_connection() if private else connection()
        async with contextlib.AsyncExitStack() as stack:
            arrived = asyncio.Event()
            url = await stack.enter_async_context(vendor(lambda _: arrived.set()))
            origins = {ORIGIN: url}
            intake = Intake()
            traces = tracing = None
            if console:
                traces = stack.enter_context(contextlib.closing(TraceFile(trace_path(log.path))))
                tracing = Tracing(traces)
            settings = DeliverySettings(origins=origins)
            workers = Workers([heap], log, settings, QuarantineConfig(), tracing)
            working = asyncio.create_task(workers.work())
            sources = Sources([SourceConfig(name="shop", write_keys=("benchmark",))])
            gateway = create_gateway(CountedLog(log, intake), sources)
            url = await stack.enter_async_context(serving(gateway, "127.0.0.1", 0))
            looked: Callable[[], Awaitable[None]] | None = None

            async def tick() -> None:
                if tracing is not None:
                    await tracing.tick(workers.stats, workers.quotas, intake)
                if looked is not None:
                    await looked()

            if traces is not None and viewers:
                looked = await _looked_at(stack, log, heap, traces, viewers)
            poster = _Poster(url, "/v1/batch", "Authorization: Basic YmVuY2htYXJrOg==\r\n")
            if tracing is not None:  # as after so many that no more are traced at once than later
                await asyncio.sleep(0)  # the worker begins
                tracing._tracers["heap"]._room = 0  # noqa: SLF001
            await _played(poster, workers, 0, count, at_once, tick, arrived)
            with around():
                await _played(poster, workers, count, count, at_once, tick, arrived)
            await workers.stop()
            await working


def live(around: Around, count: int) -> None:
    """What somebody at Live adds at five events a second: traces written, drawn and sent."""
    asyncio.run(_live(around, count))


async def _live(around: Around, count: int) -> None:
    with _log() as log:
        heap = connection()
        async with contextlib.AsyncExitStack() as stack:
            traces = stack.enter_context(contextlib.closing(TraceFile(trace_path(log.path))))
            tracing = Tracing(traces, keep=2 * count)
            looked = await _looked_at(stack, log, heap, traces)
            tracer = tracing.tracer(heap)
            bodies = wire(0, 2 * count)
            decisions = [heap.decide(body) for body in bodies]
            for first in (0, count):
                with around() if first else contextlib.nullcontext():
                    for second in range(first, first + count, 5):
                        for number in range(second, second + 5):
                            event = Event(number, bodies[number], received_at=0.0)
                            tracer.decided(event, decisions[number])
                        await tracing.tick(dict, dict, None)
                        await looked()
                        await asyncio.sleep(0)


async def _until_exit(server: uvicorn.Server) -> None:
    """Serve without a look at the clock ten times a second, which counts how slow valgrind is."""
    while not server.should_exit:  # noqa: ASYNC110 -- it has no event
        await asyncio.sleep(1)


async def _played(  # noqa: PLR0913, PLR0917 -- each is a part
    poster: _Poster,
    workers: Workers,
    first: int,
    count: int,
    at_once: int,
    tick: Callable[[], Awaitable[None]],
    arrived: asyncio.Event,
) -> None:
    """Post events one after the other, each once the last is delivered.

    A second is so many events: the clock would count how fast this machine is.
    """
    known = workers.stats().get("heap")
    done = 0 if known is None else known.delivered
    for number in range(count // at_once):
        (body,) = posts(first + number * at_once, at_once, at_once)
        arrived.clear()
        await poster.post([body])
        done += at_once
        await arrived.wait()  # each look beneath counts, too
        while workers.stats()["heap"].delivered < done:  # noqa: ASYNC110 -- it has no event
            await asyncio.sleep(0.2)
        if at_once == _AT_MOST_A_SECOND or number % 5 == 4:  # noqa: PLR2004 -- a second has passed
            await tick()


async def _looked_at(
    stack: contextlib.AsyncExitStack,
    log: SqliteEventLog,
    heap: Connection,
    traces: TraceFile,
    viewers: int = 1,
) -> Callable[[], Awaitable[None]]:
    """Serve a console, and read its Live as browsers do. Gives what it does in a second.

    The clock would count how slow valgrind is: its own looks are an hour apart.
    """
    from destination_router.console import live_streams  # noqa: PLC0415 -- an extra
    from destination_router.console.app import Console  # noqa: PLC0415
    from destination_router.console.desk import Desk  # noqa: PLC0415

    table = ConsoleConfig(listen="127.0.0.1:0", password="benchmark-password")  # noqa: S106
    config = RouterConfig(
        eventlog=EventLogConfig(url=f"sqlite:///{log.path}"),
        console=table,
        connections=(ConnectionConfig(name="heap", plugin="heap", settings={"appId": "11"}),),
    )
    configured = Configured(config, [heap])
    looks_a_second, live_streams.PERIOD = 1 / live_streams.PERIOD, 3600.0
    console = Console(table, Desk(lambda: configured, traces))
    url = await stack.enter_async_context(serving(console.app, "127.0.0.1", 0))
    stack.callback(console.over.set)
    async with httpx.AsyncClient(base_url=url, headers={"sec-fetch-site": "same-origin"}) as client:
        answer = await client.post("/login", data={"password": table.password})
        cookie = answer.headers["set-cookie"].partition(";")[0]
    for _ in range(viewers):
        head = "GET /live/stream?after=0 HTTP/1.1\r\nHost: localhost\r\n"
        asked = f"{head}Accept: text/event-stream\r\nCookie: {cookie}\r\n\r\n".encode()
        browser = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
        browser.sendall(asked)
        stack.callback(browser.shutdown, socket.SHUT_RDWR)
        threading.Thread(target=_read_all, args=[browser], daemon=True).start()
    due = 0.0

    async def second() -> None:
        nonlocal due
        due += looks_a_second
        while due >= 1:
            due -= 1
            await console.live.feed.look()

    await second()
    return second


def _read_all(browser: socket.socket) -> None:
    """Read as a browser does, which costs the router nothing, until either of them leaves."""
    with browser, contextlib.suppress(ConnectionResetError):
        while browser.recv(2**16):
            pass


def _private_connection() -> Connection:
    """Make Heap's connection in HIPAA mode, which passes half of the fields."""
    connection()
    os.environ["BENCHMARK_MASKING_KEY"] = "00" * 32
    allow = {"events": ["Product Added"], "properties": ["revenue", "currency"], "traits": ["plan"]}
    about = {
        "name": "heap",
        "plugin": "heap",
        "settings": {"appId": "11"},
        "privacy": {
            "mode": "hipaa",
            "allow": allow,
            "keys": {"v1": {"env": "BENCHMARK_MASKING_KEY"}},
        },
        "shared": {"privacy": {"allow": allow}},
    }
    return connect(msgspec.convert(about, ConnectionConfig))


def proxy(around: Around, count: int) -> None:
    """Requests of five jobs to the proxy → the vendor."""
    asyncio.run(_proxy(around, count))


async def _proxy(around: Around, count: int) -> None:
    async with vendor() as url:
        app = create_transformer(origins={ORIGIN: url})
        async with serving(app, "127.0.0.1", 0) as own:
            bodies = proxied(count // JOBS)
            poster = _Poster(own, "/v1/destinations/heap/proxy")
            await poster.post(bodies)
            with around():
                await poster.post(bodies)


def proxied(count: int) -> list[bytes]:
    """Make requests to the proxy, of five jobs each, as rudder-server does."""
    heap = find_destinations()["heap"]
    calls = ProxyCalls()
    calls.called("d1", for_each_job=True)
    made = []
    for number in range(count):
        jobs = [
            {
                "message": transformer.message(each),
                "metadata": transformer.metadata(each),
                "destination": transformer.DESTINATION,
            }
            for each in _tracks(number)
        ]
        body = orjson.dumps({"input": jobs, "destType": "heap"})
        answer = batch_jobs("heap", heap, body, str, calls=calls)
        (batch,) = orjson.loads(answer)["output"]
        made.append(
            orjson.dumps(
                {
                    **batch["batchedRequest"],
                    "metadata": batch["metadata"],
                    "destinationConfig": transformer.DESTINATION["Config"],
                }
            )
        )
    return made


def bare_posts(around: Around, count: int) -> None:
    """What the proxy is compared with: the bodies that it sends, by a bare `httpx.AsyncClient`."""
    asyncio.run(_bare_posts(around, count))


async def _bare_posts(around: Around, count: int) -> None:
    heap = connection()
    async with vendor() as url, httpx.AsyncClient() as client:
        bodies = packed_bodies(heap, count // JOBS)
        for first in (True, False):
            with contextlib.nullcontext() if first else around():
                for path, body in bodies:
                    headers = {"content-type": "application/json"}
                    await client.post(url + path, content=body, headers=headers)


def packed_bodies(heap: Connection, count: int) -> list[tuple[str, bytes]]:
    """Make the bodies that the proxy sends: those of five messages each, with their paths."""
    from destination_router.pipeline.packing import packed  # noqa: PLC0415

    made: list[tuple[str, bytes]] = []
    for number in range(count):
        decisions = [heap.decide(orjson.dumps(transformer.message(n))) for n in _tracks(number)]
        singles = [request for decision in decisions for request in decision.requests]
        made += [
            (httpx.URL(request.url).path, msgspec.json.encode(request.json))
            for request in packed(heap, singles)
        ]
    return made


def _tracks(request: int) -> list[int]:
    """Number a request's jobs: five tracks, which make one bulk (each fifth is an identify)."""
    first = (JOBS + 1) * 5 // 4 * request + 1
    return [number for number in range(first, first + JOBS + 2) if number % 5][:JOBS]


def send(around: Around, count: int) -> None:
    """A file → the vendor."""
    asyncio.run(_send(around, count))


async def _send(around: Around, count: int) -> None:
    heap = connection()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        async with vendor() as url:
            for first in (0, count):
                path.write_bytes(b"\n".join(wire(first, count)) + b"\n")
                with around() if first else contextlib.nullcontext():
                    summary = await send_lines(
                        heap,
                        line_source(str(path)),
                        settings=DeliverySettings(origins={ORIGIN: url}),
                        state=SendState(Path(folder) / "state.json", None),
                        pairings=MemoryPairings(),
                        quarantine=Watch(heap.name, QuarantineConfig()),
                        report=_heard,
                        watch=_heard,
                        patience=600,
                    )
                    assert summary.delivered == count  # noqa: S101


def _heard(*_: int | Delivery | object) -> None:
    pass


WORK: dict[str, tuple[Callable[[Around, int], None], int]] = {
    "reference": (reference, 1000),
    "decide": (decide, 1000),
    "transform": (transform, 1000),
    "gateway": (gateway, 800),
    "deliver": (deliver, 1000),
    "traced": (traced, 1000),
    "watched": (watched, 1000),
    "live": (live, 100),
    "slow": (slow, 25),
    "slow_traced": (slow_traced, 25),
    "slow_watched": (slow_watched, 25),
    "slow_watched_by_many": (slow_watched_by_many, 25),
    "slow_batches": (slow_batches, 125),
    "slow_batches_traced": (slow_batches_traced, 125),
    "slow_batches_watched": (slow_batches_watched, 125),
    "slow_fives": (slow_fives, 125),
    "slow_fives_traced": (slow_fives_traced, 125),
    "slow_fives_watched": (slow_fives_watched, 125),
    "slow_private": (slow_private, 25),
    "slow_private_traced": (slow_private_traced, 25),
    "slow_private_watched": (slow_private_watched, 25),
    "send": (send, 1000),
    "bare_posts": (bare_posts, 50),
    "proxy": (proxy, 50),
}
"""Each piece, and for how many events it is done."""

OFTEN = tuple(name for name in WORK if not name.startswith(("slow", "live")))
"""What is counted unless pieces are named: the slow ones wait for most of the time, and for minutes
under valgrind."""


def _twice(work: Callable[[], None], around: Around) -> None:
    work()
    with around():
        work()


@contextlib.contextmanager
def _log() -> Iterator[SqliteEventLog]:
    with tempfile.TemporaryDirectory() as folder:
        log = SqliteEventLog(Path(folder) / "router.db", ["heap"], start="start")
        try:
            yield log
        finally:
            log.close()
