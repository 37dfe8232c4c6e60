"""`reload`: let a running router read its router.toml again."""

from __future__ import annotations

import os
import signal

from destination_router.commands.options import ROUTER_TOML, RouterToml
from destination_router.commands.output import problems_told, refuse, talk
from destination_router.eventlog.opening import delivering_process
from destination_router.faults import UsageError
from destination_router.service.checking import check_config


def reload(config: RouterToml = ROUTER_TOML) -> None:
    """Let a running router read its router.toml again.

    It checks the file first. The router adds, removes and changes connections without losing a
    message, and leaves the others as they are. Its log says what it did. For a process with
    --gateway-only, use SIGHUP instead.

    Example: destination-router reload --config router.toml
    """
    with problems_told():
        found = check_config(config)
        if found.problems or found.config is None:
            refuse("\n".join(found.problems))
            return
        if found.config.eventlog.is_kafka:
            raise UsageError(
                "on Kafka the processes may be anywhere: tell each of them by SIGHUP, as in "
                "`systemctl reload destination-router`"
            )
        process = delivering_process(found.config.eventlog)
        if process is None:
            raise UsageError(f"no process delivers from {found.config.eventlog.told}")
        os.kill(process, signal.SIGHUP)
        talk.print(f"Process {process} reads {config} again; its log tells what changed.")
