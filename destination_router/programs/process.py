"""One running process: a line in, a line out, within a time and a size.

Whatever the process does, an exchange ends with the answer, or with the reason why there is none.
The process may write anything to its standard error. The last part is kept and shown if it fails.

The process has its own group, which ends with it. It also ends with its host: it sees the end of
its standard input. If it ignores that, a watch kills it a moment later. The watch is a shell that
sees the same.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence

MOST_BYTES = 64 * 2**20
"""The longest line of a program."""

_SHOWN_BYTES = 4096
_READ_AT_ONCE = 2**18
_LOOK = 0.2
"""The seconds between checks whether the process is alive, because a child may hold its output
open."""

_WATCH = 'read -r _; sleep 1; kill -s KILL -- "-$1"'
_GONE = select.POLLERR | select.POLLNVAL


class ExchangeError(Exception):
    """There is no answer. The text says why, to follow the name of the program."""


class NotAskedError(ExchangeError):
    """As `ExchangeError`, but the question was not asked, so it is not to blame."""


class Process:
    """A started process.

    Args:
        command: its program and arguments.
        folder: where it runs; None: where the host does.

    Raises:
        ExchangeError: it cannot be started.
    """

    def __init__(self, command: Sequence[str], folder: str | None) -> None:
        try:
            self._popen = subprocess.Popen(  # noqa: S603 -- the configuration names it
                list(command),
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it cannot be a command"
            raise ExchangeError(f"cannot be started: {why}") from None
        assert self._popen.stdin and self._popen.stdout and self._popen.stderr  # noqa: S101, PT018
        self._in = self._popen.stdin.fileno()
        self._out = self._popen.stdout.fileno()
        self._err = self._popen.stderr.fileno()
        for descriptor in (self._in, self._out, self._err):
            os.set_blocking(descriptor, False)
        self._read = bytearray()
        self._words = bytearray()
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)
        self._poll.register(self._err, select.POLLIN)
        self._watch = _watch_over(self._popen.pid)

    @property
    def pid(self) -> int:
        """Its process id, which is also the id of its group."""
        return self._popen.pid

    @property
    def words(self) -> str:
        """The last part of its standard error."""
        self._read_words()
        return self._words.decode("utf-8", "replace").strip()

    def exchange(self, line: bytes, seconds: float) -> bytes:
        """Send a line and read one.

        Args:
            line: with its line end.
            seconds: how long it may take.

        Raises:
            NotAskedError: it had ended, or had written something unasked.
            ExchangeError: there is no answer, and there will be none: end the process.
        """
        deadline = time.monotonic() + seconds
        try:
            self._read_what_came()
        except ExchangeError as error:
            raise NotAskedError(str(error)) from None
        if self._read:
            raise NotAskedError("wrote a line that nobody asked for")
        left = self._sent(memoryview(line))
        scanned = 0
        while True:
            end = self._read.find(b"\n", scanned)
            if end >= 0 and not left:
                return self._taken(end)
            scanned = max(0, len(self._read) - 1)
            if len(self._read) > MOST_BYTES:
                raise ExchangeError(f"wrote a line of more than {MOST_BYTES // 2**20} MiB")
            wait = deadline - time.monotonic()
            if wait <= 0:
                raise ExchangeError(f"gave no answer within {seconds:g} s")
            left = self._until_something(left, min(wait, _LOOK))

    def stop(self, line: bytes, seconds: float) -> None:
        """Ask it to end, and make sure that it does.

        Args:
            line: the request to end.
            seconds: how long it may take.
        """
        with contextlib.suppress(ExchangeError):
            self._sent(memoryview(line))
        self._close_input()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(seconds)
        self.kill()

    def strike(self) -> None:
        """Kill it while another thread waits for its answer. That thread notices and cleans up.

        Descriptors closed here could belong to another file by the time the thread reads them.
        """
        if self._popen.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill it and everything that it has started, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        self._close_input()
        for stream in (self._popen.stdout, self._popen.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._watch.kill()
        self._watch.wait()
        if self._watch.stdin is not None:
            self._watch.stdin.close()

    def _until_something(self, left: memoryview, wait: float) -> memoryview:
        """Wait until it can read or write, do so, and return what remains to be sent."""
        if left:
            self._poll.register(self._in, select.POLLOUT)
        ready = self._poll.poll(max(1, wait * 1000))
        if left:
            self._poll.unregister(self._in)
        for descriptor, event in ready:
            if descriptor == self._err:
                if not self._read_words():
                    self._poll.unregister(self._err)
            elif descriptor == self._in:
                left = left if event & _GONE else self._sent(left)
        self._read_what_came()
        if not ready and self._popen.poll() is not None:
            raise self._ended()
        return left

    def _sent(self, left: memoryview) -> memoryview:
        try:
            return left[os.write(self._in, left) :] if left else left
        except BlockingIOError:
            return left
        except (BrokenPipeError, ValueError, OSError):
            raise self._ended() from None

    def _read_what_came(self) -> None:
        while True:
            try:
                some = os.read(self._out, _READ_AT_ONCE)
            except BlockingIOError:
                return
            except OSError:
                some = b""
            if not some:
                raise self._ended()
            self._read += some
            if len(self._read) > MOST_BYTES or len(some) < _READ_AT_ONCE:
                return

    def _read_words(self) -> bool:
        """Read its standard error, and tell whether there may be more later."""
        for _ in range(64):  # what never ends is not waited for
            try:
                some = os.read(self._err, _READ_AT_ONCE)
            except BlockingIOError:
                return True
            except (OSError, ValueError):
                return False
            if not some:
                return False
            self._words += some
            del self._words[:-_SHOWN_BYTES]
        return True

    def _taken(self, end: int) -> bytes:
        line = bytes(self._read[:end]).removesuffix(b"\r")
        if self._read[end + 1 :].strip():
            raise ExchangeError("answered twice")
        self._read.clear()
        return line

    def _ended(self) -> ExchangeError:
        """Say how it ended. A process that closed its output but lives on counts as ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(_LOOK)
        self._read_words()
        status = self._popen.returncode
        if status is None:
            return ExchangeError("closed its standard input or output")
        if status < 0:
            return ExchangeError(f"was ended by signal {-status}")
        return ExchangeError(f"ended with status {status}")

    def _close_input(self) -> None:
        if self._popen.stdin is not None:
            with contextlib.suppress(OSError):
                self._popen.stdin.close()


def _watch_over(group: int) -> subprocess.Popen[bytes]:
    """Start the watch that kills a group of processes once this process is gone."""
    return subprocess.Popen(  # noqa: S603 -- a shell and a number
        ["/bin/sh", "-c", _WATCH, "sh", str(group)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
