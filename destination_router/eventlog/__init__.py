"""Where accepted events wait, in order, until every connection has taken them."""
