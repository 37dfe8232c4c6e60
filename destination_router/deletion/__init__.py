"""Deleting people: at the vendor, and in what still waits here, with an audit of both.

In come ids, out comes what became of each. `people` reads whom it is about, `vendor` asks the
vendor, `pending` looks through the event log and the dead letters, `matching` says whose a message
is, `audit` records it. Open `runner` first.
"""
