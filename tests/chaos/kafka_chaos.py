"""Kill workers, brokers and gateways of a router on Kafka, and stop workers for a while.

    scripts/chaos --log kafka --events 50000 --seed 7

Events come in through two gateways, and go out by two workers over three brokers to a simulated
Heap that fails a share of all requests. In the end nothing may be lost, doubled or out of order.
What a worker was answered must come into a commit of its group while the worker lives, and what a
commit held must not be sent again. A worker that was stopped while another one took over may send
no more late requests than it had under way.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import re
import secrets
import signal
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec

sys.path.insert(0, str(Path(__file__).parent))  # a program and a test: no package
sys.path.insert(0, str(Path(__file__).parent.parent / "helpers"))

from chaos import AT_FIRST, WRITE_KEY, Arrived, Result, _judge_one
from group_progress import GroupProgress
from kafka_cluster import Cluster, cluster
from processes import PYTHON, Router, router_command, simulator
from traffic import Sent, Traffic
from waiting import PATIENCE, free_port
from watched_vendor import Hold, VendorDoor, Watch

from destination_router.eventlog.interface import LogUnavailableError
from destination_router.service.serving import serving

CONFIG = """
[gateway]
write_keys = ["{key}"]
[eventlog]
url = "{url}"
new_connections = "start"
[eventlog.kafka]
replication = {replication}
[delivery]
origins = {{"https://heapanalytics.com" = "{vendor}"}}
linger = "50ms"
timeout = "2s"
first_wait = "50ms"
longest_wait = "1s"
[[connections]]
name = "heap"
plugin = "heap"
settings = {{appId = "11"}}
"""
MUTANTS = {
    "none": "",
    # Commits the mark alone: what is done above it is forgotten with the process.
    "mark-alone": "from destination_router.eventlog.kafka import groups\n"
    "groups.written = lambda mark: ''\n",
    # Sends on with what it has in hand, without asking or hearing that another process delivers.
    "no-lease": "from destination_router.eventlog.kafka.reader import Reader\n"
    "Reader.may_send = lambda self: True\n"
    "Reader._lose = lambda self, grace: None\n",
}
SESSION_SECONDS = 6.0
STOPPED_SECONDS = 9.0
SLOW_SECONDS = 0.4
IN_HAND = 300
HELD_SECONDS = 3.0
HOLES = 500
"""A worker is killed once so many events are done above one that is not, or after this long."""

IN_FLIGHT = 4
"""How many requests a worker has under way at once: `[delivery] concurrency`."""

COMMITTED_WITHIN = 180.0
"""How long a commit may be awaited that holds what was answered, in seconds. It takes half a second
at most, unless brokers were away or the machine is busy. With `mark-alone` it never comes."""

DRAINED_WITHIN = 900.0
_HANDED_OVER = re.compile(
    r'^{"time":"([^"]+)".*"event":"partitions_(?:assigned|revoked)"', re.MULTILINE
)
_LINE = "import sys; from destination_router.commands.cli import app\n{mutant}app()"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How many events, and how often what happens."""

    events: int
    seed: int
    workers: int = 20
    brokers: int = 5
    stops: int = 3
    gateways: int = 5
    cluster: int = 3
    mutant: str = "none"


class Shares(Traffic):
    """A gateway's senders, whose users are nobody else's."""

    first = 0

    async def _sender(self, number: int, count: int, url: str) -> None:
        await super()._sender(self.first + number, count, url)


class KafkaResult(Result, kw_only=True):
    """What came of it."""

    redelivered_per_kill: float = 0.0
    sent_again_though_committed: int = 0
    answered_not_committed: int = 0
    longest_until_committed: float = 0.0
    late_requests: int = 0
    most_late_of_a_stop: int = 0
    pauses: dict[str, float] = msgspec.field(default_factory=dict)

    @property
    def rows(self) -> dict[str, float]:
        rows = {name: value for name, value in super().rows.items() if name != "pauses"}
        return rows | {f"pause_after_{what}": long for what, long in self.pauses.items()}

    @property
    def wrong(self) -> dict[str, int]:
        wrong = super().wrong
        for name in ("sent_again_though_committed", "answered_not_committed"):
            if count := getattr(self, name):
                wrong[name] = count
        if self.most_late_of_a_stop > IN_FLIGHT:
            wrong["late_requests"] = self.most_late_of_a_stop
        return wrong


class Mutated(Router):
    """A router process, perhaps with a deliberate defect."""

    def __init__(self, directory: Path, port: int, option: str, mutant: str) -> None:
        super().__init__(directory, port, option)
        rest = self._command[3:]
        self._command = [PYTHON, "-c", _LINE.format(mutant=MUTANTS[mutant]), *rest]

    @property
    def took_over_at(self) -> float:
        """When it last got or lost what it delivers, as it logged it; Unix time."""
        moments = _HANDED_OVER.findall(self.said.read_text())
        return max(map(_unix, moments), default=0.0)

    def send(self, what: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(what)


class Play:
    """A run at work."""

    def __init__(
        self, plan: Plan, brokers: Cluster, gateways: list[Mutated], workers: list[Mutated],
        watch: Watch, progress: GroupProgress, client: httpx.AsyncClient,
    ) -> None:  # fmt: skip
        self._plan = plan
        self._brokers = brokers
        self._gateways = gateways
        self._workers = workers
        self._watch = watch
        self._progress = progress
        self._client = client
        self._chance = random.Random(plan.seed)
        self.not_committed: set[bytes] = set()
        self.longest_until_committed = 0.0
        self.late: list[int] = []
        self.acts: list[tuple[float, str]] = []
        self._allowed = 0
        self.traffics = [
            Shares(seed=plan.seed, events=plan.events // 2, senders=4, write_key=WRITE_KEY)
            for _ in gateways
        ]
        self.traffics[1].first = 4

    @property
    def accepted(self) -> int:
        return sum(traffic.sent.accepted for traffic in self.traffics)

    async def run(self) -> None:
        sending = [
            asyncio.create_task(traffic.send(gateway.url))
            for traffic, gateway in zip(self.traffics, self._gateways, strict=True)
        ]
        plan = self._plan
        todo = ["worker"] * plan.workers + ["broker"] * plan.brokers
        todo += ["stop"] * plan.stops + ["gateway"] * plan.gateways
        self._chance.shuffle(todo)
        for number, what in enumerate(todo):
            allowed = plan.events * (number + 1) // (len(todo) + 1)
            self._allow(allowed)
            # The last of a share is allowed to come in while something happens.
            while self.accepted < allowed - plan.events // (2 * len(todo)):
                await asyncio.sleep(0.02)
            self.acts.append((time.monotonic(), what))
            await getattr(self, f"_{what}")()
            sys.stderr.write(f"{number + 1}/{len(todo)} {what}: {self.accepted} accepted\n")
        self._allow(2 * plan.events)
        await asyncio.gather(*sending)

    def sent(self) -> Sent:
        """What both gateways accepted."""
        all_of_it = Sent(events={}, profiles={}, poisoned={})
        for traffic in self.traffics:
            all_of_it.events |= traffic.sent.events
            all_of_it.profiles |= traffic.sent.profiles
            all_of_it.poisoned |= traffic.sent.poisoned
            all_of_it.accepted += traffic.sent.accepted
            all_of_it.retried += traffic.sent.retried
            all_of_it.repeated |= traffic.sent.repeated
        return all_of_it

    def _allow(self, events: int) -> None:
        self._allowed = events
        for traffic in self.traffics:
            traffic.allow(events // 2)

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait for what requests bring about; a little more traffic comes in meanwhile.

        Once all is sent, nothing may come: then it goes on after a while, whatever has happened.
        """
        idle_since = None
        while not condition():
            self._allow(self._allowed + 2)
            await asyncio.sleep(0.01)
            if self.accepted >= self._plan.events:
                idle_since = idle_since or time.monotonic()
                if time.monotonic() - idle_since > 2 * SESSION_SECONDS:
                    return

    async def _active(self) -> int:
        """Wait for a request, and say whose it is."""
        known = len(self._watch.requests)
        await self._until(lambda: len(self._watch.requests) > known)
        return self._watch.latest_worker

    async def _worker(self) -> None:
        # One request gets no answer while others do: what is done is above one that is not.
        self._watch.holds_next = True
        await self._until(lambda: self._watch.held is not None)
        self._watch.holds_next = False
        held = self._watch.held or Hold(self._watch.latest_worker, frozenset())
        heard = len(self._watch.heard)
        deadline = time.monotonic() + HELD_SECONDS
        await self._until(
            lambda: len(self._watch.heard) >= heard + HOLES or time.monotonic() > deadline
        )
        await self._until_committed()
        worker = self._workers[held.worker]
        worker.kill()
        held.end()
        self._watch.held = None
        worker.start()
        await self._note_committed()
        await worker.ready(self._client)

    async def _until_committed(self) -> None:
        """Wait for commits that hold all that workers were answered until now.

        What a sender repeated is in the log more than once, and may be done and not done. What the
        worker asked before it took over may be of a time when it lost its place: on a machine so
        busy that brokers took a worker for dead, no commit has to come.
        """
        begun = time.monotonic()
        answered = dict(self._watch.heard)
        while not self.not_committed:
            await self._note_committed()
            waited = time.monotonic() - begun
            since = max(worker.took_over_at for worker in self._workers)
            left = {key for key in answered.keys() - self._watch.committed if answered[key] > since}
            if not (left := left - self._repeated()):
                self.longest_until_committed = max(self.longest_until_committed, waited)
                return
            if waited > COMMITTED_WITHIN:
                self.not_committed |= left
            self._allow(self._allowed + 2)

    async def _note_committed(self) -> None:
        """Note what the group has committed, if brokers tell it now."""
        taken = set(self._watch.taken)
        with contextlib.suppress(LogUnavailableError):
            self._watch.committed |= taken - await asyncio.to_thread(self._progress.undone)

    def _repeated(self) -> set[bytes]:
        return {key.encode() for traffic in self.traffics for key in traffic.sent.repeated}

    async def _stop(self) -> None:
        # A slow vendor: what comes in now is in the worker's hands when it is stopped.
        self._watch.delay = SLOW_SECONDS
        wanted = min(self.accepted + IN_HAND, self._plan.events)
        self._allow(wanted)
        await self._until(lambda: self.accepted >= wanted)
        number = await self._active()
        self._workers[number].send(signal.SIGSTOP)
        self._watch.delay = 0.0
        stopped = len(self._watch.requests)
        await asyncio.sleep(STOPPED_SECONDS)
        requests = self._watch.requests
        await self._until(lambda: any(who != number for who, _ in requests[stopped:]))
        await self._note_committed()
        self._watch.woken = number
        woken = len(self._watch.requests)
        self._workers[number].send(signal.SIGCONT)
        await asyncio.sleep(SESSION_SECONDS / 2)
        self._watch.woken = None
        self.late.append(sum(who == number for who, _ in self._watch.requests[woken:]))

    async def _broker(self) -> None:
        number = self._chance.randint(1, self._plan.cluster)
        self._brokers.kill_broker(number)
        await asyncio.sleep(SESSION_SECONDS)
        self._brokers.start_broker(number)
        await asyncio.to_thread(self._brokers.await_broker, number)
        await asyncio.sleep(SESSION_SECONDS / 2)  # it catches up; two at once are beyond repair

    async def _gateway(self) -> None:
        gateway = self._chance.choice(self._gateways)
        gateway.kill()
        gateway.start()
        await gateway.ready(self._client)


async def run(plan: Plan, directory: Path) -> KafkaResult:
    """Do what the plan says, in a directory of its own."""
    begun = time.monotonic()
    watch = Watch()
    with cluster(plan.cluster, SESSION_SECONDS) as brokers, simulator() as heap:
        async with (
            httpx.AsyncClient(timeout=PATIENCE) as client,
            serving(VendorDoor(0, heap, client, watch)) as first,
            serving(VendorDoor(1, heap, client, watch)) as second,
        ):
            await client.post(f"{heap}/_simulator/faults", content=msgspec.json.encode(AT_FIRST))
            url = f"kafka://{brokers.bootstrap}/chaos"
            gateways = [_process(directory, f"gateway{n}", heap, url, plan) for n in range(2)]
            workers = [
                _process(directory, f"worker{n}", vendor, url, plan)
                for n, vendor in enumerate((first, second))
            ]
            making = ("eventlog", "create", "--yes")
            await asyncio.to_thread(router_command, directory / "worker0", *making)
            progress = GroupProgress(url, "heap")
            play = Play(plan, brokers, gateways, workers, watch, progress, client)
            try:
                for process in [*gateways, *workers]:
                    process.start()
                for process in [*gateways, *workers]:
                    await process.ready(client)
                await play.run()
                await _drained(workers[0], client)
                status = max(abs(each.stop()) for each in [*gateways, *workers])
            finally:
                for process in [*gateways, *workers]:
                    process.end()
                progress.close()
            told = await asyncio.to_thread(
                router_command, directory / "worker0", "dead-letters", "list", "--json"
            )
            app = {"app_id": "11"}
            answers = {
                kind: (await client.get(f"{heap}/_simulator/{kind}", params=app)).json()[kind]
                for kind in ("events", "users")
            }
            stats = (await client.get(f"{heap}/_simulator/stats")).json()
    letters = [json.loads(line) for line in told.splitlines()]
    seconds = time.monotonic() - begun
    result = judged(
        plan,
        play.sent(),
        Arrived(answers["events"], answers["users"], letters),
        watch=watch,
        late=play.late,
        acts=play.acts,
        stats=stats,
    )
    return msgspec.structs.replace(
        result,
        answered_not_committed=len(play.not_committed),
        longest_until_committed=play.longest_until_committed,
        exit_status=status,
        seconds=seconds,
    )


def judged(
    plan: Plan,
    sent: Sent,
    arrived: Arrived,
    *,
    watch: Watch,
    late: list[int],
    acts: list[tuple[float, str]],
    stats: dict[str, Any],
) -> KafkaResult:
    """Say what came of a run.

    Args:
        plan: what was done.
        sent: what the gateways accepted.
        arrived: what the vendor has, and the dead letters.
        watch: what passed on the way to the vendor.
        late: of each stop, the requests of the worker that was stopped after it woke up.
        acts: when something was done, `time.monotonic`, and what; ascending.
        stats: of the vendor.
    """
    kills = plan.workers + plan.stops
    repeated = {key.encode() for key in sent.repeated}
    again = sum(count - 1 for key, count in watch.taken.items() if key not in repeated)
    result = KafkaResult(
        accepted=sent.accepted,
        kills=kills,
        seconds=0.0,
        sent_again=sent.retried,
        requests=len(watch.requests),
        faults=stats["faults"],
        duplicates_absorbed=stats["duplicates"],
        redelivered_per_kill=again / max(1, kills),
        sent_again_though_committed=len(watch.again - repeated),
        late_requests=sum(late),
        most_late_of_a_stop=max(late, default=0),
        pauses=longest_pauses(watch.pauses, acts),
    )
    _judge_one(sent, arrived, result)
    return result


def longest_pauses(
    pauses: Iterable[tuple[float, float]], acts: list[tuple[float, str]]
) -> dict[str, float]:
    """Tell for how long the vendor took nothing at most after each kind of act, in seconds.

    A pause belongs to the first act within it, else to the last one before.
    """
    longest = dict.fromkeys(sorted({what for _, what in acts}), 0.0)
    begins = [begun for begun, _ in acts]
    for since, until in pauses:
        place = bisect_right(begins, since)
        if place == len(acts) or begins[place] > until:
            place -= 1
        if place >= 0:
            what = acts[place][1]
            longest[what] = max(longest[what], until - since)
    return longest


def _unix(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _process(directory: Path, name: str, vendor: str, url: str, plan: Plan) -> Mutated:
    folder = directory / name
    folder.mkdir()
    text = CONFIG.format(key=WRITE_KEY, url=url, replication=plan.cluster, vendor=vendor)
    (folder / "router.toml").write_text(text)
    option = "--gateway-only" if name.startswith("gateway") else "--workers-only"
    return Mutated(folder, free_port(), option, plan.mutant)


async def _drained(worker: Router, client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(DRAINED_WITHIN):
        while True:
            metrics = await worker.metrics(client)
            if not metrics['router_lag_messages{connection="heap"}']:
                return
            await asyncio.sleep(0.5)


def main() -> int:
    """Run the plan of the command line, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=20, help="kill a worker so often")
    parser.add_argument("--brokers", type=int, default=5, help="kill a broker so often")
    parser.add_argument("--stops", type=int, default=3, help="stop a worker for 9 s so often")
    parser.add_argument("--gateways", type=int, default=5, help="kill a gateway so often")
    parser.add_argument("--cluster", type=int, default=3, help="how many brokers there are")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--mutant", choices=list(MUTANTS), default="none")
    options = vars(parser.parse_args())
    # Who ends this program ends its routers with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seed = options.pop("seed")
    plan = Plan(seed=secrets.randbelow(10**6) if seed is None else seed, **options)
    sys.stderr.write(f"{msgspec.json.encode(plan).decode()}\n")
    with tempfile.TemporaryDirectory() as directory:
        result = asyncio.run(run(plan, Path(directory)))
    for name, value in result.rows.items():
        print(f"{name:28}{value:12.1f}" if isinstance(value, float) else f"{name:28}{value:12}")
    print("Nothing lost, nothing doubled, all in order." if not result.wrong else result.wrong)
    return 1 if result.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
