"""Start a router on Kafka again and again while its brokers come and go, and see how it ends.

    scripts/chaos --log kafka --starts 200

A process may say in a sentence that Kafka does not answer, and end with 2. None may die of a signal
of its own, as librdkafka 2.16 made them (docs/kafka.md), show a traceback, or hang.
"""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # a program and a test: no package
sys.path.insert(0, str(Path(__file__).parent.parent / "helpers"))

from kafka_cluster import Cluster, cluster
from processes import PYTHON, router_command

CONFIG = """
[eventlog]
url = "kafka://{servers}/starts"
[delivery]
origins = {{"https://heapanalytics.com" = "http://127.0.0.1:1"}}
timeout = "2s"
[[connections]]
name = "heap"
plugin = "heap"
settings = {{appId = "11"}}
"""
RUN = (
    *(PYTHON, "-m", "destination_router.commands.cli", "run", "--config", "router.toml"),
    *("--listen", "127.0.0.1:0", "--workers-only"),
)
LIVES_FOR = 2.0
"""For how long a process is left alone before it is told to end, in seconds."""

ENDS_WITHIN = 120.0
_SAYS_SO = 2


def outcome(directory: Path) -> str:
    """Start a router and end it; how it ended."""
    with (directory / "said").open("w+b") as said:
        process = subprocess.Popen(RUN, cwd=directory, stdout=said, stderr=said)
        try:
            process.wait(LIVES_FOR)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return "hung"
        said.seek(0)
        if b"Traceback" in (told := said.read()):
            sys.stderr.write(told.decode(errors="replace"))
            return "traceback"
    if status in {0, -signal.SIGTERM}:  # told to end, the second before it listens to that
        return "ended"
    return "said why" if status == _SAYS_SO else f"died with {status}"


def coming_and_going(brokers: Cluster, is_over: threading.Event) -> None:
    """Kill one broker after the other, and start it again."""
    for number in itertools.cycle((1, 2, 3)):
        brokers.kill_broker(number)
        is_over.wait(LIVES_FOR)
        brokers.start_broker(number)
        brokers.await_broker(number)
        if is_over.wait(LIVES_FOR):
            return


def starts(count: int, directory: Path) -> Counter[str]:
    """Start a router so often; how often it ended how."""
    is_over = threading.Event()
    with cluster(3) as brokers:
        (directory / "router.toml").write_text(CONFIG.format(servers=brokers.bootstrap))
        router_command(directory, "eventlog", "create", "--yes")
        going = threading.Thread(target=coming_and_going, args=(brokers, is_over))
        going.start()
        try:
            return Counter(outcome(directory) for _ in range(count))
        finally:
            is_over.set()
            going.join()


def main() -> int:
    """Start as often as the command line says, and print a table."""
    count = int(sys.argv[1])
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        ended = starts(count, Path(directory))
    for how, often in ended.most_common():
        print(f"{how:24}{often:6}")
    print(f"{'seconds':24}{time.monotonic() - begun:6.0f}")
    return 0 if ended["ended"] + ended["said why"] == count and ended["ended"] else 1


if __name__ == "__main__":
    sys.exit(main())
