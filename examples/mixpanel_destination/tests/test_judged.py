"""Whatever comes in, what goes out is what the simulated Mixpanel takes: they share no code."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destination_router import HttpRequest, Ignored, Reject, parse_message
from mixpanel_destination import plugin
from mixpanel_destination.settings import MixpanelSettings

CASES = Path(plugin.__file__).parent / "cases"
TOKEN = "a-project-token"
HOOKS: dict[str, Callable[..., list[HttpRequest] | Ignored]] = {
    "identify": plugin.on_identify,
    "track": plugin.on_track,
    "page": plugin.on_page,
    "screen": plugin.on_screen,
    "group": plugin.on_group,
    "alias": plugin.on_alias,
}

names = st.one_of(
    st.sampled_from(["time", "id", "$ignore", "bucket", "email", "name", "", "x" * 300]),
    st.text(max_size=8),
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just("é" * 200)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=8,
)
objects = st.dictionaries(names, values, max_size=5)
ids = st.one_of(
    st.none(), st.text(max_size=8), st.sampled_from(["ada", "null", "[]", "0", "u" * 300])
)
times = st.sampled_from([None, "2025-11-22T10:00:00Z", "1970-06-01", "yesterday", 1e12])
messages = st.fixed_dictionaries(
    {
        "type": st.sampled_from(sorted(HOOKS)),
        "messageId": st.one_of(st.just("m-1"), st.text(max_size=8)),
        "userId": ids,
        "anonymousId": ids,
        "previousId": ids,
        "groupId": ids,
        "timestamp": times,
        "event": st.one_of(st.none(), st.text(max_size=8), st.just("$merge")),
        "name": st.none() | st.text(max_size=8),
        "properties": objects,
        "traits": objects,
        "context": objects,
    }
)


def accepted(mixpanel: Any, request: HttpRequest) -> bool:
    """Whether the simulated Mixpanel takes a request as it is."""
    options: dict[str, Any] = {"params": dict(request.params), "json": request.json}
    if request.auth is not None:
        options["auth"] = (TOKEN, "")
    answer = mixpanel.request(request.method, request.url, **options)
    return bool(answer.status_code == 200 and answer.json().get("status") in ("OK", 1))


@pytest.mark.parametrize("id_merge", ["simplified", "original", "legacy"])
def test_arbitrary_messages_become_what_is_taken_or_a_reason(
    open_mixpanel: Callable[..., Any], id_merge: Any
) -> None:
    """Requests that Mixpanel takes, an Ignored, or a Reject: never anything else."""
    mixpanel = open_mixpanel(id_merge=id_merge, group_keys=["company_id"])
    chosen = MixpanelSettings(token=TOKEN, id_merge=id_merge, group_key="company_id")

    @settings(max_examples=50, deadline=None, derandomize=True)
    @given(messages)
    def holds(message: dict[str, Any]) -> None:
        with contextlib.suppress(Reject):
            parsed = parse_message(json.dumps(message).encode())
            made = HOOKS[message["type"]](parsed, chosen)
            requests = [] if isinstance(made, Ignored) else made
            assert [request for request in requests if not accepted(mixpanel, request)] == []

    holds()


def expected() -> list[Any]:
    """Every request that a case expects, in the terms of the simulated project."""
    found = []
    for path in sorted(CASES.glob("*.json")):
        document = msgspec.json.decode(path.read_bytes())
        for case in document["cases"]:
            chosen = {**document["defaults"]["settings"], **case.get("settings", {})}
            requests = case["expect"].get("requests", [])
            found += [pytest.param(chosen, request, id=case["id"]) for request in requests]
    return found


@pytest.mark.parametrize(("chosen", "request_"), expected())
def test_what_the_cases_expect_is_taken(
    open_mixpanel: Callable[..., Any], chosen: dict[str, Any], request_: dict[str, Any]
) -> None:
    """No case expects what Mixpanel's documentation forbids."""
    group_keys = [chosen["groupKey"]] if "groupKey" in chosen else []
    account = chosen.get("serviceAccount")
    mixpanel = open_mixpanel(
        id_merge=chosen.get("idMerge", "simplified"),
        group_keys=group_keys,
        service_account=account and (account["username"], account["secret"], account["projectId"]),
    )
    auth = request_.get("auth")
    options = {"auth": (auth["username"], auth["password"])} if auth else {}
    answer = mixpanel.request(
        "POST", request_["url"], params=request_["params"], json=request_["json"], **options
    )

    assert (answer.status_code, answer.json()["status"]) in ((200, "OK"), (200, 1)), answer.text
