"""The router's three topics: their required settings, a check of them, and their creation."""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec
from confluent_kafka import KafkaError
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from destination_router.eventlog.interface import LogFileError, LogUnavailableError
from destination_router.eventlog.kafka.address import MAX_EVENT_BYTES, Address
from destination_router.eventlog.kafka.failures import RAISED, error_of, failures_told
from destination_router.eventlog.kafka.groups import TIMEOUT, Groups

_SEGMENT_BYTES = 128 * 2**20
_SEGMENT_MS = 10 * 60 * 1000
_MIN_IN_SYNC = 2
_PAUSE = 0.05
_CHECKED = (
    "cleanup.policy",
    "retention.ms",
    "retention.bytes",
    "max.message.bytes",
    "message.timestamp.after.max.ms",
)
"""Settings that lose or refuse events if they differ."""


class Topic(msgspec.Struct, frozen=True):
    """A topic as it must be.

    Attributes:
        name: the topic's.
        partitions: how many it has.
        replication: how many brokers hold it.
        settings: its settings that differ from a broker's defaults.
    """

    name: str
    partitions: int
    replication: int
    settings: dict[str, str]

    def told(self) -> str:
        """Describe it in one line."""
        parts = [f"partitions={self.partitions}", f"replication={self.replication}"]
        return "  ".join([self.name, *parts, *(f"{k}={v}" for k, v in self.settings.items())])


class Found(msgspec.Struct, frozen=True):
    """What a check of the topics found.

    Attributes:
        missing: topics that are not there.
        wrong: what is wrong with those that are there. The router must not start.
        warnings: settings that are lower than they should be.
    """

    missing: list[Topic]
    wrong: list[str]
    warnings: list[str]


def wanted_topics(address: Address, partitions: int, replication: int) -> list[Topic]:
    """List the topics that a router needs.

    Segments are short, because delivered events leave the disk only with their whole segment.
    """
    in_sync = {"min.insync.replicas": str(min(_MIN_IN_SYNC, replication))}
    largest = {"max.message.bytes": str(MAX_EVENT_BYTES)}
    events = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
    segments = {"segment.bytes": str(_SEGMENT_BYTES), "segment.ms": str(_SEGMENT_MS)}
    # A gateway whose clock is wrong must not be refused.
    segments["message.timestamp.after.max.ms"] = str(2**63 - 1)
    compacted = {"cleanup.policy": "compact"}
    large = {"max.message.bytes": str(2 * MAX_EVENT_BYTES)}
    return [
        Topic(
            address.events, partitions, replication, {**events, **segments, **largest, **in_sync}
        ),
        Topic(address.letters, 1, replication, {**compacted, **large, **in_sync}),
        Topic(address.state, 1, replication, {**compacted, **in_sync}),
    ]


def look(groups: Groups, wanted: list[Topic]) -> Found:
    """Compare the topics that are there with the wanted ones.

    Raises:
        LogUnavailableError: brokers do not answer.
    """
    metadata = groups.metadata().topics
    there = [topic for topic in wanted if topic.name in metadata]
    found = Found([topic for topic in wanted if topic.name not in metadata], [], [])
    settings = _settings(groups, [topic.name for topic in there])
    for topic in there:
        partitions = metadata[topic.name].partitions
        least = min((len(each.replicas) for each in partitions.values()), default=0)
        _compare(topic, len(partitions), least, settings[topic.name], found)
    return found


def create(groups: Groups, topics: list[Topic]) -> None:
    """Make topics.

    Raises:
        LogUnavailableError: brokers do not answer.
        LogFileError: brokers refuse. The text says why.
    """
    new = [
        NewTopic(
            topic.name,
            num_partitions=topic.partitions,
            replication_factor=topic.replication,
            config=topic.settings,
        )
        for topic in topics
    ]
    for name, answer in groups.admin.create_topics(new, request_timeout=TIMEOUT).items():
        try:
            answer.result(timeout=2 * TIMEOUT)
        except TimeoutError as error:
            raise LogFileError(f"{name} was not made: no broker answers") from error
        except RAISED as error:
            if error_of(error).code() == KafkaError.TOPIC_ALREADY_EXISTS:  # another was faster
                continue
            raise LogFileError(f"{name} was not made: {error_of(error).str()}") from error
    deadline = time.monotonic() + TIMEOUT
    while not _are_seen(groups, topics):  # until all brokers know them
        if time.monotonic() > deadline:
            raise LogUnavailableError("Kafka has made its topics, and does not show them yet")
        time.sleep(_PAUSE)


def _are_seen(groups: Groups, topics: list[Topic]) -> bool:
    try:
        return not look(groups, topics).missing
    except LogUnavailableError:  # one broker lists them, but the next does not know them yet
        return False


def session_seconds(groups: Groups) -> float:
    """Return the seconds after which brokers give up a silent member of a group.

    Raises:
        LogUnavailableError: brokers do not answer.
    """
    brokers = groups.metadata().brokers
    with failures_told("Kafka cannot be asked for its settings", groups.admin):
        resource = ConfigResource(ResourceType.BROKER, str(min(brokers)))
        (answer,) = groups.admin.describe_configs([resource], request_timeout=TIMEOUT).values()
        settings = answer.result(timeout=2 * TIMEOUT)
    return int(settings["group.consumer.session.timeout.ms"].value) / 1000


def _settings(groups: Groups, names: list[str]) -> dict[str, Mapping[str, str]]:
    if not names:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    answers = groups.admin.describe_configs(resources, request_timeout=TIMEOUT)
    with failures_told("Kafka cannot be asked for its topics", groups.admin):
        return {
            resource.name: {
                name: entry.value for name, entry in answer.result(timeout=2 * TIMEOUT).items()
            }
            for resource, answer in answers.items()
        }


def _compare(
    topic: Topic, partitions: int, replication: int, settings: Mapping[str, str], found: Found
) -> None:
    if partitions != topic.partitions:
        found.wrong.append(
            f"{topic.name} has {partitions} partitions, and shall have {topic.partitions}: the "
            "order of events that are there already would not hold over a change"
        )
    for name in _CHECKED:
        shall = topic.settings.get(name)
        if shall is None or settings.get(name) == shall:
            continue
        if name == "max.message.bytes" and int(settings[name]) >= int(shall):
            continue
        found.wrong.append(f"{topic.name} has {name}={settings.get(name)}, and needs {shall}")
    if replication < _MIN_IN_SYNC:
        found.warnings.append(
            f"{topic.name} is held by 1 broker: what it has accepted is lost with its disk"
        )
    elif int(settings.get("min.insync.replicas", "1")) < _MIN_IN_SYNC:
        found.warnings.append(
            f"{topic.name} has min.insync.replicas=1: what one broker alone has counts as accepted"
        )
