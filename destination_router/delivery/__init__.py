"""Sends requests to the vendor, each user's in order and within quotas, until messages have ended.

The input is events of the log, and the output is requests. The answers decide what becomes of each
message. `worker` reads and decides, `schedule` says what may go, `plan` packs a window and reserves
its quotas, `window` sends it in order, and `sender` makes one request and reads the answer.
`outcomes` says what follows, `dispatch` does it (and makes dead letters), and `ledger` commits.
Beside them: `quotas`, `circuit`, `hold` and `permission` (may the vendor be asked?), `states`
(repeats), `pairings`, `quarantine`, `replays`, and `attempts` (messages that end the process).
`item` is one message on its way, `stats` has the counts, `observer` is for the console, and
`delivery_settings` is the table `[delivery]`. Open `worker` first; for "why was it retried?", open
`outcomes`.
"""
