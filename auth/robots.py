"""Robots for some repositories only: from what they may do there to a policy that says so."""

import json
import re
from collections.abc import Sequence

from auth.identities import IdentityInvalid
from auth.policy import InvalidPolicyError, parse_identity_policy
from auth.policy.actions import CREATE_REPOSITORY, GET_AUTHORIZATION_TOKEN, LIST_IMAGES, SCOPE_ACTIONS

_PATTERN = re.compile(r"[a-z0-9._/*-]{1,255}")

FURTHER = {"pull": {LIST_IMAGES}, "push": {CREATE_REPOSITORY}}
"""What comes with a right: who pulls may list tags, and the first push to a name creates its repository."""


def robot_policy(repositories: Sequence[object], actions: Sequence[object]) -> str:
    """A policy for `actions` (pull, push, delete) on repositories, whose names may hold `*`. IdentityInvalid."""
    if not repositories or not all(isinstance(name, str) and _PATTERN.fullmatch(name) for name in repositories):
        raise IdentityInvalid("repositories is a list of names, which may hold *")
    if not actions or not all(isinstance(action, str) and action in SCOPE_ACTIONS for action in actions):
        raise IdentityInvalid("actions is a list of pull, push and delete")
    allowed = {GET_AUTHORIZATION_TOKEN} | {name for action in actions for name in _allowed(str(action))}
    statement = {
        "Effect": "Allow",
        "Action": sorted(allowed),
        "Resource": [f"arn:aws:ecr:*:*:repository/{name}" for name in repositories],
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    try:
        parse_identity_policy(document)
    except InvalidPolicyError as error:  # too many repositories, say
        raise IdentityInvalid(str(error)) from None
    return document


def _allowed(action: str) -> set[str]:
    return {*SCOPE_ACTIONS[action], *FURTHER.get(action, set())}
