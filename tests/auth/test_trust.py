"""Documents that say whom to trust: what they may say, what their rules cover, and what a rule's id stands on."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from auth.policy import parse_identity_policy
from auth.trust import MOST_CLAIMS, Trust, TrustInvalid, text_claims
from tests.auth.parts import READ_ONLY

RULE: dict[str, Any] = {"claims": {"repository": "team/*"}, "policies": [READ_ONLY]}
DOCUMENT: dict[str, Any] = {"issuer": "https://ci.example", "audience": "registry", "rules": [RULE]}


def parse(**members: Any) -> Trust:
    return Trust.parse("ci", json.dumps({name: value for name, value in (DOCUMENT | members).items() if value != {}}))


def covers(wanted: dict[str, Any], **claims: str) -> bool:
    return parse(rules=[{**RULE, "claims": wanted}]).rule_for(claims) is not None


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"issuer": {}}, "issuer is not a URL"),
        ({"issuer": 7}, "issuer is not a URL"),
        ({"issuer": "ci.example"}, "issuer is not a URL"),
        ({"issuer": "file:///etc/passwd"}, "issuer is not a URL"),
        ({"issuer": "https://"}, "issuer is not a URL"),
        ({"issuer": "https://["}, "issuer is not a URL"),
        ({"issuer": "https://ci.example:port"}, "issuer is not a URL"),
        ({"issuer": "https://ci.example:0"}, "issuer is not a URL"),
        ({"issuer": "https://ci.example?tenant=a"}, "issuer is not a URL"),
        ({"issuer": "https://ci.example#a"}, "issuer is not a URL"),
        ({"issuer": "https://name:secret@ci.example"}, "issuer is not a URL"),
        ({"issuer": "https://ci.example/\r\nX: y"}, "issuer is not a URL"),
        ({"issuer": "https://ci.example/ a"}, "issuer is not a URL"),
        ({"jwks_uri": "keys"}, "jwks_uri is not a URL"),
        ({"jwks_uri": "https://ci.example/keys#a"}, "jwks_uri is not a URL"),
        ({"audience": {}}, "audience is missing"),
        ({"audience": ""}, "audience is missing"),
        ({"audience": ["registry"]}, "audience is missing"),
        ({"rules": {}}, "rules is not a list of 1 to 100"),
        ({"rules": []}, "rules is not a list of 1 to 100"),
        ({"rules": [RULE] * 101}, "rules is not a list of 1 to 100"),
        ({"rules": [RULE, "all"]}, "rules[1] has other members than claims and policies"),
        ({"rules": [{**RULE, "deny": True}]}, "rules[0] has other members than claims and policies"),
        ({"rules": [{"policies": ["a"]}]}, "rules[0] has other members than claims and policies"),
        ({"rules": [{**RULE, "claims": {}}]}, "rules[0].claims is empty"),
        ({"rules": [{**RULE, "claims": ["sub"]}]}, "rules[0].claims is empty"),
        ({"rules": [{**RULE, "claims": {"sub": 7}}]}, "rules[0].claims.sub is neither a text nor a list of texts"),
        ({"rules": [{**RULE, "claims": {"sub": []}}]}, "rules[0].claims.sub is neither a text nor a list of texts"),
        ({"rules": [{**RULE, "claims": {"sub": ""}}]}, "rules[0].claims.sub is neither a text nor a list of texts"),
        ({"rules": [{**RULE, "policies": []}]}, "rules[0].policies is not a list of names"),
        ({"rules": [{**RULE, "policies": "a"}]}, "rules[0].policies is not a list of names"),
        ({"rule": [RULE]}, "unknown member rule"),
        ({"audience": "\ud800"}, "the document is not JSON"),
        ({"audience": float("nan")}, "the document is not JSON"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(members: dict[str, Any], reason: str) -> None:
    with pytest.raises(TrustInvalid) as refused:
        parse(**members)
    assert refused.value.text == reason


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"a"', "[" * 100_000, '{"issuer": "https://a", "issuer": 1}'])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(TrustInvalid):
        Trust.parse("ci", text)


def test_a_rule_covers_what_has_every_claim_of_it() -> None:
    wanted = {"repository": "team/*", "ref": ["refs/heads/main", "refs/tags/v?"]}
    assert covers(wanted, repository="team/app", ref="refs/heads/main")
    assert covers(wanted, repository="team/a/b", ref="refs/tags/v1", actor="alice")
    assert not covers(wanted, repository="team/app")
    assert not covers(wanted, repository="team/app", ref="refs/heads/mainly")
    assert not covers(wanted, repository="team/app", ref="refs/tags/v12")
    assert not covers(wanted, repository="teams/app", ref="refs/heads/main")
    assert not covers(wanted, repository="x\nteam/app", ref="refs/heads/main")
    assert not covers(wanted, repository="Team/app", ref="refs/heads/main")
    assert not covers(wanted, Repository="team/app", ref="refs/heads/main")


def test_text_that_stands_for_something_in_policies_or_patterns_is_literal_here() -> None:
    assert covers({"sub": "${aws:username}"}, sub="${aws:username}")
    assert not covers({"sub": "a.c[d]"}, sub="abcd")


def test_the_first_rule_that_covers_decides() -> None:
    narrow = {"claims": {"ref": "main"}, "policies": ["push"]}
    trust = parse(rules=[narrow, {"claims": {"ref": "*"}, "policies": ["pull"]}])
    first, second = trust.rule_for({"ref": "main"}), trust.rule_for({"ref": "side"})
    assert first is not None
    assert second is not None
    assert (first.policies, second.policies) == (("push",), ("pull",))


@pytest.mark.parametrize(
    "members",
    [
        {"issuer": "https://other.example"},
        {"audience": "other"},
        {"jwks_uri": "https://ci.example/keys"},
        {"rules": [{**RULE, "policies": ["other"]}]},
        {"rules": [{**RULE, "claims": {"repository": "team/app"}}]},
    ],
)
def test_a_rules_id_changes_with_all_that_it_stands_on(members: dict[str, Any]) -> None:
    assert parse(**members).rules[0].id != parse().rules[0].id


def test_a_rules_id_stays_while_only_other_rules_change() -> None:
    other = {"claims": {"repository": "other"}, "policies": [READ_ONLY]}
    assert parse(rules=[other, RULE]).rules[1].id == parse().rules[0].id
    assert Trust.parse("another", json.dumps(DOCUMENT)).rules[0].id != parse().rules[0].id


def test_texts_whole_numbers_and_truth_values_are_what_can_be_spoken_of() -> None:
    said = {"text": "a", "number": 7, "yes": True, "no": False, "part": 1.5, "list": ["a"], "object": {}, "none": None}
    assert text_claims(said) == {"text": "a", "number": "7", "yes": "true", "no": "false"}
    assert text_claims({"long": "x" * 256, "longer": "x" * 257, "n" * 257: "a"}) == {"long": "x" * 256}


@pytest.mark.parametrize(
    "claims",
    [
        {f"claim{number}": "a" for number in range(MOST_CLAIMS + 1)},
        {f"claim{number}": "a" * 250 for number in range(30)},
        {f"claim{number}": "\N{EURO SIGN}" * 200 for number in range(6)},
        {"sub": "a", "SUB": "b"},
        {"sub": "\ud800"},
    ],
)
def test_claims_that_would_not_all_be_there_for_policies_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"claims|surrogates"):
        text_claims(claims)


def test_the_examples_of_the_documentation_are_understood() -> None:
    page = (Path(__file__).parents[2] / "docs" / "keyless.md").read_text()
    trust, policy = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert len(Trust.parse("ci", trust).rules) == 2
    parse_identity_policy(policy)
