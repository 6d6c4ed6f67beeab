"""The words of a container registry, shared by server, library and command line."""

__version__ = "0.1.0"
