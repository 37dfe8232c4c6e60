"""Requests → the vendor: each user's in order, within its quotas, until every message has ended.

In come events of the log, out go requests; what comes back decides what becomes of each message.
`worker` reads and decides, `schedule` says what may go, `plan` packs a window and pays for it,
`dispatch` and `window` send it, `sender` makes one request, `outcomes` says what now, `ledger`
commits; `attempts` gives up what the process dies of. Open `worker` first; for "why was it
retried?" open `outcomes`.
"""
