"""Settings: every problem at once, each with its path, and never a value.

Modules: `validation.py`, `references.py`, `errors.py`, `settings/schema.py`.
"""

import json
import math
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destination_router.settings.errors import SettingsError
from destination_router.settings.references import read_text_setting, resolve_reference
from destination_router.settings.validation import check_schema, load_settings, secret_values
from heap_destination.settings import SETTINGS_SCHEMA

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiKey", "project"],
    "$defs": {
        "secret": {"type": "string", "writeOnly": True, "minLength": 4},
        "retry": {
            "type": "object",
            "default": {},
            "properties": {"times": {"type": "integer", "default": 3}},
        },
    },
    "properties": {
        "apiKey": {"$ref": "#/$defs/secret"},
        "project": {"type": "string", "pattern": "^[a-z]+$", "description": "Lower case only."},
        "region": {"type": "string", "enum": ["US", "EU"], "default": "US"},
        "batchSize": {"type": "integer", "maximum": 1000},
        "retry": {"$ref": "#/$defs/retry"},
        "proxy": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "url": {"type": "string"},
                "verify": {"type": "boolean", "default": True},
            },
        },
        "headers": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "value": {"type": ["string", "null"], "writeOnly": True, "default": "none"},
                },
            },
        },
        "port": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    },
}
VALID = {"apiKey": "k-123", "project": "acme"}


def problems(raw: dict[str, Any], schema: dict[str, Any] = SCHEMA) -> dict[str, str]:
    """Load settings that are expected to be refused; give each problem by its path."""
    with pytest.raises(SettingsError) as caught:
        load_settings(schema, raw)
    return {problem.path: problem.detail for problem in caught.value.problems}


# -- problems -----------------------------------------------------------------------------------


def test_all_problems_are_told_at_once_with_their_paths() -> None:
    """Whoever configures a connection mends it in one go."""
    raw = {
        "project": "ACME",
        "region": "MARS",
        "batchSize": 5000,
        "proxy": {"url": 5},
        "headers": [{"name": "a"}, {"value": "b"}],
        "regoin": "EU",
    }
    assert problems(raw) == {
        "apiKey": "is required",
        "project": "is not of the form that it needs. Lower case only.",
        "region": 'must be one of "US", "EU"',
        "batchSize": "must be at most 1000",
        "proxy.url": "must be text, not a number; put it in quotes",
        "headers.1.name": "is required",
        "regoin": "is not known here; did you mean region?",
    }


def test_what_is_empty_is_told_so() -> None:
    """And not by how many characters it should have at least."""
    schema = {"type": "object", "properties": {"key": {"type": "string", "minLength": 1}}}
    with pytest.raises(SettingsError, match=r"^key: must not be empty$"):
        load_settings(schema, {"key": ""})


def test_the_error_reads_as_one_line_for_each_problem() -> None:
    """What a person sees is `path: what to do`, a line each."""
    with pytest.raises(SettingsError) as caught:
        load_settings(SCHEMA, {})
    assert str(caught.value) == "apiKey: is required\nproject: is required"


def test_an_unknown_field_without_a_close_name_is_answered_with_all() -> None:
    """A closed schema's refusal lists what there is."""
    raw = {**VALID, "proxy": {"zzzzzz": 1}}
    assert problems(raw) == {"proxy.zzzzzz": "is not known here; known: url, verify"}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "true or false"),
        ([], "a list"),
        ({}, "a table"),
        (1.5, "a number; put it in quotes"),
    ],
)
def test_a_wrong_type_is_named_in_the_words_of_a_configuration(value: object, kind: str) -> None:
    """The type that was given and the one that is wanted are told, not the value."""
    assert problems({**VALID, "project": value}) == {"project": f"must be text, not {kind}"}


def test_an_app_id_of_digits_without_quotes_is_told_to_be_quoted() -> None:
    """TOML and JSON read 1234567890 as a number; Heap's appId is text."""
    expected = {"appId": "must be text, not a number; put it in quotes"}
    assert problems({"appId": 1234567890}, SETTINGS_SCHEMA) == expected


@pytest.mark.parametrize("app_id", ["", "abc", "11\n", "11 ", "+11", "1.0", "\u0661\u0662"])
def test_an_app_id_that_is_not_digits_alone_is_refused(app_id: str) -> None:
    """Heap takes events for a wrong App ID without a word, so a slip is caught here."""
    detail = problems({"appId": app_id}, SETTINGS_SCHEMA)["appId"]
    assert "as text of digits" in detail


def test_names_that_a_pattern_allows_are_known() -> None:
    """A closed schema may admit names by pattern; only the others are told."""
    schema = {
        "type": "object",
        "additionalProperties": False,
        "patternProperties": {"^x-": {"type": "string"}},
    }
    assert problems({"x-a": "1", "y": "2"}, schema).keys() == {"y"}


@given(secret=st.text(min_size=4), number=st.integers(min_value=10_000, max_value=2**63 - 1))
@settings(deadline=None)
def test_no_value_is_quoted_in_an_error(secret: str, number: int) -> None:
    """A setting may be a secret: whatever is wrong with it, its value is not told."""
    marked = f"<{secret}>"
    raw = {
        "apiKey": [marked],
        "project": marked,
        "region": marked,
        "batchSize": marked,
        "retry": marked,
        "proxy": {"url": {"deep": marked}, "verify": marked, "other": marked},
        "headers": [{"name": [marked], "value": number}, marked],
        "port": [marked],
        "unknown": marked,
    }
    with pytest.raises(SettingsError) as caught:
        load_settings(SCHEMA, raw)
    assert len(caught.value.problems) == 13
    assert marked not in str(caught.value)
    assert str(number) not in str(caught.value)


# -- defaults -----------------------------------------------------------------------------------


def test_defaults_are_filled_in_however_deep() -> None:
    """Defaults reach nested tables, the items of lists, and what a `$ref` points at."""
    raw = {**VALID, "proxy": {}, "headers": [{"name": "a"}, {"name": "b", "value": "c"}]}
    assert load_settings(SCHEMA, raw) == {
        **VALID,
        "region": "US",
        "retry": {"times": 3},
        "proxy": {"verify": True},
        "headers": [{"name": "a", "value": "none"}, {"name": "b", "value": "c"}],
    }


def test_an_optional_table_that_is_absent_stays_absent() -> None:
    """A default inside a table does not call the table into being."""
    assert "proxy" not in load_settings(SCHEMA, VALID)


def test_what_is_given_is_left_as_it_is() -> None:
    """Neither the configuration nor the schema's defaults are changed by loading."""
    raw: dict[str, Any] = {**VALID, "proxy": {}}
    first = load_settings(SCHEMA, raw)
    first["retry"]["times"] = 99
    assert raw == {**VALID, "proxy": {}}
    assert load_settings(SCHEMA, raw)["retry"] == {"times": 3}


# -- references ---------------------------------------------------------------------------------


def test_references_are_resolved_wherever_they_stand(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Any value may come from the environment or a file, as the type its schema wants."""
    monkeypatch.setenv("KEY", "12345")
    monkeypatch.setenv("SIZE", "500")
    monkeypatch.setenv("VERIFY", "false")
    monkeypatch.setenv("PORT", "8080")
    secret = tmp_path / "secret"
    secret.write_text("hunter2 \u00e9\r\n", encoding="utf-8")
    secret.chmod(0o600)
    raw = {
        "apiKey": {"env": "KEY"},
        "project": "acme",
        "batchSize": {"env": "SIZE"},
        "proxy": {"verify": {"env": "VERIFY"}},
        "headers": [{"name": "h", "value": {"file": str(secret)}}],
        "port": {"env": "PORT"},
    }
    assert load_settings(SCHEMA, raw) == {
        "apiKey": "12345",
        "project": "acme",
        "batchSize": 500,
        "proxy": {"verify": False},
        "headers": [{"name": "h", "value": "hunter2 \u00e9"}],
        "port": "8080",
        "region": "US",
        "retry": {"times": 3},
    }


def test_references_that_cannot_be_resolved_are_told_with_their_paths(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A missing variable or file is one problem at its path, beside all others."""
    monkeypatch.delenv("ABSENT", raising=False)
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    binary.chmod(0o600)
    raw = {
        "apiKey": {"env": "ABSENT"},
        "project": {"file": str(tmp_path / "absent")},
        "proxy": {"url": {"file": str(binary)}},
        "headers": [{"name": {"file": "a\0b"}}],
        "region": "MARS",
    }
    assert problems(raw) == {
        "apiKey": "the environment variable ABSENT is not set",
        "project": f"there is no file {tmp_path / 'absent'}",
        "proxy.url": f"{binary} is not text in UTF-8, from byte 1 on",
        "headers.0.name": r"'a\x00b' cannot be the name of a file",
        "region": 'must be one of "US", "EU"',
    }


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o604])
def test_a_file_that_every_user_can_read_is_warned_of(tmp_path: Path, mode: int) -> None:
    """A key that others can read is none; a group that can is how secrets are handed out."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret", encoding="utf-8")
    secret.chmod(mode)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert resolve_reference({"file": str(secret)}, "key") == "s3cret"
    told = [str(warning.message) for warning in caught]
    sentence = f"{secret} can be read by every user of this machine: if it holds a key, chmod o-r"
    assert told == ([f"{sentence} {secret}"] if mode & 0o004 else [])


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_none_can_count_with_is_refused(number: float) -> None:
    """Beside all other problems, and wherever a schema takes a number."""
    schema = {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "string"}}}
    assert problems({"a": number, "b": 1, "c": [{"d": number}]}, schema) == {
        "a": "must be a finite number",
        "b": "must be text, not a number; put it in quotes",
        "c.0.d": "must be a finite number",
    }


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999", "9" * 5000, "9" * 30, "[" * 5000])
def test_text_that_stands_for_no_usable_value_stays_text(text: str) -> None:
    """Of a command line or a variable: the schema then says what it wants."""
    schema = {"type": "object", "properties": {"a": {"type": "number"}}}
    assert read_text_setting(schema, "a", text) == text


def test_what_is_too_deep_or_too_large_is_refused_first() -> None:
    """Nothing walks through it: not the schema, not the plugin."""
    deep: Any = "x"
    for _ in range(2000):
        deep = [deep]
    assert problems({**VALID, "headers": deep}) == {
        "headers.0.0.0.0": "is nested deeper than 100 levels"
    }
    assert problems({**VALID, "batchSize": 16**40_000}) == {
        "batchSize": "holds a whole number of more than 64 bits"
    }


def test_what_a_reference_gives_is_checked_like_any_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value from the environment that does not fit is refused, and not quoted."""
    monkeypatch.setenv("SIZE", "s3cret")
    raw = {**VALID, "batchSize": {"env": "SIZE"}}
    assert problems(raw) == {"batchSize": "must be a whole number, not text"}


def test_one_reference_gives_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write key made of digits stays text; what is no reference stands for itself."""
    monkeypatch.setenv("WRITE_KEY", "123456")
    assert resolve_reference({"env": "WRITE_KEY"}, "write_keys.0") == "123456"
    assert resolve_reference("plain", "write_keys.0") == "plain"
    with pytest.raises(SettingsError, match=r"write_keys\.1: the environment variable NO_KEY is"):
        resolve_reference({"env": "NO_KEY"}, "write_keys.1")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("project", "11", "11"),
        ("apiKey", "11", "11"),
        ("port", "11", "11"),
        ("batchSize", "11", 11),
        ("batchSize", "eleven", "eleven"),
        ("proxy", '{"verify": false}', {"verify": False}),
        ("unknown", "11", 11),
        ("unknown", "[" * 100_000, "[" * 100_000),
    ],
)
def test_a_setting_given_as_text_is_read_as_its_schema_wants(
    name: str, text: str, value: object
) -> None:
    """On a command line `appId=11` is text and `batchSize=11` a number."""
    assert read_text_setting(SCHEMA, name, text) == value


# -- schemas and secrets ------------------------------------------------------------------------


def test_a_schema_may_refer_to_itself() -> None:
    """References within the schema are followed: by name, from the root, with escapes."""
    schema = {
        "type": "object",
        "$defs": {"a/b": {"type": "string", "writeOnly": True}},
        "properties": {
            "key": {"$ref": "#/$defs/a~1b"},
            "fallback": {"$ref": "#"},
            "example": {"type": "object", "default": {"$ref": "no schema, but a value"}},
        },
    }
    assert check_schema(schema) is None
    value = {"key": "outer", "fallback": {"key": "inner", "fallback": {"key": "innermost"}}}
    assert secret_values(schema, value) == {"outer", "inner", "innermost"}


@pytest.mark.parametrize(
    ("schema", "value", "secrets"),
    [
        ({"writeOnly": True}, "s1", {"s1"}),
        ({"writeOnly": True}, 5, {"5"}),
        ({"writeOnly": True}, True, set()),
        ({"writeOnly": True}, "", set()),
        ({"writeOnly": True}, {"a": ["s1", {"b": "s2"}], "c": None}, {"s1", "s2"}),
        ({"properties": {"b": {"writeOnly": True}}}, {"b": "s1", "c": "shown"}, {"s1"}),
        ({"items": {"writeOnly": True}}, ["s1", "s2"], {"s1", "s2"}),
        ({"prefixItems": [{}, {"writeOnly": True}]}, ["shown", "s1", "shown"], {"s1"}),
        ({"prefixItems": [{}], "items": {"writeOnly": True}}, ["shown", "s1"], {"s1"}),
        ({"prefixItems": [{}, {"writeOnly": True}]}, ["shown"], set()),
        ({"additionalProperties": {"writeOnly": True}}, {"x": "s1"}, {"s1"}),
        ({"patternProperties": {"^x-": {"writeOnly": True}}}, {"x-a": "s1", "y": "no"}, {"s1"}),
        ({"$ref": "#/$defs/secret"}, "s1", {"s1"}),
        ({"anyOf": [{"type": "null"}, {"writeOnly": True}]}, "s1", {"s1"}),
        ({"oneOf": [{"properties": {"k": {"writeOnly": True}}}]}, {"k": "s1"}, {"s1"}),
        ({"allOf": [{"$ref": "#/$defs/secret"}]}, "s1", {"s1"}),
        ({"if": {}, "then": {"properties": {"k": {"writeOnly": True}}}}, {"k": "s1"}, {"s1"}),
        ({"dependentSchemas": {"a": {"items": {"writeOnly": True}}}}, ["s1"], {"s1"}),
        ({}, "shown", set()),
        (True, "shown", set()),
    ],
)  # fmt: skip
def test_what_the_schema_marks_write_only_is_a_secret(
    schema: object, value: object, secrets: set[str]
) -> None:
    """Secrets are found wherever a schema can mark them."""
    root = {
        "type": "object",
        "$defs": {"secret": {"writeOnly": True}},
        "properties": {"field": schema},
    }
    assert check_schema(root) is None
    assert secret_values(root, {"field": value}) == secrets


def test_heaps_schema_is_usable() -> None:
    """The schema of this distribution passes the host's own check, and is JSON."""
    assert check_schema(SETTINGS_SCHEMA) is None
    assert json.loads(json.dumps(SETTINGS_SCHEMA)) == SETTINGS_SCHEMA


@pytest.mark.parametrize("secret", ["0123456789abcdef0123456789abcdef", "aGVsbG8gd29ybGQ"])
def test_a_secret_in_the_place_of_a_variable_is_not_quoted(secret: str) -> None:
    """Whoever pastes a key where its variable's name belongs does not find it in a log."""
    schema = {"type": "object", "properties": {"key": {"type": "string"}}}
    with pytest.raises(SettingsError) as caught:
        load_settings(schema, {"key": {"env": secret}})
    assert secret not in str(caught.value)
    assert "env names an environment variable" in str(caught.value)
