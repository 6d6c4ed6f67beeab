"""Where a bucket is: `s3://bucket/prefix?endpoint=…&region=…`, parsed."""

import re
from dataclasses import dataclass, fields
from urllib.parse import parse_qsl, urlsplit

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9._/-]{0,512}")
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,300}(?:/[A-Za-z0-9._/-]*)?")
_REGION = re.compile(r"[a-z0-9-]{1,32}")
_FLAGS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class S3Location:
    """A bucket and how it is spoken to; credentials are no part of it."""

    bucket: str
    prefix: str = ""
    """Empty, or path segments with a slash behind the last."""
    endpoint: str | None = None
    """Where the S3 server is; None for AWS."""
    region: str | None = None
    """None for what boto3 finds in its own configuration, or us-east-1."""
    path_style: bool = False
    """Whether the bucket is named in the path and not in the host name."""
    public_endpoint: str | None = None
    """Where clients reach the S3 server, if not at `endpoint`."""
    checksums: bool = True
    """Whether to send a CRC32 with everything that is uploaded, for the server to check."""

    @classmethod
    def parse(cls, text: str) -> "S3Location":
        """The location that a URL names; ValueError for anything else."""
        parts = urlsplit(text)
        if parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc) or parts.fragment:
            raise ValueError("is not s3://BUCKET/PREFIX?endpoint=URL")
        prefix = parts.path.strip("/")
        if not _PREFIX.fullmatch(prefix) or any(segment in ("", ".", "..") for segment in prefix.split("/") if prefix):
            raise ValueError("has a prefix that is no path of letters, digits, '.', '_' and '-'")
        options = _options(parts.query)
        endpoint = options.get("endpoint")
        return cls(
            bucket=parts.netloc,
            prefix=f"{prefix}/" if prefix else "",
            endpoint=_matching("endpoint", _ENDPOINT, endpoint),
            region=_matching("region", _REGION, options.get("region")),
            # Names of buckets below an own endpoint seldom resolve.
            path_style=_flag("path_style", options, default=endpoint is not None),
            public_endpoint=_matching("public_endpoint", _ENDPOINT, options.get("public_endpoint")),
            checksums=_flag("checksums", options, default=True),
        )

    @property
    def clients_can_reach_it(self) -> bool:
        """Whether it is known that those who pull reach the server too: it is AWS, or somebody said where."""
        return self.endpoint is None or self.public_endpoint is not None

    @property
    def is_encrypted(self) -> bool:
        """Whether clients are sent to an https address."""
        return not (self.public_endpoint or self.endpoint or "https:").startswith("http:")

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def _options(query: str) -> dict[str, str]:
    known = {field.name for field in fields(S3Location)} - {"bucket", "prefix"}
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)):
        if name not in known or name in options:
            raise ValueError(f"has {name!r} in its query; possible, once each: {', '.join(sorted(known))}")
        options[name] = value
    return options


def _matching(name: str, pattern: re.Pattern[str], value: str | None) -> str | None:
    if value is not None and not pattern.fullmatch(value):
        raise ValueError(f"has a value for {name} that is none")
    return value


def _flag(name: str, options: dict[str, str], *, default: bool) -> bool:
    value = options.get(name)
    if value is None:
        return default
    if value not in _FLAGS:
        raise ValueError(f"has a value for {name} that is neither true nor false")
    return _FLAGS[value]
