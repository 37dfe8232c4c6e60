"""Attack a working router, and see that a good connection beside it goes on.

    scripts/siege --seconds 15 --only bomb --only bodies

Each attack meets a fresh router with two connections: one to a vendor that misbehaves, one to a
good vendor. While senders or the bad vendor attack, a good sender sends to the good connection.
Then the router is told to end, under attack. Everything is on loopback and bounded in time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import httpx
import msgspec

sys.path.insert(0, str(Path(__file__).parent))  # a program and a test: no package
sys.path.insert(0, str(Path(__file__).parent.parent / "chaos"))
sys.path.insert(0, str(Path(__file__).parent.parent / "helpers"))

from bad_sender import ATTACKS
from bad_vendor import ANSWERS
from good_side import GoodSide
from processes import PYTHON, Router
from waiting import free_port

HERE = Path(__file__).parent
KEY = "siege"
CONFIG = """
[gateway]
write_keys = ["{key}"]
[eventlog]
url = "sqlite:///router.db"
[delivery]
origins = {{"https://heapanalytics.com" = "{good}", "https://c.eu.heap-api.com" = "{bad}"}}
timeout = "2s"
first_wait = "50ms"
longest_wait = "1s"
[[connections]]
name = "good"
plugin = "heap"
settings = {{appId = "11"}}
subscription = 'event = "Good"'
[[connections]]
name = "bad"
plugin = "heap"
settings = {{appId = "12", region = "EU"}}
subscription = 'event = "Bad"'
"""
QUIET = "quiet"
VENDORS = tuple(ANSWERS)
SENDERS = tuple(name for name in ATTACKS if name != "traffic")
NAMES = (QUIET, *VENDORS, *SENDERS)

DESCRIPTORS = 1024
"""How many files the router may have open: what a system gives by default."""

MOST_MEGABYTES = 400
LONGEST_STOP = 10.0
LONGEST_READY = 1.0
_GIVEN_UP = 30.0
_EACH = 0.05


class Result(msgspec.Struct, kw_only=True):
    """What one attack did.

    Attributes:
        attack: its name.
        sent: events of the good sender.
        late: those of them that never arrived, or too late: after the attack and as long again.
        p99: how long an event took from the good sender to its vendor, in milliseconds.
        ready: the longest that `/ready` took to answer, in milliseconds.
        megabytes: the most memory that the router ever had.
        stop: how long it took from SIGTERM to its end, in seconds.
    """

    attack: str
    sent: int
    late: int
    p99: float
    ready: float
    megabytes: float
    stop: float

    @property
    def wrong(self) -> list[str]:
        """What broke a promise."""
        limits = {
            "late": 0.0,
            "ready": LONGEST_READY * 1000,
            "megabytes": MOST_MEGABYTES,
            "stop": LONGEST_STOP,
        }
        return [name for name, limit in limits.items() if getattr(self, name) > limit]


async def run(
    attack: str, seconds: float, directory: Path, *, within: float | None = None
) -> Result:
    """Attack a router of its own, in a directory of its own.

    Args:
        attack: its name.
        seconds: for how long the good sender sends.
        directory: holds router.toml and the log.
        within: how long after its first event all have to be there; None: twice as long.
    """
    within = 2 * seconds if within is None else within
    good = GoodSide(KEY)
    async with good.vendor() as good_url:
        with _bad_vendor(attack if attack in VENDORS else "silence") as bad_url:
            config = CONFIG.format(key=KEY, good=good_url, bad=bad_url)
            (directory / "router.toml").write_text(config)
            router = Router(directory, free_port())
            router.start()
            try:
                async with httpx.AsyncClient(timeout=_GIVEN_UP) as client:
                    resource.prlimit(router.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS,) * 2)
                    await router.ready(client)
                return await _under_attack(attack, seconds, within, router, good)
            finally:
                router.end()


async def _under_attack(
    attack: str, seconds: float, within: float, router: Router, good: GoodSide
) -> Result:
    waits: list[float] = []
    sending = asyncio.create_task(good.send(router.url, each=_EACH, seconds=seconds))
    asking = asyncio.create_task(_ask(router.url, waits))
    try:
        with _attacking(attack, router, within + _GIVEN_UP):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await sending
                    await good.all_arrived()
            await _cancelled(asking)
            latencies = good.latencies()
            late = len(good.sent.keys() - good.arrived.keys())
            megabytes = peak_megabytes(router)
            stop = await _stop(router)
    finally:
        for task in (sending, asking):
            await _cancelled(task)
    return Result(
        attack=attack,
        sent=len(latencies),
        late=late,
        p99=latencies[math.ceil(0.99 * len(latencies)) - 1] * 1000,
        ready=max(waits, default=0.0) * 1000,
        megabytes=megabytes,
        stop=stop,
    )


async def _ask(url: str, waits: list[float]) -> None:
    """Ask whether the router is ready, again and again; what gets no answer counts, too."""
    while True:
        begun = time.monotonic()
        waits.append(0.0)
        try:
            async with httpx.AsyncClient(timeout=_GIVEN_UP) as client:
                await client.get(f"{url}/ready")
        except httpx.TransportError:
            waits[-1] = _GIVEN_UP
        finally:
            waits[-1] = max(waits[-1], time.monotonic() - begun)
        await asyncio.sleep(0.2)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


async def _stop(router: Router) -> float:
    """SIGTERM; the seconds to the end, infinite if it did not come."""
    begun = time.monotonic()
    try:
        await asyncio.to_thread(router.stop)
    except subprocess.TimeoutExpired:
        return math.inf
    return time.monotonic() - begun


def peak_megabytes(router: Router) -> float:
    """The most memory that a process ever had, as Linux counts it."""
    text = Path(f"/proc/{router.pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) / 1024


@contextlib.contextmanager
def _bad_vendor(name: str) -> Iterator[str]:
    command = [PYTHON, str(HERE / "bad_vendor.py"), name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@contextlib.contextmanager
def _attacking(attack: str, router: Router, seconds: float) -> Iterator[None]:
    """Let senders attack from a process of their own, for as long as the block lasts."""
    if attack == QUIET:
        yield
        return
    name = attack if attack in SENDERS else "traffic"
    port = router.url.rpartition(":")[2]
    command = [PYTHON, str(HERE / "bad_sender.py"), name, port, str(seconds), KEY]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.kill()


async def run_all(attacks: Sequence[str], seconds: float) -> AsyncIterator[Result]:
    """Attack after attack, each with a fresh router."""
    for attack in attacks:
        with tempfile.TemporaryDirectory() as directory:
            yield await run(attack, seconds, Path(directory))


def row(result: Result) -> str:
    """A line of the table."""
    numbers = f"{result.sent:7}{result.late:6}{result.p99:10.0f}{result.ready:10.0f}"
    wrong = ", ".join(result.wrong)
    return f"{result.attack:10}{numbers}{result.megabytes:8.0f}{result.stop:8.1f}  {wrong}".rstrip()


async def _main(attacks: Sequence[str], seconds: float) -> int:
    print(
        f"{'attack':10}{'good':>7}{'late':>6}{'p99 ms':>10}{'ready ms':>10}{'MB':>8}{'stop s':>8}"
    )
    wrong = []
    async for result in run_all(attacks, seconds):
        print(row(result), flush=True)
        wrong += [result.attack] if result.wrong else []
    limits = f"{MOST_MEGABYTES} MB, {LONGEST_STOP:.0f} s to the end, /ready within a second"
    print(f"WRONG: {', '.join(wrong)}" if wrong else f"All within the limits: {limits}.")
    return 1 if wrong else 0


def main() -> int:
    """Attack as the command line says, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10, help="of each attack (%(default)s)")
    parser.add_argument("--only", choices=NAMES, action="append", help="may be repeated")
    options = parser.parse_args()
    return asyncio.run(_main(options.only or NAMES, options.seconds))


if __name__ == "__main__":
    sys.exit(main())
