"""A log on a real Kafka for tests: a broker for the session, and new topics for each test."""

import atexit
import contextlib
import functools
import os
import uuid
from typing import Any

import pytest
from kafka_cluster import UNHURRIED, Cluster, NoKafkaError, cluster

from destination_router.config.router_toml import EventLogConfig, KafkaConfig
from destination_router.eventlog.kafka.address import address_of

SERVERS = "KAFKA_SERVERS"
"""The environment variable that names brokers that run already."""

ELSEWHERE = "elsewhere"
"""What it says where these tests run apart from all others."""


@functools.cache
def servers() -> str:
    """Where brokers are. Without any the test is skipped; in CI some are started, or it fails."""
    given = os.environ.get(SERVERS)
    if given == ELSEWHERE:
        pytest.skip("scripts/test-kafka runs this")
    if given is not None:
        return given
    if os.environ.get("CI") != "true":
        pytest.skip("there is no Kafka: scripts/test-kafka starts one; it needs Java 17 and Maven")
    try:
        running: Cluster = _kept.enter_context(cluster(broker_seconds=UNHURRIED))
    except NoKafkaError as error:
        pytest.fail(f"{error}, and CI must not skip this")
    return running.bootstrap


_kept = contextlib.ExitStack()
atexit.register(_kept.close)


def new_log(**kafka: Any) -> EventLogConfig:
    """Make topics that nobody else has; the table `[eventlog]` for them."""
    from destination_router.eventlog.kafka.groups import Groups  # noqa: PLC0415 -- an extra
    from destination_router.eventlog.kafka.topics import create, wanted_topics  # noqa: PLC0415

    url = f"kafka://{servers()}/t{uuid.uuid4().hex[:12]}"
    config = EventLogConfig(url=url, kafka=KafkaConfig(replication=1, **kafka))
    address = address_of(config)
    create(Groups(address), wanted_topics(address, config.kafka.partitions, 1))
    return config
