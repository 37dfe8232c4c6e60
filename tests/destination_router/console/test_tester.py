"""The tester, the settings of connections as forms, the fields, and the conformance of plugins.

Modules: `console/settings_form.py`, `console/connection_page.py`, `console/privacy_page.py`,
`console/conformance_page.py`, `service/field_report.py`.
"""

from __future__ import annotations

import contextlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from console_served import TOML, VIEWER, Served, Start
from waiting import until

from destination_router.console import connection_page
from destination_router.console.forms import Form
from destination_router.console.settings_form import fields_of, read_settings
from destination_router.service.checking import Checked, check_config

TRACK = json.dumps({"type": "track", "userId": "ada", "event": "Ordered"})
HTML = '"><script>alert(1)</script>'
SECRET = "secret-of-the-vendor"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["key"],
    "properties": {
        "key": {"type": "string", "writeOnly": True, "title": "Key"},
        "region": {"enum": ["US", "EU"], "default": "US"},
        "most": {"type": "integer"},
        "on": {"type": "boolean"},
        "names": {"type": "array"},
        "elsewhere": {"type": "string"},
    },
}


def test_what_a_connection_makes_of_a_message_is_shown(console: Served) -> None:
    """Nothing is sent. A viewer sees the form and may not use it."""
    text = console.client().post("/tester", data={"left": "connection:heap", "message": TRACK}).text
    assert "https://heapanalytics.com/api/track" in text
    assert "1 request" in text
    viewer = console.client(VIEWER)
    assert "A viewer only looks" in viewer.get("/tester").text
    assert viewer.post("/tester", data={"message": TRACK}).status_code == 403


def test_two_dialects_are_shown_side_by_side(console: Served) -> None:
    """A destination with settings of its own, from a form made of its schema."""
    page = console.client().get("/tester?left=plugin:heap&right=plugin:heap").text
    assert 'name="left.dialect"' in page
    form = {
        "left": "plugin:heap",
        "right": "plugin:heap",
        "left.appId": "11",
        "right.appId": "22",
        "right.dialect": "rudderstack",
        "message": TRACK,
    }
    text = console.client().post("/tester", data=form).text
    assert "&#34;app_id&#34;: &#34;11&#34;" in text
    assert "&#34;app_id&#34;: &#34;22&#34;" in text
    wrong = console.client().post("/tester", data={**form, "left.appId": "eleven"}).text
    assert "appId" in wrong
    assert "&#34;11&#34;" not in wrong


def test_it_sends_to_the_simulator_and_says_what_came_of_it(console: Served) -> None:
    """And writes it down."""
    form = {"left": "connection:heap", "message": TRACK, "what": "simulator"}
    assert "delivered · HTTP 200" in console.client().post("/tester", data=form).text
    action = console.traces.actions(1)[0]
    assert (action.what, action.subject) == ("test against the simulator", "connection:heap")


def test_it_sends_to_a_vendor_only_after_a_second_question(
    console_of: Start, recorder_url: str
) -> None:
    """And only through a connection that router.toml has."""
    toml = TOML + f'[delivery]\norigins = {{"*" = "{recorder_url}"}}\n'
    console = console_of(toml)
    form = {"left": "connection:heap", "message": TRACK, "what": "vendor"}
    client = console.client()
    asked = client.post("/tester", data=form).text
    assert "Nothing was sent yet" in asked
    assert f"It goes to {recorder_url} in place of https://" in asked
    assert "delivered" not in asked.partition("results")[2]
    assert "delivered · HTTP 200" in client.post("/tester", data={**form, "sure": "yes"}).text
    other = {**form, "left": "plugin:heap", "left.appId": "1", "sure": "yes"}
    assert client.post("/tester", data=other).status_code == 403


@pytest.mark.parametrize("message", ["", "{", "[]", "null", '{"type": 7}', "\x00", "{" * 100_000])
def test_any_text_is_answered(console: Served, message: str) -> None:
    """It is a message or it is not."""
    form = {"left": "connection:heap", "message": message}
    answer = console.client().post("/tester", data=form)
    assert answer.status_code == 200
    assert "rejected" in answer.text


def test_a_form_reads_no_file_and_no_variable_of_this_machine(console: Served) -> None:
    """References stand in router.toml alone: one in a form would show what it leads to."""
    for reference in ('{"file": "/etc/passwd"}', '{"env": "PATH"}', '[{"file": "/etc/passwd"}]'):
        form = {
            "left": "plugin:heap",
            "left.appId": "1",
            "left.unsafeIdentities": reference,
            "message": TRACK,
        }
        text = console.client().post("/tester", data=form).text
        assert "root:" not in text
        assert "a reference is read in router.toml alone" in text
    text = {"left": "plugin:heap", "left.appId": '{"env": "PATH"}', "message": TRACK}
    assert "/bin" not in console.client().post("/tester", data=text).text


def test_fields_are_made_from_a_schema() -> None:
    """Secrets have no value, references are not changed, defaults are said."""
    now = {"key": SECRET, "most": 7, "elsewhere": {"env": "NAME"}, "names": ["a"]}
    fields = {field.name: field for field in fields_of(SCHEMA, now)}
    assert {name: field.kind for name, field in fields.items()} == {
        "key": "secret",
        "region": "choice",
        "most": "number",
        "on": "boolean",
        "names": "json",
        "elsewhere": "reference",
    }
    assert fields["key"].value == ""
    assert fields["key"].is_set
    assert fields["most"].value == "7"
    assert fields["region"].default == "US"


def test_nothing_that_a_plugin_says_of_its_settings_is_run(console: Served) -> None:
    """XSS: through titles, descriptions, choices, defaults and names."""
    schema = {
        "required": [HTML],
        "properties": {
            HTML: {"title": HTML, "description": HTML, "enum": [HTML], "default": HTML},
            "other": {"title": HTML, "type": "string", "default": HTML},
        },
    }
    fields = fields_of(schema, {HTML: HTML, "other": HTML})
    draw = console.console._rendering._templates.get_template("settings.html").module
    text = str(draw.fields(fields, HTML))  # type: ignore[attr-defined]
    assert "alert(1)" in text
    assert "<script>alert" not in text
    assert re.search(r"<(?!/?(div|label|code|select|option|input|p|span)\b)", text) is None


def test_what_a_form_sends_is_typed() -> None:
    """What is left blank is not set, but for a secret, which stays."""
    now = {"key": SECRET, "most": 7, "elsewhere": {"env": "NAME"}}
    sent = Form([("s.most", "8"), ("s.on", "true"), ("s.names", '["a"]'), ("s.region", "EU")])
    settings, problems = read_settings(SCHEMA, sent, "s.", now)
    assert problems == []
    assert settings == {
        "key": SECRET,
        "region": "EU",
        "most": 8,
        "on": True,
        "names": ["a"],
        "elsewhere": {"env": "NAME"},
    }
    wrong = Form([("s.most", "many"), ("s.names", "[")])
    _, problems = read_settings(SCHEMA, wrong, "s.", {})
    assert problems == ["most: is no number", "names: is no JSON"]


def test_a_connections_settings_become_toml_to_paste(console_of: Start) -> None:
    """Only what can be used does; a secret is neither shown nor written."""
    toml = TOML.replace('appId = "11"', f'appId = "11", deletionApiKey = "{SECRET}"')
    console = console_of(toml)
    client = console.client()
    page = client.get("/connections?name=heap").text
    assert SECRET not in page
    assert 'value="11"' in page
    form = {"name": "heap", "settings.appId": "12", "settings.dialect": "rudderstack"}
    text = client.post("/connections/change", data=form).text
    assert SECRET not in text
    pasted = text.partition("<pre tabindex")[2].partition(">")[2].partition("</pre>")[0]
    settings = tomllib.loads(pasted.replace("&#34;", '"'))["connections"][0]["settings"]
    assert settings["appId"] == "12"
    assert settings["deletionApiKey"] == {"env": "HEAP_DELETIONAPIKEY"}
    wrong = client.post("/connections/change", data={"name": "heap", "settings.appId": "x"}).text
    assert "appId" in wrong
    assert "That can be used" not in wrong
    assert client.get("/connections?name=other").status_code == 404


def test_a_connection_is_checked_against_its_simulator(console: Served) -> None:
    """As the command `check` does, and what that says of router.toml stands there, too."""
    client = console.client()
    assert ">heap<" in client.get("/connections").text
    text = client.post("/connections/check", data={"name": "heap"}).text
    assert text.count("delivered") >= 2
    assert "nothing wrong with its configuration" in text
    assert console.traces.actions(1)[0].what == "check"


def test_fields_are_told_without_values(console: Served) -> None:
    """With what of them passes, and an allowlist to start from."""
    console.append(
        *(
            json.dumps(
                {
                    "type": "track",
                    "userId": f"user-{n}",
                    "event": "Ordered",
                    "properties": {"total": "very-personal", "email": "e", f"only-{n}": 1},
                }
            ).encode()
            for n in range(3)
        )
    )
    text = console.client(VIEWER).get("/privacy?connection=heap").text
    assert "Seen in 3 messages of the event log" in text
    assert ">total<" in text
    assert "sounds personal" in text
    assert "very-personal" not in text
    assert "only-1" not in text
    assert "Seen in 3 messages of the event log" in console.client().get("/privacy").text
    assert console.client().get("/privacy?connection=other").status_code == 404


def test_router_toml_is_looked_over_once_for_all_who_look(
    console: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That starts every program: a change or an operator makes it happen, no viewer does."""
    looked = []

    def counted(path: Path, **about: Any) -> Checked:
        looked.append(path)
        return check_config(path, **about)

    monkeypatch.setattr(connection_page, "check_config", counted)
    viewers = [console.client(VIEWER) for _ in range(2)]
    for viewer in viewers * 2:
        assert "nothing wrong" in viewer.get("/connections?name=heap").text
    assert len(looked) == 1
    assert viewers[0].post("/connections/check", data={"name": "heap"}).status_code == 403
    assert len(looked) == 1
    console.client().post("/connections/check", data={"name": "heap"})
    assert len(looked) == 2
    path = console.configured.path
    assert path is not None
    path.write_text(path.read_text().replace('appId = "11"', 'appId = "nonsense"'))
    assert "appId" in viewers[0].get("/connections?name=heap").text.partition("Quotas")[0]
    assert len(looked) == 3


def test_a_destinations_conformance_is_run_as_a_process(
    console: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that is installed; what it reports is shown, and so is what keeps it from it."""
    client = console.client()
    assert "It was not run" in client.get("/conformance").text
    assert client.post("/conformance/run", data={"plugin": "../x"}).status_code == 404
    monkeypatch.setenv("PATH", "")
    assert client.post("/conformance/run", data={"plugin": "heap"}).status_code == 303
    assert "running" in client.get("/conformance").text
    for _ in range(8):  # six hundred cases take their time on a machine that is busy
        with contextlib.suppress(AssertionError):
            until(lambda: "running</span>" not in client.get("/conformance").text)
            break
    text = client.get("/conformance").text
    assert "passed" in text or "failed" in text
