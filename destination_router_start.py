"""The first step of the `destination-router` command: Ctrl-C while it still loads is no error.

It stands beside the packages, and imports none of them but where Ctrl-C is heeded already.
"""

import sys

_FAILED = 1  # as for every Ctrl-C: docs/commands.md


def main() -> None:
    """Load the command and run it."""
    try:
        from destination_router.commands.cli import main as run  # noqa: PLC0415 -- what takes time

        run()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        raise SystemExit(_FAILED) from None
    finally:
        # Python notes a Ctrl-C that comes within `exec` of text, where dataclasses are made, and
        # then `python -m` ends by the signal, whoever caught it. Other text makes it forget that.
        exec("")  # noqa: S102


if __name__ == "__main__":
    main()
