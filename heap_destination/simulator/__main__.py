"""`python -m heap_destination.simulator`: serve a simulated Heap over HTTP until interrupted."""

import argparse
import socket
import sys
from collections.abc import Sequence

import uvicorn

from heap_destination.simulator.app import DELETION_SECONDS, create_simulator
from heap_destination.simulator.deletions import API_KEY

_LAST_PORT = 65535


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve, and print the address on standard output once connections are accepted.

    Port 0 takes any free port. The exit status is 2 if the address cannot be had.
    """
    options = _parser().parse_args(arguments)
    host, port = options.listen
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        sys.stderr.write(f"Cannot listen on {host} port {port}: {error}\n")
        return 2
    app = create_simulator(
        rate_limits=options.rate_limits,
        api_key=options.api_key,
        deletion_seconds=options.deletion_seconds,
    )
    # Without it, the second packet of an answer waits 40 ms for the first one to be acknowledged.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    with listener:
        host = f"[{host}]" if family == socket.AF_INET6 else host
        # Flushed, because a program that starts this one waits for the line.
        print(f"Simulated Heap on http://{host}:{listener.getsockname()[1]}", flush=True)  # noqa: T201
        server.run(sockets=[listener])
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m heap_destination.simulator",
        description="A stand-in for Heap's server-side API that enforces its documented rules.",
    )
    parser.add_argument(
        "--listen",
        type=_address,
        default="127.0.0.1:9100",
        metavar="HOST:PORT",
        help="where it answers; port 0 takes any free one (%(default)s)",
    )
    parser.add_argument(
        "--no-rate-limits",
        dest="rate_limits",
        action="store_false",
        help="never answer 429 for too much traffic",
    )
    parser.add_argument(
        "--api-key", default=API_KEY, help="what deletes users; it is no secret here (%(default)s)"
    )
    parser.add_argument(
        "--deletion-seconds",
        type=float,
        default=DELETION_SECONDS,
        help="how long a deletion stays pending (%(default)s)",
    )
    return parser


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"write HOST:PORT, such as 127.0.0.1:9100, not {text!r}")
    return host.strip("[]"), int(port)


if __name__ == "__main__":
    sys.exit(main())
