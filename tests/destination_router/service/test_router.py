"""`run`, `check` and `dead-letters`, as an operator uses them: real processes, a real log.

Modules: `service/router.py`, `service/workers.py`, `service/health.py`, `service/metrics.py`,
`service/checking.py`, `service/connections.py`, and the commands `commands/run.py`,
`commands/check.py`, `commands/dead_letters.py`, `commands/eventlog.py`.
"""

import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from router_process import CLI, DEAD, Router, command, events, toml
from waiting import until

OPERATING = Path(__file__).parents[3] / "docs" / "operating.md"
README = OPERATING.parents[1] / "README.md"
TRACK = {"type": "track", "userId": "ada@example.com", "event": "E", "messageId": "m1"}
NAMELESS = {**TRACK, "messageId": "m2", "event": None, "properties": {"secret": "of ada"}}


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    running = Router(tmp_path)
    yield running
    running.end()


def run(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Start a router that does not come to serve: a process, as it would be one for good."""
    done = subprocess.run(
        [*CLI, "run", *options], cwd=directory, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def starts(beginning: str) -> Callable[[str], bool]:
    return lambda text: text.startswith(beginning)


def test_a_router_delivers_and_stops_when_told(router: Router, heap_url: str) -> None:
    """Events come in, go out and are gone from the log; SIGTERM ends it."""
    (router.directory / "router.toml").write_text(toml(heap_url))
    router.start()
    assert router.send(TRACK, NAMELESS) == 200
    until(lambda: router.metrics()['router_lag_messages{connection="US"}'] == 0)
    metrics = router.metrics()
    assert events(heap_url) == ["m1"]
    assert metrics['router_received_total{source="default"}'] == 2
    assert metrics['router_delivered_total{connection="US"}'] == 1
    assert metrics['router_rejected_total{code="missing_event",connection="US"}'] == 1
    assert metrics['router_dead_letters{code="missing_event",connection="US"}'] == 1
    assert metrics['router_gateway_requests_total{status="200"}'] == 1
    assert httpx.get(f"{router.url}/health").json()["acceptingEvents"] == "TRUE"
    assert router.stop() == 0
    assert [line["event"] for line in router.lines()] == [
        "started",
        "dead_letter",
        "stopping",
        "stopped",
    ]
    assert "ada" not in json.dumps(router.lines())


def test_what_was_not_delivered_is_delivered_after_the_next_start(
    router: Router, heap_url: str
) -> None:
    """A vendor that is away at first gets everything later."""
    path = router.directory / "router.toml"
    path.write_text(toml(DEAD))
    router.start()
    assert router.send(TRACK) == 200
    until(lambda: router.metrics().get('router_requests_total{connection="US",result="network"}'))
    assert router.stop() == 0
    failed = [line for line in router.lines() if line["event"] == "vendor_unreachable"]
    assert {line["detail"] for line in failed} == {f"{DEAD}: the connection was refused"}
    path.write_text(toml(heap_url))
    router.start()
    until(lambda: events(heap_url) == ["m1"])


def test_a_kill_costs_no_place_among_the_merges_of_a_month(router: Router, heap_url: str) -> None:
    """Stitching, killed where Heap has merged and not answered: nothing is ignored, ever."""
    stitching = toml(heap_url).replace('region = "US"', 'anonymousEvents = "stitch"')
    (router.directory / "router.toml").write_text(stitching)
    merging = "/api/v1/identify"
    fault = {"drop_connection": True, "after": True, "next": 50, "path": merging}
    httpx.post(f"{heap_url}/_simulator/faults", json=fault)
    identify = {"type": "identify", "userId": "ada"}
    messages = [{**identify, "anonymousId": f"a{n}", "messageId": f"m{n}"} for n in range(12)]
    router.start()
    assert router.send(*messages[:5]) == 200

    def asked() -> int:
        rows = httpx.get(f"{heap_url}/_simulator/requests").json()["requests"]
        return sum(row["path"] == merging for row in rows)

    until(lambda: asked() >= 2)
    router.end()
    httpx.delete(f"{heap_url}/_simulator/faults")
    router.start()
    assert router.send(*messages[5:]) == 200
    until(lambda: router.metrics()['router_lag_messages{connection="US"}'] == 0)
    (ada,) = httpx.get(f"{heap_url}/_simulator/users").json()["users"]
    assert len(ada["user_ids"]) == 10
    assert httpx.get(f"{heap_url}/_simulator/ignored").json() == {"ignored": []}
    letters = 'router_dead_letters{code="merged_too_often",connection="US"}'
    assert router.metrics()[letters] == 2
    # Heap has it, and we know: a repeat is not even sent.
    before = asked()
    assert router.send({**messages[0], "messageId": "again"}) == 200
    until(lambda: router.metrics()['router_lag_messages{connection="US"}'] == 0)
    assert asked() == before


def test_an_identity_that_too_many_carry_is_held_back_until_it_is_released(
    router: Router, heap_url: str
) -> None:
    """More than the limit is a dead letter, after a restart too; `allow` and a replay let it go."""
    path = router.directory / "router.toml"
    path.write_text(toml(heap_url) + "[quarantine]\nanonymous_ids = 3\n")
    router.start()
    shared = {"type": "track", "userId": "till-at-the-door", "event": "E"}
    carried = [{**shared, "anonymousId": f"a{n}", "messageId": f"m{n}"} for n in range(5)]
    assert router.send(*carried, {**TRACK, "messageId": "other"}) == 200
    letters = 'router_dead_letters{code="quarantined_identity",connection="US"}'

    def done() -> bool:
        return router.metrics()['router_lag_messages{connection="US"}'] == 0

    until(done)
    assert sorted(events(heap_url)) == ["m0", "m1", "m2", "other"]
    assert router.metrics()[letters] == 2
    router.end()
    router.start()
    assert router.send({**shared, "messageId": "m5"}) == 200
    until(done)
    assert router.metrics()[letters] == 3
    assert "till" not in json.dumps(router.lines())
    assert "quarantined_identity" in [line["event"] for line in router.lines()]
    listed = command(router.directory, "dead-letters", "list")
    assert listed.stdout.startswith("3  US  quarantined_identity  such as  ")
    assert "  identity: more than 3 anonymous ids" in listed.stdout
    assert "till" not in listed.stdout

    router.end()
    path.write_text(path.read_text() + 'allow = ["till-at-the-door"]\n')
    router.start()
    replayed = command(router.directory, "dead-letters", "replay", "--code", "quarantined_identity")
    assert "3 replayed" in replayed.stderr
    until(lambda: sorted(set(events(heap_url))) == [*(f"m{n}" for n in range(6)), "other"])


def test_a_dead_vendor_does_not_move_another_ones_lag(router: Router, heap_url: str) -> None:
    """Each connection has its own lag."""
    (router.directory / "router.toml").write_text(toml(heap_url, "US", "EU"))
    router.start()
    for number in range(5):
        assert router.send({**TRACK, "messageId": f"m{number}"}) == 200
    until(lambda: router.metrics()['router_lag_messages{connection="US"}'] == 0)
    metrics = router.metrics()
    assert metrics['router_lag_messages{connection="EU"}'] == 5
    assert metrics['router_lag_seconds{connection="US"}'] == 0
    assert len(events(heap_url)) == 5


def test_a_log_that_cannot_be_written_is_told_and_nothing_is_accepted(
    router: Router, heap_url: str
) -> None:
    """503 for senders and for `/health`, until there is room."""
    path = router.directory / "router.toml"
    path.write_text(toml(heap_url, eventlog='min_free = "9000TB"'))
    router.start()
    assert router.send(TRACK) == 503
    health = httpx.get(f"{router.url}/health")
    assert (health.status_code, health.json()["acceptingEvents"]) == (503, "FALSE")
    assert router.metrics()["router_log_writable"] == 0
    assert router.stop() == 0
    path.write_text(toml(heap_url))
    router.start()
    assert httpx.get(f"{router.url}/health").status_code == 200
    assert router.send(TRACK) == 200
    until(lambda: events(heap_url) == ["m1"])


def test_gateway_and_workers_may_be_two_processes(router: Router, heap_url: str) -> None:
    """What the one accepts, the other delivers; a second worker is refused."""
    (router.directory / "router.toml").write_text(toml(heap_url))
    router.start("--gateway-only")
    workers = Router(router.directory)
    try:
        workers.start("--workers-only")
        assert router.send(TRACK) == 200
        until(lambda: events(heap_url) == ["m1"])
        assert httpx.get(f"{workers.url}/v1/batch").status_code == 404
        second = run(router.directory, "--workers-only")
        assert (second.returncode, "another process delivers" in second.stderr) == (2, True)
    finally:
        workers.end()


def test_a_damaged_log_stops_the_start_and_is_left_alone(tmp_path: Path, heap_url: str) -> None:
    """Status 2, the path and what to do; not a byte is changed."""
    (tmp_path / "router.toml").write_text(toml(heap_url))
    (tmp_path / "router.db").write_bytes(b"no log" * 1000)
    done = run(tmp_path)
    assert done.returncode == 2
    assert "router.db: cannot be used as an event log" in done.stderr
    assert (tmp_path / "router.db").read_bytes() == b"no log" * 1000


def test_dead_letters_are_shown_without_values_and_replayed(router: Router, heap_url: str) -> None:
    """Listings name ids and fields; a replay reaches the one connection it is for."""
    directory = router.directory
    (directory / "router.toml").write_text(toml(heap_url, "US", "EU"))
    httpx.post(f"{heap_url}/_simulator/faults", json={"status": 400, "match": "E", "body": "ada!"})
    router.start()
    for options, words in (((), "No dead letters.\n"), (("--code", "x"), "No dead letter is like")):
        empty = command(directory, "dead-letters", "list", *options, "--json")
        assert (empty.returncode, empty.stdout) == (0, "")
        assert empty.stderr.startswith(words)
    assert router.send(TRACK, NAMELESS) == 200
    until(lambda: router.metrics().get('router_dead_letters{code="http_400",connection="US"}'))
    until(lambda: router.metrics()['router_lag_messages{connection="US"}'] == 0)

    listed = command(directory, "dead-letters", "list", "--connection", "US", "--each")
    grouped = command(directory, "dead-letters", "list").stdout.splitlines()
    assert sorted(line.partition("  such as  ")[0] for line in grouped) == [
        "1  EU  missing_event",
        "1  US  http_400",
        "1  US  missing_event",
    ]
    shown = command(directory, "dead-letters", "show", "--connection", "US")
    assert {line.split()[3] for line in listed.stdout.splitlines()} == {"m1", "m2"}
    assert '"properties.secret"' in shown.stdout
    assert "ada" not in listed.stdout + shown.stdout
    told = command(directory, "dead-letters", "show", "--message-id", "m1", "--content")
    assert "ada@example.com" in told.stdout
    assert '"answer": "ada!"' in told.stdout

    httpx.delete(f"{heap_url}/_simulator/faults")
    by_code = ("--code", "http_400", "--since", "1h", "--limit", "5")
    dry = command(directory, "dead-letters", "replay", *by_code, "--dry-run")
    assert "1 would be replayed" in dry.stderr
    assert events(heap_url) == []
    assert "1 replayed" in command(directory, "dead-letters", "replay", *by_code).stderr
    assert "0 replayed" in command(directory, "dead-letters", "replay", *by_code).stderr
    until(lambda: events(heap_url) == ["m1"])
    assert router.metrics()['router_lag_messages{connection="EU"}'] >= 1
    exported = command(directory, "dead-letters", "export", "--connection", "US").stdout
    assert [json.loads(line)["messageId"] for line in exported.splitlines()] == ["m2"]
    assert command(directory, "dead-letters", "replay").returncode == 2
    nobodys = command(directory, "dead-letters", "replay", "4711")
    assert (nobodys.returncode, "none with the number 4711" in nobodys.stderr) == (1, True)

    assert command(directory, "dead-letters", "delete").returncode == 2
    of_us = ("dead-letters", "delete", "--connection", "US")
    assert "1 would be deleted" in command(directory, *of_us, "--dry-run").stderr
    assert "1 deleted" in command(directory, *of_us).stderr
    each = ("dead-letters", "list", "--each", "--replayed", "--connection", "US")
    left = command(directory, *each).stdout
    assert [line.split()[3] for line in left.splitlines()] == ["m1"]


def test_a_connection_that_is_no_more_is_forgotten_by_hand(router: Router, heap_url: str) -> None:
    """What a removed connection has not delivered is kept until an operator gives it up."""
    path = router.directory / "router.toml"
    path.write_text(toml(heap_url, "US", "EU"))
    router.start()
    assert router.send(TRACK) == 200
    assert router.stop() == 0
    refused = command(router.directory, "eventlog", "forget", "EU")
    assert refused.returncode == 2
    path.write_text(toml(heap_url))
    status = command(router.directory, "eventlog", "status").stdout
    assert re.search(r"^EU  1 message  \d+ s  not in the configuration$", status, re.MULTILINE)
    done = command(router.directory, "eventlog", "forget", "EU")
    assert "1 undelivered messages given up" in done.stderr
    assert "EU" not in command(router.directory, "eventlog", "status").stdout


def test_check_tells_every_error_with_its_table_and_key(tmp_path: Path) -> None:
    """All at once: the router's tables, each connection's plugin and settings."""
    (tmp_path / "router.toml").write_text(
        '[gateway]\nlisten = "8080"\n[eventlog]\nmax_size = "10 gigs"\nurl = "sqlite:///no/r.db"\n'
        '[delivery]\nwindow = 50000\nlinger = "soon"\n'
        '[[connections]]\nname = "a"\nplugin = "haep"\n'
        '[[connections]]\nname = "a"\nplugin = "heap"\nsettings = {appId = "x", regoin = "EU"}\n'
    )
    done = command(tmp_path, "check")
    assert done.returncode == 2
    for words in (
        "[gateway] listen: ",
        "[gateway] write_keys: is required",
        "[eventlog] url: there is no folder no",
        "[eventlog] max_size: ",
        "[delivery] window: ",
        "[delivery] linger: ",
        "connections: the name 'a' is given twice",
        "[[connections]] 'a' plugin: no plugin called 'haep'",
        "[[connections]] 'a' settings.appId: ",
        "[[connections]] 'a' settings.regoin: is not known here; did you mean region?",
    ):
        assert f"router.toml: {words}" in done.stderr


def test_check_tells_all_problems_of_all_connections_at_once(tmp_path: Path) -> None:
    """Settings, subscriptions, mappings, transformations, privacy; `try` tells them as `check`."""
    connection = (
        '[[connections]]\nname = "{0}"\nplugin = "heap"\nsettings = {{ regoin = "EU" }}\n'
        'subscription = "type ="\nmapping.track.identiy = "x"\n'
        'transformations = [{{ rename = {{ "properties.a" = "b" }} }}, {{ renam = {{}} }}]\n'
        'privacy = {{ mode = "hippa" }}\n'
    )
    (tmp_path / "router.toml").write_text(
        '[gateway]\nwrite_keys = ["key"]\n' + connection.format("one") + connection.format("two")
    )
    checked = command(tmp_path, "check")
    expected = [
        f"router.toml: [[connections]] {name!r} {problem}"
        for name in ("one", "two")
        for problem in (
            "privacy.mode: ",
            "transformations.1: renam is no operation; did you mean rename?",
            "settings.appId: is required",
            "settings.regoin: is not known here; did you mean region?",
            "subscription: at character 7: ",
            "mapping.track.identiy: ",
        )
    ]
    told = checked.stderr.splitlines()
    assert checked.returncode == 2
    assert len(told) == len(expected)
    assert [problem for problem in expected if not any(map(starts(problem), told))] == []
    tried = command(tmp_path, "try", "--config", "router.toml", "--connection", "two", "-")
    assert sorted(tried.stderr.splitlines()) == sorted(line for line in told if "'two'" in line)


def test_a_nameless_connection_is_checked_too(tmp_path: Path) -> None:
    """A missing name does not hide what is wrong with the settings."""
    (tmp_path / "router.toml").write_text(
        '[gateway]\nwrite_keys = ["key"]\n[[connections]]\nplugin = "heap"\n'
        'settings = {appId = "x"}\n'
    )
    said = command(tmp_path, "check").stderr
    assert "connections.0.name: is required" in said
    assert "connections.0.settings.appId: " in said


def test_paths_count_from_the_folder_of_the_file(tmp_path: Path, heap_url: str) -> None:
    """Wherever a command is started: the same log, the same keys."""
    folder, elsewhere = tmp_path / "router", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "id.txt").write_text("11")
    (folder / "id.txt").chmod(0o600)
    content = toml(heap_url).replace('"11"', '{file = "id.txt"}')
    (folder / "router.toml").write_text(content)
    config = ("--config", str(folder / "router.toml"))
    assert command(elsewhere, "check", *config).returncode == 0
    said = command(elsewhere, "dead-letters", "list", *config).stderr
    assert f"{folder / 'router.db'}: there is no event log" in said


def test_check_misses_the_folder_of_the_log(tmp_path: Path, heap_url: str) -> None:
    """`run` could not make the log there, so `check` says so too."""
    (tmp_path / "router.toml").write_text(toml(heap_url).replace("///router.db", "///no/router.db"))
    for done in (command(tmp_path, "check"), run(tmp_path)):
        assert done.returncode == 2
        assert "[eventlog] url: there is no folder" in done.stderr
    content = toml(heap_url).replace("router.db", "folder")
    (tmp_path / "router.toml").write_text(content)
    (tmp_path / "folder").mkdir()
    assert "[eventlog] url: folder is a folder: name a file" in command(tmp_path, "check").stderr


def test_a_mapping_is_found_where_the_file_has_it(tmp_path: Path, heap_url: str) -> None:
    """Beside `settings`, and not in it."""
    mapping = 'subscription = "type ="\n[connections.mapping.track]\nidentiy = "x"\n'
    (tmp_path / "router.toml").write_text(toml(heap_url) + mapping)
    said = command(tmp_path, "check").stderr
    assert "[[connections]] 'US' subscription: " in said
    assert "settings" not in said


def test_a_port_that_is_taken_is_named(tmp_path: Path, heap_url: str) -> None:
    """The address, and why it cannot be had."""
    (tmp_path / "router.toml").write_text(toml(heap_url))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run(tmp_path, "--listen", address)
    assert done.returncode == 2
    assert f"cannot listen on {address}: another program does" in done.stderr


def test_a_gateway_needs_a_write_key(tmp_path: Path, heap_url: str) -> None:
    """Without one nobody could send."""
    content = toml(heap_url).replace('["key"]', "[]")
    (tmp_path / "router.toml").write_text(content)
    done = run(tmp_path)
    assert (done.returncode, "[gateway] write_keys: is required" in done.stderr) == (2, True)


def test_check_asks_the_simulator_and_only_if_told_the_vendor(
    tmp_path: Path, heap_url: str
) -> None:
    """A test user and event go to the plugin's own stand-in; with `--live`, to the vendor."""
    (tmp_path / "router.toml").write_text(toml(heap_url))
    done = command(tmp_path, "check")
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["US  identify  delivered", "US  track  delivered"]
    assert events(heap_url) == []
    assert command(tmp_path, "check", "--live").returncode == 0
    assert len(events(heap_url)) == 1
    assert not (tmp_path / "router.db").exists()
    (tmp_path / "router.toml").write_text(toml(DEAD))
    away = command(tmp_path, "check", "--live")
    assert away.returncode == 1
    assert f"US  track  left  network: {DEAD}: the connection was refused" in away.stdout


def test_the_documented_router_toml_runs(
    router: Router, heap_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example of README and docs/operating.md is a working router, before a simulator."""
    (example,) = re.findall(r"```toml router.toml\n(.*?)```", OPERATING.read_text(), re.DOTALL)
    assert len(example.splitlines()) <= 13
    assert f"```toml\n{example}```" in README.read_text(encoding="utf-8")
    monkeypatch.setenv("WRITE_KEY", "key")
    assert (
        'origins = { "*" = "http://127.0.0.1:9100" }' in example
    )  # every origin: none is left to a vendor
    here = example.replace("http://127.0.0.1:9100", heap_url)
    (router.directory / "router.toml").write_text(here)
    router.start()
    assert router.send(TRACK) == 200
    until(lambda: events(heap_url) == ["m1"])


def test_what_mappings_leave_out_is_counted(router: Router, heap_url: str) -> None:
    """A name that is cut is seen in the metrics, not only by whoever tries that message."""
    (router.directory / "router.toml").write_text(toml(heap_url))
    router.start()
    assert router.send({**TRACK, "event": "E" * 2000}) == 200
    noted = 'router_notes_total{code="truncated",connection="US"}'
    until(lambda: router.metrics().get(noted) == 1)


def test_every_metric_is_documented(router: Router, heap_url: str) -> None:
    """docs/metrics.md names each metric that a router shows, and shows no other."""
    (router.directory / "router.toml").write_text(toml(heap_url))
    router.start("--workers", "1")  # so it shows those of processes, too
    until(lambda: "router_delivered_total" in httpx.get(f"{router.url}/metrics").text)
    text = httpx.get(f"{router.url}/metrics").text
    shown = set(re.findall(r"^# TYPE (router_\w+) ", text, re.MULTILINE))
    page = OPERATING.with_name("metrics.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"<!-- metrics: router -->(.*?)<!-- /metrics -->", page, re.DOTALL)
    documented = set(re.findall(r"^\| `(router_\w+)", table, re.MULTILINE))
    assert shown == documented


def test_sources_reach_the_connections_that_name_them(router: Router, heap_url: str) -> None:
    """Each source has its own key; a source that is switched off is turned away and counted."""
    sources = (
        '[[sources]]\nname = "web"\nwrite_keys = ["web-key", "old-web-key"]\n'
        '[[sources]]\nname = "shop"\nwrite_keys = ["shop-key"]\n'
        '[[sources]]\nname = "tv"\nwrite_keys = ["tv-key"]\nenabled = false\n'
    )
    text = toml(heap_url).replace("[[connections]]", '[[connections]]\nsources = ["web"]')
    (router.directory / "router.toml").write_text(sources + text)
    router.start()

    def send(key: str, number: str) -> int:
        event = {**TRACK, "messageId": number}
        return httpx.post(f"{router.url}/v1/track", auth=(key, ""), json=event).status_code

    sent = [send(key, key) for key in ("web-key", "shop-key", "old-web-key", "tv-key", "none")]
    assert sent == [200, 200, 200, 404, 401]
    until(lambda: router.metrics()['router_lag_messages{connection="US"}'] == 0)
    metrics = router.metrics()
    assert events(heap_url) == ["web-key", "old-web-key"]
    assert metrics['router_received_total{source="web"}'] == 2
    assert metrics['router_received_total{source="shop"}'] == 1
    assert metrics['router_filtered_total{connection="US"}'] == 1
    refused = "router_rejected_at_gateway_total"
    assert metrics[f'{refused}{{reason="source_disabled",source="tv"}}'] == 1
    assert metrics[f'{refused}{{reason="invalid_write_key",source=""}}'] == 1
    router.stop()
    told = [line for line in router.lines() if line["event"] == "unknown_write_key"]
    assert [(line["begins"], line["count"]) for line in told] == [("none", 1)]


def test_a_log_that_is_removed_takes_no_events(router: Router, heap_url: str) -> None:
    """Else 200 would be the answer to what is gone at the next start. Put back, it goes on."""
    (router.directory / "router.toml").write_text(toml(heap_url))
    router.start()
    assert router.send(TRACK) == 200
    path = router.directory / "router.db"
    moved = path.rename(router.directory / "moved.db")
    assert router.send({**TRACK, "messageId": "m2"}) == 503
    health = httpx.get(f"{router.url}/health")
    assert (health.status_code, "removed, moved or replaced" in health.json()["detail"]) == (
        503,
        True,
    )
    assert router.metrics()["router_log_writable"] == 0
    moved.rename(path)
    assert router.send({**TRACK, "messageId": "m2"}) == 200
    until(lambda: events(heap_url) == ["m1", "m2"])


def test_one_process_delivers_from_a_log_under_whatever_name(
    router: Router, tmp_path: Path, heap_url: str
) -> None:
    """A second one that reaches it by a symbolic link would send everything twice."""
    (router.directory / "router.toml").write_text(toml(heap_url))
    router.start()
    other = tmp_path / "other"
    other.mkdir()
    (other / "router.db").symlink_to(router.directory / "router.db")
    (other / "router.toml").write_text(toml(heap_url))
    done = run(other, "--workers-only")
    assert done.returncode == 2
    assert "another process delivers from this log already" in done.stderr


def test_garbage_does_not_shut_out_senders(router: Router, heap_url: str) -> None:
    """Dead letters have room of their own: the oldest go, are counted and told."""
    limits = 'max_size = "2MB"\nmax_dead_letters_size = "20KB"'
    (router.directory / "router.toml").write_text(toml(heap_url, eventlog=limits))
    router.start()
    for first in range(0, 5000, 500):
        garbage = [{**NAMELESS, "messageId": f"n{first + n}"} for n in range(500)]
        assert router.send(*garbage) == 200
    assert router.send(TRACK) == 200
    until(lambda: events(heap_url) == ["m1"])
    until(lambda: router.metrics()['router_lag_messages{connection="US"}'] == 0)
    metrics = router.metrics()
    kind = '{code="missing_event",connection="US"}'
    assert 0 < metrics["router_dead_letters_bytes"] <= 20 * 1024
    lost, kept = (
        metrics[f"router_dead_letters_lost_total{kind}"],
        metrics[f"router_dead_letters{kind}"],
    )
    assert (lost + kept, kept > 0) == (5000, True)
    assert router.stop() == 0
    lines = router.lines()
    counted = [line for line in lines if line["event"] == "dead_letters_lost"]
    assert sum(line["count"] for line in counted) == lost
    assert sum(line["event"] == "dead_letter" for line in lines) == 100
    (summed,) = [line for line in lines if line["event"] == "lines_left_out"]
    assert (summed["of"], summed["count"]) == ("dead_letter", 4900)
