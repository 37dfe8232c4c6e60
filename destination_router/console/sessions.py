"""Signs people in: two passwords, cookies that only this process can sign, and pauses.

The signing key is made when the console starts and is nowhere else, so a stolen cookie is worthless
after a restart.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

import msgspec

Role = Literal["operator", "viewer"]

LIFETIME = 12 * 3600.0
"""How long a session lasts, in seconds: a working day."""

LONGEST_NAME = 40

_FREE_FAILURES = 4
_FREE_FAILURES_OF_ALL = 40
_LONGEST_PAUSE = 60.0
_MOST_ADDRESSES = 1000
_MOST_ENDED = 1000


class Session(msgspec.Struct, frozen=True):
    """A person who is signed in.

    Attributes:
        role: an operator may act, and a viewer may only look.
        name: the name that they gave; empty: none.
        ends: its end, Unix time in seconds.
        nonce: tells it from all other sessions.
    """

    role: Role
    name: str
    ends: float
    nonce: str

    @property
    def may_act(self) -> bool:
        """Whether they may change anything."""
        return self.role == "operator"

    @property
    def who(self) -> str:
        """The person, for the log of actions: `operator ada`."""
        return f"{self.role} {self.name}".strip()


class Sessions:
    """Signs people in and knows them again.

    Args:
        password: the operator's.
        viewer_password: the viewers' password; empty: there are no viewers.
        clock: Unix time, in seconds.
    """

    def __init__(self, password: str, viewer_password: str, clock: Callable[[], float]) -> None:
        self._digests: dict[Role, bytes] = {"operator": _digest(password)}
        # Compared even if there is none, so that the time does not tell.
        self._digests["viewer"] = _digest(viewer_password or secrets.token_hex())
        self._key = secrets.token_bytes(32)
        self._clock = clock
        self._ended: dict[Role, dict[str, float]] = {"operator": {}, "viewer": {}}
        self._oldest: dict[Role, float] = dict.fromkeys(self._ended, 0.0)
        self.pauses = Pauses(clock)

    def sign_in(self, password: str, name: str) -> Session | None:
        """Begin a session for a password; None if the password is wrong."""
        given = _digest(password)
        found: dict[Role, bool] = {
            role: hmac.compare_digest(given, digest) for role, digest in self._digests.items()
        }
        shown = "".join(char for char in name if char.isprintable()).strip()[:LONGEST_NAME]
        for role, same in found.items():
            if same:
                return Session(role, shown, self._clock() + LIFETIME, secrets.token_urlsafe(12))
        return None

    def signed(self, session: Session) -> str:
        """Write the cookie of a session."""
        text = base64.urlsafe_b64encode(msgspec.json.encode(session)).decode().rstrip("=")
        return f"{text}.{self._signature(text)}"

    def known(self, cookie: str) -> Session | None:
        """Read a cookie; None if it is forged, is over, or was signed out."""
        text, _, signature = cookie.partition(".")
        if not hmac.compare_digest(self._signature(text).encode(), signature.encode()):
            return None
        try:
            padded = text + "=" * (-len(text) % 4)
            session = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=Session)
        except (binascii.Error, msgspec.MsgspecError, ValueError):
            return None
        return session if self.lasts(session) else None

    def lasts(self, session: Session) -> bool:
        """Tell whether a session is neither over nor signed out."""
        role = session.role
        if session.ends <= max(self._clock(), self._oldest[role]):
            return False
        return session.nonce not in self._ended[role]

    def end(self, session: Session) -> None:
        """Sign a person out. The cookie is worthless from now on.

        If very many sign-outs of a role have to be remembered, the role's oldest sessions end too.
        """
        ended = self._ended[session.role]
        ended[session.nonce] = session.ends
        if len(ended) > _MOST_ENDED:
            forgotten = ended.pop(min(ended, key=ended.__getitem__))
            self._oldest[session.role] = max(forgotten, self._oldest[session.role])

    def _signature(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


class Pauses:
    """Makes guesses of passwords wait, longer with each failure.

    An address has a few tries. After that, each failure costs a pause that doubles, up to a minute.
    The whole console has the same rule with more tries, against guesses from many addresses.

    Args:
        clock: any clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._of_all = (0, 0.0)

    def left(self, address: str) -> float:
        """Return the seconds that an address has to wait before it may try; 0: none."""
        now = self._clock()
        of_one = _left(self._failures.get(address, (0, 0.0)), _FREE_FAILURES, now)
        return max(of_one, _left(self._of_all, _FREE_FAILURES_OF_ALL, now))

    def failed(self, address: str) -> None:
        """Count a failure."""
        now = self._clock()
        self._failures[address] = (self._failures.pop(address, (0, 0.0))[0] + 1, now)
        self._of_all = (self._of_all[0] + 1, now)
        while len(self._failures) > _MOST_ADDRESSES:
            self._failures.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Forget an address's failures."""
        self._failures.pop(address, None)
        self._of_all = (0, 0.0)


def _left(failures: tuple[int, float], free: int, now: float) -> float:
    count, last = failures
    if count < free:
        return 0.0
    pause = min(_LONGEST_PAUSE, 2.0 ** min(count - free, 10))
    return max(0.0, last + pause - now)


def _digest(text: str) -> bytes:
    """Digest a text to a fixed length, so that a comparison tells nothing about either text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
