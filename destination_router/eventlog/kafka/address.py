"""Where a Kafka is, its clients' settings, and the names of the router's topics and groups."""

from __future__ import annotations

from typing import Any

import msgspec

from destination_router.config.router_toml import EventLogConfig
from destination_router.config.schema import KAFKA_URL
from destination_router.eventlog.interface import LogFileError

MAX_EVENT_BYTES = 6 * 2**20
"""The largest event of a topic: a gateway takes bodies of 4000 KB and adds ids and times."""


class Address(msgspec.Struct, frozen=True):
    """A router's place on a Kafka.

    Attributes:
        prefix: the beginning of the names of its topics and groups.
        client: the settings of every confluent-kafka client, which include secrets.
    """

    prefix: str
    client: dict[str, Any]

    @property
    def events(self) -> str:
        """The topic of events."""
        return f"{self.prefix}.events"

    @property
    def letters(self) -> str:
        """The compacted topic of dead letters."""
        return f"{self.prefix}.dead-letters"

    @property
    def state(self) -> str:
        """The compacted topic of everything else that is remembered."""
        return f"{self.prefix}.state"

    def group(self, connection: str) -> str:
        """Name a connection's consumer group."""
        return f"{self.prefix}.{connection}"


def address_of(config: EventLogConfig) -> Address:
    """Read a URL and the table `[eventlog.kafka]`.

    Raises:
        LogFileError: the extra `kafka` is not installed.
    """
    try:
        import confluent_kafka  # noqa: F401, PLC0415 -- only a log on Kafka needs it
    except ImportError:
        raise LogFileError(
            f"{config.url} needs the extra kafka: pip install 'heap-destination[kafka]'"
        ) from None
    from destination_router.eventlog.kafka.failures import (  # noqa: PLC0415 -- the extra
        note_refusal,
    )

    servers, _, prefix = config.url.removeprefix(KAFKA_URL).partition("/")
    kafka = config.kafka
    encrypted = "SSL" if kafka.tls else "PLAINTEXT"
    client: dict[str, Any] = {
        "bootstrap.servers": servers,
        "security.protocol": f"SASL_{encrypted}" if kafka.sasl else encrypted,
        "client.id": "destination-router",
        # The effects tell of a broker that is gone: an append fails, or a commit waits.
        "log_level": 2,
        "error_cb": note_refusal,
    }
    optional = {
        "ssl.ca.location": kafka.ca_file,
        "ssl.certificate.location": kafka.certificate_file,
        "ssl.key.location": kafka.key_file,
        "ssl.key.password": kafka.key_password,
        "sasl.mechanism": None if kafka.sasl is None else kafka.sasl.upper(),
        "sasl.username": kafka.username,
        "sasl.password": kafka.password,
    }
    client |= {name: value for name, value in optional.items() if value is not None}
    return Address(prefix, client)
