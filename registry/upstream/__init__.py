"""Speaking to other registries over the OCI API: as a cache that pulls, and as a source that pushes copies.

What needs no network (challenges, pauses, redirects) is in functions of its own; `network.py` holds the sockets.
"""
