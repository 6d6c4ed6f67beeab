"""What every answer must be, whatever was asked: no failure of the server's own, no word about its insides."""

import json
from dataclasses import dataclass
from pathlib import Path

from estiva.errors import RegistryError
from tests.hostile.conversation import Answer
from tests.serving import Registry

CODES = frozenset({*RegistryError.by_code, RegistryError.code})
API = (b"/v2", b"/api/v1")
FIELDS = frozenset(
    b"accept-ranges allow cache-control connection content-length content-range content-type date "
    b"docker-content-digest docker-distribution-api-version docker-upload-uuid etag link location oci-filters-applied "
    b"oci-subject oci-tag range retry-after x-request-id".split()
)
INSIDES = (b"Traceback", b'File "', b".py", b"/site-packages", b"sqlite3.", b"SELECT ", b"INSERT ", b"Errno", b"/root/")


@dataclass(frozen=True)
class Civility:
    """Holds the answers of one server to it."""

    secrets: tuple[bytes, ...]

    @classmethod
    def of(cls, registry: Registry) -> "Civility":
        """For a registry whose data directory nobody may learn of."""
        return cls((bytes(registry.data), bytes(registry.data.parent), bytes(Path(__file__).parents[2])))

    def require(self, answer: Answer, *, api: bool, may_be: tuple[int, ...] = ()) -> None:
        """Nothing where the answer is civil, AssertionError where it is not. `may_be` allows further statuses."""
        assert answer.status < 500 or answer.status in may_be, f"status {answer.status}"
        self._require_known_fields(answer)
        whole = b"\n".join((*(name + b": " + value for name, value in answer.fields), answer.body))
        for word in (*self.secrets, *INSIDES):
            assert word not in whole, f"the answer tells of {word!r}"
        if answer.status >= 400 and api:
            self._require_envelope(answer)

    def _require_known_fields(self, answer: Answer) -> None:
        names = [name for name, _ in answer.fields]
        assert set(names) <= FIELDS, f"unknown header fields {set(names) - FIELDS}"
        repeated = {name for name in names if names.count(name) > 1} - {b"oci-tag"}
        assert not repeated, f"header fields came twice: {repeated}"
        location = answer.field("location")
        assert location is None or location.startswith("/v2/"), f"Location leads to {location}"

    def _require_envelope(self, answer: Answer) -> None:
        assert answer.field("content-type") == "application/json"
        if not answer.body:  # of a HEAD
            return
        document = json.loads(answer.body)
        assert list(document) == ["errors"], "no errors envelope"
        assert document["errors"], "an empty errors envelope"
        for error in document["errors"]:
            assert error["code"] in CODES, f"unknown code {error['code']}"
            assert isinstance(error["message"], str), "no message"


def require_quiet_log(registry: Registry) -> None:
    """Nothing where the server never met an error that it did not expect."""
    lines = registry.log.read_text(errors="replace").splitlines()
    troubles = [line for line in lines if "Traceback" in line or '"level": "error"' in line or "Exception" in line]
    assert troubles == [], "\n".join(troubles[:5])
