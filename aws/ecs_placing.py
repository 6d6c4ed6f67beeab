"""Placement as requests say it."""

from aws.call import Call
from aws.ecs_asking import unsupported
from aws.ecs_names import invalid
from orchestrator.placing import MEMBER_OF
from orchestrator.state import Placement

_MOST = 10


def parse_placement(call: Call) -> Placement:
    """Strategies and constraints of the request. AwsError."""
    constraints = call.input.get("placementConstraints", ())
    strategies = call.input.get("placementStrategy", ())
    if len(constraints) > _MOST or len(strategies) > 5:
        raise invalid("There can be at most 10 placement constraints and 5 placement strategies.")
    return Placement(
        tuple(_strategy(one.get("type", "random"), one.get("field", "")) for one in strategies),
        tuple(_constraint(one.get("type", ""), one.get("expression", "")) for one in constraints),
    )


def _strategy(kind: str, field: str) -> tuple[str, str]:
    if kind == "binpack" and field.lower() not in ("cpu", "memory"):
        raise invalid("The field of the placement strategy binpack is cpu or memory.")
    if kind == "spread" and not field:
        raise invalid("The placement strategy spread needs a field.")
    return kind, field


def _constraint(kind: str, expression: str) -> tuple[str, str]:
    if kind == "distinctInstance" and expression:
        raise invalid("The placement constraint distinctInstance takes no expression.")
    if kind == "memberOf" and MEMBER_OF.match(expression) is None:
        raise unsupported("placementConstraints.expression other than one comparison with == or !=")
    return kind, expression
