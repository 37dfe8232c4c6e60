"""Kill a working router again and again, and see that nothing is lost, doubled or out of order.

    scripts/chaos --kills 50 --events 20000 --seed 7
    scripts/chaos --steer --kills 20 --events 20000

Events come in over HTTP through the real gateway, from senders that send again until they read a
200, and go out to a simulated Heap in its own process, which fails a share of all requests in
every way there is. The seed makes the same traffic and the same plan of kills (`kills.py`); the
operating system still has its say in what they hit.

With `--mode workers`, one process takes events and others deliver (`run --workers 2`), for three
connections. What is killed is now one of these and now the first, whose workers then have to end
by themselves.

With `--steer`, the router has three connections, which are steered around each kill: see
`steering.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
import time
from itertools import zip_longest
from pathlib import Path
from typing import Any

import httpx
import msgspec

sys.path.insert(0, str(Path(__file__).parent))  # a program and a test: no package
sys.path.insert(0, str(Path(__file__).parent.parent / "helpers"))

from kills import Kill, planned_kills
from processes import POLL, Router, carry_out, router_command, simulator
from steering import APP_IDS, Steering, planned_steps
from traffic import POISON, Sent, Traffic
from waiting import PATIENCE, free_port

WRITE_KEY = "chaos"
CONFIG = """
[gateway]
write_keys = ["{key}"]
[eventlog]
url = "sqlite:///router.db"
[delivery]
origins = {{"https://heapanalytics.com" = "{heap}"}}
linger = "50ms"
timeout = "2s"
first_wait = "50ms"
longest_wait = "1s"
{connections}
"""
CONNECTION = """
[[connections]]
name = "{name}"
plugin = "heap"
settings = {{appId = "{app_id}"}}
"""
POISONED: dict[str, Any] = {
    "status": 400,
    "body": "postBody: there is something wrong with it",
    "match": POISON,
}
LATE: dict[str, Any] = {"delay": 0.3}
FAILURES: list[tuple[float, dict[str, Any]]] = [
    (0.05, {"status": 500}),
    (0.03, {"status": 429, "headers": {"retry-after": "1"}}),
    (0.03, {"drop_connection": True}),
    (0.04, {"drop_connection": True, "after": True}),
    (0.03, {"status": 503, "after": True}),
    (0.01, {"delay": 3.0, "after": True}),
]
FAULTS: list[dict[str, Any]] = [
    POISONED,
    *({**failure, "share": share} for share, failure in FAILURES),
    {**LATE, "share": 0.05},
]
AT_FIRST: list[dict[str, Any]] = [
    POISONED,
    *({**failure, "next": 1} for _, failure in FAILURES),
    *FAULTS[1:],
]
"""Begin with each failure once, before any chance. What failed is sent again, so a run that
delivers anything has met them all, however short it is."""

DRAINED_WITHIN = 900.0
WORKERS = 2
MODES = {"one": "one process", "split": "two processes", "workers": "workers"}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do: how many events and kills, whether gateway and workers are two processes.

    `workers`: how many processes of the router deliver; 0: the one that takes events does.
    `steered`: around each kill, keys are revoked, connections paused, and router.toml is reloaded.
    """

    events: int
    kills: int
    seed: int
    split: bool = False
    workers: int = 0
    steered: bool = False
    senders: int = 8

    @property
    def routers(self) -> int:
        """How many processes of the router are started."""
        return 2 if self.split and not self.workers else 1

    @property
    def kill_plan(self) -> list[Kill]:
        """What is killed when."""
        return planned_kills(self.seed, self.kills, routers=self.routers, workers=self.workers)

    @property
    def app_ids(self) -> dict[str, str]:
        """The App IDs of the connections, by name."""
        return APP_IDS if self.steered or self.workers else {"heap": APP_IDS["heap"]}


class Arrived(msgspec.Struct, frozen=True):
    """What a connection's vendor holds in the end, and the connection's dead letters."""

    events: list[dict[str, Any]]
    users: list[dict[str, Any]]
    letters: list[dict[str, Any]]


class Result(msgspec.Struct, kw_only=True):
    """What came of it; every count of something wrong is zero if all is well."""

    accepted: int
    kills: int
    worker_kills: int = 0
    seconds: float
    sent_again: int
    requests: int
    faults: int
    duplicates_absorbed: int
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    profiles_wrong: int = 0
    dead_letters: int = 0
    dead_letters_missing: int = 0
    dead_letters_wrong: int = 0
    exit_status: int = 0
    steered: dict[str, int] = {}

    @property
    def wrong(self) -> dict[str, int]:
        names = (
            *("lost", "doubled", "out_of_order", "profiles_wrong"),
            *("dead_letters_missing", "dead_letters_wrong", "exit_status"),
        )
        wrong = {name: getattr(self, name) for name in names if getattr(self, name)}
        if early := self.steered.get("sent_while_paused"):
            wrong["sent_while_paused"] = early
        return wrong

    @property
    def rows(self) -> dict[str, float]:
        """What stands in the table."""
        counts = {name: getattr(self, name) for name in self.__struct_fields__}
        return {**counts.pop("steered"), **counts}


async def run(plan: Plan, directory: Path) -> Result:
    """Do what the plan says, in a directory of its own."""
    begun = time.monotonic()
    with simulator() as heap:
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            await client.post(f"{heap}/_simulator/faults", content=msgspec.json.encode(AT_FIRST))
            routers = _routers(plan, directory)
            steering = _steering(plan, directory, routers, client, heap)
            if steering is None:
                (directory / "router.toml").write_text(_config(plan, heap))
            else:
                steering.write()
            try:
                sent, status = await _play(plan, routers, client, steering)
            finally:
                for router in routers:
                    router.end()
            lines = router_command(directory, "dead-letters", "list", "--json")
            letters = [json.loads(line) for line in lines.splitlines()]
            arrived = [
                Arrived(
                    await _held(client, heap, "events", app_id),
                    await _held(client, heap, "users", app_id),
                    [letter for letter in letters if letter["connection"] == name],
                )
                for name, app_id in plan.app_ids.items()
            ]
            stats = (await client.get(f"{heap}/_simulator/stats")).json()
    result = _judge(
        plan,
        sent,
        arrived,
        stats=stats,
        seconds=time.monotonic() - begun,
        status=status,
    )
    counts = {} if steering is None else steering.count()
    worker_kills = sum(router.worker_kills for router in routers)
    return msgspec.structs.replace(result, steered=counts, worker_kills=worker_kills)


def _config(plan: Plan, heap: str) -> str:
    connections = [
        CONNECTION.format(name=name, app_id=app_id) for name, app_id in plan.app_ids.items()
    ]
    return CONFIG.format(key=WRITE_KEY, heap=heap, connections="".join(connections))


async def _held(client: httpx.AsyncClient, heap: str, kind: str, app_id: str) -> Any:
    answer = await client.get(f"{heap}/_simulator/{kind}", params={"app_id": app_id})
    return answer.json()[kind]


def _steering(
    plan: Plan, directory: Path, routers: list[Router], client: httpx.AsyncClient, heap: str
) -> Steering | None:
    if not plan.steered:
        return None
    return Steering(
        directory=directory,
        routers=routers,
        client=client,
        heap=heap,
        faults=FAULTS,
        write_key=WRITE_KEY,
        steps=planned_steps(plan.seed, plan.kill_plan, routers=plan.routers),
    )


def _routers(plan: Plan, directory: Path) -> list[Router]:
    if plan.workers:
        return [Router(directory, free_port(), "--workers", str(plan.workers))]
    if not plan.split:
        return [Router(directory, free_port())]
    parts = ("--gateway-only", "--workers-only")
    return [Router(directory, free_port(), part) for part in parts]


async def _play(
    plan: Plan, routers: list[Router], client: httpx.AsyncClient, steering: Steering | None
) -> tuple[Sent, int]:
    """Send and kill; then let the router finish, and end it as an operator does."""
    for router in routers:
        router.start()
        await router.ready(client)
    traffic = Traffic(seed=plan.seed, events=plan.events, senders=plan.senders, write_key=WRITE_KEY)
    sending = asyncio.create_task(traffic.send(routers[0].url))
    if steering is None:
        await _kill(plan, routers, traffic, client)
    else:
        await steering.play(plan.kills, plan.events, traffic)
        await steering.calm()
    await sending
    await _drained(routers[-1], client, list(plan.app_ids))
    return traffic.sent, max(abs(router.stop()) for router in routers)


async def _kill(
    plan: Plan, routers: list[Router], traffic: Traffic, client: httpx.AsyncClient
) -> None:
    """Kill as planned, each time within a share of the traffic of its own."""
    share = plan.events / max(plan.kills, 1)
    for number, kill in enumerate(plan.kill_plan):
        traffic.allow(round(share * (number + 1)))
        while traffic.sent.accepted < share * (number + kill.moment):
            await asyncio.sleep(POLL / 10)
        await asyncio.sleep(kill.nap)
        await carry_out(kill, routers, client)
    traffic.allow(plan.events)


async def _drained(router: Router, client: httpx.AsyncClient, names: list[str]) -> None:
    lags = [f'router_lag_messages{{connection="{name}"}}' for name in names]
    async with asyncio.timeout(DRAINED_WITHIN):
        while True:
            metrics = await router.metrics(client)
            # One that router.toml has just got is not among them yet.
            if not any(metrics.get(lag, 1.0) for lag in lags):
                return
            await asyncio.sleep(10 * POLL)


def _judge(  # the only place that says what "nothing is lost" means
    plan: Plan,
    sent: Sent,
    arrived: list[Arrived],
    *,
    stats: dict[str, Any],
    seconds: float,
    status: int,
) -> Result:
    result = Result(
        accepted=sent.accepted,
        kills=plan.kills,
        seconds=seconds,
        sent_again=sent.retried,
        requests=sum(sum(by.values()) for by in stats["requests"].values()),
        faults=stats["faults"],
        duplicates_absorbed=stats["duplicates"],
        exit_status=status,
    )
    for each in arrived:
        _judge_one(sent, each, result)
    return result


def _judge_one(sent: Sent, arrived: Arrived, result: Result) -> None:
    """Add what a connection's vendor holds, and what is wrong with it."""
    there: dict[str, list[str]] = {}
    for event in arrived.events:
        user = event["identity"] or event["anonymous_id"]
        there.setdefault(user, []).append(event["idempotency_key"])
    keys = [event["idempotency_key"] for event in arrived.events]
    expected = {key for ids in sent.events.values() for key in ids}
    profiles = {user["identity"]: user["properties"].get("seen") for user in arrived.users}
    dead = [letter["messageId"] for letter in arrived.letters]
    poisoned = set(sent.poisoned)
    _explain(sent, there)
    result.stored += len(keys)
    result.lost += len(expected - set(keys))
    result.doubled += len(keys) - len(set(keys)) + len(set(keys) - expected)
    result.out_of_order += sum(there.get(user) != ids for user, ids in sent.events.items())
    result.profiles_wrong += sum(profiles.get(user) != seen for user, seen in sent.profiles.items())
    result.dead_letters += len(dead)
    result.dead_letters_missing += len(poisoned - set(dead))
    result.dead_letters_wrong += len(set(dead) - poisoned) + len(dead) - len(set(dead))


def _explain(sent: Sent, arrived: dict[str, list[str]]) -> None:
    """Show where the first users out of order went astray."""
    astray = [user for user, ids in sent.events.items() if arrived.get(user) != ids]
    for user in astray[:3]:
        ids, there = sent.events[user], arrived.get(user, [])
        pairs = zip_longest(ids, there)
        place = next(n for n, (wanted, found) in enumerate(pairs) if wanted != found)
        here = slice(max(0, place - 2), place + 6)
        sys.stderr.write(f"{user} at {place}: sent {ids[here]}, arrived {there[here]}\n")


def main() -> int:
    """Run the plans of the command line, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=20_000, help="of each run (%(default)s)")
    parser.add_argument("--kills", type=int, default=50, help="of each run (%(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="to repeat a run")
    parser.add_argument(
        "--mode",
        choices=[*MODES, "both", "all"],
        default="both",
        help="gateway and workers in one process, in two (both: a run of each), or run --workers 2",
    )
    parser.add_argument(
        "--steer",
        action="store_true",
        help="around each kill revoke keys, pause connections and reload router.toml",
    )
    options = parser.parse_args()
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    modes = {"both": ["one", "split"], "all": [*MODES]}.get(options.mode, [options.mode])
    results: list[Result] = []
    for mode in modes:
        plan = Plan(
            events=options.events,
            kills=options.kills,
            seed=seed,
            split=mode == "split",
            workers=WORKERS if mode == "workers" else 0,
            steered=options.steer,
        )
        sys.stderr.write(f"{msgspec.json.encode(plan).decode()}\n")
        with tempfile.TemporaryDirectory() as directory:
            results.append(asyncio.run(run(plan, Path(directory))))
    names = [MODES[mode] for mode in modes]
    print(f"seed {seed}")
    print(f"{'':22}" + "".join(f"{name:>16}" for name in names))
    for field in results[0].rows:
        values = [result.rows[field] for result in results]
        print(f"{field:22}" + "".join(f"{value:16.0f}" for value in values))
    wrong = [result.wrong for result in results if result.wrong]
    print("Nothing lost, nothing doubled, all in order." if not wrong else f"WRONG: {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
