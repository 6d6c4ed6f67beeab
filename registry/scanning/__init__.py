"""Scanning: somebody else's scanner looks at images, and what it finds is kept and shown."""
