"""`/deleteUsers` over real sockets: the regulation worker, the transformer, a simulated Heap."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from destination_router.config.router_toml import RouterConfig, SharedConfig, parse_config
from destination_router.plugins.loading import load_plugin
from destination_router.service.serving import Asgi
from destination_router.transformer.app import create_transformer
from destination_router.transformer.destinations import Destinations

Serve = Callable[[Asgi], str]
KEY = "simulated-api-key"
SUBMITTED = "/api/public/v0/user_deletion"
MASKING_KEY = "k" * 32


def config(*connections: dict[str, Any]) -> RouterConfig:
    return parse_config(
        {"connections": [{"plugin": "heap", **connection} for connection in connections]},
        gateway=False,
    )


def private(first: dict[str, Any], *others: dict[str, Any]) -> RouterConfig:
    """Put the first connection in HIPAA mode."""
    privacy = {
        "mode": "hipaa",
        "keys": {"v1": {"env": "MASKING_1"}, "v2": {"env": "MASKING_2"}},
        "allow": {"events": ["E"]},
    }
    whole = config({**first, "privacy": privacy}, *others)
    shared = SharedConfig(privacy={"allow": {"events": ["E"]}})
    connections = tuple(replace(one, shared=shared) for one in whole.connections)
    return replace(whole, connections=connections)


def with_key(**settings: Any) -> dict[str, Any]:
    return {"name": "d1", "settings": {"deletionApiKey": KEY, **settings}}


@pytest.fixture
def ask(serve: Serve, heap_url: str) -> Callable[..., httpx.Response]:
    """Ask a transformer with these connections in its router.toml to delete users."""

    def post(
        *users: dict[str, Any], overlays: RouterConfig | None = None, **job: Any
    ) -> httpx.Response:
        overlays = config(with_key(appId="11")) if overlays is None else overlays
        app = create_transformer(overlays=overlays.connections, origins={"*": heap_url})
        whole = {
            "jobId": "1",
            "destType": "HEAP",
            "config": {"appId": "11"},
            "userAttributes": list(users),
            **job,
        }
        return httpx.post(f"{serve(app)}/deleteUsers", json=[whole])

    return post


def asked_of(heap_url: str) -> list[Any]:
    rows = httpx.get(f"{heap_url}/_simulator/requests").json()["requests"]
    return [row["body"]["users"] for row in rows if row["path"] == SUBMITTED]


def test_users_are_asked_to_be_deleted(ask: Callable[..., httpx.Response], heap_url: str) -> None:
    """200 when the vendor has taken all of them; the job's answer says so."""
    answer = ask({"userId": "ada", "email": "ada@example.com"}, {"userId": 7, "phone": "1"})
    assert (answer.status_code, answer.headers["apiversion"]) == (200, "2")
    assert answer.json() == [{"statusCode": 200, "status": "successful"}]
    assert asked_of(heap_url) == [[{"identity": "ada"}, {"identity": "7"}]]


@pytest.mark.parametrize("users", [{"email": "ada@example.com"}, {"userId": "null"}])
def test_who_cannot_be_deleted_fails_the_job_and_holds_back_nobody(
    ask: Callable[..., httpx.Response], heap_url: str, users: dict[str, str]
) -> None:
    """A regulation must not look fulfilled when it is not; no id is in the answer."""
    answer = ask({"userId": "bob"}, users)
    assert answer.status_code == 400
    (job,) = answer.json()
    assert job["statusCode"] == 400
    assert "1 cannot be deleted, such as userAttributes.1" in job["error"]
    assert "ada" not in answer.text
    assert asked_of(heap_url) == [[{"identity": "bob"}]]


def test_without_a_key_nothing_is_asked(ask: Callable[..., httpx.Response], heap_url: str) -> None:
    """The answer says which setting is missing, and where it stands."""
    answer = ask({"userId": "ada"}, overlays=config({"name": "d1", "settings": {"appId": "11"}}))
    assert answer.status_code == 400
    assert "router.toml: missing_api_key: deletionApiKey" in answer.json()[0]["error"]
    assert asked_of(heap_url) == []


def test_a_wrong_key_is_the_vendors_status(ask: Callable[..., httpx.Response]) -> None:
    """And no key stands in the answer."""
    overlays = config({"name": "d1", "settings": {"appId": "11", "deletionApiKey": "wrong-one"}})
    answer = ask({"userId": "ada"}, overlays=overlays)
    assert answer.status_code == 401
    assert "wrong-one" not in answer.text


def test_the_connection_that_is_meant_is_found_by_its_settings(
    ask: Callable[..., httpx.Response], heap_url: str
) -> None:
    """The worker names no destination; where two may be meant, neither is guessed."""
    others = config(with_key(appId="12"), {**with_key(appId="11"), "name": "d2"})
    assert ask({"userId": "ada"}, overlays=others).status_code == 200
    open_ended = config(with_key(), {**with_key(), "name": "d2"})
    answer = ask({"userId": "ada"}, overlays=open_ended)
    assert answer.status_code == 400
    assert "several connections may be meant" in answer.json()[0]["error"]
    assert len(asked_of(heap_url)) == 1


def test_masked_ids_are_deleted_as_they_were_delivered(
    ask: Callable[..., httpx.Response], heap_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection that masks in delivery masks here, with every key."""
    monkeypatch.setenv("MASKING_1", MASKING_KEY)
    monkeypatch.setenv("MASKING_2", MASKING_KEY.upper())
    monkeypatch.setenv("APP_ID", "11")
    overlays = private(with_key(appId={"env": "APP_ID"}))
    assert ask({"userId": "ada"}, overlays=overlays).status_code == 200
    (users,) = asked_of(heap_url)
    assert [user["identity"][:3] for user in users] == ["v2_", "v1_"]


@pytest.mark.parametrize("app_id", ["12", "13"])
def test_beside_a_connection_that_masks_no_plain_id_is_sent(
    ask: Callable[..., httpx.Response],
    heap_url: str,
    monkeypatch: pytest.MonkeyPatch,
    app_id: str,
) -> None:
    """A guess at the connection could be wrong, and the id be that of a patient."""
    monkeypatch.setenv("MASKING_1", MASKING_KEY)
    monkeypatch.setenv("MASKING_2", MASKING_KEY.upper())
    overlays = private(with_key(appId="11"), {**with_key(appId="12"), "name": "d2"})
    answer = ask({"userId": "ada"}, overlays=overlays, config={"appId": app_id})
    assert answer.status_code == 400
    assert "HIPAA mode" in answer.json()[0]["error"]
    assert asked_of(heap_url) == []


def test_what_is_no_job_is_refused(serve: Serve) -> None:
    """400 for what cannot be read; 404 for a destination that is nobody's, without an upstream."""
    url = serve(create_transformer())
    assert httpx.post(f"{url}/deleteUsers", content=b"{").status_code == 400
    assert httpx.post(f"{url}/deleteUsers", json=[{"destType": "BRAZE"}]).status_code == 404


class OtherTransformer:
    """An upstream that takes every deletion, or answers as it is told; it remembers the jobs."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.answer: Any = None
        self.app = Starlette(routes=[Route("/deleteUsers", self.delete, methods=["POST"])])

    async def delete(self, request: Request) -> Response:
        jobs = await request.json()
        self.asked.append(jobs)
        taken = [{"statusCode": 201, "status": "theirs"} for _ in jobs]
        return JSONResponse(taken if self.answer is None else self.answer)


def job(dest_type: str, user: str = "ada", **more: Any) -> dict[str, Any]:
    users = [{"userId": user}]
    return {"destType": dest_type, "config": {"appId": "11"}, "userAttributes": users, **more}


def test_each_job_of_a_request_is_answered_by_whoever_can(serve: Serve, heap_url: str) -> None:
    """In order; the upstream gets its own jobs alone, as they were; the first's status counts."""
    other = OtherTransformer()
    overlays = config(with_key(appId="11")).connections
    app = create_transformer(overlays=overlays, origins={"*": heap_url}, upstream=serve(other.app))
    theirs, late = job("BRAZE", "bob", new={"x": 1}), job("GA", "eve", userAttributes="odd")

    answer = httpx.post(f"{serve(app)}/deleteUsers", json=[theirs, job("HEAP"), late])

    assert other.asked == [[theirs, late]]
    assert asked_of(heap_url) == [[{"identity": "ada"}]]
    assert [one["status"] for one in answer.json()] == ["theirs", "successful", "theirs"]
    assert answer.status_code == 201


@pytest.mark.parametrize("answered", [[], [{"statusCode": 200}] * 2, {"statusCode": 200}])
def test_an_upstream_that_does_not_answer_for_each_job_fails_its_own(
    serve: Serve, heap_url: str, answered: Any
) -> None:
    """A regulation must not look fulfilled when nobody knows, and ours is answered all the same."""
    other = OtherTransformer()
    other.answer = answered
    overlays = config(with_key(appId="11")).connections
    app = create_transformer(overlays=overlays, origins={"*": heap_url}, upstream=serve(other.app))
    answer = httpx.post(f"{serve(app)}/deleteUsers", json=[job("HEAP"), job("BRAZE")])
    assert [one["statusCode"] for one in answer.json()] == [200, 500]


def test_without_an_upstream_a_job_of_nobodys_is_not_found(serve: Serve, heap_url: str) -> None:
    """Its neighbours are answered."""
    overlays = config(with_key(appId="11")).connections
    app = create_transformer(overlays=overlays, origins={"*": heap_url})
    answer = httpx.post(f"{serve(app)}/deleteUsers", json=[job("BRAZE"), job("HEAP")])
    assert [one["statusCode"] for one in answer.json()] == [404, 200]
    assert answer.status_code == 404


def test_a_job_of_ours_that_cannot_be_read_is_refused_alone(serve: Serve, heap_url: str) -> None:
    """The answer says what to write."""
    overlays = config(with_key(appId="11")).connections
    app = create_transformer(overlays=overlays, origins={"*": heap_url})
    answer = httpx.post(
        f"{serve(app)}/deleteUsers", json=[job("HEAP", userAttributes=7), job("HEAP")]
    )
    assert [one["statusCode"] for one in answer.json()] == [400, 200]
    assert "userAttributes" in answer.json()[0]["error"]


@pytest.mark.parametrize("mode", ["own", "everyone's"])
def test_beside_a_connection_that_masks_no_plain_id_goes_upstream(serve: Serve, mode: str) -> None:
    """A destination that cannot delete says so, rather than let others be told who it is."""
    other = OtherTransformer()
    plugin = replace(load_plugin("heap"), capabilities=frozenset())
    table = {"mode": "hipaa"}
    (overlay,) = config({"name": "d1"}).connections
    overlay = replace(overlay, privacy=table if mode == "own" else {})
    shared = SharedConfig(privacy={} if mode == "own" else table)
    served = {"heap": Destinations(plugin, [replace(overlay, shared=shared)], shared)}
    app = create_transformer(destinations=served, upstream=serve(other.app))
    url = serve(app)

    alone = httpx.post(f"{url}/deleteUsers", json=[job("HEAP")])
    mixed = httpx.post(f"{url}/deleteUsers", json=[job("BRAZE", "bob"), job("HEAP")])

    assert alone.status_code == 400
    assert "HIPAA mode" in alone.json()[0]["error"]
    assert [one["statusCode"] for one in mixed.json()] == [201, 400]
    assert other.asked == [[job("BRAZE", "bob")]]


@pytest.mark.parametrize("dest_type", [None, 7, "", " ", ["HEAP"]])
@pytest.mark.parametrize("masks", [True, False])
def test_a_job_of_who_knows_whom_goes_upstream_only_where_nobody_masks(
    serve: Serve, dest_type: Any, *, masks: bool
) -> None:
    """Beside HIPAA mode it may be a patient's; the job alone is refused, not its neighbour."""
    other = OtherTransformer()
    (overlay,) = config({"name": "d1"}).connections
    table = {"mode": "hipaa"} if masks else {}
    served = {"heap": Destinations(load_plugin("heap"), [replace(overlay, privacy=table)])}
    url = serve(create_transformer(destinations=served, upstream=serve(other.app)))
    theirs, unknown = job("BRAZE", "bob"), job(dest_type)

    answer = httpx.post(f"{url}/deleteUsers", json=[theirs, unknown])
    alone = httpx.post(f"{url}/deleteUsers", json=[unknown])

    statuses = [one["statusCode"] for one in answer.json()]
    if masks:
        assert (statuses, alone.status_code) == ([201, 400], 400)
        assert "destType: it cannot be read" in alone.json()[0]["error"]
        assert other.asked == [[theirs]]
    else:
        assert (statuses, alone.status_code) == ([201, 201], 200)
        assert other.asked == [[theirs, unknown], [unknown]]


@pytest.mark.parametrize("masks", [True, False])
def test_what_is_not_even_a_job_is_no_exception(serve: Serve, *, masks: bool) -> None:
    """A text in place of a job may hold an id as well."""
    other = OtherTransformer()
    (overlay,) = config({"name": "d1"}).connections
    table = {"mode": "hipaa"} if masks else {}
    served = {"heap": Destinations(load_plugin("heap"), [replace(overlay, privacy=table)])}
    url = serve(create_transformer(destinations=served, upstream=serve(other.app)))
    httpx.post(f"{url}/deleteUsers", json=["ada@example.com"])
    assert other.asked == ([] if masks else [["ada@example.com"]])
