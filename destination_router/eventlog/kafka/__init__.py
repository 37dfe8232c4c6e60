"""The event log on Apache Kafka: an accepted event is with as many brokers as its topic asks for.

`log` is the log, `producing` what appends, `reader` one connection's consumer, `marks` how far a
connection is as its group's commit tells it, `groups` what is asked of groups. Dead letters, ties,
quarantined identities and how connections stand are in compacted topics, each change a record;
`books` has them as the tables of `eventlog/sqlite/`, in a temporary database that follows those
topics. `topics` makes and checks the topics, `admin` is what commands use, and `alone` lets one of
them at a time change something. Open `log` first, and docs/kafka.md for what is promised.
"""
