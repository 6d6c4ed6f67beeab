"""ECS's account settings. They are kept and given back; ARNs are long and tags are checked by policies anyhow."""

from aws.call import Answer, Call
from aws.ecs_asking import database, recorded
from aws.ecs_names import invalid
from storage.metadata import account_settings
from storage.metadata.database import Work

DEFAULTS = {
    "awsvpcTrunking": "disabled",
    "containerInsights": "disabled",
    "containerInstanceLongArnFormat": "enabled",
    "defaultLogDriverMode": "blocking",
    "fargateFIPSMode": "disabled",
    "fargateTaskRetirementWaitPeriod": "7",
    "guardDutyActivate": "off",
    "serviceLongArnFormat": "enabled",
    "tagResourceAuthorization": "off",
    "taskLongArnFormat": "enabled",
}
_SWITCH = frozenset({"enabled", "disabled"})
_VALUES = {
    "awsvpcTrunking": _SWITCH,
    "containerInsights": _SWITCH | {"enhanced"},
    "defaultLogDriverMode": frozenset({"blocking", "non-blocking"}),
    "fargateFIPSMode": _SWITCH,
    "fargateTaskRetirementWaitPeriod": frozenset({"0", "7", "14"}),
    "guardDutyActivate": frozenset({"on", "off"}),
    "tagResourceAuthorization": frozenset({"on", "off"}),
}
_FIXED = ("containerInstanceLongArnFormat", "serviceLongArnFormat", "taskLongArnFormat")


async def list_account_settings(call: Call) -> Answer:
    """What is set for a principal; with `effectiveSettings`, also what holds because nothing is set."""
    given, principal = call.input, _principal(call)
    found = dict(await database(call).read(account_settings.of(call.account_key, principal)))
    if given.get("effectiveSettings", False):
        found = {**DEFAULTS, **(await database(call).read(account_settings.of(call.account_key, ""))), **found}
    return {
        "settings": [
            {"name": name, "value": value, "principalArn": principal, "type": "user"}
            for name, value in sorted(found.items())
            if given.get("name", name) == name and given.get("value", value) == value
        ]
    }


async def put_account_setting(call: Call) -> Answer:
    """Set something for a principal, by default the caller."""
    return await _put(call, _principal(call))


async def put_account_setting_default(call: Call) -> Answer:
    """Set something for all principals that have not set it themselves."""
    return await _put(call, "")


async def delete_account_setting(call: Call) -> Answer:
    """Set something back to the account's default."""
    name, principal = call.input["name"], _principal(call)
    before = await database(call).read(account_settings.of(call.account_key, principal))

    def work() -> Work[bool]:
        return (yield from account_settings.delete(call.account_key, principal, name))

    await database(call).write(lambda: recorded(call, work, target=f"account-setting/{name}"))
    value = before.get(name, DEFAULTS.get(name, ""))
    return {"setting": {"name": name, "value": value, "principalArn": principal, "type": "user"}}


async def _put(call: Call, principal: str) -> Answer:
    name, value = call.input["name"], call.input["value"]
    if name not in DEFAULTS:
        raise invalid(f"The setting {name} is not known to this server.")
    if name in _FIXED and value != "enabled":
        raise invalid("You cannot disable the setting: ARNs are long here.")
    if value not in _VALUES.get(name, (value,)):
        raise invalid(f"The value of {name} is one of {', '.join(sorted(_VALUES[name]))}.")

    def work() -> Work[None]:
        yield from account_settings.put(call.account_key, principal, name, value)

    await database(call).write(lambda: recorded(call, work, target=f"account-setting/{name}"))
    shown = principal or f"arn:aws:iam::{call.account}:root"
    return {"setting": {"name": name, "value": value, "principalArn": shown, "type": "user"}}


def _principal(call: Call) -> str:
    given: str | None = call.input.get("principalArn")
    own = call.caller.principal.in_policies(call.parts.account).arn
    if given is not None and not given.startswith(f"arn:aws:iam::{call.account}:"):
        raise invalid("principalArn must be a principal of the account.")
    return given or own
