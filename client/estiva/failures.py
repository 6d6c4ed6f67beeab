"""What can go wrong on the client's side; what a registry refuses is in `estiva.errors`."""


class ClientError(Exception):
    """Base of them all; the text is one sentence for a person."""


class ConnectionFailed(ClientError):
    """The registry could not be reached, or the connection broke and did not come back."""


class ContentInvalid(ClientError):
    """A file, layout or archive on this side is not what it has to be."""


class CredentialsFailed(ClientError):
    """The docker configuration or a credential helper could not be read or written."""


class ReferenceInvalid(ClientError):
    """The text names no image."""
