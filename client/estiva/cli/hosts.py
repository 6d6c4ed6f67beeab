"""Registries as people type them."""


def split_host(text: str) -> tuple[str, str]:
    """A host with its port, and what stands behind its slash: of a URL, too."""
    host, _, path = text.partition("://")[2].partition("/") if "://" in text else text.partition("/")
    return host, path
