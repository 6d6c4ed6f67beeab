"""What a service is asked to be: members of CreateService and UpdateService, read."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aws.call import Call
from aws.ecs_asking import Tags, refuse_unsupported, unsupported
from aws.ecs_names import invalid
from orchestrator.state import DeploymentSettings, SchedulingStrategy

DEPLOY_ON_PUSH = "deploy-on-push"
"""The tag of a service that says so when its value is `true`."""
MOST_TASKS = 10_000
_UNSUPPORTED = (
    "capacityProviderStrategy",
    "loadBalancers",
    "role",
    "serviceRegistries",
    "serviceConnectConfiguration.enabled",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
    "gatewayConnectors",
    "monitoring",
    "deploymentConfiguration.alarms.enable",
    "deploymentConfiguration.bakeTimeInMinutes",
    "deploymentConfiguration.lifecycleHooks",
    "deploymentConfiguration.linearConfiguration",
    "deploymentConfiguration.canaryConfiguration",
    "deploymentConfiguration.earlySuccessCriteria",
)
KEPT = (
    "enableECSManagedTags",
    "enableExecuteCommand",
    "launchType",
    "networkConfiguration",
    "placementConstraints",
    "placementStrategy",
    "platformVersion",
    "propagateTags",
)
"""Members that are kept as they were given, and given back."""


def refuse_what_is_not_served(call: Call) -> None:
    """UnsupportedFeatureException for what would act in AWS and can't here."""
    refuse_unsupported(call, *_UNSUPPORTED)
    given = call.input
    if given.get("deploymentController", {}).get("type", "ECS") != "ECS":
        raise unsupported("deploymentController other than ECS")
    if given.get("deploymentConfiguration", {}).get("strategy", "ROLLING") != "ROLLING":
        raise unsupported("deploymentConfiguration.strategy other than ROLLING")
    if given.get("availabilityZoneRebalancing") == "ENABLED":
        raise unsupported("availabilityZoneRebalancing")


def desired_count(given: Mapping[str, Any], default: int) -> int:
    """How many tasks are wanted. AwsError."""
    count = int(given.get("desiredCount", default))
    if not 0 <= count <= MOST_TASKS:
        raise invalid(f"The desired count must be between 0 and {MOST_TASKS}.")
    return count


def grace_period(given: Mapping[str, Any], default: int = 0) -> int:
    """Seconds in which an unhealthy task is left alone. AwsError."""
    seconds = int(given.get("healthCheckGracePeriodSeconds", default))
    if seconds < 0:
        raise invalid("healthCheckGracePeriodSeconds must not be negative.")
    return seconds


def parse_settings(given: Mapping[str, Any], before: DeploymentSettings, daemon: bool) -> DeploymentSettings:
    """The deployment configuration, with what is not said as it was before. AwsError."""
    configuration = given.get("deploymentConfiguration")
    if configuration is None:
        return before
    settings = replace(
        before,
        maximum_percent=configuration.get("maximumPercent", before.maximum_percent),
        minimum_healthy_percent=configuration.get("minimumHealthyPercent", before.minimum_healthy_percent),
    )
    breaker = configuration.get("deploymentCircuitBreaker")
    if breaker is not None:
        settings = _with_breaker(settings, breaker)
    low, high = settings.minimum_healthy_percent, settings.maximum_percent
    if not 0 <= low <= 100 or not 100 <= high <= 1000:
        raise invalid("minimumHealthyPercent is between 0 and 100, maximumPercent between 100 and 1000.")
    if low == high and not daemon:
        raise invalid("minimumHealthyPercent and maximumPercent must not both be 100: nothing could be replaced.")
    return settings


def defaults_of(strategy: SchedulingStrategy) -> DeploymentSettings:
    """As ECS has them, but that the circuit breaker is on, with rollback."""
    if strategy is SchedulingStrategy.DAEMON:
        return DeploymentSettings(maximum_percent=100, minimum_healthy_percent=0)
    return DeploymentSettings()


def checked_tags(call: Call, tags: Tags) -> Tags:
    """The same tags, whose gates this server can judge. AwsError."""
    refused = call.parts.ecs.refuse_tags(tags)
    if refused is not None:
        raise invalid(refused)
    return tags


def deploys_on_push(tags: Tags) -> bool:
    """Whether the service's tags ask for a deployment whenever its image's tag moves."""
    return any(tag["key"] == DEPLOY_ON_PUSH and tag["value"] == "true" for tag in tags)


def _with_breaker(settings: DeploymentSettings, given: Mapping[str, Any]) -> DeploymentSettings:
    threshold = given.get("thresholdConfiguration")
    if given.get("resetOnHealthyTask") is False:
        raise unsupported("deploymentConfiguration.deploymentCircuitBreaker.resetOnHealthyTask: false")
    if threshold is not None and threshold.get("type") != "COUNT":
        raise unsupported("deploymentConfiguration.deploymentCircuitBreaker.thresholdConfiguration other than COUNT")
    count = None if threshold is None else int(threshold["value"])
    if count is not None and count < 1:
        raise invalid("The threshold of the circuit breaker is at least 1.")
    return replace(
        settings,
        circuit_breaker=given.get("enable", False),
        rollback=given.get("rollback", False),
        threshold=count,
    )
