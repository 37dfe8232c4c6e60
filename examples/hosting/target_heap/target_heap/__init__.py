"""A Singer target: the rows of streams become calls of Heap."""
