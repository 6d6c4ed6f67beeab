"""Decisions as AWS documents them, case by case."""

import json
import timeit
from typing import Any

import pytest

from auth.policy import (
    ANONYMOUS,
    Outcome,
    PolicyPrincipal,
    PolicyRequest,
    PrincipalKind,
    evaluate,
    parse_identity_policy,
    parse_repository_policy,
)
from auth.policy.matching import Context
from tests.auth.policy.generated import ABROAD, ANN, BOB, CARL, HOME, JOB, ROOT, Json, repository

PULL = {"Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]}
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
WEB = repository("web")


def outcome(
    principal: PolicyPrincipal,
    action: str,
    resource: str,
    identity: list[Json] | None = None,
    attached: list[Json] | None = None,
    **context: tuple[str, ...],
) -> Outcome:
    keys: Context = {name.replace("__", ":"): values for name, values in context.items()}
    decision = evaluate(
        PolicyRequest(principal, action, resource, keys),
        [parse_identity_policy(document(identity))] if identity else [],
        parse_repository_policy(document(attached)) if attached else None,
    )
    return decision.outcome


def document(statements: list[Json]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def test_nothing_is_allowed_that_no_statement_allows() -> None:
    assert outcome(ANN, "ecr:PutImage", WEB) is Outcome.IMPLICIT_DENY
    assert outcome(ROOT, "ecr:PutImage", WEB) is Outcome.IMPLICIT_DENY


def test_a_deny_wins_over_every_allow() -> None:
    deny = {"Effect": "Deny", "Action": "ecr:PutImage", "Resource": WEB}
    assert outcome(ANN, "ecr:PutImage", WEB, [EVERYTHING, deny]) is Outcome.EXPLICIT_DENY
    assert outcome(ANN, "ecr:PutImage", repository("api"), [EVERYTHING, deny]) is Outcome.ALLOWED
    theirs = {"Effect": "Deny", "Action": "ecr:PutImage", "Principal": "*"}
    assert outcome(ANN, "ecr:PutImage", WEB, [EVERYTHING], [theirs]) is Outcome.EXPLICIT_DENY


def test_actions_ignore_case_and_resources_do_not() -> None:
    allow = {"Effect": "Allow", "Action": "ECR:batch*", "Resource": repository("Web")}
    assert outcome(ANN, "ecr:BatchGetImage", repository("Web"), [allow]) is Outcome.ALLOWED
    assert outcome(ANN, "ecr:BatchGetImage", repository("web"), [allow]) is Outcome.IMPLICIT_DENY


@pytest.mark.parametrize(("name", "expected"), [("ann/app", True), ("annx/app", False), ("bob/app", False)])
def test_a_home_for_every_user(name: str, expected: bool) -> None:
    allow = {"Effect": "Allow", "Action": "ecr:*", "Resource": repository("${aws:username}/*")}
    assert (outcome(ANN, "ecr:PutImage", repository(name), [allow]) is Outcome.ALLOWED) is expected


def test_the_name_of_a_user_is_no_pattern() -> None:
    allow = {"Effect": "Allow", "Action": "ecr:*", "Resource": repository("${aws:username}")}
    assert BOB.name == "b*b"
    assert outcome(BOB, "ecr:PutImage", repository("b*b"), [allow]) is Outcome.ALLOWED
    assert outcome(BOB, "ecr:PutImage", repository("bob"), [allow]) is Outcome.IMPLICIT_DENY


@pytest.mark.parametrize(
    ("effect", "member", "expected"),
    [
        ("Allow", "Resource", Outcome.IMPLICIT_DENY),
        ("Allow", "NotResource", Outcome.IMPLICIT_DENY),
        ("Deny", "Resource", Outcome.ALLOWED),
        ("Deny", "NotResource", Outcome.EXPLICIT_DENY),
    ],
)
def test_a_variable_without_a_value_never_opens_anything(effect: str, member: str, expected: Outcome) -> None:
    statement = {"Effect": effect, "Action": "*", member: repository("${aws:username}")}
    identity = [statement, EVERYTHING] if effect == "Deny" else [statement]
    assert outcome(JOB, "ecr:PutImage", WEB, identity) is expected


def test_not_action_and_not_resource_mean_all_others() -> None:
    others = {"Effect": "Allow", "NotAction": "ecr:Delete*", "NotResource": [WEB, repository("api")]}
    assert outcome(ANN, "ecr:PutImage", repository("x"), [others]) is Outcome.ALLOWED
    assert outcome(ANN, "ecr:DeleteRepository", repository("x"), [others]) is Outcome.IMPLICIT_DENY
    assert outcome(ANN, "ecr:PutImage", WEB, [others]) is Outcome.IMPLICIT_DENY


def test_what_has_no_resource_is_allowed_by_a_star_only() -> None:
    action = "ecr:GetAuthorizationToken"
    assert outcome(ANN, action, "*", [EVERYTHING]) is Outcome.ALLOWED
    assert outcome(ANN, action, "*", [{**EVERYTHING, "Resource": "arn:aws:ecr:*"}]) is Outcome.IMPLICIT_DENY


@pytest.mark.parametrize(
    ("name", "principal", "who", "expected"),
    [
        ("everyone", "*", ANONYMOUS, True),
        ("everyone, the other way", {"AWS": "*"}, ANONYMOUS, True),
        ("everyone, asked by a user", "*", ANN, True),
        ("a user", {"AWS": ANN.arn}, ANN, True),
        ("another user", {"AWS": ANN.arn}, BOB, False),
        ("nobody in particular", {"AWS": ANN.arn}, ANONYMOUS, False),
        ("a role", {"AWS": [ANN.arn, JOB.arn]}, JOB, True),
        ("the account's root, asked by root", {"AWS": ROOT.arn}, ROOT, True),
        ("the account's root, asked by a user", {"AWS": ROOT.arn}, ANN, False),
        ("the account, asked by a user", {"AWS": HOME}, ANN, False),
        ("the account, asked by nobody", {"AWS": HOME}, ANONYMOUS, False),
        ("a service", {"Service": "lambda.amazonaws.com"}, ANN, False),
    ],
)
def test_a_repository_policy_alone_allows_those_it_names(
    name: str, principal: Any, who: PolicyPrincipal, expected: bool
) -> None:
    attached = [{"Effect": "Allow", **PULL, "Principal": principal}]
    assert (outcome(who, "ecr:BatchGetImage", WEB, None, attached) is Outcome.ALLOWED) is expected, name


@pytest.mark.parametrize("principal", ["*", {"AWS": ABROAD}, {"AWS": f"arn:aws:iam::{ABROAD}:root"}, {"AWS": CARL.arn}])
def test_across_accounts_both_sides_have_to_allow(principal: Any) -> None:
    attached = [{"Effect": "Allow", **PULL, "Principal": principal}]
    assert outcome(CARL, "ecr:BatchGetImage", WEB, [EVERYTHING], attached) is Outcome.ALLOWED
    assert outcome(CARL, "ecr:BatchGetImage", WEB, [EVERYTHING]) is Outcome.IMPLICIT_DENY
    assert outcome(CARL, "ecr:BatchGetImage", WEB, None, attached) is Outcome.IMPLICIT_DENY
    assert outcome(CARL, "ecr:PutImage", WEB, [EVERYTHING], attached) is Outcome.IMPLICIT_DENY


@pytest.mark.parametrize(
    ("principal", "who", "expected"),
    [
        ({"AWS": ANN.arn}, ANN, Outcome.ALLOWED),
        ({"AWS": ANN.arn}, BOB, Outcome.EXPLICIT_DENY),
        ({"AWS": HOME}, BOB, Outcome.ALLOWED),
        ({"AWS": ABROAD}, BOB, Outcome.EXPLICIT_DENY),
        ({"AWS": HOME}, ANONYMOUS, Outcome.EXPLICIT_DENY),
    ],
)
def test_not_principal_denies_all_others(principal: Any, who: PolicyPrincipal, expected: Outcome) -> None:
    attached = [
        {"Effect": "Allow", "Action": "ecr:*", "Principal": "*"},
        {"Effect": "Deny", "Action": "ecr:*", "NotPrincipal": principal},
    ]
    assert outcome(who, "ecr:PutImage", WEB, None, attached) is expected


def test_a_deny_on_the_account_is_for_everybody_in_it() -> None:
    deny: list[Json] = [{"Effect": "Deny", "Action": "ecr:*", "Principal": {"AWS": HOME}}]
    assert outcome(ANN, "ecr:PutImage", WEB, [EVERYTHING], deny) is Outcome.EXPLICIT_DENY
    everyone = [*deny, {"Effect": "Allow", "Action": "ecr:*", "Principal": "*"}]
    assert outcome(ANONYMOUS, "ecr:PutImage", WEB, None, everyone) is Outcome.ALLOWED


def test_a_repository_policy_with_resources_is_held_to_them() -> None:
    attached = [{"Effect": "Allow", **PULL, "Principal": "*", "Resource": repository("api")}]
    assert outcome(ANN, "ecr:BatchGetImage", WEB, None, attached) is Outcome.IMPLICIT_DENY
    assert outcome(ANN, "ecr:BatchGetImage", repository("api"), None, attached) is Outcome.ALLOWED


def test_all_conditions_and_all_their_keys_have_to_hold_and_one_value_of_each() -> None:
    allow = {
        **EVERYTHING,
        "Condition": {
            "StringEquals": {"aws:username": ["ann", "bob"], "aws:PrincipalAccount": HOME},
            "IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "192.0.2.0/24"]},
        },
    }
    assert outcome(ANN, "ecr:PutImage", WEB, [allow], aws__SourceIp=("192.0.2.7",)) is Outcome.ALLOWED
    assert outcome(ANN, "ecr:PutImage", WEB, [allow], aws__SourceIp=("192.0.3.7",)) is Outcome.IMPLICIT_DENY
    assert outcome(JOB, "ecr:PutImage", WEB, [allow], aws__SourceIp=("192.0.2.7",)) is Outcome.IMPLICIT_DENY


ONLY_RELEASE_TAGS: list[list[Json]] = [
    [
        EVERYTHING,
        {
            "Effect": "Deny",
            "Action": "ecr:PutImage",
            "Resource": "*",
            "Condition": {"StringNotLike": {"ecr:ImageTag": "v*"}, "Null": {"ecr:ImageTag": "false"}},
        },
    ],
    [{**EVERYTHING, "Condition": {"StringLikeIfExists": {"ecr:ImageTag": "v*"}}}],
]


@pytest.mark.parametrize("identity", ONLY_RELEASE_TAGS)
def test_only_release_tags_are_pushed_by_name_while_digests_pass(identity: list[Json]) -> None:
    """The two examples of docs/policies.md."""
    assert outcome(ANN, "ecr:PutImage", WEB, identity, ecr__ImageTag=("v1",)) is Outcome.ALLOWED
    assert outcome(ANN, "ecr:PutImage", WEB, identity, ecr__ImageTag=("x",)) is not Outcome.ALLOWED
    assert outcome(ANN, "ecr:PutImage", WEB, identity) is Outcome.ALLOWED


def test_a_ci_job_pushes_what_its_claims_say() -> None:
    allow = {
        "Effect": "Allow",
        "Action": "ecr:PutImage",
        "Resource": repository("${oidc:repository}"),
        "Condition": {"ForAnyValue:StringEquals": {"oidc:groups": "ops"}},
    }
    assert outcome(JOB, "ecr:PutImage", repository("acme/web"), [allow]) is Outcome.ALLOWED
    assert outcome(JOB, "ecr:PutImage", repository("acme/api"), [allow]) is Outcome.IMPLICIT_DENY
    assert outcome(ANN, "ecr:PutImage", repository("acme/web"), [allow]) is Outcome.IMPLICIT_DENY


def test_a_decision_says_which_statement_of_which_policy_decided() -> None:
    first = parse_identity_policy(document([EVERYTHING]), "Administrators")
    second = parse_identity_policy(document([EVERYTHING, {**EVERYTHING, "Effect": "Deny", "Sid": "Stop"}]))
    request = PolicyRequest(ANN, "ecr:PutImage", WEB)
    allowed, denied = evaluate(request, [first], None), evaluate(request, [first, second], None)
    assert allowed.document is first
    assert allowed.reason == "allowed by Statement[0] of the identity policy Administrators"
    assert denied.document is second
    assert denied.reason == "explicit deny by Stop of the identity policy"
    assert evaluate(request, [], None).reason == "no statement allows it"


def test_a_decision_tells_what_it_varies_with() -> None:
    local = {**EVERYTHING, "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}
    own = {**EVERYTHING, "Resource": repository("${aws:username}")}
    request = PolicyRequest(ANN, "ecr:PutImage", repository("ann"), {"AWS:SourceIP": ("192.0.2.1",)})
    decision = evaluate(request, [parse_identity_policy(document([local, own]))], None)
    assert decision.allowed
    assert decision.depends_on == {"aws:sourceip", "aws:username"}
    assert decision.varies_with == {"aws:sourceip"}
    assert evaluate(request, [parse_identity_policy(document([EVERYTHING]))], None).depends_on == frozenset()


def test_conditions_of_statements_about_something_else_are_not_looked_at() -> None:
    local = {**EVERYTHING, "Action": "ecr:Get*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}
    request = PolicyRequest(ANN, "ecr:PutImage", WEB)
    assert evaluate(request, [parse_identity_policy(document([local]))], None).depends_on == frozenset()


@pytest.mark.parametrize(
    "context",
    [
        {"aws:username": ("root",)},
        {"AWS:PrincipalArn": (ANN.arn,)},
        {"aws:userid": ("x",)},
        {"oidc:repository": ("acme/web",)},
        {"aws:PrincipalTag/team": ("ops",)},
        {"aws:SourceIp": ("10.0.0.1",), "AWS:SOURCEIP": ("192.0.2.1",)},
    ],
)
def test_no_request_says_who_asks(context: Context) -> None:
    with pytest.raises(ValueError, match="is there twice, or is the principal's own"):
        PolicyRequest(ANONYMOUS, "ecr:PutImage", WEB, context)


@pytest.mark.parametrize("attributes", [{"aws:username": ("root",)}, {"oidc:a": ("1",), "OIDC:A": ("2",)}])
def test_attributes_of_a_principal_are_tags_and_claims(attributes: Context) -> None:
    with pytest.raises(ValueError, match="is neither a tag nor a claim"):
        PolicyPrincipal(ANN.arn, HOME, "ann", attributes=attributes)


def test_ten_statements_are_decided_in_microseconds() -> None:
    statements = [
        {"Effect": "Allow", **PULL, "Resource": repository(f"team{index}/*", region="*")} for index in range(8)
    ]
    statements += [
        {"Effect": "Deny", "Action": "ecr:Delete*", "Resource": "*"},
        {"Effect": "Allow", "Action": "ecr:*", "Resource": repository("home/*")},
    ]
    policy = parse_identity_policy(document(statements))
    request = PolicyRequest(ANN, "ecr:BatchGetImage", repository("home/app"))
    best = min(timeit.repeat(lambda: evaluate(request, [policy], None), number=200, repeat=10)) / 200
    # About 10 on the machine of docs/decisions/0010-policies.md; compiling a pattern anew would take hundreds.
    assert best < 100e-6


def test_what_policies_see_of_each_kind_of_principal() -> None:
    assert ANN.context["aws:username"] == ("ann",)
    assert ANN.context["aws:userid"] == ("AIDAANN",)
    assert JOB.context["oidc:repository"] == ("acme/web",)
    assert JOB.context["aws:principaltype"] == ("FederatedUser",)
    assert "aws:username" not in JOB.context
    assert ANONYMOUS.kind is PrincipalKind.ANONYMOUS
    assert ANONYMOUS.context == {
        "aws:principaltype": ("Anonymous",),
        "aws:principalaccount": ("anonymous",),
        "aws:userid": ("anonymous",),
    }
