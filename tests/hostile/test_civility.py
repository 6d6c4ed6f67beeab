"""The judge of all the answers does find something wrong where something is."""

import pytest

from tests.hostile.civility import Civility
from tests.hostile.conversation import Answer, Fields

JUDGE = Civility((b"/srv/secret/data",))
JSON: Fields = ((b"content-type", b"application/json"), (b"content-length", b"1"))
ENVELOPE = b'{"errors":[{"code":"NAME_INVALID","message":"no"}]}'

UNCIVIL = {
    "a failure": Answer(500, JSON, ENVELOPE),
    "a traceback": Answer(400, JSON, b'{"errors":[{"code":"NAME_INVALID","message":"Traceback (most recent"}]}'),
    "a path in the body": Answer(400, JSON, b'{"errors":[{"code":"NAME_INVALID","message":"/srv/secret/data/x"}]}'),
    "a path in a header": Answer(400, (*JSON, (b"etag", b"/srv/secret/data")), ENVELOPE),
    "an unknown header": Answer(400, (*JSON, (b"x-injected", b"1")), ENVELOPE),
    "a header that comes twice": Answer(400, (*JSON, *JSON), ENVELOPE),
    "a way to another host": Answer(307, (*JSON, (b"location", b"//evil.example/v2/")), b""),
    "another content type": Answer(404, ((b"content-type", b"text/plain"),), ENVELOPE),
    "plain text": Answer(404, JSON, b'"not found"'),
    "an unknown code": Answer(404, JSON, b'{"errors":[{"code":"OOPS","message":"no"}]}'),
    "no message": Answer(404, JSON, b'{"errors":[{"code":"NAME_INVALID","message":null}]}'),
    "no errors": Answer(404, JSON, b'{"errors":[]}'),
}


def test_a_refusal_in_the_protocols_own_words_is_civil() -> None:
    JUDGE.require(Answer(400, JSON, ENVELOPE), api=True)
    JUDGE.require(Answer(503, JSON, ENVELOPE), api=True, may_be=(503,))


@pytest.mark.parametrize("what", UNCIVIL)
def test_it_is_noticed(what: str) -> None:
    with pytest.raises(AssertionError):
        JUDGE.require(UNCIVIL[what], api=True)
