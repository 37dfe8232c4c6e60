"""What a connection on Kafka has delivered, as the commits of its group say."""

from __future__ import annotations

from destination_router.config.router_toml import EventLogConfig
from destination_router.eventlog.kafka.address import address_of
from destination_router.eventlog.kafka.groups import Groups
from destination_router.eventlog.kafka.marks import Mark
from destination_router.eventlog.kafka.reading import Stretch, readable
from destination_router.pipeline.wire import id_of


class GroupProgress:
    """A connection's progress in a topic of one partition.

    Args:
        url: of the log.
        connection: the connection's name.
    """

    def __init__(self, url: str, connection: str) -> None:
        address = address_of(EventLogConfig(url=url))
        self._connection = connection
        self._groups = Groups(address)
        self._stretch = Stretch(address)

    def undone(self) -> set[bytes]:
        """The ids of the messages in the log that the group's last commit does not hold.

        Raises:
            LogUnavailableError: brokers do not answer now.
        """
        mark = self._groups.marks(self._connection).get(0, Mark(0))
        done = frozenset(mark.done)
        there = self._stretch.messages({0: mark.next}, self._groups.ends([0]))
        return {id_of(each.body).encode() for each in readable(there) if each.offset not in done}

    def close(self) -> None:
        """Close it."""
        self._stretch.close()
        self._groups.close()
