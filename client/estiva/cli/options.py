"""Defaults of options, and what all verbs for registries know from the options before the verb and the environment."""

from collections.abc import Mapping
from typing import Any

DEFAULT_SERVER = "http://127.0.0.1:5000"
DEFAULT_USERNAME = "admin"
PARALLEL = 4
MOST_PARALLEL = 64

Root = Mapping[str, Any]
"""`server`, `username`, `password` and `ca_file` as text, `json` and `quiet`."""
