"""A real Kafka on loopback: fetched through Maven, and run from a throw-away folder."""

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from waiting import PATIENCE, free_port

ROOT = Path(__file__).parents[2]
LIBRARIES = ROOT / ".kafka" / "libs"
UNHURRIED = 60.0
"""`broker_seconds` where nobody kills a broker.

A single broker is its own controller. If a busy machine keeps it waiting for longer than
`broker_seconds`, it gives itself up, and leads nothing for half a minute: clients hear
NOT_COORDINATOR, or nothing. Stopped for 8 s, one with 4 s did so; one with 60 s answered at once,
also after 20 s.
"""

_RECIPE = ROOT / "tests" / "kafka"
_JAVA = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError"]


class NoKafkaError(Exception):
    """There is no broker to be had; the text says what is missing."""


def install() -> None:
    """Fetch the broker's jars, and see that each is the one that was pinned.

    Raises:
        NoKafkaError: Java or Maven is missing, or a jar is another one.
    """
    missing = [name for name in ("java", "mvn") if shutil.which(name) is None]
    if missing:
        raise NoKafkaError(f"{' and '.join(missing)} not installed; Kafka needs Java 17 and Maven")
    if not LIBRARIES.exists():
        draft = LIBRARIES.with_name(f"libs-{os.getpid()}")
        # -C: a checksum of the registry's that does not fit fails the build.
        maven = ["mvn", "-q", "-B", "-C", "-f", str(_RECIPE / "pom.xml")]
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime"]
        # Even quiet, it writes escape codes; standard output is for where to connect.
        command = [*maven, *goal, f"-DoutputDirectory={draft}"]
        subprocess.run(command, check=True, stdout=sys.stderr)
        _check(draft)
        with contextlib.suppress(OSError):  # another process was faster
            draft.rename(LIBRARIES)
    _check(LIBRARIES)


def _check(folder: Path) -> None:
    command = ["sha256sum", "-c", "--quiet", str(_RECIPE / "jars.sha256")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoKafkaError(f"{folder}: {done.stdout.strip() or done.stderr.strip()}; remove it")


class Cluster:
    """Brokers of one cluster.

    Args:
        brokers: how many.
        folder: for everything that they write; a new one if None.
        session_seconds: after how long a silent consumer is given up.
        accounts: names and passwords. Where there are some, each broker has two more listeners
            that take nobody else: one that is encrypted, with a certificate of `ca`, and one that
            is not.
        trusted: the accounts that may do everything. Others may do what a test lets them.
        broker_seconds: after how long a silent broker is given up.
        stays: whether brokers go on when this process ends, however it ends.
    """

    def __init__(  # noqa: PLR0913 -- each is a setting
        self,
        brokers: int = 1,
        folder: Path | None = None,
        session_seconds: float = 6.0,
        accounts: Mapping[str, str] | None = None,
        *,
        trusted: Iterable[str] = (),
        broker_seconds: float = 4.0,
        stays: bool = False,
    ) -> None:
        self._trusted = tuple(trusted)
        self._stays = stays
        self._broker_session = round(broker_seconds * 1000)
        self._accounts = dict(accounts or {})
        self.folder = folder or Path(tempfile.mkdtemp(prefix="kafka-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._ports = {number: (free_port(), free_port()) for number in range(1, brokers + 1)}
        self._more = {number: (free_port(), free_port()) for number in range(1, brokers + 1)}
        self._id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        self._session = round(session_seconds * 1000)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def bootstrap(self) -> str:
        """Where to connect: `host:port,host:port`."""
        return ",".join(f"127.0.0.1:{port}" for port, _ in self._ports.values())

    @property
    def encrypted(self) -> str:
        """Where accounts connect through TLS."""
        return ",".join(f"localhost:{port}" for port, _ in self._more.values())

    @property
    def in_the_open(self) -> str:
        """Where accounts connect without it."""
        return ",".join(f"127.0.0.1:{port}" for _, port in self._more.values())

    @property
    def ca(self) -> Path:
        """The certificate of who vouches for the encrypted listeners."""
        return self.folder / "ca.pem"

    def start(self) -> None:
        """Format and start all brokers; returns once each is known to the others."""
        if self._accounts:
            _vouch(self.folder)
        for number in self._ports:
            properties = self._write(number)
            tool = [
                "kafka.tools.StorageTool",
                "format",
                f"--cluster-id={self._id}",
                "-c",
                str(properties),
            ]
            for name, password in self._accounts.items():
                tool.append(f"--add-scram=SCRAM-SHA-256=[name={name},password={password}]")
            self._java(96, *tool, wait=True)
        for number in self._ports:
            self.start_broker(number)
        for number in self._ports:
            self.await_broker(number)
        self._await_metadata()

    def start_broker(self, number: int) -> None:
        """Start one of the brokers; does not wait."""
        properties = str(self.folder / f"{number}.properties")
        self._processes[number] = self._java(256, "kafka.Kafka", properties)

    def await_broker(self, number: int) -> None:
        """Wait until a broker takes connections."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._ports[number][0]), 1).close()
            except OSError:
                if time.monotonic() > deadline:
                    text = (self.folder / "out").read_text(errors="replace")[-2000:]
                    raise NoKafkaError(f"broker {number} does not start: {text}") from None
                time.sleep(0.05)
            else:
                return

    def kill_broker(self, number: int, how: signal.Signals = signal.SIGKILL) -> None:
        """End one of the brokers; returns once it has ended."""
        process = self._processes.pop(number)
        process.send_signal(how)
        process.wait()

    def stop(self) -> None:
        """End all brokers, and remove what they wrote."""
        for number in list(self._processes):
            self.kill_broker(number)
        shutil.rmtree(self.folder, ignore_errors=True)

    def save(self, path: Path) -> None:
        """Write down what another process needs to stop it."""
        processes = [process.pid for process in self._processes.values()]
        told = {"folder": str(self.folder), "processes": processes}
        path.write_text(json.dumps({**told, "bootstrap": self.bootstrap}))

    def _write(self, number: int) -> Path:
        port, controller = self._ports[number]
        count = len(self._ports)
        voters = ",".join(f"{each}@127.0.0.1:{ports[1]}" for each, ports in self._ports.items())
        settings = {
            "process.roles": "broker,controller",
            "node.id": number,
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": voters,
            "log.dirs": self.folder / f"data{number}",
            "auto.create.topics.enable": "false",
            "default.replication.factor": count,
            "min.insync.replicas": min(2, count),
            "offsets.topic.num.partitions": 3,
            "offsets.topic.replication.factor": count,
            "transaction.state.log.num.partitions": 3,
            "transaction.state.log.replication.factor": count,
            "transaction.state.log.min.isr": min(2, count),
            "group.initial.rebalance.delay.ms": 0,
            # So that a killed worker's connections move after seconds, and not after 45.
            "group.consumer.session.timeout.ms": self._session,
            "group.consumer.min.session.timeout.ms": 1000,
            "group.consumer.heartbeat.interval.ms": 1000,
            "group.consumer.min.heartbeat.interval.ms": 500,
            "group.min.session.timeout.ms": 1000,
            # And a killed broker's partitions.
            "broker.session.timeout.ms": self._broker_session,
            "broker.heartbeat.interval.ms": 1000,
            "replica.lag.time.max.ms": 4000,
        }
        if self._accounts:
            settings |= self._doors(number)
            settings |= {
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": ";".join(f"User:{name}" for name in ("ANONYMOUS", *self._trusted)),
            }
        path = self.folder / f"{number}.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        return path

    def _doors(self, number: int) -> dict[str, object]:
        """Say how the listeners for accounts are."""
        port, controller = self._ports[number]
        encrypted, plain = self._more[number]
        advertised = (
            f"PLAINTEXT://127.0.0.1:{port},SECURE://localhost:{encrypted},OPEN://127.0.0.1:{plain}"
        )
        users = " ".join(f'user_{name}="{word}"' for name, word in self._accounts.items())
        module = "org.apache.kafka.common.security"
        doors: dict[str, object] = {
            "listeners": f"{advertised},CONTROLLER://127.0.0.1:{controller}".replace(
                "localhost", "127.0.0.1"
            ),
            "advertised.listeners": advertised,
            "listener.security.protocol.map": (
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL,OPEN:SASL_PLAINTEXT"
            ),
            "listener.name.secure.ssl.keystore.type": "PEM",
            "listener.name.secure.ssl.keystore.location": self.folder / "broker.pem",
        }
        for door in ("secure", "open"):
            doors |= {
                f"listener.name.{door}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
                f"listener.name.{door}.plain.sasl.jaas.config": (
                    f"{module}.plain.PlainLoginModule required {users};"
                ),
                f"listener.name.{door}.scram-sha-256.sasl.jaas.config": (
                    f"{module}.scram.ScramLoginModule required;"
                ),
            }
        return doors

    def _java(self, megabytes: int, *arguments: str, wait: bool = False) -> subprocess.Popen[bytes]:
        command = [*_JAVA, f"-Xmx{megabytes}m", "-cp", f"{LIBRARIES}/*", *arguments]
        if not self._stays and shutil.which("setpriv"):
            # Linux ends it with this process, killed though that may be.
            command = ["setpriv", "--pdeathsig", "KILL", *command]
        with (self.folder / "out").open("ab") as out:
            # In a session of its own: Ctrl-C at a terminal ends the tests, and they end it.
            process = subprocess.Popen(
                command,
                stdout=out,
                stderr=out,
                cwd=self.folder,
                start_new_session=True,
            )
        if wait and process.wait():
            text = (self.folder / "out").read_text(errors="replace")[-2000:]
            raise NoKafkaError(f"{arguments[0]}: {text}")
        return process

    def _await_metadata(self) -> None:
        from confluent_kafka.admin import AdminClient  # noqa: PLC0415 -- the extra may be missing

        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        deadline = time.monotonic() + PATIENCE
        while len(admin.list_topics(timeout=PATIENCE).brokers) < len(self._ports):
            if time.monotonic() > deadline:
                raise NoKafkaError("the brokers do not find one another")
            time.sleep(0.05)


def _vouch(folder: Path) -> None:
    """Make somebody who vouches, and a key and a certificate of theirs for `localhost`."""
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    authority = ["-CA", "ca.pem", "-CAkey", "ca.key"]
    for name, subject, signed in (("ca", "/CN=tests", []), ("broker", "/CN=broker", authority)):
        files = ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", subject]
        about = ["-addext", "subjectAltName=DNS:localhost"] if signed else []
        command = [*new, *files, *signed, *about]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoKafkaError(f"openssl: {done.stderr}")
    chain = [(folder / name).read_text() for name in ("broker.key", "broker.pem", "ca.pem")]
    (folder / "broker.pem").write_text("".join(chain))


def saved_runs(path: Path) -> bool:
    """Say whether a broker runs of a cluster that another process started and saved."""
    return path.exists() and bool(_running(json.loads(path.read_text())))


def stop_saved(path: Path) -> None:
    """End a cluster that another process started and saved."""
    told = json.loads(path.read_text())
    for process in _running(told):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    while _running(told):
        time.sleep(0.02)
    shutil.rmtree(told["folder"], ignore_errors=True)
    path.unlink()


def _running(told: Mapping[str, Any]) -> list[int]:
    """Which of a cluster's brokers run: another process may have the number of one that ended."""
    table = subprocess.run(
        ["ps", "-e", "-ww", "-o", "pid=,stat=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(maxsplit=2) for line in table.splitlines()]
    return [
        int(number)
        for number, state, *command in rows
        if int(number) in told["processes"]
        and not state.startswith("Z")
        and told["folder"] in " ".join(command)
    ]


@contextlib.contextmanager
def cluster(
    brokers: int = 1,
    session_seconds: float = 6.0,
    accounts: Mapping[str, str] | None = None,
    trusted: Iterable[str] = (),
    *,
    broker_seconds: float = 4.0,
) -> Iterator[Cluster]:
    """Run a cluster while the block lasts.

    Raises:
        NoKafkaError: there is none to be had.
    """
    install()
    running = Cluster(
        brokers,
        session_seconds=session_seconds,
        accounts=accounts,
        trusted=trusted,
        broker_seconds=broker_seconds,
    )
    try:
        running.start()
        yield running
    finally:
        running.stop()
