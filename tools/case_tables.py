"""Writes the tables in the docs that say what a destination sends for what message.

They are drawn from the cases, so they cannot lie; a block between two comments is replaced:

    <!-- conformance: heap track page -->
    <!-- /conformance -->

Another kind of block shows how the values of a setting disagree on one object:

    <!-- disagreement: heap dialect segment rudderstack -->
    <!-- /disagreement -->

    python tools/case_tables.py docs/conformance.md             write
    python tools/case_tables.py --check docs/conformance.md     exit 1 where it is not up to date
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from disagreement import disagreement_table
from generated_docs import write_or_check

from conformance.bench import find_cases
from conformance.case import Case, CaseError, load_cases
from conformance.mutants.without_cases import MUTANTS

_BLOCK = re.compile(
    r"(?P<open><!-- conformance: (?P<name>\S+)(?P<topics>(?: \S+)+) -->\n)"
    r".*?(?P<close><!-- /conformance -->)",
    re.DOTALL,
)
_DISAGREEMENT = re.compile(
    r"(?P<open><!-- disagreement: (?P<name>\S+) (?P<setting>\S+)(?P<values>(?: \S+)+) -->\n)"
    r".*?(?P<close><!-- /disagreement -->)",
    re.DOTALL,
)
_MUTANTS = re.compile(r"(?P<open><!-- mutants -->\n).*?(?P<close><!-- /mutants -->)", re.DOTALL)
_SHOWN = 60
_ITEMS = 4


def with_tables(document: str) -> str:
    """Give a document with its tables up to date.

    Raises:
        CaseError: a block names a destination or a topic that has no cases, or a destination that
            cannot be loaded.
    """
    drawn = _BLOCK.sub(
        lambda block: (
            block["open"] + _tables(block["name"], block["topics"].split()) + block["close"]
        ),
        document,
    )
    drawn = _MUTANTS.sub(lambda block: block["open"] + _mutants() + block["close"], drawn)
    return _DISAGREEMENT.sub(
        lambda block: "\n".join(
            (
                block["open"],
                disagreement_table(block["name"], block["setting"], block["values"].split()),
                block["close"],
            )
        ),
        drawn,
    )


def _mutants() -> str:
    """List the defects that no case is needed to find, by the check that does."""
    rows = sorted(
        (mutant.check.removeprefix("check/"), name, _plain(mutant.description))
        for name, mutants in MUTANTS.items()
        for mutant in mutants
    )
    head = "\n| Check | Destination | Defect |\n| --- | --- | --- |\n"
    return head + "".join(f"| {' | '.join(row)} |\n" for row in rows) + "\n"


def table(cases: Iterable[Case]) -> str:
    """Draw one table: the rule, the message, what is sent."""
    rows = [
        "| Rule | Message | What is sent |",
        "| --- | --- | --- |",
        *(f"| {_title(case)} | {_message(case)} | {_sent(case)} |" for case in cases),
    ]
    return "\n".join(rows) + "\n"


def _tables(name: str, topics: list[str]) -> str:
    folder = find_cases(name)
    if folder is None:
        raise CaseError(f"there are no cases of {name}")
    cases = load_cases(folder).cases
    parts: list[str] = []
    for topic in topics:
        chosen = [case for case in cases if case.id.partition("/")[0] == topic]
        if not chosen:
            raise CaseError(f"{name} has no cases on {topic}")
        parts.append(f"### {topic}\n\n{table(chosen)}")
    return "\n" + "\n".join(parts) + "\n"


def _title(case: Case) -> str:
    return f"{_plain(case.title)}<br>`{case.id}`"


def _message(case: Case) -> str:
    settings = {name: value for name, value in case.settings.items() if name != "appId"}
    told = [f"with {_code(beside)}" for beside in (settings, case.connection) if beside]
    if case.response is not None:
        return "<br>".join([*told, f"answer {case.response.status} {_code(case.response.body)}"])
    for message in case.sent[:_ITEMS]:
        fields = {k: v for k, v in message.items() if k not in ("type", "messageId")}
        told.append(f"{message.get('type', 'no type')} {_code(fields)}")
    if len(case.sent) > _ITEMS:
        told.append(f"… {len(case.sent)} messages")
    return "<br>".join(told)


def _sent(case: Case) -> str:
    expect = case.expect
    notes = f"<br>noted: {', '.join(expect.notes)}" if expect.notes else ""
    if expect.reject is not None:
        return f"rejected: `{expect.reject.code}`{notes}"
    if expect.ignored:
        return f"nothing{notes}"
    if expect.outcome is not None:
        return _code(expect.outcome)
    if expect.settings is not None:
        errors = ", ".join(expect.settings.errors)
        return "valid" if expect.settings.valid else f"refused: {_code(errors)}"
    return "<br>".join(map(_request, expect.requests or ())) + notes


def _request(request: dict[str, Any]) -> str:
    parts = urlsplit(request["url"])
    body = request.get("json", request.get("form", {}))
    shown = {k: v for k, v in body.items() if k != "app_id"} if isinstance(body, dict) else body
    return f"`{parts.hostname}{parts.path}` {_code(shown)}"


def _code(value: Any) -> str:
    """Show a value as code that a table can hold: one line, its bars escaped."""
    text = value if isinstance(value, str) else json.dumps(_shortened(value), ensure_ascii=False)
    if not text:
        return ""
    fence = "``" if "`" in text else "`"
    return f"{fence}{_plain(text)}{fence}"


def _shortened(value: Any) -> Any:
    """Shorten long texts, keys and lists, and say how long they are."""
    if isinstance(value, str) and len(value) > _SHOWN:
        return f"{value[:8]}… ({len(value)} characters)"
    if isinstance(value, list) and len(value) > _ITEMS:
        return [*map(_shortened, value[:_ITEMS]), f"… ({len(value)} items)"]
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    if isinstance(value, dict):
        return {_shortened(key): _shortened(item) for key, item in value.items()}
    return value


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    write_or_check("Draw the tables in the docs from the cases.", __file__, with_tables)
