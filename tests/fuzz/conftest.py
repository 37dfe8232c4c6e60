"""How long fuzzing takes: seconds in the suite, as long as asked for in `scripts/fuzz`.

Without `FUZZ_SECONDS` each test tries as many examples as its settings say; with it, it is run
again and again for so long, with other examples each time. A failure says how to repeat it.
"""

import os
import time
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Any:
    """Run a test until its time is over, and once more."""
    over = time.monotonic() + float(os.environ.get("FUZZ_SECONDS", "0"))
    while time.monotonic() < over:
        pyfuncitem.obj()
    return (yield)
