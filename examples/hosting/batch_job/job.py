"""A nightly job: rows become events, and the job ends when every destination has them.

In Airflow, `deliver` is the body of a task. It may be tried again: a row is known by its id, so a
repeat is no second event, and what an earlier try took waits in the log.
"""

import csv
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from destination_router import BlockingRouter

ROWS_AT_ONCE = 1000


def deliver(rows: Iterable[Mapping[str, str]], config: Path, timeout: float) -> None:
    """Deliver an event for each row, or fail, so that the scheduler tries again."""
    with BlockingRouter.from_config(config) as router:
        for batch in batches(map(event_of, rows)):
            router.append(batch)
        if not router.drain(timeout):
            raise TimeoutError(f"not delivered in time: {router.behind()}; {router.stats()}")
        for name, stats in router.stats().items():
            print(f"{name}: {stats.delivered} delivered, {sum(stats.rejected.values())} rejected")


def event_of(row: Mapping[str, str]) -> dict[str, object]:
    """Make an event of a row."""
    return {
        "type": "track",
        "messageId": f"order-{row['id']}",
        "userId": row["customer"],
        "event": "Order Completed",
        "timestamp": row["ordered_at"],
        "properties": {"total": float(row["total"])},
    }


def batches(events: Iterable[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    """Cut events into lists that fit into memory."""
    batch: list[dict[str, object]] = []
    for event in events:
        batch.append(event)
        if len(batch) == ROWS_AT_ONCE:
            yield batch
            batch = []
    yield batch


if __name__ == "__main__":
    with Path(sys.argv[1]).open(newline="", encoding="utf-8") as file:
        deliver(csv.DictReader(file), Path("router.toml"), timeout=60.0)
