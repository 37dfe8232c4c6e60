"""Redaction: no secret is to be read wherever a request is shown."""

import base64
import html
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from destination_router import BasicAuth, BearerAuth, HttpRequest
from destination_router.settings.redaction import hide, shown_request
from destination_router.settings.words import HIDDEN

SECRET = "s3cr/t+k y"
URL = "https://api.example.com/v1"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def lines(text: str) -> HttpRequest:
    return HttpRequest(
        url=URL, content=text.encode(), content_type="application/x-ndjson", gzip=True
    )


@pytest.mark.parametrize(
    ("request_", "part", "expected"),
    [
        (HttpRequest(url=f"{URL}/{SECRET}/x"), "url", f"{URL}/***/x"),
        (HttpRequest(url=f"{URL}/{quote(SECRET)}"), "url", f"{URL}/***"),
        (HttpRequest(url=f"{URL}/{quote(SECRET, safe='')}"), "url", f"{URL}/***"),
        (HttpRequest(url=f"{URL}?k={quote_plus(SECRET)}"), "url", f"{URL}?k=***"),
        (HttpRequest(url=URL, params={"key": SECRET}), "params", {"key": "***"}),
        (HttpRequest(url=URL, params={SECRET: "1"}), "params", {"***": "1"}),
        (HttpRequest(url=URL, params={"k": ("a", SECRET)}), "params", {"k": ["a", "***"]}),
        (lines(f'{{"api_key":"{SECRET}"}}\n'), "content", '{"api_key":"***"}\n'),
        (lines(f"{encoded(SECRET)}\n"), "content", "***\n"),
        (HttpRequest(url=URL, headers={"X-Key": f"key {SECRET}"}), "headers", {"X-Key": "key ***"}),
        (HttpRequest(url=URL, json={"api_key": SECRET}), "json", {"api_key": "***"}),
        (HttpRequest(url=URL, json={SECRET: [SECRET, 1, None]}), "json", {"***": ["***", 1, None]}),
        (HttpRequest(url=URL, json=[{"a": f"<{SECRET}>"}]), "json", [{"a": "<***>"}]),
        (HttpRequest(url=URL, form={"api_key": SECRET}), "form", {"api_key": "***"}),
        (HttpRequest(url=URL, headers={"X": encoded(SECRET)}), "headers", {"X": "***"}),
        (HttpRequest(url=URL, headers={"X": encoded(f"{SECRET}:")}), "headers", {"X": "***"}),
        (HttpRequest(url=URL, headers={"X": encoded(f":{SECRET}")}), "headers", {"X": "***"}),
    ],
)
def test_a_secret_is_hidden_in_every_part(
    request_: HttpRequest, part: str, expected: object
) -> None:
    """The URL, query, headers and body are shown as they go out, but for the secret."""
    assert shown_request(request_, {SECRET})[part] == expected


def test_bytes_are_shown_as_text_with_their_type() -> None:
    """What is no text is escaped, and nobody has to unpack it."""
    request = HttpRequest(url=URL, content=b"a\xff", content_type="a/b", gzip=True)
    assert shown_request(request) == {
        "method": "POST",
        "url": URL,
        "params": {},
        "headers": {"Content-Type": "a/b", "Content-Encoding": "gzip"},
        "content": "a\\xff",
    }


@pytest.mark.parametrize("user", ["", "a", "ab", "abc", "abcd"])
def test_a_secret_is_hidden_inside_a_basic_header_of_any_name(user: str) -> None:
    """In Base64 a secret reads differently behind each user name; none of it is shown."""
    credentials = f"Basic {encoded(f'{user}:{SECRET}')}"
    shown = shown_request(HttpRequest(url=URL, headers={"X-Auth": credentials}), {SECRET})
    (*_, rest) = shown["headers"]["X-Auth"].split("***")
    assert "***" in shown["headers"]["X-Auth"]
    assert len(rest) <= 4  # padding, and a character that its last bits share with it


@pytest.mark.parametrize(
    "name", ["Authorization", "authorization", "Proxy-Authorization", "COOKIE"]
)
def test_headers_that_carry_credentials_are_hidden_whole(name: str) -> None:
    """What stands in such a header is nobody's business, marked as a secret or not."""
    shown = shown_request(HttpRequest(url=URL, headers={name: "Token abc", "Accept": "text/plain"}))
    assert shown["headers"] == {name: "***", "Accept": "text/plain"}


@pytest.mark.parametrize(
    ("auth", "header"),
    [(BasicAuth("user", "pass"), "Basic ***"), (BearerAuth("token"), "Bearer ***")],
)
def test_authentication_is_shown_by_its_scheme_alone(
    auth: BasicAuth | BearerAuth, header: str
) -> None:
    """A reader sees that and how a request authenticates, not with what."""
    shown = shown_request(HttpRequest(url=URL, auth=auth))
    assert shown["headers"] == {"Authorization": header}


@pytest.mark.parametrize("auth", [BasicAuth("u53r", "p455"), BearerAuth("t0k3n")])
def test_authentication_does_not_print(auth: BasicAuth | BearerAuth) -> None:
    """A request that is printed, in a traceback say, keeps its credentials to itself."""
    for text in (repr(auth), str(auth), repr(HttpRequest(url=URL, auth=auth)), f"{auth}"):
        assert "***" in text
        assert not any(word in text for word in ("u53r", "p455", "t0k3n"))


def test_a_request_is_shown_with_the_body_it_has() -> None:
    """The shape is the documented one; a body that is not there has no key."""
    plain = {"method": "GET", "url": URL, "params": {}, "headers": {}}
    assert shown_request(HttpRequest(method="GET", url=URL)) == plain
    assert shown_request(HttpRequest(method="GET", url=URL, json={})) == {**plain, "json": {}}
    assert shown_request(HttpRequest(method="GET", url=URL, form={})) == {**plain, "form": {}}


@pytest.mark.parametrize("secret", ["json", "url", "e", "headers", "POST", "1", "s3cret7"])
def test_a_secret_that_is_a_word_of_ours_leaves_the_shape_alone(secret: str) -> None:
    """A poor password such as `json` is hidden where a name tells, and no part is renamed."""
    shown = shown_request(
        HttpRequest(url="https://x.example", json={"a": secret, "apiKey": secret, "n": 1}), {secret}
    )
    assert list(shown) == ["method", "url", "params", "headers", "json"]
    assert shown["json"] == {"a": secret, "apiKey": "***", "n": 1}


@pytest.mark.parametrize("name", ["token", "api_key", "X-Api-Key", "clientSecret", "password"])
def test_a_short_secret_is_hidden_where_the_name_says_what_it_is(name: str) -> None:
    """Looked for by its value, `1` would garble every price."""
    request = HttpRequest(
        url=URL, headers={name: "1"}, params={name: "1"}, json={"price": 1, "at": "10:10", name: 1}
    )
    shown = shown_request(request, {"1"})
    assert (shown["headers"][name], shown["params"]) == ("***", {name: "***"})
    assert shown["json"] == {"price": 1, "at": "10:10", name: "***"}
    assert hide("11 of 21", {"1"}) == "11 of 21"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (12345678, "***"),
        (12345678.0, "***"),
        (9123456789, "***"),
        (54321, 54321),
        (True, True),
        (None, None),
    ],
)
def test_a_number_that_shows_a_secret_is_hidden(value: object, expected: object) -> None:
    """A secret of digits is hidden where a body carries it as a number."""
    assert hide({"v": value}, {"12345678"}) == {"v": expected}


def test_without_secrets_a_value_is_its_own_redaction() -> None:
    """A connection without secrets pays nothing for them."""
    value = {"a": [1, "b"]}
    assert hide(value, ()) is value


def test_of_two_secrets_the_longer_is_hidden_whole() -> None:
    """A secret that begins another does not leave the other's end to be read."""
    assert hide("abcd-efgh-ijkl abcd-efgh", {"abcd-efgh", "abcd-efgh-ijkl"}) == "*** ***"


def test_a_secret_that_is_not_unicode_is_hidden() -> None:
    """The environment may hold bytes that are no text; they do not get in the way."""
    assert hide("key \udcffabcdefg!", {"\udcffabcdefg"}) == "key ***!"


WORDS = "k3y/with&'some\"<marks>"


def decimal(text: str) -> str:
    return "".join(f"&#{ord(character)};" for character in text)


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(character):04X}" for character in text)


@pytest.mark.parametrize(
    "spelt",
    [
        quote(WORDS, safe="").lower(),
        quote(quote(WORDS, safe=""), safe=""),
        quote_plus(json.dumps(WORDS)),
        json.dumps(WORDS)[1:-1].replace("/", "\\/"),
        json.dumps(json.dumps(WORDS)),
        WORDS.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003E"),
        escaped(WORDS),
        html.escape(WORDS),
        html.escape(html.escape(WORDS)),
        html.escape(WORDS).replace("&#x27;", "&apos;").replace("/", "&sol;"),
        html.escape(json.dumps(WORDS)),
        decimal(WORDS),
        encoded(encoded(WORDS)),
        encoded(f"x{encoded(f'user:{WORDS}')}"),
        quote(encoded(WORDS), safe=""),
        encoded(WORDS).replace("+", "-").replace("/", "_").rstrip("="),
        WORDS.encode().hex(),
        WORDS.encode().hex().upper(),
        encoded(f"key={quote(WORDS, safe='')}"),
        encoded(json.dumps({"key": WORDS})),
        decimal(quote(WORDS, safe="")),
        quote(decimal(WORDS)),
    ],
)
def test_a_vendor_may_spell_a_secret_as_it_likes(spelt: str) -> None:
    """Its words come as JSON or HTML, with our URL in them, escaped as often as they please."""
    told = hide(f"no such key: {spelt}.", {WORDS})
    assert HIDDEN in told
    assert spelt[4:-4] not in told
    assert told.startswith("no such key: ") or told == HIDDEN


def test_what_is_encoded_beyond_all_use_is_hidden_whole() -> None:
    """Where a secret is found and not where it stands, nothing of the text is told."""
    mixed = quote(html.escape(escaped(WORDS)), safe="")
    assert hide(f"no: {mixed}", {WORDS}) in (HIDDEN, f"no: {HIDDEN}")
    layers = WORDS
    for _ in range(20):
        layers = quote(f"%{layers}", safe="")
    assert WORDS not in hide(layers, {WORDS})


@pytest.mark.parametrize(
    "text", ["100%", "a&b", "C:\\new", "a+b", "&#65", "%%%41", "\\u12", "&amp"]
)
def test_what_holds_no_secret_is_told_as_it_is(text: str) -> None:
    """Marks of an encoding alone give nothing away."""
    assert hide(text, {WORDS, "se cr"}) == text


# Of the marker itself, `****`, nothing could be told.
secrets = st.text(
    st.characters(exclude_characters="*", exclude_categories=()), min_size=8, max_size=30
)
arounds = st.text("abc /:\"\\'&=%é😀", max_size=4)


@given(secret=secrets, before=arounds, after=arounds, data=st.data())
@settings(deadline=None)
def test_no_secret_survives_wherever_it_is_placed(
    secret: str, before: str, after: str, data: st.DataObject
) -> None:
    """Whatever part of a request quotes a secret, plainly or encoded, its print does not."""
    # `true` would be found in every body that holds a boolean.
    assume(secret not in "truefalsenull")
    content = secret.encode("utf-8", "surrogatepass")
    spelt = data.draw(
        st.sampled_from(
            [
                secret,
                quote(content),
                quote(content, safe=""),
                quote_plus(content),
                json.dumps(secret)[1:-1],
                base64.b64encode(content).decode(),
            ]
        )
    )
    text = f"{before}{spelt}{after}"
    place: dict[str, Any] = data.draw(
        st.sampled_from(
            [
                {"url": f"https://x.example/{text}"},
                {"params": {"k": text}},
                {"params": {text: "v"}},
                {"headers": {"X-Key": text}},
                {"headers": {"Authorization": text}},
                {"json": {"k": [{"deep": text}]}},
                {"json": {text: None}},
                {"json": text},
                {"form": {"k": text}},
                {"form": {text: "v"}},
                {"auth": BasicAuth(text, text)},
                {"auth": BearerAuth(text)},
            ]
        )
    )
    shown = shown_request(HttpRequest(**{"url": URL, **place}), {secret})
    for part in ("url", "params", "headers", "json", "form"):
        printed = json.dumps(shown.get(part), ensure_ascii=False)
        assert spelt not in printed
        assert "***" in printed or part not in place


@pytest.mark.parametrize(
    ("number", "secret"),
    [(1e16, "10000000000000000"), (-2.5e17, "250000000000000000"), (1.25e-05, "1.25e-05")],
)
@pytest.mark.parametrize("where", [lambda n: {"k": n}, lambda n: [n], lambda n: [0, n]])
def test_a_number_that_is_a_secret_is_hidden_however_it_is_written(
    number: float, secret: str, where: Callable[[float], Any]
) -> None:
    """Encoders write some with an exponent, and not alike."""
    shown = shown_request(HttpRequest(url=URL, json=where(number)), {secret})
    assert shown["json"] == where(HIDDEN)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["&#" + "9" * 5000, "&#" + "0" * 5000 + ";", "&#x" + "f" * 5000])
def test_a_number_of_any_length_is_read(text: str) -> None:
    """Python reads no number of more than 4,300 digits; a vendor may write one."""
    assert hide(text, {"secretive"}) == text
    assert hide(f"{text} and secretive", {"secretive"}) == f"{text} and {HIDDEN}"


def test_noughts_in_front_of_a_characters_number_hide_no_secret() -> None:
    """However many there are."""
    assert "ecretive" not in str(hide("&#" + "0" * 5000 + "115;ecretive", {"secretive"}))


def test_a_number_that_python_cannot_write_is_hidden() -> None:
    """It might hold anything."""
    assert hide({"n": 10**5000}, {"secretive"}) == {"n": HIDDEN}
