"""Reading policies: what is one, and the one line that says why something is none."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auth.policy import Effect, InvalidPolicyError, PolicyKind, parse_identity_policy, parse_repository_policy
from auth.policy.parsing import MAX_IDENTITY_POLICY, MAX_REPOSITORY_POLICY

IDENTITY = {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}
REPOSITORY = {"Effect": "Allow", "Action": "ecr:*", "Principal": "*"}
ARN = "arn:aws:ecr:us-east-1:000000000000:repository/web"


def policy(*statements: Any, **members: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **members})


def problem(text: str, *, repository: bool = False) -> str:
    """What is said of a text that is no policy; always one line of ASCII."""
    with pytest.raises(InvalidPolicyError) as caught:
        (parse_repository_policy if repository else parse_identity_policy)(text)
    message = str(caught.value)
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 300
    return message


def test_a_policy_reads_as_frozen_values() -> None:
    text = policy({**IDENTITY, "Sid": "Everything"}, Id="mine")
    document = parse_identity_policy(text, "of ann")
    assert (document.kind, document.version, document.id) == (PolicyKind.IDENTITY, "2012-10-17", "mine")
    assert (document.name, document.text) == ("of ann", text)
    [statement] = document.statements
    assert (statement.index, statement.sid, statement.effect) == (0, "Everything", Effect.ALLOW)
    assert hash(document) == hash(parse_identity_policy(text, "of ann"))
    assert document == parse_identity_policy(text.replace(": ", ":"), "of ann")
    assert document != parse_identity_policy(text.replace("Allow", "Deny"), "of ann")


def test_one_statement_need_not_be_a_list() -> None:
    assert parse_identity_policy(json.dumps({"Statement": IDENTITY})) == parse_identity_policy(
        json.dumps({"Statement": [IDENTITY]})
    )


def test_a_policy_without_version_is_of_the_old_one_where_variables_are_plain_text() -> None:
    assert parse_identity_policy(json.dumps({"Statement": IDENTITY})).version == "2008-10-17"
    parse_identity_policy(json.dumps({"Statement": {**IDENTITY, "Resource": ARN + "${no:such}"}}))


def test_statements_without_sid_or_with_an_empty_one_may_be_many() -> None:
    document = parse_repository_policy(policy(REPOSITORY, {**REPOSITORY, "Sid": ""}, {**REPOSITORY, "Sid": ""}))
    assert [statement.sid for statement in document.statements] == [None, None, None]
    assert [statement.label for statement in document.statements] == ["Statement[0]", "Statement[1]", "Statement[2]"]


@pytest.mark.parametrize(
    "members",
    [
        {"Action": "*"},
        {"Action": ["ECR:Batch*", "s3:Get?bject", "ecr-public:*", "*:*"]},
        {"Resource": ["arn:aws:ecr:*", ARN + "/*", "arn:aws:ecr:*:*:repository/${aws:username}/*"]},
        {"Resource": "arn:aws:ecr:us-east-1:${aws:PrincipalAccount}:repository/x"},
        {"Condition": {}},
        {"Condition": {"Bool": {"aws:SecureTransport": False}}},
        {"Condition": {"NumericLessThan": {"aws:EpochTime": [1767225600, 1.5]}}},
        {"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1", "OIDC:Repository_Owner": ["acme"]}}},
    ],
)
def test_what_iam_users_write_is_read(members: dict[str, Any]) -> None:
    parse_identity_policy(policy({**IDENTITY, **members}))


@pytest.mark.parametrize(
    "principal",
    [
        "*",
        {"AWS": "*"},
        {"AWS": "000000000000"},
        {"AWS": ["arn:aws:iam::000000000000:root", "arn:aws:iam::000000000000:user/path/ann"]},
        {"AWS": "arn:aws:sts::000000000000:assumed-role/ci/session"},
        {"AWS": "arn:aws-cn:iam::000000000000:role/ci"},
        {"Service": ["lambda.amazonaws.com"], "AWS": "000000000000"},
    ],
)
def test_principals_of_repository_policies(principal: Any) -> None:
    parse_repository_policy(policy({**REPOSITORY, "Principal": principal}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the policy is malformed JSON at line 1 column 1"),
        ('{"Statement": [}', "the policy is malformed JSON at line 1 column 16"),
        ("\ufeff{}", "the policy is malformed JSON at line 1 column 1"),
        ("[]", "the policy must be an object"),
        ("null", "the policy must be an object"),
        ("NaN", "NaN is not JSON"),
        ("9" * 5000, "a number has too many digits"),
        ("[" * 6000, "the policy is nested too deeply"),
        ('{"Id": "' + "\\ud800" + '"}', "the policy has text that is no Unicode"),
        ('{"Id": "\ud800"}', "the policy has text that is no Unicode"),
        ('{"Version": "2012-10-17", "Version": "2012-10-17"}', 'the member "Version" is there twice'),
        ('{"Statement": {"Action": "a", "Action": "b"}}', 'the member "Action" is there twice'),
        ("{}", "Statement must be an object or a list of objects, and not empty"),
        ('{"Statement": []}', "Statement must be an object or a list of objects, and not empty"),
        ('{"Statement": "*"}', "Statement must be an object or a list of objects, and not empty"),
        ('{"Statement": [1]}', "Statement[0]: the statement must be an object"),
        (policy(IDENTITY, Version="2012-10-18"), 'Version must be "2012-10-17" or "2008-10-17"'),
        (policy(IDENTITY, Version=["2012-10-17"]), 'Version must be "2012-10-17" or "2008-10-17"'),
        (policy(IDENTITY, Id=5), "Id must be a line of at most 256 characters"),
        (policy(IDENTITY, Comment="x"), 'unknown member "Comment"'),
        (policy(IDENTITY, **{"a\nb" * 100: 1}), 'unknown member "' + "a\\nba\\nb"),
        (
            policy({**IDENTITY, "Sid": "a"}, {**IDENTITY, "Sid": "a"}),
            'Statement[1].Sid: "a" is there twice',
        ),
    ],
)
def test_a_text_that_is_no_policy(text: str, expected: str) -> None:
    assert problem(text).startswith(expected)
    assert problem(text.replace('"Resource": "*"', '"Principal": "*"'), repository=True).startswith(expected)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"effect": "Allow"}, 'Statement[1]: unknown member "effect"'),
        ({"Effect": "allow"}, 'Statement[1]: Effect must be "Allow" or "Deny"'),
        ({"Effect": None}, 'Statement[1]: Effect must be "Allow" or "Deny"'),
        ({"Sid": "a\nb"}, "Statement[1]: Sid must be a line of at most 256 characters"),
        ({"Action": []}, "Statement[1].Action: must be a string or a list of strings, and not empty"),
        ({"Action": 5}, "Statement[1].Action: must be a string or a list of strings, and not empty"),
        ({"Action": ["ecr:*", None]}, "Statement[1].Action: must be a string or a list of strings, and not empty"),
        ({"Action": "BatchGetImage"}, 'Statement[1].Action: "BatchGetImage" is not an action such as'),
        ({"Action": "e*r:x"}, 'Statement[1].Action: "e*r:x" is not an action such as'),
        ({"Action": "ecr:${aws:username}"}, 'Statement[1].Action: "ecr:${aws:username}" is not an action such as'),
        ({"NotAction": "ecr:*"}, "Statement[1]: Action and NotAction exclude each other"),
        ({"NotResource": "*"}, "Statement[1]: Resource and NotResource exclude each other"),
        ({"Resource": "web"}, 'Statement[1].Resource: "web" is not an ARN'),
        ({"Resource": "arn:aws:ecr"}, 'Statement[1].Resource: "arn:aws:ecr" is not an ARN'),
        ({"Resource": "*web"}, 'Statement[1].Resource: "*web" is not an ARN'),
        ({"Resource": ARN + "${aws:name}"}, 'Statement[1].Resource: "${aws:name}" is an unknown policy variable'),
        ({"Resource": ARN + "${"}, f'Statement[1].Resource: "{ARN}${{" has a policy variable that does not end'),
        ({"Condition": []}, "Statement[1].Condition: the value must be an object"),
        ({"Condition": {"Bool": "x"}}, "Statement[1].Condition.Bool: the value must be an object"),
        ({"Condition": {"Bool": {}}}, "Statement[1].Condition.Bool: names no condition key"),
        (
            {"Condition": {"StringEquals": {"aws:username": []}}},
            "Statement[1].Condition.StringEquals.aws:username: must be a string or a list of strings, and not empty",
        ),
        (
            {"Condition": {"StringEquals": {"aws:username": {"a": "b"}}}},
            "Statement[1].Condition.StringEquals.aws:username: must be a string or a list of strings, and not empty",
        ),
        (
            {"Condition": {"StringEquals": {"aws:username": "a", "AWS:UserName": "b"}}},
            "Statement[1].Condition.StringEquals: has the same condition key twice, in different case",
        ),
        (
            {"Condition": {"StringIs": {"aws:username": "a"}}},
            "Statement[1].Condition.StringIs.aws:username: unknown condition operator",
        ),
        (
            {"Condition": {"StringEquals": {"aws:nobody": "a"}}},
            "Statement[1].Condition.StringEquals.aws:nobody: unknown condition key",
        ),
        (
            {"Condition": {"Bool\r\nX-Header: 1": {"aws:username": "a"}}},
            'Statement[1].Condition."Bool\\r\\nX-Header: 1".aws:username: unknown condition operator',
        ),
    ],
)
def test_a_statement_that_is_none(members: dict[str, Any], expected: str) -> None:
    assert problem(policy(IDENTITY, {**IDENTITY, **members})).startswith(expected)
    assert problem(policy(REPOSITORY, {**REPOSITORY, "Resource": "*", **members}), repository=True).startswith(expected)


@pytest.mark.parametrize("member", ["Action", "Effect", "Resource"])
def test_an_identity_policy_needs_effect_action_and_resource(member: str) -> None:
    without = {name: value for name, value in IDENTITY.items() if name != member}
    assert member in problem(policy(without))


@pytest.mark.parametrize("member", ["Principal", "NotPrincipal"])
def test_an_identity_policy_has_no_principal(member: str) -> None:
    assert problem(policy({**IDENTITY, member: "*"})) == "Statement[0]: Principal is for repository policies only"


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"Principal": None}, 'Statement[0].Principal: must be "*" or an object with the member AWS'),
        ({"Principal": "000000000000"}, 'Statement[0].Principal: must be "*" or an object with the member AWS'),
        ({"Principal": {}}, 'Statement[0].Principal: must be "*" or an object with the member AWS'),
        ({"Principal": {"AWS": []}}, "Statement[0].Principal: AWS must not be empty"),
        ({"Principal": {"AWS": {}}}, "Statement[0].Principal: AWS must be a string or a list of strings"),
        ({"Principal": {"AWS": "ann"}}, 'Statement[0].Principal: "ann" is neither an account nor the ARN'),
        (
            {"Principal": {"AWS": "arn:aws:iam::000000000000:user/*"}},
            'Statement[0].Principal: "arn:aws:iam::000000000000:user/*" is neither an account nor the ARN',
        ),
        ({"Principal": {"Federated": "x"}}, 'Statement[0].Principal: unknown kind of principal "Federated"'),
        ({"Principal": {"Service": "*"}}, 'Statement[0].Principal: "*" is not the name of a service'),
        ({"NotPrincipal": "*"}, "Statement[0]: Principal and NotPrincipal exclude each other"),
    ],
)
def test_a_principal_that_is_none(members: dict[str, Any], expected: str) -> None:
    assert problem(policy({**REPOSITORY, **members}), repository=True).startswith(expected)


def test_a_repository_policy_needs_a_principal_and_allows_nobody_by_exclusion() -> None:
    assert "Principal or NotPrincipal is missing" in problem(policy(IDENTITY), repository=True)
    excluding = {"Effect": "Allow", "Action": "*", "NotPrincipal": {"AWS": "000000000000"}}
    assert problem(policy(excluding), repository=True) == "Statement[0]: NotPrincipal goes with Effect Deny only"


def test_identity_policies_have_6144_characters_and_white_space_is_free() -> None:
    long = [ARN + "x" * 1500] * 3
    text = policy({**IDENTITY, "Resource": [*long, ARN]}).replace(" ", "")
    full = text.replace(f'"{ARN}"', f'"{ARN}{"x" * (MAX_IDENTITY_POLICY - len(text))}"').replace(
        ",", ",\n" + " " * 3000
    )
    assert sum(not character.isspace() for character in full) == MAX_IDENTITY_POLICY
    parse_identity_policy(full)
    assert problem(full.replace(ARN, ARN + "x", 1)) == "the policy is longer than 6144 characters"
    assert problem(" " * 65_537 + policy(IDENTITY)) == "the policy is longer than 6144 characters"


def test_repository_policies_have_10240_characters() -> None:
    text = policy(REPOSITORY)
    full = text + " " * (MAX_REPOSITORY_POLICY - len(text))
    parse_repository_policy(full)
    assert problem(full + " ", repository=True) == "the policy is longer than 10240 characters"


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.text(max_size=6),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ("Version", "Statement", "Effect", "Action", "Resource", "Principal", "Condition", "AWS", "Bool")
                ),
                inner,
                max_size=6,
            )
        ),
    ).map(json.dumps)
)
def test_whatever_comes_is_a_policy_or_refused_in_one_line(text: str) -> None:
    for repository in (False, True):
        try:
            (parse_repository_policy if repository else parse_identity_policy)(text)
        except InvalidPolicyError:
            problem(text, repository=repository)
