"""Describes network failures for people: the host, the proxy and the reason.

It tells nothing else of a URL, because a path or a query may hold secrets, and a proxy's address a
password. It repeats no text from the network, so HIPAA mode may use it, too.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

_STATUS = re.compile("[1-5][0-9]{2}")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def proxy_for(url: str) -> str | None:
    """Find the proxy that the environment names for a URL: `HTTPS_PROXY`, `NO_PROXY` and so on."""
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def told_failure(error: BaseException, url: str, proxy: str | None, seconds: float) -> str:
    """Describe a failure: `https://vendor.example: the connection was refused`.

    Args:
        error: what was raised.
        url: what was asked.
        proxy: through which; None: through none.
        seconds: how long an answer is waited for.
    """
    through = f" through the proxy {_origin(proxy)}" if proxy else ""
    return f"{_origin(url)}{through}: {_reason(error, seconds)}"


def let_go(error: BaseException) -> None:
    """Forget where a failure was raised, of which nothing is told any more.

    asyncio keeps a failure to connect in a list that the failure's own frames hold. Such a circle
    stays until Python looks for circles, and the frames hold the request, with its body.
    """
    for cause in _causes(error):
        cause.__traceback__ = None


def _origin(url: str) -> str:
    """Write the scheme, the host and the port of a URL, and nothing else of it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "(no URL)"
    host = f"[{host}]" if ":" in host else host
    shown = "" if port in {None, _DEFAULT_PORTS.get(parts.scheme)} else f":{port}"
    return f"{parts.scheme}://{host}{shown}"


def _reason(error: BaseException, seconds: float) -> str:
    for cause in _causes(error):
        if (reason := _system_reason(cause)) is not None:
            return reason
    match error:
        case httpx.ConnectTimeout():
            return f"no connection within {seconds:g} s"
        case httpx.PoolTimeout():
            return f"no connection was free within {seconds:g} s"
        case TimeoutError() | httpx.TimeoutException():
            return f"no answer within {seconds:g} s"
        case httpx.ProxyError():
            status = _STATUS.match(str(error))
            return f"the proxy answered {status[0]}" if status else "the proxy refused"
        case httpx.RemoteProtocolError():
            left = "disconnected" in str(error)
            return "it left without an answer" if left else "what it answered is no HTTP"
        case httpx.ReadError() | httpx.WriteError() | httpx.CloseError():
            return "the connection broke off"
    return type(error).__name__


def _system_reason(error: BaseException) -> str | None:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS failed: {error.reason or 'the connection broke off'}"
        case socket.gaierror():
            return f"its name is not found: {_lookup_words(error)}"
        case ConnectionRefusedError():
            return "the connection was refused"
        case OSError(errno=int(number)):
            return os.strerror(number)
    return None


def _lookup_words(error: socket.gaierror) -> str:
    return str(error.strerror or error.errno)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """List an exception and its causes, each once, with groups taken apart."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        cause = waiting.pop(0)
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            waiting += cause.exceptions
        waiting += [cause.__cause__, cause.__context__]
