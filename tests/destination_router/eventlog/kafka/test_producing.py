"""A client that cannot be made anew after brokers refused the one before it for good.

Modules: `producing.py`.
"""

import asyncio
import shutil
from pathlib import Path

import certifi
import pytest
from waiting import PATIENCE

pytest.importorskip("confluent_kafka")  # the extra may be missing

from destination_router.config.router_toml import EventLogConfig, KafkaConfig
from destination_router.eventlog.interface import LogUnavailableError
from destination_router.eventlog.kafka import producing as module
from destination_router.eventlog.kafka.address import address_of
from destination_router.eventlog.kafka.producing import Producing, Record


def test_a_client_that_cannot_be_made_anew_is_brokers_that_take_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Senders hear why, each time; once the client can be made, it is made."""
    monkeypatch.setattr(module, "DELIVERY_SECONDS", 0.1)
    ca = tmp_path / "ca.pem"
    shutil.copy(certifi.where(), ca)
    kafka = KafkaConfig(tls=True, ca_file=str(ca))
    producing = Producing(address_of(EventLogConfig(url="kafka://127.0.0.1:1/p", kafka=kafka)))
    first = producing._producer
    ca.unlink()
    producing._refusal = "this client may not write"

    async def run() -> None:
        for _ in range(2):
            assert "ssl.ca.location" in await refusal_of(producing)
        assert producing._producer is first

        shutil.copy(certifi.where(), ca)
        # One that is just being told something is left for the next attempt.
        while "ssl.ca.location" in await refusal_of(producing):
            pass
        assert producing._producer is not first

    asyncio.run(asyncio.wait_for(run(), PATIENCE))
    producing.close()


async def refusal_of(producing: Producing) -> str:
    """What the sender of a record hears, a while after the last attempt to make a client."""
    producing._made_at -= 60.0
    while len(producing._producer):  # told of: no broker is at port 1
        producing._poll(0.01)
    with pytest.raises(LogUnavailableError) as raised:
        await producing.send([Record("p.events", None, b"{}")])
    return str(raised.value)
