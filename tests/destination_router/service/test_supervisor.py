"""`run --workers`: processes that die, end, and are told to deliver something else.

Modules: `service/supervisor.py`, `service/share_process.py`, `service/share_channel.py`,
`service/workers_view.py`.
"""

import asyncio
import contextlib
import errno
import json
import os
import re
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from router_process import CLI, DEAD, US, Router, command
from waiting import PATIENCE, free_port, until

from destination_router.config.router_toml import parse_config
from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.opening import open_log
from destination_router.eventlog.sqlite.claim import is_delivered_from
from destination_router.eventlog.sqlite.trace_file import TraceFile, trace_path
from destination_router.eventlog.trace import TraceFilter
from destination_router.service import share_process
from destination_router.service.serving import Asgi
from destination_router.service.share_channel import (
    FROM_SHARE,
    Deliver,
    Delivering,
    Look,
    Seen,
    Stop,
    put,
    received,
)
from destination_router.service.supervisor import _Share

KEY = re.compile(rb'"idempotency_key": ?"([^"]+)"')
APP = re.compile(rb'"app_id": ?"([^"]+)"')


class Vendor:
    """Takes what comes, and counts how often each event came for each app.

    Attributes:
        refused: apps of which it takes nothing: their key is revoked.
        silent: apps that get no answer, for as long as they are here.
    """

    def __init__(self) -> None:
        self.url = ""
        self.came: Counter[tuple[str, str]] = Counter()
        self.refused: set[str] = set()
        self.silent: set[str] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        (app,) = {each.decode() for each in APP.findall(body)}
        taken = app not in self.refused
        if taken:
            self.came.update((app, key.decode()) for key in KEY.findall(body))
        while app in self.silent:  # noqa: ASYNC110 -- set by another thread
            await asyncio.sleep(0.01)
        head = [(b"content-type", b"application/json")]
        status = 200 if taken else 401
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": b"{}"})

    def of(self, app: str) -> set[str]:
        return {key for each, key in self.came if each == app}


@pytest.fixture
def vendor(serve: Callable[[Asgi], str]) -> Vendor:
    it = Vendor()
    it.url = serve(it)
    return it


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    running = Router(tmp_path)
    yield running
    running.end()


def toml(url: str, *apps: str, more: str = "") -> str:
    connections = "".join(
        f'[[connections]]\nname = "c{app}"\nplugin = "heap"\nsettings = {{appId = "{app}"}}\n'
        for app in apps
    )
    return (
        f'[gateway]\nwrite_keys = ["key"]\n[eventlog]\nurl = "sqlite:///router.db"\n'
        f'[delivery]\nfirst_wait = "10ms"\norigins = {{"{US}" = "{url}"}}\n{more}\n{connections}'
    )


def track(number: int) -> dict[str, object]:
    return {"type": "track", "userId": f"u{number}", "event": "E", "messageId": f"m{number}"}


def configure(router: Router, content: str) -> None:
    (router.directory / "router.toml").write_text(content)


def ready(router: Router) -> list[dict[str, Any]]:
    shares: list[dict[str, Any]] = httpx.get(f"{router.url}/ready").json()["workers"]
    return shares


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return sorted(int(each) for each in text.split())


def main_process(router: Router) -> int:
    assert router._process is not None
    return router._process.pid


def alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return status != "Z"


def logged(router: Router, event: str) -> list[dict[str, Any]]:
    return [line for line in router.lines() if line["event"] == event]


def delivered(router: Router, *apps: str) -> bool:
    metrics = router.metrics()
    return all(metrics.get(f'router_lag_messages{{connection="c{app}"}}') == 0 for app in apps)


def test_one_metrics_tells_of_all(router: Router, vendor: Vendor) -> None:
    """Each connection has a process, and one page says what all of them count."""
    configure(router, toml(vendor.url, "1", "2", "3"))
    router.start("--workers", "2")
    shares = ready(router)
    assert [(each["share"], each["connections"]) for each in shares] == [
        (1, ["c1", "c3"]),
        (2, ["c2"]),
    ]
    assert len(children(main_process(router))) == 2
    assert router.send(*[track(number) for number in range(20)]) == 200
    until(lambda: delivered(router, "1", "2", "3"))
    metrics = router.metrics()
    for app in "123":
        assert metrics[f'router_delivered_total{{connection="c{app}"}}'] == 20
        assert metrics[f'router_worker_failures_total{{connection="c{app}"}}'] == 0
        assert metrics[f'router_expired_total{{connection="c{app}"}}'] == 0
    assert metrics['router_received_total{source="default"}'] == 20
    assert metrics['router_worker_process_up{share="1"}'] == 1
    assert metrics['router_worker_process_resident_memory_bytes{share="2"}'] > 10**7
    assert metrics['router_worker_process_cpu_seconds_total{share="2"}'] > 0
    assert set(vendor.came.values()) == {1}
    assert router.stop() == 0
    events = [line["event"] for line in router.lines()]
    assert events == ["started", "stopping", "stopped"]


def test_a_worker_that_is_killed_comes_again_while_its_neighbour_goes_on(
    router: Router, vendor: Vendor
) -> None:
    """Somebody is told each time, and the next pause is longer."""
    configure(router, toml(vendor.url, "1", "2"))
    router.start("--workers", "2")
    first, second = children(main_process(router))
    for time_killed in (1, 2):
        os.kill(first, signal.SIGKILL)
        until(lambda: not ready(router)[0]["ready"] or len(logged(router, "worker_ended")) > 0)
        assert router.send(track(time_killed)) == 200
        until(lambda: f"m{time_killed}" in vendor.of("2"))  # noqa: B023 -- called at once
        until(lambda: f"m{time_killed}" in vendor.of("1"))  # noqa: B023
        assert second in children(main_process(router))
        (first,) = set(children(main_process(router))) - {second}
    until(lambda: ready(router)[0]["ready"])
    told = logged(router, "worker_ended")
    assert [(line["share"], line["connections"]) for line in told] == [(1, ["c1"])] * 2
    assert [line["status"] for line in told] == [-signal.SIGKILL] * 2
    assert told[0]["seconds"] < told[1]["seconds"]
    metrics = router.metrics()
    assert metrics['router_worker_failures_total{connection="c1"}'] == 2
    assert metrics['router_worker_failures_total{connection="c2"}'] == 0
    assert httpx.get(f"{router.url}/ready").status_code == 200


def test_the_workers_of_a_killed_router_end_with_it(router: Router, vendor: Vendor) -> None:
    """Until the last of them is gone, nobody else delivers; then a new one does, all of it."""
    configure(router, toml(vendor.url, "1", "2"))
    router.start("--workers", "2")
    orphans = children(main_process(router))
    log = router.directory / "router.db"
    os.kill(orphans[0], signal.SIGSTOP)
    router.end()
    until(lambda: not alive(orphans[1]))
    assert is_delivered_from(log)
    told = command(router.directory, "reload")
    assert (told.returncode, "no process delivers" in told.stderr) == (2, True), told.stderr
    os.kill(orphans[0], signal.SIGCONT)
    until(lambda: not alive(orphans[0]))
    until(lambda: not is_delivered_from(log))
    router.start("--workers", "2")
    assert router.send(track(1)) == 200
    until(lambda: delivered(router, "1", "2"))
    assert set(vendor.came.values()) == {1}


def test_a_router_that_is_started_at_once_waits_for_the_orphans(
    router: Router, vendor: Vendor
) -> None:
    """They are about to end; a process that is alive is not waited for."""
    configure(router, toml(vendor.url, "1", "2"))
    router.start("--workers", "2")
    refused = subprocess.run(
        [*CLI, "run", "--listen", f"127.0.0.1:{free_port()}"],
        cwd=router.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (refused.returncode, "another process delivers" in refused.stderr) == (2, True)
    router.end()
    router.start()
    assert router.send(track(1)) == 200
    until(lambda: delivered(router, "1", "2"))


def test_a_second_signal_ends_all_at_once(router: Router, vendor: Vendor) -> None:
    """Even what would not end by itself."""
    configure(router, toml(vendor.url, "1", "2"))
    router.start("--workers", "2")
    workers = children(main_process(router))
    os.kill(workers[0], signal.SIGSTOP)
    process = router._process
    assert process is not None
    process.send_signal(signal.SIGTERM)
    until(lambda: logged(router, "stopping"))
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=PATIENCE) == -signal.SIGTERM
    until(lambda: not any(alive(worker) for worker in workers))


def test_a_worker_that_does_not_end_is_killed(router: Router, vendor: Vendor) -> None:
    """SIGTERM ends the router within ten seconds, whatever a worker is at."""
    configure(router, toml(vendor.url, "1", "2"))
    router.start("--workers", "2")
    workers = children(main_process(router))
    os.kill(workers[1], signal.SIGSTOP)
    assert router.stop() == 0
    assert not any(alive(worker) for worker in workers)
    assert [line["share"] for line in logged(router, "worker_killed")] == [2]


def test_a_reload_gives_and_takes(router: Router, vendor: Vendor) -> None:
    """A connection that comes is delivered, one that goes is not, one that moves never twice."""
    apps = ["1", "2", "3", "4"]
    configure(router, toml(vendor.url, *apps))
    router.start("--workers", "2")
    number = 0
    for kept in (["1", "3"], ["1", "3", "5"], ["3"], ["3", "6", "7", "8"], []):
        if not kept:
            break
        for _ in range(10):
            number += 1
            assert router.send(track(number)) == 200
        configure(router, toml(vendor.url, *kept))
        told = len(logged(router, "reloaded"))
        assert command(router.directory, "reload").returncode == 0
        until(lambda: len(logged(router, "reloaded")) > told)  # noqa: B023 -- called at once
        shares = ready(router)
        assert sorted(name for each in shares for name in each["connections"]) == [
            f"c{app}" for app in kept
        ]
        assert max(len(each["connections"]) for each in shares) == -(-len(kept) // 2)
        last = number = number + 1
        assert router.send(track(last)) == 200
        until(lambda: all(f"m{last}" in vendor.of(app) for app in kept))  # noqa: B023
        until(lambda: delivered(router, *kept))  # noqa: B023
    assert set(vendor.came.values()) == {1}
    assert vendor.of("3") == {f"m{each}" for each in range(1, number + 1)}
    assert logged(router, "worker_ended") == []


def test_a_connection_is_paused_wherever_it_is_delivered(router: Router, vendor: Vendor) -> None:
    """What commands say to a router they say to each of its processes."""
    configure(router, toml(vendor.url, "1", "2"))
    router.start("--workers", "2")
    assert command(router.directory, "connections", "pause", "c2").returncode == 0
    until(lambda: router.metrics().get('router_paused{connection="c2"}') == 1)
    assert router.send(track(1)) == 200
    until(lambda: delivered(router, "1"))
    listed = command(router.directory, "connections", "list", "--json").stdout.splitlines()
    states = {each["connection"]: each["state"] for each in map(json.loads, listed)}
    assert states == {"c1": "sending", "c2": "paused"}
    assert vendor.of("2") == set()
    assert command(router.directory, "connections", "resume", "c2").returncode == 0
    until(lambda: delivered(router, "2"))


def test_what_is_held_or_paused_stays_so_wherever_it_is_delivered(
    router: Router, vendor: Vendor
) -> None:
    """Through the death of its process, and as a reload gives it to another one."""
    content = partial(toml, vendor.url, more='hold_wait = "50ms"\nlongest_hold = "100ms"')
    configure(router, content("1", "2", "3", "4"))
    vendor.refused = {"1", "3"}
    router.start("--workers", "2")
    assert [each["connections"] for each in ready(router)] == [["c1", "c3"], ["c2", "c4"]]
    assert command(router.directory, "connections", "pause", "c3").returncode == 0
    until(lambda: router.metrics().get('router_paused{connection="c3"}') == 1)
    assert router.send(*map(track, range(20))) == 200
    until(lambda: delivered(router, "2", "4"))

    def are_kept_back() -> bool:
        metrics = router.metrics()
        held = metrics.get('router_held{code="http_401",connection="c1"}')
        paused = metrics.get('router_paused{connection="c3"}')
        lags = [metrics.get(f'router_lag_messages{{connection="c{app}"}}') for app in "13"]
        return (held, paused, lags) == (1, 1, [20, 20])

    until(are_kept_back)
    os.kill(children(main_process(router))[0], signal.SIGKILL)
    until(lambda: logged(router, "worker_ended") != [])
    until(lambda: all(each["ready"] for each in ready(router)))
    until(are_kept_back)
    configure(router, content("1", "3"))
    assert command(router.directory, "reload").returncode == 0
    until(lambda: sorted(each["connections"] for each in ready(router)) == [["c1"], ["c3"]])
    until(are_kept_back)
    vendor.refused = set()
    until(lambda: delivered(router, "1"))
    assert vendor.of("3") == set()
    assert command(router.directory, "connections", "resume", "c3").returncode == 0
    until(lambda: delivered(router, "3"))
    assert set(vendor.came.values()) == {1}
    assert all(vendor.of(app) == {f"m{n}" for n in range(20)} for app in "1234")
    assert command(router.directory, "dead-letters", "list", "--json").stdout == ""


def test_a_worker_that_is_killed_amid_a_request_sends_it_again(
    router: Router, vendor: Vendor
) -> None:
    """The vendor may have it, but nobody was told so; its neighbour's are sent once."""
    configure(router, toml(vendor.url, "1", "2"))
    vendor.silent = {"1"}
    router.start("--workers", "2")
    assert router.send(*map(track, range(20))) == 200
    until(lambda: len(vendor.of("1")) == 20)
    until(lambda: delivered(router, "2"))
    os.kill(children(main_process(router))[0], signal.SIGKILL)
    until(lambda: logged(router, "worker_ended") != [])
    vendor.silent = set()
    until(lambda: delivered(router, "1"))
    assert {count for (app, _), count in vendor.came.items() if app == "1"} == {2}
    assert {count for (app, _), count in vendor.came.items() if app == "2"} == {1}
    assert len(vendor.of("2")) == 20


def test_the_console_sees_what_all_of_them_do(router: Router, vendor: Vendor) -> None:
    """Each tells of its own connections, once; the one with the gateway tells of sources."""
    console = f'[console]\nlisten = "127.0.0.1:{free_port()}"\npassword = "of the operator"'
    configure(router, toml(vendor.url, "1", "2", more=console))
    router.start("--workers", "2")
    assert router.send(track(1), track(2)) == 200
    with contextlib.closing(TraceFile(trace_path(router.directory / "router.db"))) as traces:

        def counted(kind: str) -> dict[str, tuple[int, int]]:
            found = traces.rollups(kind, 0.0, 60)
            return {
                name: (
                    sum(r.received for r in spans.values()),
                    sum(r.delivered for r in spans.values()),
                )
                for name, spans in found.items()
            }

        until(lambda: {each.connection for each in traces.find(TraceFilter())} == {"c1", "c2"})
        until(lambda: counted("connection") == {"c1": (2, 2), "c2": (2, 2)})
        until(lambda: counted("source") == {"default": (2, 0)})
        assert traces.states().keys() == {"c1", "c2"}
    assert router.stop() == 0


def test_more_processes_than_connections_are_said_and_harmless(
    router: Router, vendor: Vendor
) -> None:
    """Those without a connection do not start; router.toml may say how many."""
    configure(router, toml(vendor.url, "1", more="workers = 3"))
    router.start()
    assert len(children(main_process(router))) == 1
    (told,) = logged(router, "configuration")
    assert told["detail"].startswith("workers = 3, but no more than 1 can be used")
    assert router.send(track(1)) == 200
    until(lambda: delivered(router, "1"))
    configure(router, toml(vendor.url, "1", more="workers = 2"))
    assert command(router.directory, "reload").returncode == 0
    until(lambda: logged(router, "reload_needs_restart"))
    assert logged(router, "reload_needs_restart")[0]["keys"] == ["delivery.workers"]


@pytest.mark.parametrize(
    ("options", "more", "words"),
    [
        (["--gateway-only", "--workers", "2"], "", "--gateway-only delivers nothing"),
        (["--workers", "0"], "", "greater than or equal to 1"),
        ([], "workers = 0", "[delivery] workers: must be at least 1"),
    ],
)
def test_what_cannot_be_is_refused(
    router: Router, options: list[str], more: str, words: str
) -> None:
    """It names the option or the key."""
    configure(router, toml(DEAD, "1", more=more))
    done = command(router.directory, "run", *options)
    assert done.returncode == 2
    assert words in done.stderr


def test_kafka_is_refused_by_name(router: Router) -> None:
    """There, several processes share the work by themselves."""
    content = toml(DEAD, "1").replace("sqlite:///router.db", "kafka://127.0.0.1:9/events")
    configure(router, content)
    done = command(router.directory, "run", "--workers", "2")
    assert done.returncode == 2
    assert "on Kafka, start `run --workers-only` several times" in done.stderr


def test_a_process_that_cannot_be_started_now_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Senders may hold every descriptor for a while: the router goes on, and ends when told."""
    table = {"name": "c1", "plugin": "heap", "settings": {"appId": "1"}}

    async def ended() -> Counter[str]:
        tried = asyncio.Event()

        def exhausted() -> None:
            tried.set()
            raise OSError(errno.EMFILE, "Too many open files")

        share = _Share(1, None)
        share.config = parse_config({"connections": [table]}, gateway=False)
        monkeypatch.setattr(socket, "socketpair", exhausted)
        running = asyncio.create_task(share.run())
        await tried.wait()
        async with asyncio.timeout(PATIENCE):
            await share.stop()
            await running
        return share.failures

    assert asyncio.run(ended()) == {"c1": 1}


def test_what_was_counted_stays_counted_when_a_connection_moves() -> None:
    """A counter never falls: what looks at it would take all that is left for new."""
    share = _Share(1, None)
    share._hear(Seen(expired={"a": 3}, failures={"a": 2}))
    share._hear(Seen(expired={"b": 1}, failures={"b": 0}))
    assert (share.seen.expired, share.seen.failures) == ({"a": 3, "b": 1}, {"a": 2, "b": 0})
    share._hear(Seen(expired={"a": 4}, failures={"a": 2}))
    share._forget()
    assert (share.expired, share.failures) == ({"a": 4, "b": 1}, {"a": 2, "b": 0})


def test_a_process_that_finds_the_log_busy_says_so_in_a_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends with a status, and no traceback stands among the lines of the log."""

    def busy(*_: object, **__: object) -> None:
        raise LogUnavailableError("router.db: database is locked")

    monkeypatch.setattr(share_process, "open_log", busy)
    table = {"name": "c1", "plugin": "heap", "settings": {"appId": "1"}}
    config = parse_config({"connections": [table]}, gateway=False)

    async def status() -> int:
        ours, theirs = socket.socketpair()
        _, writer = await asyncio.open_connection(sock=ours)
        put(writer, Deliver(1, 1, config))
        try:
            return await share_process._deliver(theirs)
        finally:
            writer.close()

    assert asyncio.run(status()) == share_process.FAILED
    assert [record.getMessage() for record in caplog.records] == ["worker_not_started"]


def test_a_process_that_waits_for_the_log_still_hears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells what there is to see, and ends when it is told to: it need not be killed."""
    waiting = asyncio.Event()

    def opened(*about: Any, **more: Any) -> Any:
        log = open_log(*about, **more)

        async def released(_: object) -> None:  # as where the log cannot be written
            waiting.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(log, "release", released)
        return log

    monkeypatch.setattr(share_process, "open_log", opened)
    tables = [{"name": name, "plugin": "heap", "settings": {"appId": "1"}} for name in ("c1", "c2")]
    eventlog = {"url": f"sqlite:///{tmp_path}/router.db"}
    both, one = (
        parse_config({"connections": tables[:count], "eventlog": eventlog}, gateway=False)
        for count in (2, 1)
    )

    async def told() -> tuple[list[object], int]:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        answers = received(reader)
        running = asyncio.create_task(share_process._deliver(theirs))
        heard: list[object] = []
        async with asyncio.timeout(PATIENCE):
            put(writer, Deliver(1, 1, both))
            heard.append(FROM_SHARE.decode(await anext(answers)))
            put(writer, Deliver(2, 1, one))
            await waiting.wait()
            put(writer, Look())
            heard.append(FROM_SHARE.decode(await anext(answers)))
            put(writer, Stop())
            status = await running
        writer.close()
        return heard, status

    (first, seen), status = asyncio.run(told())
    assert (first, status) == (Delivering(1), 0)
    assert isinstance(seen, Seen)
