"""router.toml → typed records.

Modules: `router_toml.py`, `config/schema.py`, `problems.py`.
"""

from pathlib import Path

import pytest

from destination_router.config.problems import ConfigError
from destination_router.config.router_toml import AlertsConfig, load_config, parse_config
from destination_router.config.schema import DELIVERY, EVENTLOG, QUARANTINE
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.service.checking import check_config
from destination_router.service.workers import delivery_settings
from destination_router.settings.errors import SettingsError
from destination_router.units import seconds, size_in_bytes

CONNECTION = {"name": "heap-production", "plugin": "heap", "settings": {"appId": "1"}}


def problems(content: dict[str, object]) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        parse_config(content)
    return [str(problem) for problem in refused.value.problems]


def test_every_problem_is_told_at_once_with_its_key() -> None:
    """A configuration with several mistakes is refused with all of them."""
    content = {
        "gatway": {},
        "gateway": {"listen": "8080", "write_keys": [1]},
        "connections": [{"name": "a"}, {"name": "b", "plugin": "heap", "setings": {}}],
    }
    assert problems(content) == [
        "gatway: is not known here; did you mean gateway?",
        "connections.0.plugin: is required",
        "connections.1.setings: is not known here; did you mean settings?",
        (
            "gateway.listen: is not of the form that it needs. "
            "Write host:port, such as 127.0.0.1:8080."
        ),
        "gateway.write_keys.0: must be text, not a number; put it in quotes",
    ]


def test_a_name_is_given_once() -> None:
    """Two connections of one name would share a cursor and a place in `integrations`."""
    assert problems({"connections": [CONNECTION, CONNECTION]}) == [
        "connections: the name 'heap-production' is given twice"
    ]


def test_a_router_without_connections_is_refused() -> None:
    """Events that nobody takes would pile up in silence."""
    assert problems({}) == ["connections: is required"]


def test_allowlists_without_the_mode_are_refused() -> None:
    """Who writes lists believes that they protect: without a connection held to them, none does."""
    lists = {"allow": {"events": ["Paid"]}}
    assert problems({"privacy": lists, "connections": [CONNECTION]}) == [
        (
            "privacy.mode: is required, here or in a connection: "
            'without mode = "hipaa" the lists protect nothing'
        )
    ]
    held = {**CONNECTION, "privacy": {"mode": "hipaa", **lists}}
    assert parse_config({"privacy": lists, "connections": [held]})
    assert parse_config({"privacy": {**lists, "mode": "hipaa"}, "connections": [CONNECTION]})


def test_references_are_resolved_but_not_in_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection's settings follow the plugin's schema: `{env}` there waits for it."""
    monkeypatch.setenv("WRITE_KEY", "123")
    config = parse_config(
        {
            "gateway": {"write_keys": [{"env": "WRITE_KEY"}]},
            "connections": [{**CONNECTION, "settings": {"appId": {"env": "HEAP_APP_ID"}}}],
        }
    )
    assert config.gateway.write_keys == ("123",)
    assert config.connections[0].settings == {"appId": {"env": "HEAP_APP_ID"}}


@pytest.mark.parametrize("content", [b"connections = [", b"\xff", None])
def test_a_file_that_cannot_be_read_is_named(content: bytes | None, tmp_path: Path) -> None:
    """No TOML, no text, no file: the error names the file."""
    path = tmp_path / "router.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"router\.toml"):
        load_config(path)


def test_durations_and_sizes_are_read_in_the_units_that_people_write() -> None:
    """Seconds and bytes in, or a number with a unit."""
    config = parse_config(
        {
            "eventlog": {"url": "sqlite:////var/r.db", "max_size": "1.5GB", "max_age": "7d"},
            "delivery": {"linger": "250ms", "timeout": 5, "origins": {"*": "http://x"}},
            "connections": [CONNECTION],
        }
    )
    assert (config.eventlog.path, config.eventlog.max_size) == (Path("/var/r.db"), 1536 * 2**20)
    assert config.eventlog.max_age == 7 * 86400
    assert config.delivery.origins == {"*": "http://x"}
    assert config.delivery.settings == {"linger": 0.25, "timeout": 5.0}


def test_the_table_delivery_is_what_a_worker_goes_by() -> None:
    """Every setting of a worker can be written, with the worker's own default if it is not."""
    of_the_process = {"workers"}
    assert set(DELIVERY) - of_the_process == set(DeliverySettings.__struct_fields__)
    assert delivery_settings(parse_config({"connections": [CONNECTION]}).delivery) == (
        DeliverySettings()
    )


def test_mistakes_of_every_table_are_told_together() -> None:
    """A name that is given twice does not hide what else is wrong."""
    content = {"eventlog": {"max_size": "big"}, "connections": [CONNECTION, CONNECTION]}
    told = problems(content)
    assert told[0].startswith("eventlog.max_size: is not of the form that it needs. Write a number")
    assert told[1:] == ["connections: the name 'heap-production' is given twice"]


def test_a_connection_may_be_left_to_browsers() -> None:
    """`clientSide` is off unless it is said."""
    connections = [
        {"name": "a", "plugin": "heap", "clientSide": True},
        {"name": "b", "plugin": "heap"},
    ]
    parsed = parse_config({"connections": connections})
    assert [connection.client_side for connection in parsed.connections] == [True, False]


@pytest.mark.parametrize("origin", ["localhost:9", "heapanalytics.com", "http://x/path", ""])
def test_an_origin_that_would_never_match_is_refused(origin: str) -> None:
    """A mistyped origin would send what was meant for a simulator to the vendor."""
    there = {"connections": [CONNECTION], "delivery": {"origins": {origin: "http://127.0.0.1:1"}}}
    to = {"connections": [CONNECTION], "delivery": {"origins": {"*": origin}}}
    assert len(problems(there)) == len(problems(to)) == 1
    assert "Write an origin" in problems(there)[0]
    assert "Write an origin" in problems(to)[0]


def test_a_port_that_does_not_exist_is_refused() -> None:
    """`check` knows before `run` tries to listen there."""
    content = {"gateway": {"listen": "127.0.0.1:99999"}, "connections": [CONNECTION]}
    assert problems(content) == ["gateway.listen: its port is greater than 65535"]


def test_an_origin_with_credentials_is_refused_and_not_quoted() -> None:
    """A password in a URL ends up in logs."""
    for origins in ({"http://ada:secret@x": "http://y"}, {"http://ada:secret@x": "bad"}):
        with pytest.raises(SettingsError) as caught:
            parse_config({"connections": [CONNECTION], "delivery": {"origins": origins}})
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 2**20, "1MB", "15.9MB"])
def test_a_log_may_not_leave_its_disk_without_room_for_its_journal(size: int | str) -> None:
    """A log that fills its disk to the end cannot note what is delivered, so it never gets room."""
    content = {"eventlog": {"min_free": size}, "connections": [CONNECTION]}
    assert problems(content) == [
        (
            "eventlog.min_free: is less than 16MB, which the log's own journal may need to note "
            "what was delivered"
        ),
    ]


@pytest.mark.parametrize("size", [16 * 2**20, "16MB"])
def test_a_log_may_leave_little_room(size: int | str) -> None:
    """What the journal needs is enough."""
    config = parse_config({"eventlog": {"min_free": size}, "connections": [CONNECTION]})
    assert config.eventlog.min_free == 16 * 2**20


def test_the_gateways_bounds_are_in_the_units_that_they_are_written_in() -> None:
    """Sizes become bytes, durations seconds; what is left out keeps its default."""
    written = {"max_bodies": "1MB", "max_headers": 4096, "arrival_timeout": "2m", "max_events": 7}
    gateway = parse_config({"gateway": written, "connections": [CONNECTION]}).gateway
    assert (gateway.max_bodies, gateway.max_headers) == (2**20, 4096)
    assert (gateway.arrival_timeout, gateway.max_events) == (120.0, 7)
    assert gateway.max_connections == 1000


def _types(schema: dict[str, object]) -> set[object]:
    kinds = schema.get("type")
    return set(kinds) if isinstance(kinds, list) else {kinds}


def alerts(**table: object) -> dict[str, object]:
    return {"alerts": table, "connections": [CONNECTION]}


def test_alerts_are_read_with_their_secret_and_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that ends with a newline is the same address."""
    monkeypatch.setenv("ALERT_URL", " https://receiver.example/secret\n")
    content = alerts(url={"env": "ALERT_URL"}, circuit_open="10m", period="1h", format="slack")
    assert parse_config(content).alerts == AlertsConfig(
        url="https://receiver.example/secret", circuit_open=600.0, period=3600.0, format="slack"
    )
    assert parse_config({"connections": [CONNECTION]}).alerts is None


def test_what_is_wrong_with_alerts_is_told_by_key_and_never_shows_the_address() -> None:
    """All at once."""
    wrong = alerts(
        url="ftp://a-secret", format="xml", dead_letters=0, circuit_open="soon", period="10ms", at=1
    )
    told = problems(wrong)
    assert [words.partition(":")[0] for words in told] == [
        "alerts.at",
        "alerts.circuit_open",
        "alerts.dead_letters",
        "alerts.format",
        "alerts.url",
        "alerts.period",
    ]
    assert "a-secret" not in " ".join(told)
    assert 'Write { env = "ALERT_URL" }' in told[4]
    assert told[5] == "alerts.period: is less than 1s: nothing could be counted in it"
    assert problems(alerts()) == ["alerts.url: is required"]
    assert problems(alerts(url={"env": "NO_SUCH_URL"})) == [
        "alerts.url: the environment variable NO_SUCH_URL is not set"
    ]


def test_commands_that_tell_nobody_want_no_address(tmp_path: Path) -> None:
    """As they want no write key: on-call has neither in the environment."""
    path = tmp_path / "router.toml"
    path.write_text(
        '[alerts]\nurl = { env = "NO_SUCH_URL" }\n'
        '[[connections]]\nname = "h"\nplugin = "heap"\nsettings = { appId = "1" }\n'
    )
    assert load_config(path).alerts is None
    found = check_config(path, gateway=False, alerts=False)
    assert (found.problems, found.config is not None) == ([], True)


def test_check_tells_of_an_address_that_cannot_be_and_of_one_in_the_file(tmp_path: Path) -> None:
    """Whoever reads the file could send alerts."""
    path = tmp_path / "router.toml"
    rest = '[[connections]]\nname = "h"\nplugin = "heap"\nsettings = { appId = "1" }\n'
    for url in ("http://[::1/x", "http://host:99999/", "http://host:0/"):
        path.write_text(f'[alerts]\nurl = "{url}"\n{rest}')
        assert check_config(path, gateway=False).problems == [
            f"{path}: [alerts] url: is no URL that can be posted to"
        ]
    path.write_text(f'[alerts]\nurl = "https://receiver.example/secret"\n{rest}')
    found = check_config(path, gateway=False)
    assert found.problems == []
    (warning,) = found.warnings
    assert warning.startswith("alerts.url: is a secret, and stands in the file: write { env = ")


TABLES = {"eventlog": EVENTLOG, "delivery": DELIVERY, "quarantine": QUARANTINE}
NUMBERS = [
    (table, key)
    for table, schema in TABLES.items()
    for key, said in schema.items()
    if {"number", "integer"} & _types(said)
]


@pytest.mark.parametrize(("table", "key"), NUMBERS)
@pytest.mark.parametrize(
    "value", ["nan", "inf", "-inf", "1e400", "-1", "9" * 18, f'"{"9" * 400}s"']
)
def test_every_number_is_one_that_can_be_counted_with(
    tmp_path: Path, table: str, key: str, value: str
) -> None:
    """A timeout that is none never ends, and a size that is none is never reached."""
    path = tmp_path / "router.toml"
    path.write_text(f'[{table}]\n{key} = {value}\n[[connections]]\nname = "h"\nplugin = "heap"\n')
    with pytest.raises(ConfigError, match=rf"router\.toml: \[{table}\] {key}: "):
        load_config(path)


def test_durations_and_sizes_stay_within_what_can_be_counted() -> None:
    """The largest that are taken are finite, and fit the log's 64 bits in milliseconds."""
    for unit, digits in {"ms": 13, "s": 10, "m": 8, "h": 6, "d": 5}.items():
        assert 0 < seconds("9" * digits + unit) < 2**63 / 1000
        with pytest.raises(ValueError, match="not an amount"):
            seconds("1" + "0" * digits + unit)
    assert size_in_bytes("9999TB") < 2**63


@pytest.mark.parametrize("blank", ["", " ", "\t\n", "\u00a0"])
def test_what_names_something_is_not_blank(blank: str) -> None:
    """A name of blanks would be nobody's, and a key of blanks open to whoever sends blanks."""
    keys = {"gateway": {"write_keys": ["key", blank]}, "connections": [CONNECTION]}
    assert problems(keys) == ["gateway.write_keys.1: is blank: give senders a key"]
    content = {
        "quarantine": {"allow": [blank]},
        "connections": [{**CONNECTION, "name": blank}],
    }
    assert problems(content) == [
        "connections.0.name: must not be blank",
        "quarantine.allow.0: must not be blank",
    ]


def with_sources(*sources: dict[str, object], **connection: object) -> dict[str, object]:
    return {
        "sources": list(sources),
        "connections": [{"name": "heap", "plugin": "heap", **connection}],
    }


def test_write_keys_are_trimmed_wherever_they_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that ends with a newline would turn every sender away."""
    monkeypatch.setenv("SHOP_KEY", " shop-key\n")
    content = {
        **with_sources({"name": "shop", "write_keys": [{"env": "SHOP_KEY"}], "enabled": False}),
        "gateway": {"write_keys": ["key\t"]},
    }
    default, shop = parse_config(content).all_sources
    assert (default.name, default.write_keys, default.enabled) == ("default", ("key",), True)
    assert (shop.name, shop.write_keys, shop.enabled) == ("shop", ("shop-key",), False)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            with_sources({"name": "a", "write_keys": ["k"]}, {"name": "a", "write_keys": ["l"]}),
            "sources: the name 'a' is given twice",
        ),
        (
            with_sources({"name": "default", "write_keys": ["k"]}),
            (
                "sources.name: 'default' is the name of the source that [gateway] write_keys is: "
                "give it another"
            ),
        ),
        (
            with_sources({"name": "a", "write_keys": ["k"]}, sources=["a", "b"]),
            "connections.0.sources: there is no source 'b'; there are a, default",
        ),
        (
            with_sources({"name": "a", "write_keys": ["k\x00y"]}),
            "sources.0.write_keys.0: holds a control character, which no sender sends",
        ),
        (
            with_sources({"name": "a", "write_keys": ["k"]}, {"name": "b", "write_keys": ["k"]}),
            "sources.1.write_keys.0: is in sources.0.write_keys too: a key says who sent",
        ),
        (
            with_sources({"name": "a", "write_keys": ["  "]}),
            "sources.0.write_keys.0: is blank: give senders a key",
        ),
    ],
)
def test_sources_that_cannot_be_told_apart_are_refused(
    content: dict[str, object], problem: str
) -> None:
    """Each key has one source, each source one name, and a connection names those that exist."""
    with pytest.raises(SettingsError) as refused:
        parse_config(content)
    assert problem in list(map(str, refused.value.problems))


def test_without_a_gateway_no_key_of_a_source_is_read() -> None:
    """A command that only looks into the log wants no secret in its environment."""
    content = with_sources({"name": "a", "write_keys": [{"env": "NOT_SET_ANYWHERE"}]})
    assert parse_config(content, gateway=False).sources[0].write_keys == ()


@pytest.mark.parametrize("provider", ["onetrust", "oneTrsut", "Ketch", "customs"])
def test_a_consent_provider_that_is_mistyped_is_refused(provider: str) -> None:
    """No message would name it, and who denies would not be heeded."""
    rule = {"provider": provider, "categories": ["C1"]}
    content = with_sources({"name": "a", "write_keys": ["k"]}, consent=[rule])
    with pytest.raises(SettingsError, match="did you mean"):
        parse_config(content)


@pytest.mark.parametrize("provider", ["oneTrust", "ketch", "custom", "usercentrics"])
def test_other_consent_providers_are_taken(provider: str) -> None:
    """Those that are known, and any of one's own."""
    rule = {"provider": provider, "categories": ["C1"]}
    content = with_sources({"name": "a", "write_keys": ["k"]}, consent=[rule])
    assert parse_config(content).connections[0].consent[0].provider == provider
