"""Deletes people at the vendor and in what still waits here, with an audit of both.

The input is ids, and the output is what became of each. `people` reads the ids, `vendor` asks the
vendor, `pending` searches the event log and the dead letters, `matching` says whose a message is,
and `audit` records everything. Open `runner` first.
"""
