"""The event log in one SQLite file, where an accepted event is on disk.

`log` is the log, `file` opens its file, and `writer` is the one thread that writes. `rows` keeps
the events of a request together. `retention` and `expiry` end events. `claim` is the lock of the
process that delivers. `checksums` and `presence` notice damage and missing files. Dead letters,
ties, quarantined identities and connections' standings are in the same file (`dead_letter_store`,
with the budget in `letter_room` and `letter_losses`, `pairing_book`, `quarantine_book`,
`standing_book`). `attempt_book` has the messages at hand when a process died. Open `log` first.
"""
