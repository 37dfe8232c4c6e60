"""Heap's answers, and what each means for the messages of a request."""

import pytest

from destination_router import HttpRequest, HttpResponse, Outcome
from heap_destination.responses import read_response

BULK = HttpRequest(
    url="https://heapanalytics.com/api/track",
    message_ids=("a", "b", "c"),
    items=(("a",), ("b",), ("c",)),
)
WORDS = "postBody.events[1].properties should be object"


def answer(status: int, text: str = "", **headers: str) -> HttpResponse:
    return HttpResponse(status=status, body=text.encode(), headers=headers)


@pytest.mark.parametrize("kind", ["events", "users", "accounts"])
def test_an_answer_that_names_an_item_condemns_its_message_alone(kind: str) -> None:
    """The named one is rejected with Heap's words; the neighbours go out again at once."""
    words = f"postBody.{kind}[1].properties should be object"

    assert {
        "a": Outcome.retry(after=0, code="http_400"),
        "b": Outcome.rejected("http_400", words),
        "c": Outcome.retry(after=0, code="http_400"),
    } == read_response(BULK, answer(400, words))


def test_of_several_messages_in_one_item_one_is_suspect() -> None:
    """Updates that were folded into one item cannot be told apart by its index."""
    folded = HttpRequest(
        url="https://heapanalytics.com/api/add_user_properties",
        message_ids=("a", "b", "c"),
        items=(("a", "b"), ("c",)),
    )
    words = "postBody.users[0].properties.id should NOT be valid"

    assert {
        "a": Outcome.suspect("http_400", words),
        "b": Outcome.suspect("http_400", words),
        "c": Outcome.retry(after=0, code="http_400"),
    } == read_response(folded, answer(400, words))


@pytest.mark.parametrize(
    "words",
    [
        "Bad Request",
        "postBody should be object",
        "postBody.events[3].properties should be object",
        "'postBody.events[1]' is what the event was called",
    ],
)
def test_an_answer_that_names_no_item_refuses_the_whole_bulk(words: str) -> None:
    """Without an index that exists at the start, nobody is condemned by name."""
    assert Outcome.rejected("http_400", words) == read_response(BULK, answer(400, words))


def test_a_single_request_is_refused_as_a_whole() -> None:
    """Heap names a single event events[0]; there is nobody else in it."""
    single = HttpRequest(url="https://heapanalytics.com/api/track", message_ids=("a",))
    words = "postBody.events[0].properties should be object"

    assert Outcome.rejected("http_400", words) == read_response(single, answer(400, words))


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.delivered()),
        (429, Outcome.retry(30.0, code="http_429")),
        (500, Outcome.retry(30.0, code="http_500")),
        (404, Outcome.held("http_404", WORDS, unless_proven=True)),
    ],
)
def test_other_answers_mean_what_they_mean_elsewhere(status: int, outcome: Outcome) -> None:
    """Only a 400 is Heap's own; an index in another answer is no verdict."""
    response = answer(status, WORDS, **{"retry-after": "30"})

    assert outcome == read_response(BULK, response)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("<!DOCTYPE html><p>Log in</p>", ""),
        ("\n <html lang=en>", "application/json"),
        ("Log in", "text/html; charset=utf-8"),
    ],
)
def test_a_web_page_is_no_success(text: str, kind: str) -> None:
    """A proxy or a portal answered in place of Heap, which has nothing."""
    headers = {"content-type": kind} if kind else {}
    answered = HttpResponse(status=200, body=text.encode(), headers=headers)
    read = read_response(BULK, answered)
    assert isinstance(read, Outcome)
    assert (read.result, read.code) == ("retry", "html_answer")


@pytest.mark.parametrize("text", ["", "{}", "ok", "<ok/>", '"<html>"'])
def test_any_other_success_is_one(text: str) -> None:
    """Heap documents `{}` and may answer otherwise."""
    assert read_response(BULK, answer(200, text)) == Outcome.delivered()
