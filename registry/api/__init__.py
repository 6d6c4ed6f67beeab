"""The OCI distribution API over HTTP: the only place in `registry` that knows of it."""
