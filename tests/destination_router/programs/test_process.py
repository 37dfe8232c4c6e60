"""One exchange with a process, whatever the process does: it ends, and leaves nothing behind."""

import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_program import runs
from waiting import PATIENCE, until

from destination_router.programs.process import (
    MOST_BYTES,
    ExchangeError,
    NotAskedError,
    Process,
)

HASTY = 0.3


class Started:
    def __init__(self) -> None:
        self.processes: list[Process] = []

    def __call__(self, code: str) -> Process:
        command = [sys.executable, "-S", "-E", "-u", "-c", textwrap.dedent(code)]
        process = Process(command, None)
        self.processes.append(process)
        return process


@pytest.fixture
def python() -> Iterator[Started]:
    started = Started()
    yield started
    for process in started.processes:
        process.kill()


ECHO = "import sys\nfor line in sys.stdin: sys.stdout.write(line.upper()); sys.stdout.flush()"


def test_a_line_for_a_line(python: Started) -> None:
    """Many in a row, each answered by its own."""
    process = python(ECHO)
    answers = [process.exchange(b"a%d\n" % number, PATIENCE) for number in range(50)]
    assert answers == [b"A%d" % number for number in range(50)]


def test_line_ends_of_windows(python: Started) -> None:
    """The carriage return is no part of the answer."""
    process = python("input(); import sys; sys.stdout.buffer.write(b'{}\\r\\n')")
    assert process.exchange(b"x\n", PATIENCE) == b"{}"


def test_lines_that_no_pipe_holds(python: Started) -> None:
    """Megabytes both ways, while the process writes as it reads."""
    process = python("import sys\nfor line in sys.stdin: sys.stdout.write(line)")
    line = b"x" * (8 * 2**20) + b"\n"
    assert process.exchange(line, PATIENCE) == line[:-1]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import time; time.sleep(100)", f"gave no answer within {HASTY:g} s"),
        ("while True: pass", f"gave no answer within {HASTY:g} s"),
        ("input(); print('no line end', end=''); input()", f"gave no answer within {HASTY:g} s"),
        (
            "input()\nwhile True: print('x' * 65536, end='')",
            f"a line of more than {MOST_BYTES >> 20} MiB",
        ),
        ("input(); raise SystemExit(3)", "ended with status 3"),
        ("input(); import os; os.kill(os.getpid(), 9)", "was ended by signal 9"),
        ("input(); import os, time; os.close(1); time.sleep(100)", "closed its standard"),
        ("input(); print('{}\\n{}\\n{', end='', flush=True); input()", "answered twice"),
    ],
)
def test_an_exchange_ends(python: Started, code: str, reason: str) -> None:
    """Silence, noise without end, a death: the reason is told, in our words."""
    patience = HASTY if "no answer" in reason else PATIENCE
    process = python(code)
    with pytest.raises(ExchangeError, match=reason):
        process.exchange(b"x\n", patience)
    process.kill()
    assert not runs(process.pid)


def test_a_gigabyte_is_not_kept(python: Started) -> None:
    """What is read of a line without end is bounded."""
    process = python("while True: print('x' * 2**20, end='')")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ExchangeError):
        process.exchange(b"x\n", PATIENCE)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < 4 * MOST_BYTES


def test_what_nobody_asked_for(python: Started) -> None:
    """A line before the question is no answer to it, and the question is not to blame."""
    process = python("print('hello, world'); input(); print('{}')")
    until(lambda: process._read_what_came() or bool(process._read))
    with pytest.raises(NotAskedError, match="a line that nobody asked for"):
        process.exchange(b"x\n", PATIENCE)


def test_one_that_ended_before_it_was_asked(python: Started) -> None:
    """The question is not to blame for that either."""
    process = python("")
    until(lambda: not runs(process.pid))
    with pytest.raises(NotAskedError, match="ended with status 0"):
        process.exchange(b"x\n", PATIENCE)


def test_standard_error_is_its_own(python: Started) -> None:
    """However much of it: the end is kept, and an answer comes all the same."""
    process = python("import sys\nsys.stderr.write('e' * 10**7 + 'the end')\ninput(); print('{}')")
    assert process.exchange(b"x\n", PATIENCE) == b"{}"
    until(lambda: process.words.endswith("the end"))
    assert len(process.words) <= 4096


def test_whatever_it_started_ends_with_it(python: Started) -> None:
    """A child that holds its output open neither hides its death nor outlives it."""
    code = """
        import os, sys, time
        input()
        child = os.fork()
        if child == 0: time.sleep(100)
        print(child, file=sys.stderr)
        os._exit(5)
    """
    process = python(code)
    with pytest.raises(ExchangeError, match="ended with status 5"):
        process.exchange(b"x\n", PATIENCE)
    child = int(process.words)
    assert runs(child)
    process.kill()
    until(lambda: not runs(child))


def test_one_that_heeds_nothing(python: Started) -> None:
    """It is asked to stop, then killed; no zombie is left."""
    code = "import signal\nsignal.signal(15, signal.SIG_IGN)\nwhile True:\n  try: input()\n  except"
    process = python(f"{code} EOFError: pass")
    process.stop(b"stop\n", HASTY)
    assert not Path(f"/proc/{process.pid}").exists()


def test_one_that_is_struck_is_let_go_of_by_whoever_asks(python: Started) -> None:
    """Its pipes stay open until then: their numbers must not be another file's meanwhile."""
    process = python("import time\ntime.sleep(60)")
    pipes = [process._in, process._out, process._err]
    asked = threading.Thread(target=_asked, args=(process,))
    asked.start()
    process.strike()
    asked.join(PATIENCE)
    assert not asked.is_alive()
    for pipe in pipes:
        os.fstat(pipe)


def _asked(process: Process) -> None:
    with pytest.raises(ExchangeError):
        process.exchange(b"x\n", PATIENCE)


def test_no_such_program() -> None:
    """That it cannot be started is told, with the system's reason."""
    with pytest.raises(ExchangeError, match="cannot be started: No such file"):
        Process(["/no/such/program"], None)


@pytest.mark.parametrize("code", [ECHO, "while True: pass"])
def test_it_ends_with_its_host(code: str) -> None:
    """A host that is killed takes it along: by the end of its input, or by the watch."""
    host = (
        "import sys, time\nfrom destination_router.programs.process import Process\n"
        f"process = Process([sys.executable, '-c', {code!r}], None)\n"
        "print(process.pid, flush=True)\ntime.sleep(100)\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", host], stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    pid = int(killed.stdout.readline())
    assert runs(pid)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    until(lambda: not runs(pid))
