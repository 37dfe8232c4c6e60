"""Where events come in and where people look."""
