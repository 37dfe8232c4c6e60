"""`scripts/kafka`: install, start and stop a Kafka of one or three brokers on loopback."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from kafka_cluster import ROOT, UNHURRIED, Cluster, NoKafkaError, install, saved_runs, stop_saved

_SAVED = ROOT / ".kafka" / "running.json"


def main() -> int:
    """Do what was asked for."""
    parser = argparse.ArgumentParser(prog="scripts/kafka", description=__doc__)
    parser.add_argument("action", choices=["install", "start", "stop"])
    parser.add_argument("--brokers", type=int, default=1)
    parser.add_argument("--session-seconds", type=float, default=6.0)
    given = parser.parse_args()
    if given.action == "stop":
        if not _SAVED.exists():
            print("no Kafka is running here", file=sys.stderr)
            return 1
        stop_saved(_SAVED)
        return 0
    try:
        install()
        if given.action == "start":
            _start(given.brokers, given.session_seconds)
    except NoKafkaError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _start(brokers: int, session_seconds: float) -> None:
    if saved_runs(_SAVED):
        raise NoKafkaError("a Kafka is running here already: scripts/kafka stop")
    if _SAVED.exists():  # it ended with the machine, or was killed
        stop_saved(_SAVED)
    running = Cluster(
        brokers, session_seconds=session_seconds, broker_seconds=UNHURRIED, stays=True
    )
    try:
        running.start()
    except BaseException:
        running.stop()
        raise
    running.save(_SAVED)
    print(running.bootstrap)


if __name__ == "__main__":
    sys.exit(main())
