"""Policies in IAM's JSON, and the one pure function that decides by them.

Nothing here does I/O, knows HTTP or remembers anything between two calls.
"""

from auth.policy.document import Document, Effect, PolicyKind, Statement
from auth.policy.errors import InvalidPolicyError
from auth.policy.evaluation import Decision, Narrowed, Outcome, PolicyRequest, evaluate
from auth.policy.parsing import parse_identity_policy, parse_registry_policy, parse_repository_policy
from auth.policy.principals import ANONYMOUS, PolicyPrincipal, PrincipalKind

__all__ = [
    "ANONYMOUS",
    "Decision",
    "Document",
    "Effect",
    "InvalidPolicyError",
    "Narrowed",
    "Outcome",
    "PolicyKind",
    "PolicyPrincipal",
    "PolicyRequest",
    "PrincipalKind",
    "Statement",
    "evaluate",
    "parse_identity_policy",
    "parse_registry_policy",
    "parse_repository_policy",
]
