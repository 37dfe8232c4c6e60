"""What a process of ours leaves out of memory."""

import subprocess
import sys

import pytest

RUN = """
import runpy, sys
sys.argv[1:] = []
try:
    runpy.run_module({name!r}, run_name="__main__", alter_sys=True)
except BaseException as error:
    print(type(error).__name__)
import httpx
print("httpx._main" in sys.modules and sys.modules["httpx._main"])
"""


@pytest.mark.parametrize(
    "name",
    [
        "destination_router.commands.cli",
        "destination_router.service.share_process",
        "destination_router.transformer",
    ],
)
def test_a_process_of_ours_does_not_load_the_command_line_of_httpx(name: str) -> None:
    """Rich, which it needs, is megabytes that a server would keep."""
    code = RUN.format(name=name)
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["None"], done.stderr
