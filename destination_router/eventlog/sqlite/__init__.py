"""The event log in one SQLite file: an accepted event is on disk.

`log` is the log, `file` its file, `writer` the one thread that writes, `retention` and `expiry`
what ends, `claim` the lock of the process that delivers. `checksums` and `presence` notice damage
and files that are gone. Dead letters, ties, quarantined identities and how connections stand with
their vendors are in the same file (`dead_letter_store`, with the budget in `letter_room` and
`letter_losses`, `pairing_book`, `quarantine_book`, `standing_book`). `attempt_book` knows what was
at hand when a process died. Open `log` first.
"""
