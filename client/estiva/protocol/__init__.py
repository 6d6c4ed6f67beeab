"""What a client says to a registry and what it makes of the answers, without any I/O.

Everything here is a generator: it yields what has to be done (`steps.py`) and is sent what came of it. `Client` does
these things with threads and blocking sockets, `AsyncClient` with asyncio; the protocol is written once.
"""
