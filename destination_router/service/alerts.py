"""Posts alerts to the receiver that `[alerts]` of router.toml names.

`alert_rules` decides what is due, and `alert_messages` writes it. Everything here runs beside
delivery. A receiver that hangs, refuses or is away delays neither delivery nor the end of the
process.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import httpx

from destination_router.config.origins import is_loopback
from destination_router.config.router_toml import AlertsConfig
from destination_router.delivery.network import proxy_for, told_failure
from destination_router.delivery.sender import USER_AGENT, no_cookies, trusted_certificates
from destination_router.eventlog.interface import LogFileError, LogUnavailableError
from destination_router.faults import PASSED_ON, whereabouts
from destination_router.service.alert_messages import Origin, written
from destination_router.service.alert_rules import Alert, AlertRules, Sight

_LOOK_PAUSE = 1.0
_CHECK_PAUSE = 5.0
_CHECK_TIMEOUT = 30.0
"""The seconds after which a log that does not answer counts as not writable."""

_TIMEOUT = 10.0
_TRIES = 4
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 300.0
_MOST_AT_ONCE = 50

_log = logging.getLogger(__name__)


class Alerts:
    """A process's alerts.

    Args:
        settings: the table `[alerts]`; None: nobody is told.
        origin: which process this is.
        see: returns what it sees, except whether the log is writable.
        check: writes something small to the log, or raises.
        wall_clock: Unix time, in seconds.
    """

    def __init__(
        self,
        settings: AlertsConfig | None,
        origin: Origin,
        see: Callable[[], Sight],
        check: Callable[[], Awaitable[None]],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.posts: Counter[str] = Counter()
        """The results of posts: counts by the status of the answer, or `network`."""
        self._origin = origin
        self._see = see
        self._check = check
        self._wall_clock = wall_clock
        self._writable = True
        self._rules = None if settings is None else AlertRules(settings)
        self._changed = asyncio.Event()

    def change(self, settings: AlertsConfig | None) -> None:
        """Apply other settings. Another receiver gets every alert that lasts."""
        rules = self._rules
        if settings is None:
            self._rules = None
        elif rules is None:
            self._rules = AlertRules(settings, self._see())
        else:
            if not _same_receiver(rules.settings, settings):
                rules.forget_told()
            rules.settings = settings
        self._changed.set()

    async def work(self) -> None:
        """Look and post, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_for_ever(self._look, _LOOK_PAUSE))
            tasks.create_task(_for_ever(self._check_log, _CHECK_PAUSE))
            tasks.create_task(_for_ever(self._tell, _LOOK_PAUSE))

    async def _look(self) -> None:
        if self._rules is not None:
            self._rules.look(self._see_all(), _now())

    def _see_all(self) -> Sight:
        seen = self._see()
        return Sight(
            held=seen.held, silent=seen.silent, counts=seen.counts, writable=self._writable
        )

    async def _check_log(self) -> None:
        if self._rules is None:
            return
        checking = asyncio.ensure_future(self._check())
        try:
            # What is asked of the log cannot be taken back: it is waited for, and told meanwhile.
            done, _ = await asyncio.wait({checking}, timeout=_CHECK_TIMEOUT)
            if not done:
                self._writable = False
            await checking
        except (LogUnavailableError, LogFileError):
            self._writable = False
        else:
            self._writable = True
        finally:
            checking.cancel()

    async def _tell(self) -> None:
        """Post everything that is due. Retry a failed post after growing pauses."""
        failed = 0
        while (rules := self._rules) is not None and (due := rules.due(_now(), _MOST_AT_ONCE)):
            self._changed.clear()
            settings = rules.settings
            failure = await self._post(due, settings)
            if failure is None:
                failed = 0
                if _same_receiver(rules.settings, settings):
                    rules.told(due, _now())
                for alert in due:
                    _log.info("alert_sent", extra=_named(alert))
                continue
            failed += 1
            if failed >= _TRIES:
                about = {"detail": failure, "count": len(due)}
                _log.warning("alerts_not_sent", extra=about)
            await self._pause(failed)

    async def _pause(self, failed: int) -> None:
        """Wait before the next try. Changed settings end the wait."""
        try:
            async with asyncio.timeout(min(_LONGEST_WAIT, _FIRST_WAIT * 4.0 ** min(failed - 1, 9))):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _post(self, due: list[Alert], settings: AlertsConfig) -> str | None:
        """Post alerts, and return why it failed, in words without secrets, or None."""
        url = settings.url
        now, wall = _now(), self._wall_clock()
        body = written(due, self._origin, settings.format, lambda at: wall - now + at, now)
        proxy = None if is_loopback(url) else proxy_for(url)
        headers = {"User-Agent": USER_AGENT, "Content-Type": "application/json"}
        try:
            # The whole of it: the client's own timeout begins anew with each byte that comes.
            async with (
                asyncio.timeout(_TIMEOUT),
                httpx.AsyncClient(
                    verify=trusted_certificates(),
                    timeout=_TIMEOUT,
                    cookies=no_cookies(),
                    proxy=proxy,
                    trust_env=False,
                ) as client,
                client.stream("POST", url, content=body, headers=headers) as answer,
            ):
                status = answer.status_code
        except (httpx.HTTPError, TimeoutError) as error:
            self.posts["network"] += 1
            return told_failure(error, url, proxy, _TIMEOUT)
        except (httpx.InvalidURL, ValueError, ImportError) as error:
            self.posts["network"] += 1
            return f"the URL or the proxy cannot be used: {type(error).__name__}"
        self.posts[str(status)] += 1
        return None if httpx.codes.is_success(status) else f"the receiver answered {status}"


async def _for_ever(step: Callable[[], Awaitable[None]], pause: float) -> None:
    """Repeat a step for ever. Log a failure, and go on."""
    while True:
        try:
            await step()
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 -- whatever it is, delivery goes on
            _log.error("alerts_failed", extra={"detail": whereabouts(error)})
        await asyncio.sleep(pause)


def _same_receiver(one: AlertsConfig, other: AlertsConfig) -> bool:
    return (one.url, one.format) == (other.url, other.format)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _named(alert: Alert) -> dict[str, str]:
    state = "begins" if alert.begins else "ends"
    about = {"alert": alert.kind, "state": state, "connection": alert.connection}
    return {name: value for name, value in about.items() if value}
