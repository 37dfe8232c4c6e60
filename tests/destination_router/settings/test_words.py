"""One word for one thing: what becomes of a message is called the same everywhere."""

import re
from pathlib import Path
from typing import get_args, get_type_hints

from destination_router.contract.records import Outcome
from destination_router.delivery.stats import DeliveryStats
from destination_router.files.sending import Summary
from destination_router.pipeline.decisions import Decision

DOCS = Path(__file__).parents[3] / "docs"
COMMANDS = (DOCS / "commands.md").read_text(encoding="utf-8")
(SECTION,) = re.findall(
    r"^## What becomes of a message\n(.*?)^## ", COMMANDS, re.MULTILINE | re.DOTALL
)
WORDS = set(re.findall(r"^\| (\w[\w ]*) \| ", SECTION, re.MULTILINE)) - {"Word"}


def test_every_result_is_one_of_the_documented_words() -> None:
    """Decisions, outcomes, the counts of a worker and the summary of `send`."""
    decided = set(get_args(get_type_hints(Decision)["result"]))
    assert decided - {"requests"} == {"filtered", "rejected"} <= WORDS
    assert "`requests`" in SECTION
    answered = set(get_args(get_type_hints(Outcome)["result"]))
    asked_again = {"retry", "suspect", "held"}  # and in the end one of the others
    assert answered - asked_again == {"delivered", "rejected"} <= WORDS
    fates = {"delivered", "filtered", "rejected", "retried"}
    assert fates <= WORDS & set(DeliveryStats.__struct_fields__)
    assert {"delivered", "filtered", "rejected", "left"} <= WORDS & set(Summary.__struct_fields__)


def test_the_metrics_are_called_by_the_same_words() -> None:
    """A metric that counts messages by their fate has the fate's name, and is told by it."""
    page, _, _ = (DOCS / "metrics.md").read_text(encoding="utf-8").partition("## The transformer")
    told = dict(re.findall(r"^\| `router_(\w+)_total` \|.*\| (.*) \|$", page, re.MULTILINE))
    for word in ("filtered", "rejected", "retried"):
        assert word in told[word]
    assert "the vendor has" in told["delivered"]


def test_no_page_has_other_words_for_them() -> None:
    """What other words would be taken for further kinds of it."""
    others = re.compile(r"not for this destination|messages? (that )?(failed|were refused)\b")
    for page in (*DOCS.glob("*.md"), DOCS.parent / "README.md"):
        assert others.findall(page.read_text(encoding="utf-8")) == [], page.name
