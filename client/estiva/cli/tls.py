"""Whom the command trusts: the authorities of this machine, and the one that `--ca-file` names."""

import os
import ssl
from pathlib import Path

from estiva.cli.failing import CommandError


def context_of(ca_file: str) -> ssl.SSLContext:
    """What trusts the authorities in a file besides this machine's. CommandError for a file that is none."""
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        no_pem = isinstance(error, ssl.SSLError)
        why = "it holds no certificate in PEM" if no_pem else error.strerror
        raise CommandError(f"cannot use --ca-file {ca_file}: {why}") from None
    return context


def missing_trust() -> str:
    """The file or folder of authorities that the environment names though there is none; empty where all is well."""
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        place = os.environ.get(variable, "")
        if place and not Path(place).exists():
            return f"{variable}={place}"
    return ""
