"""Who knocks: everybody that the matrix tries at every door, and what an independent look says they may do."""

from dataclasses import dataclass
from enum import StrEnum

from tests.security.secured import PULL_ACTIONS, Secured, basic, elsewhere, repository_arn, statement

Fields = list[tuple[str, str]]


class Who(StrEnum):
    """Everybody."""

    NOBODY = "anonymous without a token"
    ANONYMOUS_TOKEN = "anonymous token"
    WRONG_PASSWORD = "wrong password"
    SPOILED_TOKEN = "spoiled token"
    STRANGER = "wrong user"
    STRANGER_TOKEN = "wrong user's token"
    PULLER = "right user without the right"
    PULLER_TOKEN = "token of the right user without the right"
    OWNER = "right user"
    OWNER_TOKEN = "right user's token"
    OTHER_TOKEN = "right user's token for another repository"


UNKNOWN = {Who.WRONG_PASSWORD, Who.SPOILED_TOKEN}
ANONYMOUS = {Who.NOBODY, Who.ANONYMOUS_TOKEN}
PULLERS = {Who.PULLER, Who.PULLER_TOKEN}
OWNERS = {Who.OWNER, Who.OWNER_TOKEN, Who.OTHER_TOKEN}


class Place(StrEnum):
    """What sort of repository."""

    PRIVATE = "private"
    PUBLIC = "public"
    ABSENT = "absent"


def expected(who: Who, place: Place, right: str, good: int) -> int:
    """The status that a request asking for pull, push or delete has to get; `good` where it may go on."""
    if who in UNKNOWN:
        return 401
    allowed = who in OWNERS or (right == "pull" and (who in PULLERS or place is Place.PUBLIC))
    if not allowed:
        return 401 if who in ANONYMOUS else 403
    return 401 if who is Who.OTHER_TOKEN else good


@dataclass(frozen=True)
class People:
    """They, with what they know, in a registry."""

    secured: Secured
    stranger: str
    puller: str
    owner: str

    @classmethod
    def settled(cls, secured: Secured, prefix: str) -> "People":
        """Let them in; all repositories are under `prefix`."""
        arn = repository_arn(f"{prefix}/*")
        return cls(
            secured,
            secured.user(f"{prefix}-stranger"),
            secured.user(f"{prefix}-puller", statement(PULL_ACTIONS, arn)),
            secured.user(f"{prefix}-owner", statement("ecr:*", arn)),
        )

    def authorization(self, who: Who, name: str) -> str | None:
        """What they send to get at that repository."""
        known = {
            Who.NOBODY: None,
            Who.STRANGER: self.stranger,
            Who.PULLER: self.puller,
            Who.OWNER: self.owner,
            Who.WRONG_PASSWORD: basic("admin", "wrong password"),
        }
        if who in known:
            return known[who]
        behind = {Who.ANONYMOUS_TOKEN: None, Who.STRANGER_TOKEN: self.stranger, Who.PULLER_TOKEN: self.puller}
        token = self.secured.token_for(behind.get(who, self.owner), "m/other" if who is Who.OTHER_TOKEN else name)
        return f"{token[:-9]}{'A' * 9}" if who is Who.SPOILED_TOKEN else token

    def fields(self, who: Who, name: str) -> Fields:
        """The fields of their request. Wrong passwords come from everywhere, lest they be throttled."""
        authorization = self.authorization(who, name)
        fields = [("Authorization", authorization)] if authorization else []
        return [*fields, elsewhere()] if who is Who.WRONG_PASSWORD else fields
