"""What a vendor's pages say, sentence by sentence, and which cases test each sentence.

Each `sources/NAME/*.json` holds a page: its URL, its heading, the day when it was read, and its
statements, numbered and in our own words. A statement has cases, or says why it has none, or is
open. A case names its statement, too, so that you can read either side alone. Loading them checks
that they agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import msgspec
from jsonschema import Draft202012Validator

from conformance.case import Case, CaseError

State = Literal["tested", "excluded", "open"]


class Statement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sentence of a page.

    Attributes:
        number: within its page. No number is used again.
        says: what it says, in our own words.
        cases: the cases and checks that test it.
        excluded: why none does, and none has to.
    """

    number: int
    says: str
    cases: tuple[str, ...] = ()
    excluded: str = ""

    @property
    def state(self) -> State:
        """Whether it is tested, excluded with a reason, or open."""
        if self.cases:
            return "tested"
        return "excluded" if self.excluded else "open"


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a vendor's documentation, or one file of another system's published code.

    Attributes:
        id: the name of its file, the first part of its statements' ids.
        url: where it stands.
        heading: what it is called there.
        retrieved: the day it said so.
        statements: in the order of the page.
    """

    id: str
    url: str
    heading: str
    retrieved: str
    statements: tuple[Statement, ...]

    def count(self, state: State) -> int:
        """Count the statements in this state."""
        return sum(statement.state == state for statement in self.statements)


def load_pages(folder: Path | None, cases: Iterable[Case]) -> tuple[Page, ...]:
    """Read a destination's pages. Without a folder, there are none.

    Raises:
        CaseError: files that cannot be used, or cases and statements that do not name each other;
            all of it at once.
    """
    if folder is None:
        return ()
    problems: list[str] = []
    pages = [page for path in sorted(folder.glob("*.json")) if (page := _page(path, problems))]
    if not problems:
        problems.extend(_disagreements(pages, {case.id: case for case in cases}))
    if problems:
        raise CaseError("\n".join(problems))
    return tuple(pages)


def _page(path: Path, problems: list[str]) -> Page | None:
    try:
        document = msgspec.json.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        problems.append(f"{path.name}: it is not JSON: {error}")
        return None
    found = [
        f"{path.name}: {'.'.join(map(str, error.absolute_path))}: {error.message}"
        for error in _validator().iter_errors(document)
    ]
    problems.extend(found)
    return None if found else msgspec.convert({**document, "id": path.stem}, Page)


def _disagreements(pages: Iterable[Page], cases: dict[str, Case]) -> Iterator[str]:
    by_id: dict[str, tuple[Page, Statement]] = {}
    for page in pages:
        for statement in page.statements:
            statement_id = f"{page.id}/{statement.number}"
            if statement_id in by_id:
                yield f"{page.id}.json: statement {statement.number} is there twice"
            by_id[statement_id] = (page, statement)
            for case_id in statement.cases:
                if case_id not in cases and not case_id.startswith("check/"):
                    yield f"{page.id}.json: statement {statement.number}: no case {case_id}"
    for case in cases.values():
        yield from _faults_of(case, by_id)


def _faults_of(case: Case, statements: dict[str, tuple[Page, Statement]]) -> Iterator[str]:
    """Find what is wrong with a case's own reference to its statement."""
    if not case.statement:
        if case.source.url:
            yield f"case {case.id}: name the statement of {case.source.url} that it tests"
        return
    if case.statement not in statements:
        yield f"case {case.id}: there is no statement {case.statement}"
        return
    page, statement = statements[case.statement]
    if case.id not in statement.cases:
        yield f"{page.id}.json: statement {statement.number}: add {case.id}, which names it"
    if case.source.url and case.source.url != page.url:
        yield f"case {case.id}: its source is {case.source.url}, its statement's is {page.url}"


@cache
def _validator() -> Draft202012Validator:
    schema: Any = files("conformance").joinpath("schema", "source-file.v1.json").read_bytes()
    return Draft202012Validator(msgspec.json.decode(schema))
