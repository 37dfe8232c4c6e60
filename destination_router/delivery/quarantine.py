"""Holds back an identity that too many people suddenly carry: an unknown placeholder.

A vendor merges everybody with the same identity for good. A kiosk, a test account or a bug that
writes one id for everybody looks like one person with many devices. From a backend, which knows no
devices, it looks like one person whose name keeps changing. This module remembers what comes with
each identity, and decides when it is too much.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Literal

import msgspec

from destination_router.config.router_toml import QuarantineConfig
from destination_router.contract.records import HttpRequest
from destination_router.delivery.ledger import patiently
from destination_router.eventlog.interface import QuarantineBook
from destination_router.pipeline.decisions import Decision, Refusal, named_identities

CODE = "quarantined_identity"

_DIGEST_BYTES = 16
_DEVICE = "anonymousId"
MOST_REMEMBERED = 100_000
"""Identities and what came with them, together, about 300 bytes each: those that were not seen for
longest are forgotten first, and what floods in is seen all the time."""

_log = logging.getLogger(__name__)


Verdict = Literal["free", "caught", "held"]

_Marks = tuple[Any, ...]
"""What comes with an identity: kind, hash, kind, hash, ... Flat, since each message has one."""


class _Once(msgspec.Struct, eq=False, gc=False):
    """What came with an identity, and when last, while it is always the same."""

    marks: _Marks
    last: float

    def __len__(self) -> int:
        return len(self.marks) // 2


class _Seen:
    """When each anonymous id, email and name was last seen with one identity, by hashes."""

    __slots__ = ("last", "marks")

    def __init__(self, once: _Once) -> None:
        self.marks = {kind: {mark: once.last} for kind, mark in _pairs(once.marks)}
        self.last = once.last

    def __len__(self) -> int:
        return sum(map(len, self.marks.values()))


class Quarantine:
    """Watches the identities of one connection.

    Time is when a message was received: the sender's own time may be anything, and a backlog after
    an outage must not look like a rush. What is remembered goes after a period without a message,
    and by restarting; what is held back stays so until it is allowed.

    Args:
        settings: when an identity is held back.
        held: digests of those that are already.
        most_remembered: identities and anonymous ids together.
    """

    def __init__(
        self,
        settings: QuarantineConfig,
        held: Iterable[bytes] = (),
        most_remembered: int = MOST_REMEMBERED,
    ) -> None:
        self._settings = settings
        self._most_remembered = most_remembered
        self._allowed = frozenset(settings.allow)
        self._held = set(held) - {digest(identity) for identity in settings.allow}
        # A digest costs more than all the rest, and only what is held back outlives the process.
        self._seen: OrderedDict[int, _Once | _Seen] = OrderedDict()
        self._remembered = 0
        self._forgot_at = float("-inf")
        self.caught: list[bytes] = []
        """Digests of those that are held back since this was last emptied."""

    def verdict(self, decision: Decision, at: float, *, again: bool = False) -> Verdict:
        """Decide whether a message may go out.

        Where several subscriptions send it under several identities, each is watched, and the
        message goes out under all of them or none.

        Args:
            decision: what its connection makes of it.
            at: when it was received, Unix time in seconds.
            again: it is a replay: it was let through when it came, and now all come at once.
        """
        if again:
            return "held" if self._holds(named_identities(decision)) else "free"
        return self.verdicts([decision], [at]).get(0, "free")

    def verdicts(self, decisions: Sequence[Decision], times: Iterable[float]) -> dict[int, Verdict]:
        """Decide about those messages that are to be sent, in order, none of which is a replay.

        Args:
            decisions: what their connection makes of them.
            times: when each was received, Unix time in seconds.

        Returns:
            The verdicts on those that may not go out, by their place among the decisions.
        """
        found: dict[int, Verdict] = {}
        allowed, seen, most = self._allowed, self._seen, self._most_remembered
        decision: Decision
        first: HttpRequest
        identities: Collection[str]
        for place, (decision, at) in enumerate(zip(decisions, times, strict=True)):
            if decision.result != "requests":
                continue
            requests = decision.requests
            only: str | None = None
            if len(requests) == 1:  # as nearly always: a call less
                (first,) = requests
                only = first.identity
            identities = named_identities(decision) if only is None else (only,) if only else ()
            if self._held and self._holds(identities):  # as hardly ever: it spares a call
                found[place] = "held"
                continue
            device, person = decision.anonymous_id, decision.person
            marks: _Marks = () if device is None else (_DEVICE, hash(device))
            marks = _with_person(marks, person) if person else marks
            watched = (
                [each for each in identities if each not in allowed] if allowed else identities
            )
            for each in watched if marks else ():
                if at != self._forgot_at or self._remembered >= most:
                    self._forget(at)  # for all messages of a request but the first, it is done
                identity = hash(each)
                known = seen.get(identity)
                if known is None:  # and not too much: the limits are one or more
                    seen[identity] = _Once(marks, at)
                    self._remembered += 1 + len(marks) // 2
                    continue
                seen.move_to_end(identity)
                if type(known) is _Once and known.marks == marks:  # as for nearly all
                    known.last = max(known.last, at)
                elif self._is_too_much(identity, known, marks, at):
                    self._held.add(digest(each))
                    self.caught.append(digest(each))
                    found[place] = "caught"
        return found

    def refusal(self) -> Refusal:
        """Explain why a message is held back, and what releases it."""
        settings = self._settings
        return Refusal(
            CODE,
            f"identity: more than {settings.anonymous_ids} anonymous ids carried it, or more than "
            f"{settings.changed_traits} emails or names, within {settings.period:g} s, and a "
            "vendor merges all who carry one; list it with the destination's unsafe ids, or, if it "
            "is one person's, in [quarantine] allow; then replay or send it again",
        )

    @property
    def remembered(self) -> int:
        """The number of remembered identities and of what came with them."""
        return self._remembered

    def _holds(self, identities: Collection[str]) -> bool:
        return bool(self._held) and not self._held.isdisjoint(map(digest, identities))

    def _is_too_much(self, identity: int, seen: _Once | _Seen, marks: _Marks, at: float) -> bool:
        """Remember what comes with an identity, if that is not as it always was."""
        if type(seen) is _Once:
            seen = self._seen[identity] = _Seen(seen)
        assert type(seen) is _Seen  # noqa: S101 -- the only other
        seen.last = max(seen.last, at)
        for kind, mark in _pairs(marks):
            known = seen.marks.get(kind)
            before = None if known is None else known.get(mark)
            if known is not None and before is not None:
                if at > before:
                    known[mark] = at
            elif not self._fits(seen, kind, mark, at):
                self._drop(identity)
                return True
        return False

    def _fits(self, seen: _Seen, kind: str, mark: int, at: float) -> bool:
        """Remember what newly comes with an identity, unless it is one too many of its kind."""
        known = seen.marks.setdefault(kind, {})
        most = self._settings.anonymous_ids if kind == _DEVICE else self._settings.changed_traits
        if len(known) >= most:
            since = seen.last - self._settings.period
            for old in [key for key, time in known.items() if time <= since]:
                del known[old]
                self._remembered -= 1
        if len(known) >= most:
            return False
        known[mark] = at
        self._remembered += 1
        return True

    def _forget(self, at: float) -> None:
        """Drop what is too old, and what is too much."""
        self._forgot_at = at
        since = at - self._settings.period
        while self._seen:
            identity, seen = next(iter(self._seen.items()))
            if seen.last > since and self._remembered < self._most_remembered:
                return
            self._drop(identity)

    def _drop(self, identity: int) -> None:
        self._remembered -= 1 + len(self._seen.pop(identity))


class Watch:
    """A connection's quarantine, with its book.

    Args:
        connection: the connection's name.
        settings: when an identity is held back; None: never.
        book: where that is kept; None: nowhere.
    """

    def __init__(
        self,
        connection: str,
        settings: QuarantineConfig | None = None,
        book: QuarantineBook | None = None,
    ) -> None:
        self._connection = connection
        self._settings = settings or QuarantineConfig(enabled=False)
        self._book = book
        self._quarantine = Quarantine(self._settings)
        self.is_on = self._settings.enabled
        """Whether any identity is ever held back."""

    async def open(self) -> None:
        """Read held-back identities, and release those that are allowed now."""
        if self._book is None or not self._settings.enabled:
            return
        book = self._book
        held = await patiently(lambda: book.held(self._connection))
        self._quarantine = Quarantine(self._settings, held)
        allowed = held & {digest(identity) for identity in self._settings.allow}
        if allowed:
            await patiently(lambda: book.release(self._connection, allowed))

    def judged(self, decision: Decision, at: float, *, again: bool = False) -> Decision:
        """Reject what would be sent for a held-back identity.

        Args:
            decision: what the connection makes of a message.
            at: when the message was received, Unix time in seconds.
            again: whether it is a replay.
        """
        if not self.is_on:
            return decision
        verdict = self._quarantine.verdict(decision, at, again=again)
        return decision if verdict == "free" else self._refused(decision, verdict)

    def judged_all(
        self, decisions: Sequence[Decision], times: Iterable[float]
    ) -> Sequence[Decision]:
        """As `judged`, for several messages in their order, none of which is a replay."""
        if not self.is_on or not (found := self._quarantine.verdicts(decisions, times)):
            return decisions
        judged = [*decisions]
        for place, verdict in found.items():
            judged[place] = self._refused(judged[place], verdict)
        return judged

    def _refused(self, decision: Decision, verdict: Verdict) -> Decision:
        if verdict == "caught":
            about = {"connection": self._connection, "message_id": decision.message_id}
            _log.warning(CODE, extra=about)
        return msgspec.structs.replace(
            decision, result="rejected", requests=(), reject=self._quarantine.refusal()
        )

    async def keep(self, now: float) -> None:
        """Keep newly held-back identities.

        Args:
            now: Unix time, in seconds.
        """
        caught, self._quarantine.caught = self._quarantine.caught, []
        if caught and self._book is not None:
            book = self._book
            await patiently(lambda: book.hold(self._connection, caught, now))


def _with_person(marks: _Marks, person: Iterable[tuple[str, str]]) -> _Marks:
    for kind, value in person:
        marks = (kind, hash(value), *marks)
    return marks


def _pairs(marks: _Marks) -> Iterator[tuple[str, int]]:
    return zip(marks[::2], marks[1::2], strict=True)


def digest(identity: str) -> bytes:
    """Hash an identity for the book."""
    content = identity.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
