"""WWW-Authenticate: what another registry wants to see before it answers (RFC 9110 section 11.6.1)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

LONGEST = 8192
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'\s*({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_WORD}))\s*(?:,|$)')
_SCHEME = re.compile(rf"\s*,*\s*({_WORD})(?:\s+|\s*(?:,|$))")
_BASE = re.compile(r"https?://(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?/?")
_DEFAULT_PORTS = {"http": 80, "https": 443}

TOKEN_SERVERS = frozenset(
    {
        ("registry-1.docker.io", "auth.docker.io"),
        ("registry.gitlab.com", "gitlab.com"),
    }
)
"""Registries whose tokens come from another host that is known to be theirs."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to sign in: the scheme in lower case, and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(header: str) -> list[Challenge]:
    """Every challenge of a WWW-Authenticate header that can be read; what can't be is left out."""
    found: list[Challenge] = []
    position, text = 0, header[:LONGEST]
    while position < len(text):
        parameter = _PARAMETER.match(text, position) if found else None
        if parameter is not None:
            name, quoted, plain = parameter.groups()
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            found[-1] = Challenge(found[-1].scheme, {**found[-1].parameters, name.lower(): value})
            position = parameter.end()
            continue
        scheme = _SCHEME.match(text, position)
        if scheme is None:
            break
        found.append(Challenge(scheme.group(1).lower(), {}))
        position = scheme.end()
    return found


def choose(challenges: Sequence[Challenge]) -> Challenge | None:
    """The challenge to answer: Bearer before Basic, as a token is good for one thing only."""
    for scheme in ("bearer", "basic"):
        for challenge in challenges:
            if challenge.scheme == scheme and (scheme == "basic" or challenge.parameters.get("realm")):
                return challenge
    return None


def token_url(challenge: Challenge, scope: str) -> str:
    """Where to ask for a token for this scope, or for the one that the challenge names."""
    realm = challenge.parameters["realm"]
    query = [(name, challenge.parameters[name]) for name in ("service",) if challenge.parameters.get(name)]
    query += [("scope", one) for one in (scope or challenge.parameters.get("scope", "")).split(" ") if one]
    return f"{realm}{'&' if urlsplit(realm).query else '?'}{urlencode(query)}"


def may_be_trusted(registry: str, realm: str, token_server: str | None) -> bool:
    """Whether the registry's credentials may be sent to the realm that it named.

    To the registry's own scheme, host and port; to a host that is known to be that registry's; or to the one that
    the operator named. To nobody else, and never from https to http: whoever can change an answer would get them.
    """
    own, asked = urlsplit(registry), urlsplit(realm)
    if asked.scheme not in _DEFAULT_PORTS or (own.scheme == "https" and asked.scheme != "https"):
        return False
    place = _place(realm)
    if token_server is not None:
        return place == _place(token_server)
    known = asked.port in (None, 443) and (own.hostname or "", asked.hostname or "") in TOKEN_SERVERS
    return place == _place(registry) or known


def is_base_url(url: str) -> bool:
    """Whether it is a scheme and a host, with a port or without, and nothing else."""
    return _BASE.fullmatch(url) is not None


def _place(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)
