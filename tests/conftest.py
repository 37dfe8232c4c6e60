"""Parts that several tests share: vendors' stand-ins on real loopback sockets."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from hypothesis import HealthCheck, settings
from slow_tests import LISTED, listed
from waiting import PATIENCE

from destination_router.demo.recorder import create_recorder
from destination_router.service.serving import Asgi, serving
from heap_destination.simulator import create_simulator

ROOT = Path(__file__).parent.parent

# Drawn tests judge what the code does, not how fast a machine is: a busy one takes a second
# for what takes it a millisecond otherwise. The other health checks stay: a test whose
# messages are too large, or mostly thrown away, tries little, and is to be mended. What CI draws is
# the same each time, for it is Hypothesis's own profile of CI that this one begins with there.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

# For the same reason no test gives up after the five seconds that httpx waits by itself.
vars(DEFAULT_TIMEOUT_CONFIG).update(dict.fromkeys(vars(DEFAULT_TIMEOUT_CONFIG), PATIENCE))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="a part of the tests, from every folder")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--fast`, keep each test function's first parameter set, and no slow function."""
    if not config.getoption("--fast"):
        return
    passed = set(listed(LISTED.read_text(encoding="utf-8").splitlines()))
    kept, left = [], []
    for item in items:
        name = item.nodeid.partition("[")[0]
        (left if name in passed else kept).append(item)
        passed.add(name)
    items[:] = kept
    config.hook.pytest_deselected(items=left)


class Served:
    """An ASGI app on a loopback socket, in a thread of its own."""

    def __init__(self, app: Asgi) -> None:
        self.url = ""
        self._app = app
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._over: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> str:
        self._thread.start()
        assert self._ready.wait(timeout=PATIENCE)
        return self.url

    def stop(self) -> None:
        assert self._over is not None
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(timeout=PATIENCE)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        async with serving(self._app) as url:
            self.url = url
            self._ready.set()
            await self._over.wait()


@pytest.fixture
def serve() -> Iterator[Callable[[Asgi], str]]:
    """Serve an app until the test ends; gives its URL."""
    running: list[Served] = []

    def start(app: Asgi) -> str:
        served = Served(app)
        running.append(served)
        return served.start()

    yield start
    for served in running:
        served.stop()


@pytest.fixture
def recorder_url(serve: Callable[[Asgi], str]) -> str:
    """A vendor that takes everything."""
    return serve(create_recorder())


@pytest.fixture
def heap_url(serve: Callable[[Asgi], str]) -> str:
    """A simulated Heap with its rate limits off."""
    return serve(create_simulator(rate_limits=False))


@pytest.fixture
def node() -> str:
    """Node's path; a machine without it skips the test, but not CI."""
    found = shutil.which("node")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("Node is not installed, and CI must not skip this")
    if found is None:
        pytest.skip("Node is not installed")
    return found


@pytest.fixture(scope="session")
def go_events(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The example in Go, built; a machine without Go skips the test, but not CI."""
    found = shutil.which("go")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("Go is not installed, and CI must not skip this")
    if found is None:
        pytest.skip("Go is not installed")
    built = tmp_path_factory.mktemp("go") / "go-events"
    example = ROOT / "examples" / "go_destination"
    subprocess.run([found, "build", "-o", str(built), "."], cwd=example, check=True)
    return str(built)


@pytest.fixture(scope="session")
def fresh_venv(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Make a new virtual environment, with a `pip` that fetches nothing; gives its `bin`."""

    def make() -> Path:
        folder = tmp_path_factory.mktemp("venv")
        subprocess.run([sys.executable, ROOT / "scripts" / "fresh-venv", folder], check=True)
        return folder / "bin"

    return make
