"""A vendor's origin that is sent elsewhere is found however it is spelt, or refused."""

import pytest

from destination_router.config.origins import plain_origin, plain_origins, strange_origin
from destination_router.delivery.delivery_settings import DeliverySettings
from destination_router.delivery.sender import redirected

HEAP = "https://heapanalytics.com"


@pytest.mark.parametrize(
    "spelt", [HEAP, f"{HEAP}/", f"{HEAP}:443", "HTTPS://HeapAnalytics.com", f"{HEAP}:443/"]
)
def test_every_spelling_of_an_origin_is_found(spelt: str) -> None:
    """A slash, capitals and the port that goes unsaid are no other origin."""
    settings = DeliverySettings(origins={spelt: "http://127.0.0.1:9100/"})
    for url in (f"{HEAP}/api/track", f"{HEAP}:443/api/track"):
        assert redirected(url, settings.origins) == "http://127.0.0.1:9100/api/track"
    assert strange_origin(spelt, [HEAP]) is None


def test_another_port_or_scheme_is_another_origin() -> None:
    """What is not the same host at the same port by the same scheme is not sent elsewhere."""
    for url in ("http://heapanalytics.com/x", f"{HEAP}:444/x", f"{HEAP}.example/x"):
        assert redirected(url, plain_origins({HEAP: "http://127.0.0.1:1"})) == url
    assert plain_origin("http://vendor.example:80/x") == "http://vendor.example"
    assert plain_origin("http://vendor.example:443") == "http://vendor.example:443"


@pytest.mark.parametrize("spelt", ["http://heapanalytics.com", "https://heapanalytic.com"])
def test_an_origin_that_is_never_sent_to_is_told_with_the_one_that_is_meant(spelt: str) -> None:
    """Another scheme, or a typo: the sentence names the right one."""
    assert strange_origin(spelt, [HEAP]) == (
        f"no connection sends to '{spelt}'; did you mean {HEAP}?"
    )


def test_every_other_origin_is_never_strange() -> None:
    """`*` stands for whatever is sent to."""
    assert strange_origin("*", []) is None
    assert redirected(f"{HEAP}/x", plain_origins({"*": "http://a/"})) == "http://a/x"
