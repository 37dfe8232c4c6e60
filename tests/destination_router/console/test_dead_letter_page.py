"""Dead letters in the console: looked at, tried on paper, replayed, exported, deleted."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest
from console_served import VIEWER, Served, Start

from destination_router.eventlog.dead_letter import DeadLetter

HTML = '"><script>alert(1)</script>'


def letters(console: Served, count: int, **about: Any) -> None:
    fields: dict[str, Any] = {
        "connection": "heap",
        "code": "http_400",
        "detail": "the vendor said: no such user ada@example.com",
        "at": 1000.0,
        "status": 400,
        "attempts": 1,
        "answer": "no such user ada@example.com",
        "request": {"method": "POST", "url": "https://heap.test/api?user=ada", "json": {}},
        **about,
    }
    made = [
        DeadLetter(
            message_id=f"{fields['code']}-{number}",
            offset=number,
            body=json.dumps({"userId": "ada@example.com", "n": number}).encode(),
            **fields,
        )
        for number in range(1, count + 1)
    ]
    asyncio.run(console.log.put(made))


def act(console: Served, what: str, **form: Any) -> Any:
    return console.client(name="ada").post("/dead-letters/act", data={"what": what, **form})


def left(console: Served) -> Sequence[tuple[str, int]]:
    with closing(sqlite3.connect(console.log_path)) as database:
        query = "SELECT code, count(*) FROM dead_letters WHERE replayed_at IS NULL GROUP BY code"
        return database.execute(query).fetchall()


GROUP = {"which": "group", "connection": "heap", "code": "http_400"}


def test_they_are_grouped_and_shown_one_by_one(console: Served) -> None:
    """With a sample of each group, their request and the vendor's answer."""
    letters(console, 3)
    letters(console, 1, code="missing_event", status=None, request=None, answer="")
    client = console.client(VIEWER)
    text = client.get("/dead-letters").text
    assert "4 dead letters by connection and code" in text
    assert "<button" not in text.partition("<main")[2]
    one = client.get("/dead-letters?connection=heap&code=http_400").text
    assert len(re.findall(r"/dead-letters/letter\?id=\d+", one)) == 4  # the sample, and each
    whole = client.get("/dead-letters/letter?id=1").text
    for words in ("ada@example.com", "https://heap.test/api?user=ada", "no such user"):
        assert words in whole
    for wrong in ("99", "x", "", "9" * 30):
        assert client.get(f"/dead-letters/letter?id={wrong}").status_code == 404


def test_a_group_is_tried_on_paper_and_then_replayed(console: Served) -> None:
    """The dry run does nothing; what was done is told to everybody who looks."""
    letters(console, 3)
    asked = act(console, "dry-run", **GROUP)
    assert "Replay 3 dead letters?" in asked.text
    assert left(console) == [("http_400", 3)]
    done = act(console, "replay", **GROUP)
    assert done.status_code == 303
    assert left(console) == []
    with closing(sqlite3.connect(console.log_path)) as database:
        assert database.execute("SELECT target FROM events").fetchall() == [("heap",)] * 3
    text = console.client().get(done.headers["location"]).text
    assert "Done: replayed 3." in text
    assert "operator ada" in text
    action = console.traces.actions(1)[0]
    assert (action.what, action.subject, action.count) == ("replay", "heap http_400", 3)


def test_chosen_ones_are_deleted_after_a_second_question(console: Served) -> None:
    """The others stay."""
    letters(console, 3)
    asked = act(console, "delete", id=["1", "3"])
    assert "Delete 2 dead letters?" in asked.text
    assert left(console) == [("http_400", 3)]
    assert act(console, "delete", id=["1", "3"], sure="yes").status_code == 303
    assert left(console) == [("http_400", 1)]
    assert console.traces.actions(1)[0].count == 2


def test_a_damaged_one_hides_no_other_and_can_be_deleted(console: Served) -> None:
    """It is told by its number; the others are shown, tried, exported and replayed."""
    letters(console, 3)
    with closing(sqlite3.connect(console.log_path)) as database, database:
        database.execute("UPDATE dead_letters SET body = 7 WHERE id = 3")
    words = "dead letter 3 is not as it was written"
    client = console.client(VIEWER)
    assert words in client.get("/dead-letters").text  # it is the sample of its group
    listed = client.get("/dead-letters?connection=heap&code=http_400").text
    assert all(told in listed for told in ("http_400-1", "http_400-2", f"{words}: nobody can"))
    one = client.get("/dead-letters/letter?id=3")
    assert (one.status_code, words in one.text) == (404, True)
    asked = act(console, "dry-run", **GROUP).text
    assert "Replay 2 dead letters?" in asked
    assert f"1 cannot be read, because the log is damaged there, and stay: {words}" in asked
    assert len(act(console, "export", **GROUP).text.splitlines()) == 2
    done = act(console, "replay", **GROUP)
    assert done.headers["location"].endswith("replayed+2%3B+1+cannot+be+replayed")
    asked = act(console, "delete", id=["3"]).text
    assert "Delete 1 dead letter?" in asked
    assert words in asked
    act(console, "delete", id=["3"], sure="yes")
    assert left(console) == []


def test_they_are_exported_as_send_reads_them(console: Served) -> None:
    """One message a line."""
    letters(console, 2)
    answer = act(console, "export", **GROUP)
    assert [json.loads(line)["n"] for line in answer.text.splitlines()] == [1, 2]
    assert answer.headers["content-disposition"].startswith("attachment")
    assert console.traces.actions(1)[0].what == "export"


def test_one_action_takes_a_thousand_at_most(console: Served) -> None:
    """What is left is there for the next one."""
    letters(console, 1100)
    act(console, "replay", **GROUP)
    assert left(console) == [("http_400", 100)]


@pytest.mark.parametrize(
    "form",
    [
        {"what": "replay"},
        {"what": "delete", "sure": "yes"},
        {"what": "replay", "which": "group", "connection": "heap"},
        {"what": "replay", "id": "1 OR 1=1"},
        {"what": "explode", "id": "1"},
        {"what": "replay", "id": "9" * 40},
    ],
)
def test_what_does_not_say_which_does_nothing(console: Served, form: dict[str, str]) -> None:
    """Least of all with all of them."""
    letters(console, 2)
    console.client().post("/dead-letters/act", data=form)
    assert left(console) == [("http_400", 2)]


def test_a_viewer_does_nothing(console: Served) -> None:
    """Nor takes anything along."""
    letters(console, 2)
    for what in ("replay", "delete", "export", "dry-run"):
        form = {**GROUP, "what": what, "sure": "yes"}
        assert console.client(VIEWER).post("/dead-letters/act", data=form).status_code == 403
    assert left(console) == [("http_400", 2)]


def test_without_content_there_are_ids_codes_and_paths(console_of: Start) -> None:
    """No value, no word of the vendor, no export."""
    console = console_of(content=False)
    letters(console, 1)
    client = console.client()
    text = client.get("/dead-letters").text + client.get("/dead-letters/letter?id=1").text
    assert "ada" not in text.replace("/dead-letters", "").replace("sample", "")
    assert "userId" in text
    assert "https://heap.test" in text
    assert "https://heap.test/api" not in text  # a path may name a person
    assert act(console, "export", **GROUP).status_code == 403


def test_nothing_in_a_letter_is_run(console: Served) -> None:
    """XSS: through its code, id, words, request and answer."""
    about = {"detail": HTML, "answer": HTML, "request": {"method": HTML, "url": HTML, "json": HTML}}
    letters(console, 1, code=HTML, **about)
    client = console.client()
    group = {"which": "group", "connection": "heap", "code": HTML}
    pages = [
        client.get("/dead-letters").text,
        client.get("/dead-letters/letter?id=1").text,
        client.get("/dead-letters", params={"connection": "heap", "code": HTML, "done": HTML}).text,
        act(console, "dry-run", **group).text,
        act(console, "delete", **group).text,
    ]
    for text in pages:
        assert "alert(1)" in text
        assert "<script>alert" not in text
