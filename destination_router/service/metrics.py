"""Turns a snapshot of the router's counts into Prometheus's metric families. Pure.

The `# HELP` line of a metric says what it counts. docs/metrics.md is drawn from here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

import msgspec
from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from destination_router.delivery.stats import LATENCY_BOUNDS, DeliveryStats, Latency
from destination_router.eventlog.interface import Lag
from destination_router.service.workers_view import ProcessState

CIRCUIT = {"closed": 0, "half_open": 1, "open": 2}


class Intake(msgspec.Struct):
    """The counts of the gateway.

    Attributes:
        received: accepted events by source.
        refused: refused requests by source and code. The source is empty if it is unknown.
        answers: requests by the status of the answer.
        latency: from the first byte of a request to the last one of its answer.
    """

    received: Counter[str] = msgspec.field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    answers: Counter[str] = msgspec.field(default_factory=Counter)
    latency: Latency = msgspec.field(default_factory=Latency)

    def count_refusal(self, source: str, code: str) -> None:
        """Count a request that was refused."""
        self.refused[source, code] += 1


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All counts and states at one moment.

    Attributes:
        intake: the gateway's; None in a process without a gateway.
        deliveries: the stats of the connections of this process.
        lags: the lag of every connection of the log.
        letters: dead letters that were not replayed, by connection and code.
        lost_letters: dead letters that this process deleted for want of room, by the same.
        expired: events that passed `max_age` in this process, by connection.
        failures: how often the workers of this process failed, by connection.
        alerts: posts of alerts by the status of the answer, or `network`.
        log_bytes: the used bytes of the log's file, without dead letters.
        letter_bytes: the bytes of dead letters.
        writable: whether the log takes events.
        processes: the processes that deliver, if this one does not.
    """

    intake: Intake | None
    deliveries: Mapping[str, DeliveryStats]
    lags: Mapping[str, Lag]
    letters: Mapping[tuple[str, str], int]
    lost_letters: Mapping[tuple[str, str], int]
    expired: Mapping[str, int]
    failures: Mapping[str, int]
    alerts: Mapping[str, int]
    log_bytes: int
    letter_bytes: int
    writable: bool
    processes: Sequence[ProcessState] = ()


def exposition(snapshot: Snapshot) -> bytes:
    """Write a snapshot in Prometheus's text format, with the process's own CPU and memory."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(snapshot))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """All families; called once."""
        yield from families(self._snapshot)


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """List every metric family of a snapshot."""
    if snapshot.intake is not None:
        yield from _intake(snapshot.intake)
    yield from _log(snapshot)
    yield _counter(
        "alert_posts",
        "Posts of alerts, by the status of the answer, or network",
        "result",
        snapshot.alerts,
    )
    if snapshot.deliveries:
        expired = "Events that passed [eventlog] max_age and became dead letters"
        yield _counter("expired", expired, "connection", snapshot.expired)
        failed = "How often the connection's worker failed, or its process, and was started again"
        yield _counter("worker_failures", failed, "connection", snapshot.failures)
        yield from _counters(snapshot.deliveries)
        yield from _gauges(snapshot.deliveries)
    if snapshot.processes:
        yield from _processes(snapshot.processes)


def _intake(intake: Intake) -> Iterator[Metric]:
    received = CounterMetricFamily(
        "router_received", "Events accepted by the gateway", labels=["source"]
    )
    for source, count in intake.received.items():
        received.add_metric([source], count)
    yield received
    refused = CounterMetricFamily(
        "router_rejected_at_gateway",
        "Requests that the gateway refused; source is empty where the write key is nobody's",
        labels=["source", "reason"],
    )
    for (source, reason), count in intake.refused.items():
        refused.add_metric([source, reason], count)
    yield refused
    answers = CounterMetricFamily(
        "router_gateway_requests",
        "Requests to the gateway, by the status of the answer",
        labels=["status"],
    )
    for status, count in intake.answers.items():
        answers.add_metric([status], count)
    yield answers
    latency = HistogramMetricFamily(
        "router_gateway_latency_seconds", "Time to an answer of the gateway, the disk included"
    )
    _add_histogram(latency, [], intake.latency)
    yield latency


def _counter(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"router_{name}", text, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


def _log(snapshot: Snapshot) -> Iterator[Metric]:
    messages = GaugeMetricFamily(
        "router_lag_messages", "Events that the connection is not done with", labels=["connection"]
    )
    age = GaugeMetricFamily(
        "router_lag_seconds",
        "Age of the oldest event that the connection is not done with",
        labels=["connection"],
    )
    for name, lag in snapshot.lags.items():
        messages.add_metric([name], lag.messages)
        age.add_metric([name], lag.seconds)
    yield messages
    yield age
    letters = GaugeMetricFamily(
        "router_dead_letters", "Dead letters that were not replayed", labels=["connection", "code"]
    )
    for (name, code), count in snapshot.letters.items():
        letters.add_metric([name, code], count)
    yield letters
    lost = CounterMetricFamily(
        "router_dead_letters_lost",
        "Dead letters that were deleted for want of room",
        labels=["connection", "code"],
    )
    for (name, code), count in snapshot.lost_letters.items():
        lost.add_metric([name, code], count)
    yield lost
    yield GaugeMetricFamily(
        "router_dead_letters_bytes",
        "Bytes in use for dead letters; some go beyond max_dead_letters_size",
        snapshot.letter_bytes,
    )
    yield GaugeMetricFamily(
        "router_log_bytes",
        "Bytes in use in the log, without dead letters; events are refused beyond max_size",
        snapshot.log_bytes,
    )
    yield GaugeMetricFamily(
        "router_log_writable", "1, or 0 while new events are refused", snapshot.writable
    )


def _counters(deliveries: Mapping[str, DeliveryStats]) -> Iterator[Metric]:
    for field, text in (
        ("delivered", "Messages that the vendor has"),
        ("filtered", "Messages that were filtered: not for the connection"),
        ("retried", "Messages that are retried, each time"),
        ("skipped", "Profile updates that were left out because the vendor has exactly that"),
    ):
        family = CounterMetricFamily(f"router_{field}", text, labels=["connection"])
        for name, stats in deliveries.items():
            family.add_metric([name], getattr(stats, field))
        yield family
    for field, label, text in (
        ("rejected", "code", "Messages that were rejected, and are dead letters"),
        ("notes", "code", "Notes: what mappings changed or left out of messages"),
        ("requests", "result", "Requests to the vendor, by the status that came back, or network"),
        ("quota_waits", "quota", "Waits for one of the vendor's limits"),
    ):
        family = CounterMetricFamily(f"router_{field}", text, labels=["connection", label])
        for name, stats in deliveries.items():
            for value, count in getattr(stats, field).items():
                family.add_metric([name, value], count)
        yield family
    latency = HistogramMetricFamily(
        "router_request_latency_seconds", "Time to the vendor's answer", labels=["connection"]
    )
    for name, stats in deliveries.items():
        _add_histogram(latency, [name], stats.latency)
    yield latency


def _gauges(deliveries: Mapping[str, DeliveryStats]) -> Iterator[Metric]:
    for field, text in (
        ("in_flight", "Requests under way"),
        ("waiting", "Messages in memory"),
        ("parked", "Of the messages in memory, those that wait for a retry or a quota"),
        ("paused", "1 while somebody has paused the connection"),
    ):
        family = GaugeMetricFamily(f"router_{field}", text, labels=["connection"])
        for name, stats in deliveries.items():
            family.add_metric([name], getattr(stats, field))
        yield family
    circuit = GaugeMetricFamily(
        "router_circuit",
        "0 closed, 1 half open, 2 open: the vendor is taken for dead",
        labels=["connection"],
    )
    for name, stats in deliveries.items():
        circuit.add_metric([name], CIRCUIT[stats.circuit])
    yield circuit
    yield from _holds(deliveries)


def _processes(processes: Sequence[ProcessState]) -> Iterator[Metric]:
    works = GaugeMetricFamily(
        "router_worker_process_up", "With --workers: 1 while the process delivers", labels=["share"]
    )
    cpu = CounterMetricFamily(
        "router_worker_process_cpu_seconds",
        "With --workers: CPU that the process has used",
        labels=["share"],
    )
    memory = GaugeMetricFamily(
        "router_worker_process_resident_memory_bytes",
        "With --workers: memory that the process holds",
        labels=["share"],
    )
    for process in processes:
        works.add_metric([str(process.share)], process.works)
        cpu.add_metric([str(process.share)], process.cpu)
        memory.add_metric([str(process.share)], process.resident)
    yield works
    yield cpu
    yield memory


def _holds(deliveries: Mapping[str, DeliveryStats]) -> Iterator[Metric]:
    held = GaugeMetricFamily(
        "router_held",
        "1 while the vendor takes nothing of the connection, or not some of its messages; then 0",
        labels=["connection", "code"],
    )
    since = GaugeMetricFamily(
        "router_held_since_seconds",
        "Unix time at which the hold began; absent while nothing is held",
        labels=["connection"],
    )
    for name, stats in deliveries.items():
        for code, lasts in stats.holds.items():
            held.add_metric([name, code], lasts)
        if stats.held_since is not None:
            since.add_metric([name], stats.held_since)
    yield held
    yield since


def _add_histogram(family: HistogramMetricFamily, labels: list[str], latency: Latency) -> None:
    bounds = [*map(str, LATENCY_BOUNDS), "+Inf"]
    cumulated = accumulate(latency.counts)
    family.add_metric(labels, list(zip(bounds, cumulated, strict=True)), sum_value=latency.total)
