"""Pagination: `n` and `last` of a request, `Link` of an answer (specification, "Listing Tags")."""

from urllib.parse import urlencode

from estiva.errors import RequestInvalid
from registry.api.call import Call

DEFAULT_PAGE = 10_000
LARGEST_PAGE = 10_000


def page_size(call: Call, default: int = DEFAULT_PAGE) -> int:
    """How many entries the request asks for, at most LARGEST_PAGE; RequestInvalid for what is no number."""
    text = call.value("n")
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()):
        raise RequestInvalid("n is not a number", detail=text[:32])
    # Any number of digits is a number: what is too long to be one here is simply a lot.
    return min(int(text), LARGEST_PAGE) if len(text) < 10 else LARGEST_PAGE


def page_start(call: Call) -> str:
    """The entry after which the page begins: it need not exist."""
    last = call.value("last") or ""
    if "\0" in last or len(last) > 512:
        raise RequestInvalid("last is not a name")
    return last


def next_link(path: str, size: int, last: str, **further: str | None) -> dict[str, str]:
    """The headers that lead to the page after `last`."""
    query = urlencode({"n": size, "last": last, **{key: value for key, value in further.items() if value}})
    return {"Link": f'<{path}?{query}>; rel="next"'}
