"""What was answered to requests that carry a token of their client: asked again, they get the same answer."""

from dataclasses import dataclass

from storage.metadata.database import Statement, Work

KEPT_SECONDS = 86400.0

ENTER = """
INSERT INTO client_tokens (account, operation, token, request, answer, created_at)
VALUES (:account, :operation, :token, :request, :answer, :now)
"""
FORGET = "DELETE FROM client_tokens WHERE created_at < :now - CAST(:kept AS DOUBLE PRECISION)"


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A request (its hash) and what came of it, as JSON text."""

    request: str
    answer: str


def find(account: str, operation: str, token: str) -> Work[TokenRecord | None]:
    """What the token was used for in the last day."""
    yield Statement(FORGET, {"kept": KEPT_SECONDS})
    rows = yield Statement(
        "SELECT request, answer FROM client_tokens "
        "WHERE account = :account AND operation = :operation AND token = :token",
        {"account": account, "operation": operation, "token": token},
    )
    return TokenRecord(*rows[0]) if rows else None


def enter(account: str, operation: str, token: str, record: TokenRecord) -> Work[None]:
    """Remember what the token was used for. ConstraintError where it was used before."""
    values = {"account": account, "operation": operation, "token": token}
    yield Statement(ENTER, values | {"request": record.request, "answer": record.answer})
