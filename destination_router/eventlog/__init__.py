"""Where accepted events wait, in order, until every connection is done with them.

In come bodies (`append`), out come events (`read`), and what is done is committed in any order.
`interface` is what a log is; `dead_letter` the record of a message that was given up; `partition`
whose an event is; `progress` how far a connection is; `memory` a log for demos and tests. Open
`interface` first.
"""
