"""Policies and requests made by chance, from so few names that they often meet.

Hypothesis gives the seeds. It is not asked to choose every name: it would choose the first ones again and again.
"""

import random
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import strategies as st

from auth.policy import ANONYMOUS, PolicyPrincipal, PolicyRequest, PrincipalKind
from tests.auth.policy.reference import Question

HOME, ABROAD = "000000000000", "111111111111"
Json = dict[str, Any]
T = TypeVar("T")


def repository(name: str, account: str = HOME, region: str = "us-east-1") -> str:
    return f"arn:aws:ecr:{region}:{account}:repository/{name}"


ANN = PolicyPrincipal(f"arn:aws:iam::{HOME}:user/ann", HOME, "ann", userid="AIDAANN")
BOB = PolicyPrincipal(
    f"arn:aws:iam::{HOME}:user/b*b", HOME, "b*b", userid="AIDABOB", attributes={"aws:PrincipalTag/team": ("web",)}
)
CARL = PolicyPrincipal(f"arn:aws:iam::{ABROAD}:user/carl", ABROAD, "carl")
JOB = PolicyPrincipal(
    f"arn:aws:iam::{HOME}:role/ci",
    HOME,
    "ci",
    PrincipalKind.FEDERATED,
    attributes={"oidc:repository": ("acme/web",), "oidc:groups": ("web", "ops")},
)
ROOT = PolicyPrincipal(f"arn:aws:iam::{HOME}:root", HOME, "root", PrincipalKind.ROOT)
PRINCIPALS = (ANN, BOB, CARL, JOB, ROOT, ANONYMOUS)

ACTIONS = ("ecr:BatchGetImage", "ecr:PutImage", "ecr:BatchDeleteImage", "ecr:GetAuthorizationToken")
ACTION_PATTERNS = (
    "*",
    "ecr:*",
    "*",
    "ecr:*",
    "ecr:Batch*",
    "ECR:batchgetimage",
    "ecr:?utImage",
    "ecr:*Image",
    "*:PutImage",
    "s3:*",
)
RESOURCES = (
    repository("ann/app"),
    repository("b*b/app"),
    repository("web/app"),
    repository("web/app", ABROAD),
    repository("x"),
    "*",
)
RESOURCE_PATTERNS = (
    "*",
    "*",
    "arn:aws:ecr:*",
    "*",
    "arn:aws:ecr:*",
    repository("*"),
    repository("*/app", account="*", region="*"),
    repository("???/app"),
    repository("web/app", account=ABROAD),
    repository("${aws:username}/*"),
    repository("${aws:PrincipalTag/team, 'x'}*"),
    repository("${AWS:PrincipalTag/Team}/*"),
    repository("${oidc:groups}/*"),
    repository("x", account="${aws:PrincipalAccount}"),
    repository("b${*}b/a??"),
)
PRINCIPAL_ELEMENTS: tuple[Any, ...] = (
    "*",
    {"AWS": "*"},
    {"AWS": HOME},
    {"AWS": [f"arn:aws:iam::{ABROAD}:root", ANN.arn]},
    {"AWS": [ABROAD]},
    {"AWS": JOB.arn},
    {"AWS": ROOT.arn},
    {"Service": "lambda.amazonaws.com"},
)

CONTEXT_VALUES = {
    "aws:SourceIp": ("10.1.2.3", "::ffff:10.1.2.3", "192.0.2.1", "2001:db8::1", "nowhere"),
    "ecr:ImageTag": ("latest", "v1.0", "v1.1-rc", "ann", "LATEST"),
    "aws:CurrentTime": ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00+02:00", "1772366400", "noon"),
    "aws:MultiFactorAuthAge": ("5", "10", "10.0", "-3", "ten"),
    "aws:SecureTransport": ("true", "False", "maybe"),
    "aws:TagKeys": ("team", "stage", "Team"),
    "aws:SourceArn": (repository("web/app"), "arn:aws:iam::000000000000:user/ann", "no:arn"),
}
# For each family of operators: its operators, the keys they are tried on, and values for the policy.
_STRING_VALUES = ("latest", "v1.*", "ann", "${aws:username}", "${oidc:groups}", "${aws:PrincipalTag/team}", "?eam", "*")
_FAMILIES: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    (
        tuple(f"String{n}{o}" for n in ("", "Not") for o in ("Equals", "Like", "EqualsIgnoreCase")),
        ("ecr:ImageTag", "aws:TagKeys", "aws:username", "oidc:groups", "AWS:PRINCIPALTYPE"),
        _STRING_VALUES,
    ),
    (
        ("ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"),
        ("aws:PrincipalArn", "aws:SourceArn"),
        ("*", ANN.arn, "arn:aws:*:*:000000000000:*", "arn:aws:iam::*:user/${aws:username}", "arn:*:*:*:*:*app"),
    ),
    (
        tuple(f"Numeric{o}" for o in ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan")),
        ("aws:MultiFactorAuthAge",),
        ("5", "10", "7.5", "-3"),
    ),
    (
        tuple(f"Date{o}" for o in ("Equals", "NotEquals", "LessThan", "GreaterThan", "GreaterThanEquals")),
        ("aws:CurrentTime",),
        ("2026-03-01T12:00:00Z", "2026-03-01", "1772366400", "2026-03-01T10:00:00+00:00"),
    ),
    (("Bool",), ("aws:SecureTransport",), ("true", "false", "TRUE")),
    (
        ("IpAddress", "NotIpAddress"),
        ("aws:SourceIp",),
        ("10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::ffff:192.0.2.0/120", "0.0.0.0/0", "::/0"),
    ),
)


def seeded(make: Callable[[random.Random], T]) -> st.SearchStrategy[T]:
    """What `make` makes by chance, for hypothesis."""
    return st.integers(0, 2**32).map(lambda seed: make(random.Random(seed)))


def _some(chance: random.Random, values: tuple[Any, ...]) -> Any:
    """One of the values, or a list of them: policies may write either."""
    return chance.choice(values) if chance.random() < 0.4 else chance.sample(values, chance.randint(1, 2))


def comparison(chance: random.Random) -> tuple[str, str, Any]:
    """An operator with its prefix and suffix, a key and a value that go together."""
    operators, keys, values = chance.choice(_FAMILIES)
    prefix, suffix = chance.choice(("", "", "ForAnyValue:", "ForAllValues:")), chance.choice(("", "", "IfExists"))
    return prefix + chance.choice(operators) + suffix, chance.choice(keys), _some(chance, values)


def condition(chance: random.Random) -> Json:
    made: Json = {}
    for _ in range(chance.choice((1, 1, 2))):
        operator, key, value = comparison(chance)
        made.setdefault(operator, {})[key] = value
    if chance.random() < 0.1:
        made["Null"] = {chance.choice(tuple(CONTEXT_VALUES)): chance.choice(("true", "false"))}
    return made


def statement(chance: random.Random, *, in_repository: bool, effect: str | None = None) -> Json:
    effect = effect or ("Deny" if chance.random() < 0.25 else "Allow")
    made: Json = {"Effect": effect}
    made["NotAction" if chance.random() < 0.2 else "Action"] = _some(chance, ACTION_PATTERNS)
    resource = chance.choice(("Resource", "Resource", "Resource", "NotResource", ""))
    if resource or not in_repository:
        made[resource or "Resource"] = _some(chance, RESOURCE_PATTERNS)
    if in_repository:
        negated = effect == "Deny" and chance.random() < 0.5
        made["NotPrincipal" if negated else "Principal"] = chance.choice(PRINCIPAL_ELEMENTS)
    if chance.random() < 0.6:
        made["Condition"] = condition(chance)
    return made


def policy(chance: random.Random, *, in_repository: bool = False) -> Json:
    listed = [statement(chance, in_repository=in_repository) for _ in range(chance.randint(1, 3))]
    return {"Version": chance.choice(("2012-10-17", "2012-10-17", "2008-10-17")), "Statement": listed}


def policies(chance: random.Random) -> tuple[list[Json], Json | None]:
    """Those of a principal, and that of a repository if it has one."""
    identity = [policy(chance) for _ in range(chance.randint(0, 2))]
    return identity, policy(chance, in_repository=True) if chance.random() < 0.7 else None


def context(chance: random.Random) -> dict[str, tuple[str, ...]]:
    """Most keys with one value; some absent, empty or with two."""
    made: dict[str, tuple[str, ...]] = {}
    for key, values in CONTEXT_VALUES.items():
        size = chance.choice((0, 1, 1, 1, 2) if key in ("aws:TagKeys", "ecr:ImageTag") else (0, 1, 1, 1))
        if size or chance.random() < 0.5:
            made[key] = tuple(chance.sample(values, size))
    return made


def request(chance: random.Random) -> PolicyRequest:
    return PolicyRequest(chance.choice(PRINCIPALS), chance.choice(ACTIONS), chance.choice(RESOURCES), context(chance))


def requests(chance: random.Random) -> list[PolicyRequest]:
    return [request(chance) for _ in range(12)]


def question(asked: PolicyRequest) -> Question:
    """The same request for the reference."""
    principal = asked.principal
    return Question(principal.arn, principal.account, principal.anonymous, asked.action, asked.resource, asked.context)
