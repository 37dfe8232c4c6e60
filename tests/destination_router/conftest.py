"""What tests of several rooms of the router share."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from conformance import virtual_time

Result = TypeVar("Result")


@pytest.fixture
def in_virtual_time() -> Callable[[Callable[[], Coroutine[Any, Any, Result]]], Result]:
    """Run a test's coroutine on a loop whose clock moves only when everybody waits."""
    return lambda main: virtual_time.run(main())
