"""What somebody may try against the console, and what comes of it.

Modules: `console/guard.py`, `console/app.py`, `console/forms.py`, `console/page.py`.
"""

from __future__ import annotations

import re

import httpx
import pytest
from console_served import OPERATOR, TOML, VIEWER, Served, Start
from waiting import PATIENCE

PAUSE = {"connection": "heap"}


def post(console: Served, path: str, headers: dict[str, str]) -> httpx.Response:
    """Post as a browser that is signed in would, but for what it says of where that comes from."""
    client = console.client()
    del client.headers["sec-fetch-site"]
    return client.post(path, data=PAUSE, headers=headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "http://"},
        {"origin": "http://[::1"},
        {},
    ],
)
def test_another_site_cannot_act(console: Served, headers: dict[str, str]) -> None:
    """CSRF: what does not say that it comes from the console itself does nothing."""
    answer = post(console, "/pause", headers)
    assert answer.status_code == 403
    assert "nothing was done" in answer.text
    assert "Pause" in console.client().get("/").text


def test_the_console_itself_can_act(console: Served) -> None:
    """By what new browsers say, and by what old ones do."""
    own = console.url
    assert post(console, "/pause", {"sec-fetch-site": "same-origin"}).status_code == 303
    assert post(console, "/pause", {"origin": own}).status_code == 303
    assert "Resume" in console.client().get("/").text


def test_another_site_cannot_load_a_page_as_its_own_part(console: Served) -> None:
    """Not as a script, a picture or a frame; a link to it may be followed."""
    client = console.client()
    for mode, dest in (("no-cors", "script"), ("no-cors", "image"), ("navigate", "iframe")):
        sent = {"sec-fetch-site": "cross-site", "sec-fetch-mode": mode, "sec-fetch-dest": dest}
        assert client.get("/", headers=sent).status_code == 403
    sent = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers={**sent, "sec-fetch-dest": "document"}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8081", "", "[::1", "a@b"]
)
def test_a_name_that_was_rebound_to_us_is_refused(console: Served, host: str) -> None:
    """DNS rebinding: a page of evil.example whose name now leads to 127.0.0.1."""
    answer = console.client().get("/", headers={"host": host})
    assert answer.status_code in {400, 403}
    assert "heap" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8081", "[::1]:8081", "192.168.1.7:80"])
def test_addresses_cannot_be_rebound(console: Served, host: str) -> None:
    """Neither can localhost."""
    assert console.client().get("/", headers={"host": host}).status_code == 200


def test_behind_a_proxy_it_goes_by_the_name_that_was_configured(console_of: Start) -> None:
    """And its cookie goes over TLS alone."""
    console = console_of(TOML, url="https://console.example.com")
    client = console.stranger()
    sent = {"host": "console.example.com", "origin": "https://console.example.com"}
    answer = client.post("/login", data={"password": OPERATOR}, headers=sent)
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-console=")
    assert {"HttpOnly", "Secure", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    sent["origin"] = "https://other.example.com"
    assert client.post("/login", data={"password": OPERATOR}, headers=sent).status_code == 403


def test_every_answer_tells_browsers_what_they_may(console: Served) -> None:
    """No inline script, no frame, no other site; and nothing is said of other origins."""
    client = console.client()
    for path in ("/", "/nothing", "/static/console.css", "/login"):
        headers = client.get(path, headers={"origin": "https://evil.example"}).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert not [name for name in headers if name.startswith("access-control-")]
    assert client.get("/").headers["cache-control"] == "no-store"


def test_no_page_has_anything_inline(console: Served) -> None:
    """The policy would keep it from working: no style, no script, no handler in an attribute."""
    client = console.client()
    for path in ("/", "/login", "/nothing"):
        text = client.get(path).text
        assert not re.search(r"\sstyle=|\son[a-z]+=|<style|<script(?![^>]*\bsrc=)", text), path


def test_a_page_that_is_not_there_is_told_harmlessly(console: Served) -> None:
    """Its path is not quoted as it was sent, whoever asks; and no file is read by its name."""
    for client in (console.client(), console.client(None)):
        answer = client.get("/<script>alert(1)</script>?next=<script>")
        assert answer.status_code == 404
        assert "<script>alert" not in answer.text
        for path in ("/static/../app.py", "/static/..%2fapp.py", "/static/htmx-LICENSE.txt"):
            assert client.get(path).status_code == 404


def test_without_a_session_nothing_is_shown(console: Served) -> None:
    """Pages lead to the form, and back to where one wanted to go; what is no page is refused."""
    client = console.client(None)
    answer = client.get("/?period=day", headers={"accept": "text/html"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=/%3Fperiod%3Dday"
    assert client.get("/", headers={"accept": "text/event-stream"}).status_code == 401
    assert client.get("/", headers={"hx-request": "true"}).status_code == 401
    assert client.post("/pause", data=PAUSE).status_code in {303, 401}
    assert "Resume" not in console.client().get("/").text


@pytest.mark.parametrize(
    "onward",
    ["//evil.example", "https://evil.example", "/\\evil.example", "/a\nb", "javascript:1", "//["],
)
def test_signing_in_leads_nowhere_else(console: Served, onward: str) -> None:
    """An open redirect would make another site look like ours."""
    client = console.client(None)
    sent = {"password": OPERATOR, "next": onward}
    assert client.post("/login", data=sent).headers["location"] == "/"


def test_a_viewer_cannot_act(console: Served) -> None:
    """They see the page, without its buttons, and what they post does nothing."""
    client = console.client(VIEWER)
    assert "<button>Pause" not in client.get("/").text
    assert client.post("/pause", data=PAUSE).status_code == 403
    assert "Resume" not in console.client().get("/").text


def test_a_stolen_cookie_is_worth_nothing_after_a_restart(
    console: Served, console_of: Start
) -> None:
    """Nor once its owner has signed out; nor with a role that was written in."""
    client = console.client(VIEWER)
    stolen = client.cookies["console"]
    known = {"accept": "text/html", "cookie": f"console={stolen}"}
    stranger = console.stranger()
    assert stranger.get("/", headers=known).status_code == 200
    other = console_of()  # the same passwords, another process
    assert httpx.get(other.url, headers=known).status_code == 303
    text, _, signature = stolen.partition(".")
    forged = {"accept": "text/html", "cookie": f"console={text[:-2]}xx.{signature}"}
    assert stranger.get("/", headers=forged).status_code == 303
    client.post("/logout")
    assert stranger.get("/", headers=known).status_code == 303


def test_guessing_is_slowed_down(console: Served) -> None:
    """After a few failures each costs a pause, in which the right password is refused, too."""
    client = console.client(None)
    answers = [client.post("/login", data={"password": f"guess-{i}"}) for i in range(6)]
    assert [answer.status_code for answer in answers] == [403] * 4 + [429] * 2
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert client.post("/login", data={"password": OPERATOR}).status_code == 429


def test_a_form_is_read_within_bounds(console: Served) -> None:
    """Two megabytes, two thousand fields, and nothing but a form; from strangers, 16 KB."""
    client = console.client(None)
    assert client.post("/login", data={"password": "x" * 20_000}).status_code == 413
    assert client.post("/login", json={"password": OPERATOR}).status_code == 415
    client = console.client()
    assert client.post("/tester", data={"message": "x" * 3_000_000}).status_code == 413
    assert client.post("/tester", data=dict.fromkeys(map(str, range(3000)), "")).status_code == 413


def test_what_an_operator_pastes_takes_its_size_and_no_more(console: Served) -> None:
    """A message of a megabyte, one as deep as it is long: an answer, bounded, and the next one."""
    client = console.client()
    wide = '{"type":"track","userId":"a","event":"E","properties":{"p":"' + "x" * 1_000_000 + '"}}'
    for message in (wide, "[" * 300_000, '{"type":"track","properties":' * 20_000):
        form = {"left": "connection:heap", "message": message, "what": "show"}
        answer = client.post("/tester", data=form, timeout=PATIENCE)
        assert answer.status_code == 200
        assert len(answer.content) < len(message) + 500_000
    assert client.get("/").status_code == 200


def test_thousands_of_sessions_take_no_memory(console: Served) -> None:
    """A session is its cookie: nothing is kept of who is signed in."""
    client = console.client()
    sessions = console.console._sessions
    before = {
        name: len(value) for name, value in vars(sessions).items() if hasattr(value, "__len__")
    }
    for _ in range(300):
        assert client.post("/login", data={"password": OPERATOR}).status_code == 303
    after = {
        name: len(value) for name, value in vars(sessions).items() if hasattr(value, "__len__")
    }
    assert after == before


def test_a_name_that_somebody_gives_themselves_is_text(console: Served) -> None:
    """It stands on every page."""
    text = console.client(name="<script>alert(1)</script>").get("/").text
    assert "<script>alert" not in text
    assert "operator &lt;script&gt;alert(1)&lt;/script&gt;" in text
