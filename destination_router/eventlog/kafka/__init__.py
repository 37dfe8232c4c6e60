"""The event log on Apache Kafka: an accepted event is on as many brokers as its topic requires.

`log` is the log. `producing` appends, `reader` is one connection's consumer, `marks` turns a
connection's progress into its group's commit and back, and `groups` asks brokers about groups.
Dead letters, ties, quarantined identities and connections' standings are in compacted topics, with
one record for each change. `books` shows them as the tables of `eventlog/sqlite/`, in a temporary
database that follows those topics. `topics` makes and checks the topics. Commands use `admin`, and
`alone` lets one command at a time make changes. Open `log` first, and docs/kafka.md for what is
promised.
"""
