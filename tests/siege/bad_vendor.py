"""A vendor as an enemy would run it: `python bad_vendor.py drip` serves one way to misbehave.

It says its URL on a line of standard output, and serves on loopback until it is killed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator

Answer = Callable[[socket.socket], None]
"""Answers one request; when it returns, the connection closes."""

_MEGABYTE = 2**20
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
_COUNT = itertools.count()


def drip(client: socket.socket) -> None:
    """A byte a second of a long answer."""
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    _for_ever(client, b"x", pause=1.0)


def early(client: socket.socket) -> None:
    """Interim answers without an end, each on time."""
    _for_ever(client, b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", pause=0.2)


def endless(client: socket.socket) -> None:
    """A body without an end, as fast as it is taken."""
    client.sendall(_CHUNKED + b"\r\n")
    _for_ever(client, b"%x\r\n%b\r\n" % (_MEGABYTE, b"x" * _MEGABYTE))


def bomb(client: socket.socket) -> None:
    """Kilobytes of gzip that unpack to gigabytes."""
    client.sendall(_CHUNKED + b"Content-Encoding: gzip\r\n\r\n")
    for piece in _zeros(gigabytes=4):
        client.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
    client.sendall(b"0\r\n\r\n")


def reset(client: socket.socket) -> None:
    """The connection is torn down in place of an answer."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silence(client: socket.socket) -> None:
    """Nothing, for as long as the client waits."""
    client.recv(1)


def garbage(client: socket.socket) -> None:
    """Bytes that are no HTTP."""
    client.sendall(os.urandom(65536))


def cookies(client: socket.socket) -> None:
    """A long cookie of a new name with each answer."""
    name = next(_COUNT)
    cookie = b"Set-Cookie: c%d=%b\r\n" % (name, b"x" * 3000)
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%b\r\n{}" % cookie)


def headers(client: socket.socket) -> None:
    """Headers without an end."""
    client.sendall(b"HTTP/1.1 200 OK\r\n")
    _for_ever(client, b"X-Padding: %b\r\n" % (b"x" * 4000) * 16)


def redirect(client: socket.socket) -> None:
    """Back to where it came from, for ever."""
    client.sendall(b"HTTP/1.1 307 Go On\r\nLocation: /api/track\r\nContent-Length: 0\r\n\r\n")


def words(client: socket.socket) -> None:
    """A refusal in words that are hard to read: a reference to a character of 5,000 digits."""
    body = b"<p>&#" + b"9" * 5000 + b"; &#x110000; " + b"&" * 50_000 + b"</p>"
    head = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n"
    client.sendall(head % len(body) + body)


ANSWERS: dict[str, Answer] = {
    answer.__name__: answer
    for answer in (
        *(drip, early, endless, bomb, reset, silence),
        *(garbage, cookies, headers, redirect, words),
    )
}


def _for_ever(client: socket.socket, content: bytes, *, pause: float = 0.0) -> None:
    while True:
        client.sendall(content)
        time.sleep(pause)


def _zeros(*, gigabytes: int) -> Iterator[bytes]:
    """Gzip of zeros: a block that was packed once, over and over again."""
    packer = zlib.compressobj(9, wbits=31)
    block = 64 * _MEGABYTE
    yield packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    yield from itertools.repeat(again, gigabytes * 2**30 // block - 1)


def _read_request(client: socket.socket) -> bool:
    content = b""
    while b"\r\n\r\n" not in content:
        received = client.recv(65536)
        if not received:
            return False
        content += received
    head, _, body = content.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().splitlines() if line.startswith(b"content-length:")]
    missing = int(lengths[0].split(b":")[1]) - len(body) if lengths else 0
    while missing > 0:
        missing -= len(client.recv(65536))
    return True


def _serve(client: socket.socket, answer: Answer) -> None:
    with client, contextlib.suppress(OSError):
        client.settimeout(60)
        if _read_request(client):
            answer(client)


def main(name: str) -> None:
    """Serve until killed."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=500)
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    while True:
        client, _ = listener.accept()
        threading.Thread(target=_serve, args=(client, ANSWERS[name]), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1])
