"""The edge in: sockets to signals, and the answer after the commit."""
