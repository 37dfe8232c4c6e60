"""How many instructions the router's work takes: a measure that a busy machine does not change.

    python benchmarks/instructions.py                    # but for the slow ones, about two minutes
    python benchmarks/instructions.py decide deliver
    python benchmarks/instructions.py --check            # fails where one grew by more than 3 %
    python benchmarks/instructions.py --write            # writes the figures that --check holds

Valgrind's callgrind counts the instructions of `workloads.py`, of one process each, of what is done
the second time. Hashes have a fixed seed. What is left of chance is
the order in which threads and sockets take turns, below 1 %. Figures hold for the processor and the
versions of interpreter and libraries that stand beside them in `instructions.json`; with others,
`--check` only tells. The wheel that is compiled has figures of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import msgspec
from workloads import OFTEN, WORK

from destination_router.garbage import seldom
from destination_router.pipeline import connection

FIGURES = Path(__file__).with_suffix(".json")
MOST_GROWTH = 0.03
_LIBRARIES = ("httpcore", "httptools", "httpx", "msgspec", "orjson", "starlette", "uvicorn")
_END = "getpgid"
"""A function of libc that nothing else calls: there, callgrind writes down what it has counted."""


class Figures(msgspec.Struct):
    """What the pieces took.

    Attributes:
        versions: of what else takes part.
        instructions: of each piece, for an event.
    """

    versions: dict[str, str]
    instructions: dict[str, int]


def versions() -> dict[str, str]:
    """Name what the figures depend on beside our own code."""
    compiled = not str(connection.__file__).endswith(".py")
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": _processor(),
        "libc": "".join(platform.libc_ver()),
        "form": "compiled" if compiled else "source",
        **{name: version(name) for name in _LIBRARIES},
    }


def _processor() -> str:
    """Name the processor: libc takes other ways on another, to copy bytes for one."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return platform.processor()
    fields = dict(line.replace("\t", "").split(":", 1) for line in text.splitlines() if ":" in line)
    names = ("vendor_id", "cpu family", "model", "stepping")
    return "-".join(fields.get(name, "?").strip() for name in names)


def count(name: str, profile: Path | None = None) -> int:
    """Count the instructions of a piece, for an event.

    Args:
        name: of the piece.
        profile: where to leave what callgrind wrote, for `callgrind_annotate`.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind"
        command = [
            "valgrind",
            "--tool=callgrind",
            f"--callgrind-out-file={out}",
            "--instr-atstart=no",  # what is imported before takes ten times as long otherwise
            f"--dump-before={_END}",
            sys.executable,
            __file__,
            "--work",
            name,
        ]
        environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": ""}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
        counted = out.with_suffix(".1")
        if done.returncode or not counted.exists():
            raise SystemExit(f"{name}: {done.stderr}")
        text = counted.read_text(encoding="utf-8")
        if profile is not None:
            shutil.copy(counted, profile / f"callgrind.{name}")
    _, events = WORK[name]
    return int(text.rpartition("totals: ")[2].split()[0]) // events


@contextlib.contextmanager
def _counted() -> Iterator[None]:
    gc.collect()
    with seldom():  # as in a server; and it would be chance when Python looks for cycles
        command = ["callgrind_control", "-i", "on", str(os.getpid())]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        yield
        os.getpgid(0)


def told(
    names: Sequence[str], before: Figures | None, profile: Path | None = None
) -> dict[str, int]:
    """Count pieces, and print each as it is done."""
    now = versions()
    print(", ".join(f"{name} {number}" for name, number in now.items()))
    found = {}
    # One on each processor: neighbours take time, and no instructions.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = pool.map(lambda name: count(name, profile), names)
        for name, counted in zip(names, counts, strict=True):
            found[name] = counted
            earlier = None if before is None else before.instructions.get(name)
            change = "" if earlier is None else f" {found[name] / earlier - 1:+8.1%}"
            print(f"{name:12}{found[name]:12,} instructions an event{change}", flush=True)
    return found


def kept() -> dict[str, Figures]:
    """Read the figures, by the form of the code that they are of: `source`, `compiled`."""
    if not FIGURES.exists():
        return {}
    return msgspec.json.decode(FIGURES.read_bytes(), type=dict[str, Figures])


def main() -> None:
    """Count, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="piece", help=", ".join(WORK))
    parser.add_argument(
        "--check", action="store_true", help="fail where one grew by more than 3 %%"
    )
    parser.add_argument("--write", action="store_true", help="keep what was counted")
    parser.add_argument("--profile", type=Path, help="leave callgrind's files in a folder")
    parser.add_argument("--work", choices=WORK, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work, events = WORK[options.work]
        work(_counted, events)
        return
    if shutil.which("valgrind") is None:
        raise SystemExit("install valgrind: it counts the instructions")
    form = versions()["form"]
    all_kept = kept()
    before = all_kept.get(form)
    found = told(options.names or OFTEN, before, options.profile)
    if options.write:
        instructions = {**({} if before is None else before.instructions), **found}
        all_kept[form] = Figures(versions(), instructions)
        FIGURES.write_bytes(msgspec.json.format(msgspec.json.encode(all_kept), indent=2) + b"\n")
    if options.check:
        check(before, found)


def check(before: Figures | None, found: dict[str, int]) -> None:
    """Fail where a piece takes more than it did, as far as the two can be compared."""
    if before is None:
        print("there are no figures of this form of the code to compare with")
        return
    grown = [
        name
        for name, instructions in found.items()
        if instructions > before.instructions.get(name, instructions) * (1 + MOST_GROWTH)
    ]
    if grown and before.versions == versions():
        raise SystemExit(f"grown by more than {MOST_GROWTH:.0%}: {', '.join(grown)}")
    if before.versions != versions():
        print(f"the figures are of other versions, so this fails nothing: {before.versions}")


if __name__ == "__main__":
    main()
