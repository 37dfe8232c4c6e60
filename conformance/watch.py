"""Watches what a piece of code touches: files, sockets, processes, the clock, chance.

Audit events report files, sockets and processes. The profiler reports the calls into C that read
a clock or draw a random number, however the code imported them. Reading code itself (an import on
first use) is allowed.
"""

from __future__ import annotations

import datetime as dt
import gc
import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any, NamedTuple

_CODE = (".py", ".pyc", ".so", ".pyd", ".dll", ".dylib")
_EVENTS = ("socket.", "subprocess.", "os.exec", "os.posix_spawn", "os.system", "os.fork")
_FILE_EVENTS = ("open", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate")
_CLOCKS = frozenset(
    {
        *(f"time.{name}" for name in dir(time) if name.endswith(("time", "time_ns", "monotonic"))),
        "time.monotonic_ns",
        "time.perf_counter",
        "time.perf_counter_ns",
        "time.sleep",
    }
    - {"time.mktime", "time.strftime", "time.strptime", "time.asctime", "time.ctime"}
)
_READINGS = frozenset({"now", "utcnow", "today"})


class _Watcher(NamedTuple):
    found: list[str]
    thread: int


_watchers: list[_Watcher] = []


@contextmanager
def touched() -> Iterator[list[str]]:
    """Collect what the code of a `with` block touches: `open('/etc/hosts')`, `time.time()`, ...

    The list grows as it happens, and stays empty if the code is pure. It leaves out what other
    threads do, and what the garbage collector does meanwhile.
    """
    _hook_audit_events()
    watcher = _Watcher([], threading.get_ident())
    before, collecting = sys.getprofile(), gc.isenabled()
    gc.disable()
    _watchers.append(watcher)
    sys.setprofile(_profile)
    try:
        yield watcher.found
    finally:
        sys.setprofile(before)
        _watchers.remove(watcher)
        if collecting:
            gc.enable()


@cache
def _hook_audit_events() -> None:
    """Install the audit hook once. Python cannot remove it, so it does nothing in between."""
    sys.addaudithook(_audit)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watchers or _watchers[-1].thread != threading.get_ident():
        return
    if event in _FILE_EVENTS:
        path = str(arguments[0])
        if not path.endswith(_CODE):
            _watchers[-1].found.append(f"{event}({path!r})")
    elif event.startswith(_EVENTS):
        _watchers[-1].found.append(event)


def _profile(_: FrameType, event: str, function: Any) -> None:
    if event == "c_call" and _watchers and (name := _impure(function)):
        _watchers[-1].found.append(f"{name}()")


def _impure(function: Any) -> str | None:
    name = getattr(function, "__name__", "")
    owner = getattr(function, "__self__", None)
    if name in _READINGS and isinstance(owner, type) and issubclass(owner, dt.date):
        return f"{owner.__name__}.{name}"
    if isinstance(owner, random.Random):
        return f"random.{name}"
    if function is os.urandom:
        return "os.urandom"
    qualified = f"{getattr(function, '__module__', '')}.{name}"
    return qualified if qualified in _CLOCKS else None
