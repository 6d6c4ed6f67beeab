"""Lifecycle policies: which images expire, decided by a pure function, and their removal."""
