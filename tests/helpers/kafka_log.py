"""A log on a real Kafka for tests: a broker for the session, and new topics for each test."""

import atexit
import contextlib
import functools
import os
import uuid
from typing import Any

import pytest
from kafka_cluster import Cluster, NoKafkaError, cluster

from destination_router.config.router_toml import EventLogConfig, KafkaConfig
from destination_router.eventlog.kafka.address import address_of

SERVERS = "KAFKA_SERVERS"
"""The environment variable that names brokers that run already."""


@functools.cache
def servers() -> str:
    """Where brokers are; where there are none, some are started for as long as this process lives.

    A machine without Java or Maven skips the test, but not CI.
    """
    if given := os.environ.get(SERVERS):
        return given
    try:
        running: Cluster = _kept.enter_context(cluster())
    except NoKafkaError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{error}, and CI must not skip this")
        pytest.skip(str(error))
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
