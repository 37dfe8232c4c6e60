"""The pages of dead letters, which people group, read, try on paper, replay, export or delete."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from destination_router.console.desk import Desk
from destination_router.console.forms import Form, read_form
from destination_router.console.page import Page, session_of
from destination_router.console.rendering import Rendering
from destination_router.eventlog.dead_letter import (
    DamagedLetter,
    DeadLetter,
    DeadLetterFilter,
    LetterGroup,
)
from destination_router.eventlog.log_admin import LogAdmin
from destination_router.eventlog.sqlite.dead_letter_store import (
    count_by_hour,
    delete_letters,
    find_letters,
    group_letters,
)
from destination_router.eventlog.trace import Action
from destination_router.service.replayable import Replayable
from destination_router.service.tracing import field_paths

AT_ONCE = 1000
"""How many letters one action takes at most."""

_LISTED = 200
_COLUMNS = 48
_HOUR = 3600
_LARGEST_SHOWN = 64 * 1024


class LetterView(msgspec.Struct, frozen=True, kw_only=True):
    """A letter as it may be shown."""

    letter: DeadLetter
    detail: str
    body: str | None
    fields: Sequence[str]
    request: dict[str, Any] | None
    answer: str


class DeadLetterPage:
    """The pages, with their actions on letters."""

    def __init__(self, desk: Desk, rendering: Rendering) -> None:
        self._desk = desk
        self._rendering = rendering

    def pages(self) -> Iterator[Page]:
        """List its paths."""
        yield Page("/dead-letters", self._show)
        yield Page("/dead-letters/letter", self._one)
        yield Page("/dead-letters/act", self._act, acts=True)

    async def _show(self, request: Request) -> Response:
        asked = request.query_params
        wanted = _by_group(asked.get("connection", ""), asked.get("code", ""))
        listed = msgspec.structs.replace(wanted, limit=_LISTED)
        since = self._desk.clock() - _COLUMNS * _HOUR

        damaged: list[DamagedLetter] = []

        def read(log: LogAdmin) -> tuple[list[LetterGroup], list[DeadLetter], Counter[int]]:
            letters = list(find_letters(log.books, listed, damaged)) if wanted.code else []
            recent = msgspec.structs.replace(wanted, since=since)
            hours = Counter(count_by_hour(log.books, recent))
            return group_letters(log.books, wanted), letters, hours

        groups, letters, hours = await self._desk.read_log(read)
        actions = await self._desk.ask_traces(lambda traces: traces.actions(30))
        now = int(self._desk.clock() // _HOUR)
        starts = [now - back for back in range(_COLUMNS - 1, -1, -1)]
        return self._rendering.page(
            request,
            "dead_letters.html",
            groups=groups,
            letters=letters,
            damaged=damaged,
            wanted=wanted,
            total=sum(group.count for group in groups),
            columns=[hours[start] for start in starts],
            starts=[start * _HOUR for start in starts],
            actions=[each for each in actions if _is_about_letters(each)],
            done=asked.get("done", ""),
            detail_of=self._detail,
            content=self._desk.content,
            most=AT_ONCE,
        )

    async def _one(self, request: Request) -> Response:
        number = request.query_params.get("id", "")
        if not number.isdecimal() or len(number) > 18:  # noqa: PLR2004 -- SQLite's largest
            raise HTTPException(404)
        which = DeadLetterFilter(ids=(int(number),))
        found, damaged = await self._desk.read_log(lambda log: _found(log, which))
        if damaged:
            raise HTTPException(404, f"The {damaged[0].told}: nobody can read it. Delete it.")
        if not found:
            raise HTTPException(404, "There is no such dead letter; it may have been deleted.")
        return self._rendering.page(request, "letter.html", view=self._view(found[0]))

    async def _act(self, request: Request) -> Response:
        form = await read_form(request)
        what = form.get("what")
        wanted, subject = _chosen(form)
        match what:
            case "dry-run":
                return await self._tried(request, wanted, subject, "replay", form)
            case "replay":
                return await self._replayed(request, wanted, subject)
            case "delete" if form.get("sure") != "yes":
                return await self._tried(request, wanted, subject, "delete", form)
            case "delete":
                return await self._deleted(request, wanted, subject)
            case "export":
                return await self._exported(request, wanted, subject)
            case _:
                raise HTTPException(400, "There is no such action.")

    async def _tried(
        self, request: Request, wanted: DeadLetterFilter, subject: str, what: str, form: Form
    ) -> Response:
        """Show what would be done, and ask."""
        found, damaged = await self._desk.read_log(lambda log: _found(log, wanted))
        config = self._desk.configured.config
        good: list[DeadLetter | DamagedLetter] = [*found, *damaged]
        refused: dict[str, list[DeadLetter]] = {}
        if what == "replay":
            replayable, refused = Replayable(config.connections).sort_out(found)
            good = [*replayable]
        return self._rendering.page(
            request,
            "letters_asked.html",
            what=what,
            subject=subject,
            letters=good,
            refused=refused,
            damaged=damaged,
            codes=Counter(
                f"{each.connection or '?'} {each.code or '?'}" for each in good
            ).most_common(20),
            form=form,
        )

    async def _replayed(self, request: Request, wanted: DeadLetterFilter, subject: str) -> Response:
        config = self._desk.configured.config

        def replay(log: LogAdmin) -> tuple[int, int]:
            found, damaged = _found(log, wanted)
            good, refused = Replayable(config.connections).sort_out(found)
            log.replay_letters(good, time.time())
            return len(good), sum(map(len, refused.values())) + len(damaged)

        done, refused = await self._desk.change_log(replay)
        await self._desk.note(session_of(request), "replay", subject, done)
        words = f"replayed {done}" + (f"; {refused} cannot be replayed" if refused else "")
        return _back(words)

    async def _deleted(self, request: Request, wanted: DeadLetterFilter, subject: str) -> Response:
        def delete(log: LogAdmin) -> int:
            found, damaged = _found(log, wanted)
            delete_letters(log.books, [*found, *damaged])
            return len(found) + len(damaged)

        done = await self._desk.change_log(delete)
        await self._desk.note(session_of(request), "delete", subject, done)
        return _back(f"deleted {done}")

    async def _exported(self, request: Request, wanted: DeadLetterFilter, subject: str) -> Response:
        if not self._desk.content:
            raise HTTPException(403, "[console] content = false: values of messages are not shown")
        found, _ = await self._desk.read_log(lambda log: _found(log, wanted))
        await self._desk.note(session_of(request), "export", subject, len(found))
        return Response(
            b"".join(letter.body.replace(b"\n", b" ") + b"\n" for letter in found),
            media_type="application/x-ndjson",
            headers={"content-disposition": 'attachment; filename="dead-letters.jsonl"'},
        )

    def _detail(self, letter: DeadLetter | DamagedLetter) -> str:
        return letter.told if isinstance(letter, DamagedLetter) else self._view(letter).detail

    def _view(self, letter: DeadLetter) -> LetterView:
        if self._desk.content:
            body = letter.body[:_LARGEST_SHOWN].decode("utf-8", "replace")
            return LetterView(
                letter=letter,
                detail=letter.detail,
                body=body,
                fields=(),
                request=letter.request,
                answer=letter.answer,
            )
        request = letter.request or {}
        shape = {name: request[name] for name in ("method",) if name in request}
        if isinstance(url := request.get("url"), str):
            parts = urlsplit(url)  # a path may name a person
            shape["url"] = f"{parts.scheme}://{parts.netloc}"
        return LetterView(
            letter=letter,
            detail=letter.detail if letter.status is None else "",
            body=None,
            fields=field_paths(letter.body),
            request=shape or None,
            answer="",
        )


def _found(log: LogAdmin, wanted: DeadLetterFilter) -> tuple[list[DeadLetter], list[DamagedLetter]]:
    damaged: list[DamagedLetter] = []
    return list(find_letters(log.books, wanted, damaged)), damaged


def _chosen(form: Form) -> tuple[DeadLetterFilter, str]:
    """Read which letters are meant: the ticked ones or a whole group."""
    if form.get("which") == "group":
        connection, code = form.get("connection"), form.get("code")
        if not connection or not code:
            raise HTTPException(400, "Say which connection and which code.")
        wanted = _by_group(connection, code)
        return msgspec.structs.replace(wanted, limit=AT_ONCE), f"{connection} {code}"
    numbers = [number for number in form.all("id") if number.isdecimal()][:AT_ONCE]
    if not numbers:
        raise HTTPException(400, "Tick the letters that you mean, or take the whole group.")
    ids = tuple(min(int(number), 2**62) for number in numbers)
    return DeadLetterFilter(ids=ids), ", ".join(numbers[:20])


def _by_group(connection: str, code: str) -> DeadLetterFilter:
    return DeadLetterFilter(connection=connection or None, code=code or None, replayed=False)


def _is_about_letters(action: Action) -> bool:
    return action.what in {"replay", "delete", "export"}


def _back(words: str) -> Response:
    return RedirectResponse(
        f"/dead-letters?done={words.replace(' ', '+').replace(';', '%3B')}", 303
    )
