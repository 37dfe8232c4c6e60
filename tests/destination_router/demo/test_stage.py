"""What a demo plays.

Modules: `stage.py`, `traffic.py`.
"""

import asyncio
from collections.abc import Callable

import pytest
from starlette.responses import PlainTextResponse

from destination_router.demo.stage import Stage, play
from destination_router.service.serving import Asgi


def test_an_sdk_that_cannot_send_is_told_by_the_demo_alone(
    serve: Callable[[Asgi], str], caplog: pytest.LogCaptureFixture
) -> None:
    """Its own words would stand beside those of the command, as after Ctrl-C."""
    url = serve(PlainTextResponse("no", status_code=400))

    async def done() -> None:
        raise AssertionError

    with pytest.raises(RuntimeError, match="the SDK could not send"):
        asyncio.run(play(Stage(url, url, done)))
    assert [record.name for record in caplog.records if record.name == "rudderstack"] == []
