"""One message → what each connection makes of it. Pure: no I/O happens in here."""
