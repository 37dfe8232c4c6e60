"""Requests → the vendor: each user's in order, within its quotas, until every message has ended.

In come events of the log, out go requests; what comes back decides what becomes of each message.
`worker` reads and decides, `schedule` says what may go, `plan` packs a window and pays for it,
`window` sends it in order, `sender` makes one request and reads the answer, `outcomes` says what
now, `dispatch` does it (a dead letter is made there), `ledger` commits. Beside them: `quotas`,
`circuit`, `hold` and `permission` (may the vendor be asked?), `states` (repeats), `pairings`,
`quarantine`, `replays`, `attempts` (what the process dies of); `item` is one message on its way,
`stats` what is counted, `observer` who looks on, `delivery_settings` the table `[delivery]`. Open
`worker` first; for "why was it retried?" open `outcomes`.
"""
