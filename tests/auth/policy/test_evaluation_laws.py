"""What holds for all policies and all requests: the engine agrees with the reference, and obeys the laws."""

import collections
import json
import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from auth.policy import (
    Decision,
    Narrowed,
    Outcome,
    PolicyRequest,
    evaluate,
    parse_identity_policy,
    parse_repository_policy,
)
from tests.auth.policy import generated, reference
from tests.auth.policy.generated import CONTEXT_VALUES, RESOURCES, Json, question, repository, seeded, statement

Policies = tuple[list[Json], Json | None]
POLICIES = seeded(generated.policies)
REQUESTS = seeded(generated.requests)
CHANCES = st.integers(0, 2**32).map(random.Random)
LAW = settings(deadline=None, max_examples=60)


def decide(asked: list[PolicyRequest], policies: Policies) -> list[Decision]:
    identity, resource = policies
    read = [parse_identity_policy(json.dumps(policy)) for policy in identity]
    attached = None if resource is None else parse_repository_policy(json.dumps(resource))
    return [evaluate(request, read, attached) for request in asked]


def outcomes(asked: list[PolicyRequest], policies: Policies) -> list[Outcome]:
    return [decision.outcome for decision in decide(asked, policies)]


@settings(deadline=None, max_examples=300)
@given(policies=POLICIES, asked=REQUESTS)
def test_the_engine_decides_as_the_reference_does(policies: Policies, asked: list[PolicyRequest]) -> None:
    expected = [reference.decide(question(request), *policies) for request in asked]
    assert [outcome.value for outcome in outcomes(asked, policies)] == expected


def test_what_is_generated_goes_every_way_often() -> None:
    chance = random.Random(1)
    counted = collections.Counter(
        (decision.outcome, decision.document and decision.document.kind)
        for _ in range(200)
        for decision in decide(generated.requests(chance), generated.policies(chance))
    )
    assert len(counted) == 5
    assert min(counted.values()) > 30


@settings(deadline=None, max_examples=200)
@given(policies=POLICIES, asked=REQUESTS)
def test_what_is_narrowed_says_of_each_resource_what_a_decision_says(
    policies: Policies, asked: list[PolicyRequest]
) -> None:
    read = [parse_identity_policy(json.dumps(policy)) for policy in policies[0]]
    attached = None if policies[1] is None else parse_repository_policy(json.dumps(policies[1]))
    for request in asked:
        for shared in (None, attached):
            narrowed = Narrowed(replace(request, resource="*", context=_own(request)), read, shared)
            for resource in (*RESOURCES, repository("${aws:username}/app"), "arn:aws:ecr", ""):
                one = replace(request, resource=resource, context=_own(request))
                assert narrowed.allows(resource) is evaluate(one, read, shared).allowed, (request, resource)


def _own(request: PolicyRequest) -> dict[str, tuple[str, ...]]:
    """The context as it was given: without what follows from the principal."""
    return {key: values for key, values in request.context.items() if key not in request.principal.context}


@LAW
@given(policies=POLICIES, asked=REQUESTS, chance=CHANCES)
def test_one_more_deny_never_allows_more(policies: Policies, asked: list[PolicyRequest], chance: random.Random) -> None:
    before, after = decide(asked, policies), decide(asked, with_one_more("Deny", policies, chance))
    assert all(old.allowed or not new.allowed for old, new in zip(before, after, strict=True))


@LAW
@given(policies=POLICIES, asked=REQUESTS, chance=CHANCES)
def test_one_more_allow_never_denies_more(
    policies: Policies, asked: list[PolicyRequest], chance: random.Random
) -> None:
    before, after = outcomes(asked, policies), outcomes(asked, with_one_more("Allow", policies, chance))
    for old, new in zip(before, after, strict=True):
        assert new is old or (old is Outcome.IMPLICIT_DENY and new is Outcome.ALLOWED)


@LAW
@given(policies=POLICIES, asked=REQUESTS, chance=CHANCES)
def test_the_order_of_statements_and_policies_never_matters(
    policies: Policies, asked: list[PolicyRequest], chance: random.Random
) -> None:
    identity, resource = policies
    shuffled = [shuffle(policy, chance) for policy in identity]
    chance.shuffle(shuffled)
    again = shuffled, resource and shuffle(resource, chance)
    assert outcomes(asked, again) == outcomes(asked, policies)


@LAW
@given(policies=POLICIES, asked=REQUESTS)
def test_one_policy_with_all_statements_decides_as_several_do(policies: Policies, asked: list[PolicyRequest]) -> None:
    identity, resource = policies
    several = [{**policy, "Version": "2012-10-17"} for policy in identity]
    listed = [statement for policy in several for statement in policy["Statement"]]
    one = [{"Version": "2012-10-17", "Statement": listed}] if listed else []
    assert outcomes(asked, (one, resource)) == outcomes(asked, (several, resource))


@LAW
@given(policies=POLICIES, asked=REQUESTS, others=REQUESTS)
def test_a_decision_depends_on_no_other_keys_than_it_says(
    policies: Policies, asked: list[PolicyRequest], others: list[PolicyRequest]
) -> None:
    decisions = decide(asked, policies)
    again = [
        with_other_context(request, other, decision.depends_on)
        for request, other, decision in zip(asked, others, decisions, strict=True)
    ]
    assert decide(again, policies) == decisions


@LAW
@given(policies=POLICIES, asked=REQUESTS)
def test_the_statement_that_is_named_is_there_and_has_the_effect(
    policies: Policies, asked: list[PolicyRequest]
) -> None:
    effects = {Outcome.ALLOWED: "Allow", Outcome.EXPLICIT_DENY: "Deny"}
    for decision in decide(asked, policies):
        if decision.statement is None or decision.document is None:
            assert decision.outcome is Outcome.IMPLICIT_DENY
        else:
            assert decision.statement.effect.value == effects[decision.outcome]
            assert decision.document.statements[decision.statement.index] is decision.statement


def with_one_more(effect: str, policies: Policies, chance: random.Random) -> Policies:
    """The same policies and one more statement: in a policy of its own, or in the repository's."""
    identity, resource = policies
    if resource is not None and chance.random() < 0.5:
        added = statement(chance, in_repository=True, effect=effect)
        return identity, {**resource, "Statement": [*resource["Statement"], added]}
    added = statement(chance, in_repository=False, effect=effect)
    return [*identity, {"Version": "2012-10-17", "Statement": added}], resource


def with_other_context(request: PolicyRequest, other: PolicyRequest, kept: frozenset[str]) -> PolicyRequest:
    """`request` with the context of `other`, but for the keys that are `kept`."""
    context = {}
    for key in map(str.lower, CONTEXT_VALUES):
        source = request if key in kept else other
        if key in source.context:
            context[key] = source.context[key]
    return PolicyRequest(request.principal, request.action, request.resource, context)


def shuffle(policy: Json, chance: random.Random) -> Json:
    return {**policy, "Statement": chance.sample(policy["Statement"], len(policy["Statement"]))}
