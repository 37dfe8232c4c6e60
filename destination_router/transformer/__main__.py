"""The process that serves: started by the command `transformer` in its own place."""

import sys

if __name__ == "__main__":
    import destination_router.lean_httpx  # noqa: F401 -- before whatever imports httpx

from pathlib import Path
from typing import Any

import msgspec

from destination_router.transformer.server import Service, serve_until_stopped


def _path(_: type, text: Any) -> Path:
    return Path(text)


if __name__ == "__main__":
    serve_until_stopped(msgspec.json.decode(sys.argv[1], type=Service, dec_hook=_path))
