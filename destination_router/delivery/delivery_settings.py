"""How requests leave: the table `[delivery]` of a router.toml, as a record with its defaults."""

from __future__ import annotations

import msgspec

from destination_router.config.origins import plain_origins

DEFAULT_WINDOW = 1000
"""Messages that are packed together at most, where neither plugin nor configuration says."""


class DeliverySettings(msgspec.Struct, frozen=True, kw_only=True):
    """How one connection's messages are packed, sent, retried and given up.

    Attributes:
        origins: which vendor's origin is sent elsewhere: `{ "https://vendor.example" =
            "http://127.0.0.1:9100" }`; `*` stands for every origin that is not named. One that no
            connection sends to is refused.
        window: how many messages are packed together at most; None: as many as the plugin says,
            1000 where it says nothing. A plugin may want fewer.
        linger: how long a window that is not full waits for more messages, in seconds.
        concurrency: how many requests, and how many windows, of a connection are under way at once.
            A user is in one window at a time, so more is not faster for the most active.
        timeout: how long a vendor may take to answer, to the end of the answer, in seconds.
        max_answer: how many bytes of an answer are read, unpacked; the rest is not waited for. Of
            an answer that is cut short, by this or by `timeout`, the status decides about a single
            message, and a bulk is sent apart.
        first_wait: the most to wait before the second attempt, in seconds; it doubles each time,
            with full jitter.
        longest_wait: the most to wait before any attempt, in seconds; a `Retry-After` is obeyed
            beyond it.
        max_attempts: after how many failed attempts a message becomes a dead letter; None: never,
            so that a vendor's outage costs nothing but lag.
        max_age: how long a message is tried, in seconds, before it becomes a dead letter; None: for
            ever.
        circuit_failures: after how many failures in a row the vendor is taken for dead: then one
            request at a time asks whether it is back.
        hold_wait: how long a connection that is held (its key is refused, say) waits before it asks
            again with one request, in seconds; it doubles each time.
        longest_hold: the most that it waits before it asks again, in seconds.
        parked_messages: how many messages may be in memory: those that wait for their user's
            retry or quota, and the next windows. When so many wait, no more are read, and lag grows
            for all users of the connection. Each costs about its own size and half a kilobyte.
        skip_repeats: whether a profile update is left out that repeats exactly what was last
            delivered.
        remembered_states: how many last delivered profile updates are remembered, as hashes of 64
            bits.
    """

    origins: dict[str, str] = {}
    window: int | None = None
    linger: float = 0.05
    concurrency: int = 4
    timeout: float = 30.0
    max_answer: int = 2**20
    first_wait: float = 0.5
    longest_wait: float = 60.0
    max_attempts: int | None = None
    max_age: float | None = None
    circuit_failures: int = 5
    hold_wait: float = 10.0
    longest_hold: float = 300.0
    parked_messages: int = 50_000
    skip_repeats: bool = True
    remembered_states: int = 100_000

    def window_for(self, stated: int | None) -> int:
        """Say how many messages a window holds at most, of a plugin that states its own or none."""
        if self.window is None:
            return DEFAULT_WINDOW if stated is None else stated
        return self.window if stated is None else min(self.window, stated)

    def __post_init__(self) -> None:
        """Write the origins as `redirected` looks them up."""
        msgspec.structs.force_setattr(self, "origins", plain_origins(self.origins))
