"""Allowlists: what passes of an object, by path."""

from destination_router.pipeline.privacy.allowlists import Allowlist, parse_rule

PAGE = {
    "url": "www.clinic.example/book?email=ada@example.com",
    "path": "book?mrn=1",
    "links": [{"href": "x.example/?e=ada@example.com", "text": "a?b"}],
}


def kept(rule: str) -> object:
    passed, _ = Allowlist([parse_rule(rule)], str).kept({"page": PAGE})
    return passed.get("page")


def test_a_url_below_a_path_passes_without_its_query() -> None:
    """It is known by its field's name there too, where nothing in its form tells."""
    assert kept("page.*") == {
        "url": "www.clinic.example/book",
        "path": "book",
        "links": [{"href": "x.example/", "text": "a?b"}],
    }


def test_the_whole_of_it_passes_where_the_list_says_so() -> None:
    """With a question mark behind the path."""
    assert kept("page.*?") == PAGE


def test_a_list_in_a_list_is_deeper_than_a_path_reaches() -> None:
    """A path lets pass a scalar or a list of scalars, in whichever item of a list it stands."""
    rules = [parse_rule("plan"), parse_rule("items.sku")]
    value = {"plan": ["pro", ["Ada"], [["Ada"]]], "items": [{"sku": "a"}, [{"sku": "Ada"}]]}
    passed, _ = Allowlist(rules, str).kept(value)
    assert passed == {"plan": ["pro"], "items": [{"sku": "a"}]}
    passed, _ = Allowlist([parse_rule("items.*")], str).kept(value)
    assert passed == {"items": [{"sku": "a"}, [{"sku": "Ada"}]]}
