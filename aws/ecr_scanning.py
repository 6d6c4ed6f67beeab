"""ECR operations on scans of images."""

from collections.abc import Mapping
from typing import Any

from aws.call import Answer, Call
from aws.ecr_errors import aws_words
from aws.ecr_one_image import no_image, of_image, one_image
from aws.errors import AwsError
from estiva.errors import ManifestUnknown
from registry.scanning.scanning import ImageUnsupported, ScannerMissing, ScanUnknown, matches

FINDINGS = 100


async def start_image_scan(call: Call) -> Answer:
    """Have an image scanned."""
    name, reference = await one_image(call)
    try:
        digest = await call.parts.registry.scanning.start(name, reference)
    except ManifestUnknown:
        raise no_image(call, name) from None
    except ImageUnsupported as error:
        raise AwsError("UnsupportedImageTypeException", error.text) from None
    except ScannerMissing as error:
        raise AwsError("ValidationException", f"This server can't scan: {error.text}") from None
    return {**of_image(call, name, digest), "imageScanStatus": {"status": "IN_PROGRESS"}}


async def describe_image_scan_findings(call: Call) -> Answer:
    """What was found in an image, the worst first."""
    name, reference = await one_image(call)
    scanning, asked = call.parts.registry.scanning, call.page(FINDINGS)
    try:
        digest, scan = await scanning.find(name, reference)
    except ManifestUnknown:
        raise no_image(call, name) from None
    except ScanUnknown:
        text = f"Image scan does not exist for the image '{reference}' in the repository with name '{name}'"
        raise AwsError("ScanNotFoundException", f"{text} in the registry with id '{call.account}'") from None
    status = {"status": scan.status, "description": scan.description}
    answer = {**of_image(call, name, digest), "imageScanStatus": status}
    if scan.status != "COMPLETE":
        return answer
    found = await scanning.findings(name, digest, int(asked.position or 0), asked.size + 1)
    page = found[: asked.size]
    answer["imageScanFindings"] = {
        "imageScanCompletedAt": scan.completed_at,
        "findingSeverityCounts": dict(scan.counts),
        "findings": [finding for _, finding in page],
    }
    answer["nextToken"] = call.next_token(str(page[-1][0]) if len(found) > len(page) else None)
    return answer


async def put_registry_scanning_configuration(call: Call) -> Answer:
    """Say which repositories' images are scanned when they are pushed."""
    kind = call.input.get("scanType", "BASIC")
    if kind != "BASIC":
        raise AwsError("ValidationException", "This server has one kind of scanning: BASIC.")
    configuration = {"scanType": kind, "rules": call.input.get("rules", [])}
    await call.parts.registry.scanning.configure(call.actor, call.account_key, configuration)
    return {"registryScanningConfiguration": configuration}


async def get_registry_scanning_configuration(call: Call) -> Answer:
    """Which repositories' images are scanned when they are pushed."""
    configuration = await call.parts.registry.scanning.configuration(call.account_key)
    return {"registryId": call.account, "scanningConfiguration": configuration}


async def batch_get_repository_scanning_configuration(call: Call) -> Answer:
    """What the registry's and the repositories' own configurations come to, repository by repository."""
    configuration = await call.parts.registry.scanning.configuration(call.account_key)
    shown, failures = [], []
    for text in call.input["repositoryNames"]:
        try:
            shown.append(await _configured(call, text, configuration))
        except AwsError as error:
            reason = {"failureCode": "REPOSITORY_NOT_FOUND", "failureReason": error.message}
            failures.append({"repositoryName": text, **reason})
    return {"scanningConfigurations": shown, "failures": failures}


async def _configured(call: Call, text: str, configuration: Mapping[str, Any]) -> Mapping[str, Any]:
    name = call.name(text)
    with aws_words(call, name):
        found = await call.parts.registry.repositories.find(name)
    rules = [rule for rule in configuration["rules"] if matches(rule["repositoryFilters"], name)]
    on_push = found.scan_on_push or any(rule["scanFrequency"] != "MANUAL" for rule in rules)
    return {
        "repositoryArn": call.arn(name),
        "repositoryName": text,
        "scanOnPush": on_push,
        "scanFrequency": "SCAN_ON_PUSH" if on_push else "MANUAL",
        "appliedScanFilters": [one for rule in rules for one in rule["repositoryFilters"]],
    }
