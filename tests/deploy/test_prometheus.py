"""deploy/: Prometheus's rules and Grafana's dashboard name what is there, and on-call has an entry.

Rules are tried by promtool: deploy/prometheus/alerts.test.yml says when each fires.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from destination_router.commands.cli import app
from destination_router.delivery.stats import DeliveryStats
from destination_router.eventlog.interface import Lag
from destination_router.service.alert_rules import MEANINGS
from destination_router.service.metrics import Intake, Snapshot, exposition
from destination_router.transformer.counts import Counts
from destination_router.transformer.exposition import exposition as transformer_exposition

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = PROMETHEUS / "alerts.yml"
TESTS = PROMETHEUS / "alerts.test.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "router.json"
ON_CALL = ROOT / "docs" / "on-call.md"
PROMETHEUS_OWN = {"job", "instance", "alertname", "alertstate", "severity"}

_RULE = re.compile(r"^      - alert: (\w+)$", re.MULTILINE)
_WITH_LABELS = re.compile(r"\b([a-z_]+)(\{[^}]*\})?")
_MATCHER = re.compile(r'(\w+) *(?:=~|!~|!=|=) *"')
_GROUPED = re.compile(r"\b(?:by|on) \(([^)]*)\)")
_METRIC = re.compile(r"\b(?:router|process)_\w+|\bup\b")


@pytest.fixture
def promtool() -> str:
    """Its path; a machine without it skips the test, but not CI."""
    found = shutil.which("promtool")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("promtool is not installed, and CI must not skip this")
    if found is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    return found


def expressions_of_rules() -> list[str]:
    text = RULES.read_text(encoding="utf-8")
    found = re.findall(r"^        expr: (?!\|)(.*)$", text, re.MULTILINE)
    found += re.findall(r"^        expr: \|\n((?:          .*\n)+)", text, re.MULTILINE)
    assert len(found) == len(_RULE.findall(text))
    return found


def expressions_of_dashboard() -> list[str]:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def exposed() -> dict[str, set[str]]:
    """Each sample that the router or the transformer shows, with its labels; and `up`."""
    stats = DeliveryStats(holds={"http_401": True}, held_since=1.0)
    for counter in (stats.rejected, stats.notes, stats.requests, stats.quota_waits):
        counter["x"] += 1
    intake = Intake()
    intake.received["web"] += 1
    intake.count_refusal("web", "x")
    intake.answers["200"] += 1
    kinds = {("US", "x"): 1}
    snapshot = Snapshot(
        intake=intake,
        deliveries={"US": stats},
        lags={"US": Lag(1, 1.0)},
        letters=kinds,
        lost_letters=kinds,
        expired={"US": 1},
        failures={"US": 1},
        alerts={"200": 1},
        log_bytes=1,
        letter_bytes=1,
        writable=True,
    )
    counts = Counts()
    for what in ("received", "filtered", "rejected", "notes", "delivered", "refused"):
        counts.add(what, "heap", "x")  # type: ignore[arg-type]
    shown = exposition(snapshot), transformer_exposition(counts.total(), one_process=True)
    samples: dict[str, set[str]] = {"up": set()}
    for text in shown:
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                samples.setdefault(sample.name, set()).update(sample.labels)
    return samples


def uses(expression: str) -> Iterator[tuple[str, set[str]]]:
    """List the metrics of an expression, each with the labels that it selects by."""
    for name, selector in _WITH_LABELS.findall(expression):
        if _METRIC.fullmatch(name):
            yield name, set(_MATCHER.findall(selector))


@pytest.mark.parametrize("expression", [*expressions_of_rules(), *expressions_of_dashboard()])
def test_every_metric_and_label_that_is_named_is_shown(expression: str) -> None:
    """By `run` or by the transformer: a rule about what does not exist never fires."""
    shown = exposed()
    used = list(uses(expression))
    assert used, expression
    known = {label for name, _ in used for label in shown.get(name, set())} | PROMETHEUS_OWN
    for name, labels in used:
        assert name in shown, f"no process shows {name}"
        assert labels <= shown[name] | PROMETHEUS_OWN, (name, labels)
    for grouped in _GROUPED.findall(expression):
        assert {label.strip() for label in grouped.split(",")} <= known, grouped


def test_every_legend_and_summary_names_labels_that_are_there() -> None:
    """Those of its expression."""
    shown = exposed()
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    pairs = [
        (target["legendFormat"], target["expr"])
        for panel in panels
        for target in panel.get("targets", ())
    ]
    assert pairs
    for legend, expression in pairs:
        (grouped,) = _GROUPED.findall(expression)
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= set(grouped.split(", ")), legend
    for rule in RULES.read_text(encoding="utf-8").split("      - alert: ")[1:]:
        grouped = _GROUPED.findall(rule)
        known = {label for name, _ in uses(rule) for label in shown.get(name, set())}
        kept = set(grouped[0].split(", ")) if grouped else known
        named = set(re.findall(r"\$labels\.(\w+)", rule))
        assert named <= kept | PROMETHEUS_OWN, rule
        assert named, rule


def test_promtool_takes_the_rules_and_the_configuration(promtool: str) -> None:
    """The example's whole configuration, with its rules."""
    for what, path in (("rules", RULES), ("config", PROMETHEUS / "prometheus.yml")):
        done = subprocess.run(
            [promtool, "check", what, path], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_rule_fires_when_it_should(promtool: str) -> None:
    """And not before; each has a test."""
    done = subprocess.run(
        [promtool, "test", "rules", TESTS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = TESTS.read_text(encoding="utf-8")
    for rule in _RULE.findall(RULES.read_text(encoding="utf-8")):
        (tried,) = re.findall(rf"  - name: {rule}\n(?:(?!  - name).*\n)*", text)[:1]
        assert "exp_samples:\n" in tried, f"{rule} is not seen to fire"


def test_prometheus_can_read_every_panel(promtool: str, tmp_path: Path) -> None:
    """Its expressions, with Grafana's variables in place."""
    lines = ["groups:", "  - name: panels", "    rules:"]
    for number, expression in enumerate(expressions_of_dashboard()):
        query = expression.replace("$__rate_interval", "5m").replace("$connection", ".*")
        lines += [f"      - record: panel:{number}", f"        expr: {json.dumps(query)}"]
    path = tmp_path / "panels.yml"
    path.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [promtool, "check", "rules", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- the page that on-call reads ---


def entries() -> dict[str, str]:
    """Each entry of docs/on-call.md, by its heading's anchor."""
    parts = re.split(r"^## (.*)$", ON_CALL.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    headings, texts = parts[::2], parts[1::2]
    anchors = [heading.lower().replace(" ", "-") for heading in headings]
    return dict(zip(anchors, texts, strict=True))


def leads() -> dict[str, str]:
    """Which entry the page's table names for each alert."""
    found: dict[str, str] = {}
    for alerts, anchor in re.findall(
        r"^\| (`.*?) \| \[.*\]\(#(.*)\) \|$", ON_CALL.read_text(encoding="utf-8"), re.MULTILINE
    ):
        found |= dict.fromkeys(re.findall(r"`(\w+)`", alerts), anchor)
    return found


def test_on_call_has_an_entry_for_each_alert_and_no_other() -> None:
    """Ours and Prometheus's; each rule's runbook is its entry."""
    text = RULES.read_text(encoding="utf-8")
    runbooks = dict(
        zip(
            _RULE.findall(text),
            re.findall(r"^          runbook: docs/on-call.md#(\S+)$", text, re.MULTILINE),
            strict=True,
        )
    )
    found = leads()
    assert set(found) == {*MEANINGS, *runbooks}
    assert {name: found[name] for name in runbooks} == runbooks
    assert set(found.values()) == set(entries())


def test_each_entry_has_one_command_to_type() -> None:
    """It is the one that the alert itself names."""
    first = {
        anchor: re.findall(r"^```console\n\$ (.*)\n```$", text, re.MULTILINE)
        for anchor, text in entries().items()
    }
    assert {anchor: len(commands) for anchor, commands in first.items()} == dict.fromkeys(first, 1)
    for kind, meaning in MEANINGS.items():
        assert first[leads()[kind]] == [meaning.command], kind


def typed() -> list[str]:
    text = ON_CALL.read_text(encoding="utf-8")
    return sorted(set(re.findall(r"(?:`|\$ )(destination-router [^`\n]*)", text)))


@pytest.mark.parametrize("line", typed())
def test_every_command_on_the_page_can_be_typed(line: str, tmp_path: Path) -> None:
    """With these arguments: it comes as far as to miss the router.toml or the file."""
    words = line.split()[1:]
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path)
        done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert "there is no file router.toml" in done.output, done.output


def test_what_is_asked_of_the_router_over_http_is_there() -> None:
    """Paths, and metrics that a page's grep finds."""
    text = ON_CALL.read_text(encoding="utf-8")
    shown = exposed()
    for path in re.findall(r"^\$ curl (?:-s )?http://127\.0\.0\.1:\d+(\S+)", text, re.MULTILINE):
        assert path in {"/health", "/metrics"}
    for name in re.findall(r"grep (router_\w+)$", text, re.MULTILINE):
        assert any(each.startswith(name) for each in shown), name
    for name in re.findall(r"`(router_\w+)`", text):
        assert name in shown, name
