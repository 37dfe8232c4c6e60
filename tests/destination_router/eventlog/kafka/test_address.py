"""How a router tells brokers who it is, over TLS and without: against listeners that ask for it.

Modules: `address.py`, `failures.py`.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import run_command
from kafka_cluster import UNHURRIED, Cluster, cluster
from kafka_log import servers
from waiting import PATIENCE

from destination_router.config.router_toml import EventLogConfig, load_config
from destination_router.eventlog.opening import open_log

SECRET = "s3cret-of-the-router"
WRONG = "wr0ng-of-the-router"


@pytest.fixture(scope="module")
def brokers() -> Iterator[Cluster]:
    """One that knows an account."""
    servers()  # skips where there is no Kafka
    accounts, trusted = {"router": SECRET}, ["router"]
    with cluster(1, accounts=accounts, trusted=trusted, broker_seconds=UNHURRIED) as running:
        yield running


def written(folder: Path, url: str, **kafka: str) -> Path:
    """A router.toml whose password is a reference."""
    lines = "".join(f"{name} = {value}\n" for name, value in kafka.items())
    path = folder / "router.toml"
    path.write_text(
        f'[eventlog]\nurl = "{url}"\n[delivery]\ntimeout = "1s"\n'
        f'[eventlog.kafka]\nreplication = 1\nusername = "router"\n'
        f'password = {{ env = "KAFKA_PASSWORD" }}\n{lines}'
        '[[connections]]\nname = "a"\nplugin = "heap"\nsettings = {appId = "11"}\n'
    )
    return path


def made(path: Path) -> tuple[int, str]:
    """Have a command make the topics; its status and all that it says."""
    done = run_command("eventlog", "create", "--yes", "--config", path, cwd=path.parent)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("sasl", ["plain", "scram-sha-256"])
@pytest.mark.parametrize("tls", [True, False], ids=["TLS", "no TLS"])
def test_who_proves_who_it_is_is_let_in(
    brokers: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sasl: str, *, tls: bool
) -> None:
    """It appends and reads, by its own certificate authority."""
    where = brokers.encrypted if tls else brokers.in_the_open
    encrypted = {"tls": "true", "ca_file": f'"{brokers.ca}"'} if tls else {}
    path = written(tmp_path, f"kafka://{where}/{sasl}-{tls}", sasl=f'"{sasl}"', **encrypted)
    monkeypatch.setenv("KAFKA_PASSWORD", SECRET)
    assert made(path)[0] == 0
    config: EventLogConfig = load_config(path).eventlog

    async def steps() -> bytes:
        with contextlib.closing(open_log(config, ["a"], {}, request_seconds=1.0)) as log:
            await log.append([b"{}"])
            (event,) = await asyncio.wait_for(log.read("a", -1, 1), PATIENCE)
            return event.body

    assert asyncio.run(steps()) == b"{}"


@pytest.mark.parametrize("sasl", ["plain", "scram-sha-256"])
def test_a_wrong_password_is_told_in_one_sentence(
    brokers: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sasl: str
) -> None:
    """With what to look at, and without the password."""
    path = written(tmp_path, f"kafka://{brokers.in_the_open}/x", sasl=f'"{sasl}"')
    monkeypatch.setenv("KAFKA_PASSWORD", WRONG)
    status, said = made(path)
    assert status == 2
    assert "the brokers refuse who this is: see username, password and sasl" in " ".join(
        said.split()
    )
    assert WRONG not in said
    assert "Traceback" not in said


def test_brokers_that_nobody_vouches_for_are_told(
    brokers: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a connection to them."""
    path = written(tmp_path, f"kafka://{brokers.encrypted}/x", sasl='"plain"', tls="true")
    monkeypatch.setenv("KAFKA_PASSWORD", SECRET)
    status, said = made(path)
    assert status == 2
    assert "no encrypted connection comes about: see tls, ca_file" in " ".join(said.split())
    assert SECRET not in said
