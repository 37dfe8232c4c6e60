"""A program as a plugin: loaded or refused, asked at once or ahead, stopped and started again.

Modules: `program.py`
"""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from small_program import runs, speaks

from destination_router.faults import Unanswered
from destination_router.pipeline.connection import Connection
from destination_router.plugins.loading import LoadedPlugin, PluginError
from destination_router.programs.destination import Limits, ProgramHooks, Question, load_program
from destination_router.programs.process import Process
from destination_router.programs.program import ProgramError
from destination_router.settings.errors import SettingsError

Load = Callable[..., LoadedPlugin]
SCHEMA: dict[str, Any] = json.loads(
    files("conformance").joinpath("schema", "subject.v1.json").read_bytes()
)


def track(message_id: str = "m-1", **fields: Any) -> bytes:
    message = {"type": "track", "messageId": message_id, "userId": "ada", "event": "E", **fields}
    return msgspec.json.encode(message)


def hooks_of(plugin: LoadedPlugin) -> ProgramHooks:
    assert isinstance(plugin.elsewhere, ProgramHooks)
    return plugin.elsewhere


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    loaded: list[LoadedPlugin] = []

    def start(answer: str = "return ordinary(asked)", *hooks: str, **limits: Any) -> LoadedPlugin:
        plugin = load_program(speaks(tmp_path, answer, hooks), limits=Limits(**limits))
        loaded.append(plugin)
        return plugin

    yield start
    for plugin in loaded:
        hooks_of(plugin).program.stop()


@pytest.fixture
def crossing(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every line that goes out with the one that comes back, both held against the schema."""
    lines: list[tuple[dict[str, Any], dict[str, Any]]] = []
    exchange = Process.exchange

    def watched(self: Process, line: bytes, seconds: float) -> bytes:
        answer = exchange(self, line, seconds)
        pair = json.loads(line), json.loads(answer)
        for part, value in zip(("question", "answer"), pair, strict=True):
            schema = {"$ref": f"#/$defs/{part}", "$defs": SCHEMA["$defs"]}
            Draft202012Validator(schema).validate(value)
        if "value" in pair[1]:
            shape = SCHEMA["$defs"]["values"]["properties"][pair[0]["call"]]
            schema = {**shape, "$defs": SCHEMA["$defs"]}
            Draft202012Validator(schema).validate(pair[1]["value"])
        lines.append(pair)
        return answer

    monkeypatch.setattr(Process, "exchange", watched)
    return lines


def test_it_is_a_plugin(load: Load, crossing: list[Any]) -> None:
    """Its name, its hooks, its answers are those of any other."""
    plugin = load()
    assert plugin.name == "small"
    assert plugin.capabilities == ("settings_schema", "on_identify", "on_track")
    connection = Connection("small", plugin, {"key": "secret"})
    sent = connection.decide(track(properties={"a": 2**60 + 1, "b": 1.0}))
    refused = connection.decide(track(userId=None))
    assert sent.requests[0].json["properties"] == {"a": 2**60 + 1, "b": 1.0}
    assert sent.requests[0].message_ids == ("m-1",)
    assert refused.reject is not None
    assert (refused.reject.code, refused.reject.detail[:8]) == ("missing_identity", "userId: ")
    assert connection.secrets == {"secret"}
    assert [asked["call"] for asked, _ in crossing] == ["hello", "settings_schema", "map", "map"]


def test_every_hook_crosses(load: Load, crossing: list[Any]) -> None:
    """Those that take settings are asked once for each; packing and reading answers too."""
    answer = """
        call = asked["call"]
        if call == "configure":
            if asked["settings"]["key"] == "bad":
                return {"id": asked["id"], "invalid": "the key is bad: make another"}
            return {"id": asked["id"], "value": {"made": asked["settings"]["key"]}}
        values = {
            "display_names": ["Small Vendor"], "more_display_names": ["Other"],
            "default_subscription": 'type = "track"', "origins": ["https://vendor.example"],
            "quotas": [{"name": "q", "limit": 1, "period": 1}],
            "cautions": ["mind " + str(asked.get("settings"))],
            "on_response": {"result": "held", "code": "key"},
        }
        if call == "pack":
            ids = [i for request in asked["requests"] for i in request["messageIds"]]
            return {"id": asked["id"], "value": [dict(asked["requests"][0], messageIds=ids)]}
        if call in values:
            return {"id": asked["id"], "value": values[call]}
        return ordinary(asked)
    """
    more = ("configure", "display_names", "more_display_names", "default_subscription", "origins")
    plugin = load(answer, *more, "quotas", "cautions", "pack", "on_response")
    connection = Connection("small", plugin, {"key": "one"})
    assert connection.settings == {"made": "one"}
    assert plugin.display_names == ("small", "Small Vendor")
    assert connection.origins == ("https://vendor.example",)
    assert connection.cautions == ["mind {'made': 'one'}"]
    singles = [connection.decide(track(name)).requests[0] for name in ("m-1", "m-2")]
    assert connection.pack(singles)[0].message_ids == ("m-1", "m-2")
    with pytest.raises(SettingsError, match="the key is bad"):
        Connection("small", plugin, {"key": "bad"})
    calls = [asked["call"] for asked, _ in crossing]
    assert calls.count("origins") == calls.count("cautions") == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("return None", "gave no answer within"),
        (
            "print('listening on port 3000', flush=True)",
            "a line is not JSON: standard output holds",
        ),
        ("os._exit(4)", "ended with status 4"),
        ("sys.stderr.write('no module x'); sys.exit(1)", "standard error:\nno module x"),
        ("return {'id': 1, 'value': {}}", "hello: Object missing required field"),
        ("return {'id': 1, 'error': {'detail': 'x'}}", "hello: Expected `object`, got `null`"),
        ("HOOKS.append('on_sale'); return ordinary(asked)", "hook 'on_sale'; known: "),
        ("HOOKS.append('simulator'); return ordinary(asked)", "a stand-in vendor runs by itself"),
        ("HOOKS.remove('on_track'); return ordinary(asked)", "is required and missing"),
        ("SCHEMA['type'] = 'list'; return ordinary(asked)", "has no usable settings_schema"),
    ],
)
def test_one_that_does_not_load(
    load: Load, monkeypatch: pytest.MonkeyPatch, answer: str, words: str
) -> None:
    """Says why, with the end of what it wrote on its standard error."""
    if words.startswith("gave no answer"):
        monkeypatch.setattr("destination_router.programs.program.START", 0.5)
    with pytest.raises(PluginError) as refused:
        load(answer)
    assert words in str(refused.value)


DIES = """
if asked["call"] == "map" and any(m["message"]["event"] == "bad" for m in asked["messages"]):
    os._exit(9)
return ordinary(asked)
"""


def test_a_failure_stays_with_its_message(load: Load) -> None:
    """A hook that fails, and an answer that does not fit, are that message's; the next one goes."""
    answer = """
        if asked["call"] == "map":
            event = asked["messages"][0]["message"]["event"]
            odd = {"bug": {"error": {"detail": "ada", "type": "TypeError", "at": "m.mjs:3"}},
                   "unfit": {"requests": [{"uri": 1}]}, "none": None}
            if event in odd:
                return {"id": asked["id"], "value": [odd[event]]}
            if event == "whole":
                return {"id": asked["id"], "error": {"detail": "ada", "type": "RangeError"}}
        return ordinary(asked)
    """
    connection = Connection("small", load(answer), {})
    details = {}
    for event in ("bug", "unfit", "none", "whole", "good"):
        decision = connection.decide(track(event=event))
        details[event] = decision.reject and (decision.reject.code, decision.reject.detail)
    assert details["bug"] == ("plugin_error", "TypeError at m.mjs:3")
    assert details["whole"] == ("plugin_error", "RangeError")
    assert "unknown field `uri`" in details["unfit"][1]
    assert details["none"][0] == "plugin_error"
    assert details["good"] is None


def test_one_that_died_is_started_again(load: Load) -> None:
    """The message at which it died is rejected, and its neighbours are not."""
    plugin = load(DIES)
    connection = Connection("small", plugin, {})
    results = [connection.decide(track(event=event)).result for event in ("E", "bad", "E")]
    assert results == ["requests", "rejected", "requests"]
    reject = connection.decide(track(event="bad")).reject
    assert reject is not None
    assert reject.detail == "the program ended with status 9"


def test_one_that_always_fails_is_not_asked_for_ever(load: Load) -> None:
    """After as many failures as the host puts up with, each question fails at once."""
    plugin = load(
        "return None if asked['call'] == 'map' else ordinary(asked)", call=0.2, failures=2
    )
    connection = Connection("small", plugin, {})
    details = [connection.decide(track()).reject for _ in range(20)]
    assert details[0] is not None
    assert details[-1] is not None
    assert "gave no answer within 0.2 s" in details[0].detail
    assert details[-1].detail == "the program gave no answer 2 times, and is not asked any more"


def test_time_that_is_lost_counts_too(load: Load) -> None:
    """Whoever is slow to fail is not waited for as often."""
    plugin = load("return None if asked['call'] == 'map' else ordinary(asked)", call=0.3, lost=0.5)
    connection = Connection("small", plugin, {})
    details = [connection.decide(track()).reject for _ in range(5)]
    assert details[-1] is not None
    assert details[-1].detail == "the program gave no answer 2 times, and is not asked any more"


def test_answers_that_are_asked_ahead(load: Load, crossing: list[Any]) -> None:
    """One exchange for many messages; what was not asked is said to be unanswered."""
    plugin = load()
    connection = Connection("small", plugin, {})
    hooks = hooks_of(plugin)
    hooks.answer_ahead(ahead=True)
    raws = [track(f"m-{number}") for number in range(250)]
    with hooks.noting() as questions:
        assert {connection.decide(raw).result for raw in raws} == {"filtered"}
    hooks.answer(questions)
    decisions = [connection.decide(raw) for raw in raws]
    assert [each.requests[0].message_ids for each in decisions] == [
        (f"m-{number}",) for number in range(250)
    ]
    assert [len(asked["messages"]) for asked, _ in crossing if asked["call"] == "map"] == [
        100,
        100,
        50,
    ]
    hooks.forget(questions)
    with pytest.raises(Unanswered) as unanswered:
        connection.decide(raws[0])
    assert unanswered.value.question == questions[0]


def test_one_that_is_told_to_end_is_not_started_again_by_what_was_asked_before(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked is gone by then: nobody would end it."""
    plugin = load()
    connection = Connection("small", plugin, {})
    hooks = hooks_of(plugin)
    hooks.answer_ahead(ahead=True)
    with hooks.noting() as questions:
        for number in range(250):
            connection.decide(track(f"m-{number}"))
    put = hooks._put

    def put_and_stop(group: Sequence[Question]) -> list[Callable[[], Any]]:
        answers = put(group)
        hooks.program.stop()
        return answers

    monkeypatch.setattr(hooks, "_put", put_and_stop)
    with pytest.raises(ProgramError, match="was told to end"):
        hooks.answer(questions)
    assert hooks.program.pid is None


def test_another_thread_asks_and_waits(load: Load) -> None:
    """A page of the console, say: the event loop's thread alone has to be answered ahead."""
    plugin = load()
    connection = Connection("small", plugin, {})
    hooks_of(plugin).answer_ahead(ahead=True)
    with hooks_of(plugin).noting() as questions, ThreadPoolExecutor(1) as other:
        decided = other.submit(connection.decide, track()).result()
    assert decided.result == "requests"
    assert questions == []


def test_a_process_is_there_when_there_is_work(load: Load) -> None:
    """Settled, it rests; asked, it runs; stopped, it is gone."""
    plugin = load("return ordinary(asked)")
    connection = Connection("small", plugin, {})
    program = hooks_of(plugin).program
    hooks_of(plugin).settle(connection.settings)
    program.stop()
    assert program.pid is None
    assert connection.decide(track()).result == "requests"
    assert program.pid is not None
    assert runs(pid := program.pid)
    program.stop()
    assert not Path(f"/proc/{pid}").exists()


def test_a_wrong_number_of_answers_is_a_failure(load: Load) -> None:
    """Nobody knows whose they are."""
    plugin = load(
        "return {'id': asked['id'], 'value': []} if asked['call'] == 'map' else ordinary(asked)"
    )
    hooks = hooks_of(plugin)
    connection = Connection("small", plugin, {})
    hooks.answer_ahead(ahead=True)
    with hooks.noting() as questions:
        connection.decide(track())
    with pytest.raises(ProgramError, match="1 messages and 0 answers"):
        hooks.answer(questions)
    assert hooks.program.pid is None
