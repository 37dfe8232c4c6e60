"""`python -m amplitude_destination.simulator --api-key KEY`: serve until interrupted."""

from __future__ import annotations

import argparse

import uvicorn

from amplitude_destination.simulator.app import create_simulator


def main() -> None:
    """Serve a simulated Amplitude on a port of this machine."""
    parser = argparse.ArgumentParser(
        prog="python -m amplitude_destination.simulator",
        description="A stand-in for Amplitude's server-side APIs that enforces their rules.",
    )
    parser.add_argument("--api-key", required=True, help="the one key that it takes")
    parser.add_argument("--port", type=int, default=9102, help="default %(default)s")
    options = parser.parse_args()
    uvicorn.run(create_simulator(options.api_key), port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
