"""How far a group is, asked of brokers that come and go.

Modules: `groups.py`.
"""

import contextlib
import subprocess
import sys
from typing import cast

import pytest
from confluent_kafka import Consumer, ElectionType, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from kafka_cluster import cluster
from kafka_log import new_log, servers
from waiting import PATIENCE, until

from destination_router.config.router_toml import EventLogConfig
from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.kafka.address import Address, address_of
from destination_router.eventlog.kafka.groups import Groups, watermarks
from destination_router.eventlog.kafka.marks import Mark
from destination_router.eventlog.kafka.topics import create, wanted_topics

ASKING = """
import sys
from destination_router.config.router_toml import EventLogConfig
from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.kafka.address import address_of
from destination_router.eventlog.kafka import groups as module
from destination_router.eventlog.kafka.groups import Groups

module.TIMEOUT = 2.0
address = address_of(EventLogConfig(url=sys.argv[1]))
number = 0
while True:
    groups = Groups(address)
    for _ in range(10):
        number += 1
        try:
            groups.marks(f"c{number % 50}")
        except LogUnavailableError:
            pass
        print(number, flush=True)
    groups.close()
"""


def test_a_coordinator_that_moves_ends_no_process() -> None:
    """While brokers end and come back, whoever asks is told, or is told that it cannot be told."""
    servers()  # skips where there is no Kafka
    with cluster(3) as brokers:
        config = EventLogConfig(url=f"kafka://{brokers.bootstrap}/x")
        address = address_of(config)
        create(Groups(address), wanted_topics(address, 1, 3))
        asking = [
            subprocess.Popen([sys.executable, "-c", ASKING, config.url], stdout=subprocess.PIPE)
            for _ in range(3)
        ]
        try:
            for process in asking:
                assert process.stdout is not None
                assert process.stdout.readline(), process.wait()
            for number in (1, 2, 3):
                brokers.kill_broker(number)
                brokers.start_broker(number)
                brokers.await_broker(number)
            assert [process.poll() for process in asking] == [None] * 3
        finally:
            for process in asking:
                process.kill()
                process.communicate()


def leader(address: Address) -> int:
    """Tell who leads the first partition, by asking anew."""
    topics = AdminClient(address.client).list_topics(address.events, timeout=PATIENCE).topics
    found: int = topics[address.events].partitions[0].leader
    return found


def test_a_broker_that_leads_again_is_asked_again() -> None:
    """It refuses who knows it from before it was away: they look again, and are answered."""
    servers()  # skips where there is no Kafka
    with cluster(3) as brokers:
        address = address_of(EventLogConfig(url=f"kafka://{brokers.bootstrap}/x"))
        groups = Groups(address)
        create(groups, wanted_topics(address, 1, 3))
        assert groups.ends([0]) == {0: 0}
        first = leader(address)
        brokers.kill_broker(first)
        until(lambda: leader(address) not in {first, -1})
        brokers.start_broker(first)
        brokers.await_broker(first)

        def leads_again() -> bool:
            place = TopicPartition(address.events, 0)
            electing = AdminClient(address.client)
            with contextlib.suppress(KafkaException):
                electing.elect_leaders(ElectionType.PREFERRED, [place]).result(PATIENCE)
            return leader(address) == first

        until(leads_again)
        assert groups.ends([0]) == {0: 0}
        groups.close()


def test_how_far_many_groups_are_is_told_by_few_clients() -> None:
    """A client that was not used for long is closed; a closed one answers nothing."""
    groups = Groups(address_of(new_log()))
    names = [f"c{number}" for number in range(40)]
    for number, name in enumerate(names):
        assert groups.set_marks(name, {0: Mark(number, (number + 2,))})
    found = [groups.marks(name) for name in names]
    assert found == [{0: Mark(number, (number + 2,))} for number in range(40)]
    assert groups.marks("nobody") == {}
    assert len(groups._asking) == 16
    groups.close()
    with pytest.raises(LogUnavailableError, match="this process ends"):
        groups.marks("c1")


def test_a_partition_that_changes_hands_is_asked_again() -> None:
    """A broker that leads it no more says so; the next one knows."""
    refusals = [
        KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION),
        KafkaError(KafkaError.LEADER_NOT_AVAILABLE),
        KafkaError(KafkaError.FENCED_LEADER_EPOCH),
    ]
    answers: list[KafkaError | tuple[int, int]] = [*refusals, (3, 7)]

    class Moving:
        def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
            assert (place.topic, timeout > 0) == ("events", True)
            answer = answers.pop(0)
            if isinstance(answer, KafkaError):
                raise KafkaException(answer)
            return answer

        def list_topics(self, topic: str, timeout: float) -> None:
            assert (topic, timeout > 0) == ("events", True)
            looked.append(topic)

    looked: list[str] = []
    assert watermarks(cast("Consumer", Moving()), TopicPartition("events", 0)) == (3, 7)
    assert len(looked) == len(refusals)


def test_another_refusal_is_told_at_once() -> None:
    """Nobody waits for what does not pass."""

    class Refusing:
        def get_watermark_offsets(self, *_: object) -> tuple[int, int]:
            raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))

    with pytest.raises(KafkaException):
        watermarks(cast("Consumer", Refusing()), TopicPartition("events", 0))
