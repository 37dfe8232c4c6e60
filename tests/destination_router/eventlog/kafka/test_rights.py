"""The router needs the rights that docs/kafka.md lists, and no others: a broker that allows these.

Modules: `topics.py`, `groups.py`, `alone.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from command_line import run_command
from kafka_cluster import UNHURRIED, Cluster, cluster
from kafka_log import servers
from router_process import Router, toml
from waiting import PATIENCE, until

from destination_router.config.router_toml import EventLogConfig, KafkaConfig
from destination_router.eventlog.interface import LogFileError, LogUnavailableError
from destination_router.eventlog.kafka.address import address_of
from destination_router.eventlog.kafka.groups import Groups
from destination_router.eventlog.opening import make_topics, open_admin, open_log

PAGE = Path(__file__).parents[4] / "docs" / "kafka.md"
SECRET = "s3cret-of-the-router"
BODY = b'{"type": "track", "event": "E", "userId": "u", "messageId": "m"}'


class Right(NamedTuple):
    """What an account may do: an operation, on what of a kind with such a name."""

    kind: str
    name: str
    is_prefix: bool
    operation: str


def listed(principal: str) -> list[Right]:
    """The rights that the page's commands give to an account."""
    found = []
    for line in re.findall(r"^kafka-acls.sh (.*)$", PAGE.read_text(), re.MULTILINE):
        words = shlex.split(line)
        given = {one: other for one, other in itertools.pairwise(words) if one.startswith("--")}
        operations = [two for one, two in itertools.pairwise(words) if one == "--operation"]
        kind = next(kind for kind in ("topic", "group", "cluster") if f"--{kind}" in words)
        name = "kafka-cluster" if kind == "cluster" else given[f"--{kind}"]
        if given["--allow-principal"] == f"User:{principal}":
            is_prefix = given.get("--resource-pattern-type") == "prefixed"
            found += [Right(kind, name, is_prefix, each) for each in operations]
    return found


ROUTERS, ADMINS = listed("router"), listed("admin")
ACCOUNTS = ["router", "late", *(f"less{n}" for n in range(len(ROUTERS + ADMINS)))]


@pytest.fixture(scope="module")
def brokers() -> Iterator[Cluster]:
    """One that lets nobody do what was not allowed."""
    servers()  # skips where there is no Kafka
    accounts = dict.fromkeys(ACCOUNTS, SECRET)
    with cluster(1, accounts=accounts, broker_seconds=UNHURRIED) as running:
        yield running


def allow(brokers: Cluster, account: str, rights: Sequence[Right]) -> None:
    """Allow an account what the page lists for `router`, with its own name as the prefix."""
    from confluent_kafka.admin import (  # noqa: PLC0415 -- the extra may be missing
        AclBinding,
        AclOperation,
        AclPermissionType,
        AdminClient,
        ResourcePatternType,
        ResourceType,
    )

    kinds = {"topic": "TOPIC", "group": "GROUP", "cluster": "BROKER"}
    bindings = [
        AclBinding(
            ResourceType[kinds[right.kind]],
            right.name.replace("router", account),
            ResourcePatternType["PREFIXED" if right.is_prefix else "LITERAL"],
            f"User:{account}",
            "*",
            AclOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", right.operation).upper()],
            AclPermissionType.ALLOW,
        )
        for right in rights
    ]
    admin = AdminClient({"bootstrap.servers": brokers.bootstrap})
    for answer in admin.create_acls(bindings).values():
        answer.result(timeout=PATIENCE)


def of(brokers: Cluster, account: str) -> EventLogConfig:
    kafka = KafkaConfig(replication=1, sasl="plain", username=account, password=SECRET)
    return EventLogConfig(url=f"kafka://{brokers.in_the_open}/{account}", kafka=kafka)


def everybody(brokers: Cluster, prefix: str) -> EventLogConfig:
    """The table `[eventlog]` of somebody who may do everything."""
    url = f"kafka://{brokers.bootstrap}/{prefix}"
    return EventLogConfig(url=url, kafka=KafkaConfig(replication=1))


def test_the_listed_rights_are_enough(
    brokers: Cluster, tmp_path: Path, heap_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a gateway, a worker and the commands: nothing is refused, and delivered events go."""
    monkeypatch.setenv("KAFKA_PASSWORD", SECRET)
    allow(brokers, "router", [*ROUTERS, *ADMINS])
    kafka = (
        f'url = "kafka://{brokers.in_the_open}/router"\n[eventlog.kafka]\nreplication = 1\n'
        'sasl = "plain"\nusername = "router"\npassword = { env = "KAFKA_PASSWORD" }'
    )
    text = toml(heap_url).replace('url = "sqlite:///router.db"', kafka)
    text = text.replace("[delivery]", '[delivery]\ntimeout = "1s"')
    (tmp_path / "router.toml").write_text(text)

    def run(*arguments: str) -> None:
        done = run_command(*arguments, cwd=tmp_path)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)

    run("eventlog", "create", "--yes")
    gateway, worker = Router(tmp_path), Router(tmp_path)
    try:
        gateway.start("--gateway-only")
        worker.start("--workers-only")
        track = {"type": "track", "event": "E", "userId": "u"}
        sent = [{**track, "messageId": f"m{number}"} for number in range(20)]
        assert gateway.send(*sent, {"type": "track", "userId": "u"}) == 200
        delivered = 'router_delivered_total{connection="US"}'
        until(lambda: worker.metrics().get(delivered) == 20)
        run("connections", "pause", "US")
        run("connections", "resume", "US")
        until(lambda: "connection_resumed" in {line["event"] for line in worker.lines()})
        run("dead-letters", "replay", "--all")
        run("eventlog", "status")
        run("check", "--log")
        groups = Groups(address_of(of(brokers, "router")))
        with contextlib.closing(groups):
            until(lambda: groups.starts([0])[0] >= 20)
        assert (gateway.stop(), worker.stop()) == (0, 0)
    finally:
        for router in (gateway, worker):
            router.end()
    (tmp_path / "router.toml").write_text(text.replace('name = "US"', 'name = "EU"'))
    run("eventlog", "forget", "US")
    assert "UTHORIZATION" not in (tmp_path / "said.log").read_text()


@pytest.mark.parametrize("number", range(len(ROUTERS + ADMINS)))
def test_each_listed_right_is_needed(brokers: Cluster, number: int) -> None:
    """Without it, brokers refuse something that a router does."""
    account, rights = f"less{number}", [*ROUTERS, *ADMINS]
    missing = rights.pop(number)
    allow(brokers, account, rights)
    config = of(brokers, account)
    if missing.operation != "Create":  # somebody else has made them
        make_topics(everybody(brokers, account), make=True)

    async def steps() -> None:
        with contextlib.closing(open_log(config, ["a"], {}, request_seconds=1.0)) as log:
            await log.append([BODY])
            (event,) = await log.read("a", -1, 1)
            await log.commit("a", [event.offset])
            while not await log.clean():  # noqa: ASYNC110 -- brokers delete when they are asked
                await asyncio.sleep(0.1)

    def everything() -> None:
        make_topics(config, make=True)
        asyncio.run(asyncio.wait_for(steps(), PATIENCE))
        with open_admin(config) as admin, admin.writing():
            admin.forget("a")

    with pytest.raises((LogFileError, LogUnavailableError), match=r"uthoriz|UTHORIZ"):
        everything()


def test_a_gateway_that_may_not_write_says_so_until_it_may(brokers: Cluster) -> None:
    """The client of brokers that refuse it is of no more use; another one takes its place."""
    rights = [right for right in ROUTERS if right.operation != "Write"]
    allow(brokers, "late", rights)
    config = of(brokers, "late")
    make_topics(everybody(brokers, "late"), make=True)
    open_log(everybody(brokers, "late"), ["a"], {}, request_seconds=1.0).close()

    async def appended() -> None:
        with contextlib.closing(open_log(config, ["a"], {}, delivers=False)) as log:
            for _ in range(3):
                with pytest.raises(LogUnavailableError, match="CLUSTER_AUTHORIZATION_FAILED"):
                    await log.append([BODY])
            allow(brokers, "late", ROUTERS)
            while True:
                with contextlib.suppress(LogUnavailableError):
                    return await log.append([BODY])
                await asyncio.sleep(0.1)

    asyncio.run(asyncio.wait_for(appended(), PATIENCE))
