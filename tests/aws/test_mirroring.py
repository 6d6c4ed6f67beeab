"""Rules, templates, the registry's policy, replication and scans, as boto3 sees them on running servers."""

import json
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from estiva import mediatypes
from estiva.digest import Digest
from tests.fixtures.documents import image
from tests.hostile.conversation import ask
from tests.security.secured import KEY_ID, KEY_SECRET, Secured, basic, secured

SCANNER = """#!/bin/sh
test -f "$1/index.json" || { echo "no layout" >&2; exit 3; }
test -z "$ESTIVA_ADMIN_PASSWORD" || { echo "a secret of the server's" >&2; exit 4; }
cat <<'END'
{"SchemaVersion":2,"Results":[{"Target":"app (debian)","Vulnerabilities":[
{"VulnerabilityID":"CVE-1","PkgName":"zlib","InstalledVersion":"1.0","Severity":"LOW","Title":"one"},
{"VulnerabilityID":"CVE-2","PkgName":"openssl","InstalledVersion":"3.0","FixedVersion":"3.1","Severity":"CRITICAL",
 "PrimaryURL":"https://example.org/CVE-2","CVSS":{"nvd":{"V3Score":9.8,"V3Vector":"CVSS:3.1/AV:N"}}},
{"VulnerabilityID":"CVE-3","PkgName":"bash","InstalledVersion":"5.2","Severity":"UNKNOWN"}]}]}
END
"""
REPLICA = {"region": "eu-west-1", "registryId": "000000000000"}
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}]}


def client(registry: Secured) -> Any:
    return boto3.client(
        "ecr",
        endpoint_url=f"http://127.0.0.1:{registry.port}",
        region_name="us-east-1",
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=KEY_SECRET,
        config=Config(retries={"max_attempts": 0}),
    )


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured(tmp_path_factory.mktemp("replica"), region="eu-west-1") as replica:
        replica.user("copier", json.dumps(EVERYTHING))
        yield replica


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, replica: Secured) -> Iterator[Secured]:
    folder: Path = tmp_path_factory.mktemp("registry")
    program = folder / "scanner"
    program.write_text(SCANNER)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with secured(folder, private_upstreams="true", scanner=f"{program} {{layout}}") as registry:
        registry.done(
            "PUT", "/upstream-credentials/replica", {"username": "copier", "secret": "the password of copier"}
        )
        registry.done("PUT", "/upstream-credentials/wrong", {"username": "copier", "secret": "wrong"})
        endpoint = {"url": f"http://127.0.0.1:{replica.port}", "credential": "replica"}
        registry.done("PUT", "/replication-endpoints/eu-west-1/000000000000", endpoint)
        yield registry


@pytest.fixture(scope="module")
def ecr(registry: Secured) -> Any:
    return client(registry)


def push(registry: Secured, name: str, tag: str, *layers: bytes) -> Digest:
    who = ("Authorization", basic(KEY_ID, KEY_SECRET))
    config = b'{"architecture":"amd64","os":"linux"}'
    for content in (config, *layers):
        path = f"/v2/{name}/blobs/uploads/?digest={Digest.of(content)}"
        assert ask(registry.port, "POST", path, who, body=content).status == 201
    manifest = image(config, *layers)
    kind = ("Content-Type", mediatypes.OCI_MANIFEST)
    assert ask(registry.port, "PUT", f"/v2/{name}/manifests/{tag}", who, kind, body=manifest).status == 201
    return Digest.of(manifest)


def eventually(look: Callable[[], Any], patience: float = 40) -> Any:
    deadline = time.monotonic() + patience
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found
    return found


def code(call: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as refused:
        call()
    return str(refused.value.response["Error"]["Code"])


def test_rules_are_created_described_validated_and_removed(ecr: Any, replica: Secured) -> None:
    url = f"http://127.0.0.1:{replica.port}"
    made = ecr.create_pull_through_cache_rule(ecrRepositoryPrefix="hub", upstreamRegistryUrl=url)
    assert (made["ecrRepositoryPrefix"], made["upstreamRegistryUrl"]) == ("hub", url)
    again = code(lambda: ecr.create_pull_through_cache_rule(ecrRepositoryPrefix="hub", upstreamRegistryUrl=url))
    assert again == "PullThroughCacheRuleAlreadyExistsException"
    arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:ecr-pullthroughcache/"
    ecr.update_pull_through_cache_rule(ecrRepositoryPrefix="hub", credentialArn=f"{arn}wrong-a1B2c3")
    valid = ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="hub")
    assert (valid["isValid"], "gives us no token" in valid["failure"]) == (False, True)
    ecr.update_pull_through_cache_rule(ecrRepositoryPrefix="hub", credentialArn=f"{arn}replica")
    assert ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="hub")["isValid"] is True
    ecr.create_pull_through_cache_rule(ecrRepositoryPrefix="quay", upstreamRegistryUrl="quay.io")
    pages = ecr.get_paginator("describe_pull_through_cache_rules").paginate(PaginationConfig={"PageSize": 1})
    rules = [rule for page in pages for rule in page["pullThroughCacheRules"]]
    assert [(rule["ecrRepositoryPrefix"], rule.get("upstreamRegistry")) for rule in rules] == [
        ("hub", None),
        ("quay", "quay"),
    ]
    for prefix in ("hub", "quay"):
        ecr.delete_pull_through_cache_rule(ecrRepositoryPrefix=prefix)
    assert code(lambda: ecr.delete_pull_through_cache_rule(ecrRepositoryPrefix="hub")).endswith("NotFoundException")


def test_an_unknown_secret_and_an_odd_url_are_refused(ecr: Any) -> None:
    arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:ecr-pullthroughcache/nobody"
    make = ecr.create_pull_through_cache_rule
    refused = code(lambda: make(ecrRepositoryPrefix="odd", upstreamRegistryUrl="quay.io", credentialArn=arn))
    assert refused == "SecretNotFoundException"
    assert code(lambda: make(ecrRepositoryPrefix="odd", upstreamRegistryUrl="no host")).startswith("Unsupported")


def test_a_template_says_what_a_pushed_repository_is_like(ecr: Any, registry: Secured) -> None:
    ecr.create_repository_creation_template(
        prefix="made",
        appliedFor=["CREATE_ON_PUSH"],
        imageTagMutability="IMMUTABLE",
        resourceTags=[{"Key": "team", "Value": "a"}],
    )
    digest = push(registry, "made/app", "1")
    found = ecr.describe_repositories(repositoryNames=["made/app"])["repositories"][0]
    assert found["imageTagMutability"] == "IMMUTABLE"
    assert ecr.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"] == [{"Key": "team", "Value": "a"}]
    assert str(digest) in str(ecr.list_images(repositoryName="made/app"))
    changed = ecr.update_repository_creation_template(prefix="made", description="of a team")
    assert changed["repositoryCreationTemplate"]["imageTagMutability"] == "IMMUTABLE"
    shown = ecr.describe_repository_creation_templates()["repositoryCreationTemplates"]
    assert [(one["prefix"], one["description"]) for one in shown] == [("made", "of a team")]
    ecr.delete_repository_creation_template(prefix="made")
    assert code(lambda: ecr.delete_repository_creation_template(prefix="made")) == "TemplateNotFoundException"


def test_the_registrys_policy_counts_for_every_repository(ecr: Any, registry: Secured) -> None:
    push(registry, "open/app", "1")
    path = "/v2/open/app/manifests/1"
    assert ask(registry.port, "GET", path).status == 401
    statement = {"Sid": "a", "Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}
    resource = "arn:aws:ecr:us-east-1:000000000000:repository/open/*"
    text = json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Resource": resource}]})
    ecr.put_registry_policy(policyText=text)
    assert ecr.get_registry_policy()["policyText"] == text
    assert ask(registry.port, "GET", path).status == 200
    assert ask(registry.port, "GET", "/v2/closed/app/manifests/1").status == 401
    assert ecr.delete_registry_policy()["policyText"] == text
    assert ask(registry.port, "GET", path).status == 401
    assert code(ecr.get_registry_policy) == "RegistryPolicyNotFoundException"
    without = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    assert code(lambda: ecr.put_registry_policy(policyText=without)) == "InvalidParameterException"


def test_a_push_comes_to_the_other_registry_once(ecr: Any, registry: Secured, replica: Secured) -> None:
    rules = [{"destinations": [REPLICA], "repositoryFilters": [{"filter": "team/", "filterType": "PREFIX_MATCH"}]}]
    ecr.put_replication_configuration(replicationConfiguration={"rules": rules})
    assert ecr.describe_registry()["replicationConfiguration"]["rules"] == rules
    digest = push(registry, "team/app", "1", b"a layer")
    push(registry, "other/app", "1", b"a layer")
    image_id = {"imageTag": "1"}

    def status() -> Any:
        found = ecr.describe_image_replication_status(repositoryName="team/app", imageId=image_id)
        return found["replicationStatuses"][0]["status"] == "COMPLETE" and found["replicationStatuses"]

    assert eventually(status) == [{**REPLICA, "status": "COMPLETE"}]
    there = client(replica)
    assert there.list_images(repositoryName="team/app")["imageIds"] == [{"imageDigest": str(digest), "imageTag": "1"}]
    assert code(lambda: there.list_images(repositoryName="other/app")) == "RepositoryNotFoundException"
    moved = push(registry, "team/app", "1", b"another layer")
    eventually(lambda: str(moved) in str(there.list_images(repositoryName="team/app", filter={"tagStatus": "TAGGED"})))


def test_an_image_whose_destination_is_nowhere_fails_with_the_reason(ecr: Any, registry: Secured) -> None:
    nowhere = {"region": "ap-south-1", "registryId": "000000000009"}
    filters = [{"filter": "lost/", "filterType": "PREFIX_MATCH"}]
    before = ecr.describe_registry()["replicationConfiguration"]["rules"]
    rules = [*before, {"destinations": [nowhere], "repositoryFilters": filters}]
    ecr.put_replication_configuration(replicationConfiguration={"rules": rules})
    push(registry, "lost/app", "1")

    def failure() -> Any:
        found = ecr.describe_image_replication_status(repositoryName="lost/app", imageId={"imageTag": "1"})
        return found["replicationStatuses"][0].get("failureCode")

    assert "nobody has said where" in eventually(failure)
    itself = [{"destinations": [{"region": "us-east-1", "registryId": "000000000000"}]}]
    assert code(lambda: ecr.put_replication_configuration(replicationConfiguration={"rules": itself})).startswith(
        "Invalid"
    )


def test_a_scan_shows_the_worst_first_page_by_page(ecr: Any, registry: Secured) -> None:
    push(registry, "scan/app", "1")
    image_id = {"imageTag": "1"}
    asked = {"repositoryName": "scan/app", "imageId": image_id}
    assert code(lambda: ecr.describe_image_scan_findings(**asked)) == "ScanNotFoundException"
    assert ecr.start_image_scan(**asked)["imageScanStatus"]["status"] == "IN_PROGRESS"
    ecr.get_waiter("image_scan_complete").wait(**asked, WaiterConfig={"Delay": 1, "MaxAttempts": 40})
    pages = list(ecr.get_paginator("describe_image_scan_findings").paginate(**asked, PaginationConfig={"PageSize": 2}))
    findings = [finding for page in pages for finding in page["imageScanFindings"]["findings"]]
    assert [(one["name"], one["severity"]) for one in findings] == [
        ("CVE-2", "CRITICAL"),
        ("CVE-1", "LOW"),
        ("CVE-3", "UNDEFINED"),
    ]
    counts = pages[0]["imageScanFindings"]["findingSeverityCounts"]
    assert counts == {"CRITICAL": 1, "LOW": 1, "UNDEFINED": 1}
    assert {"key": "fixed_version", "value": "3.1"} in findings[0]["attributes"]


def test_a_push_is_scanned_where_that_is_configured(ecr: Any, registry: Secured) -> None:
    rule = {"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": [{"filter": "auto*", "filterType": "WILDCARD"}]}
    ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[rule])
    assert ecr.get_registry_scanning_configuration()["scanningConfiguration"]["rules"] == [rule]
    push(registry, "auto/app", "1")
    asked = {"repositoryName": "auto/app", "imageId": {"imageTag": "1"}}
    ecr.get_waiter("image_scan_complete").wait(**asked, WaiterConfig={"Delay": 1, "MaxAttempts": 40})
    configured = ecr.batch_get_repository_scanning_configuration(repositoryNames=["auto/app", "absent"])
    assert configured["scanningConfigurations"][0]["scanFrequency"] == "SCAN_ON_PUSH"
    assert configured["failures"][0]["failureCode"] == "REPOSITORY_NOT_FOUND"


def test_without_a_scanner_that_is_said(replica: Secured) -> None:
    push(replica, "scan/app", "1")
    asked = {"repositoryName": "scan/app", "imageId": {"imageTag": "1"}}
    assert code(lambda: client(replica).start_image_scan(**asked)) == "ValidationException"


def test_referrers_are_listed(ecr: Any, registry: Secured) -> None:
    subject = push(registry, "signed/app", "1")
    who, kind = ("Authorization", basic(KEY_ID, KEY_SECRET)), ("Content-Type", mediatypes.OCI_MANIFEST)
    config = b'{"architecture":"amd64","os":"linux"}'
    described = {"mediaType": mediatypes.OCI_MANIFEST, "digest": str(subject), "size": 1}
    signature = image(config, subject=described, artifactType="application/x-signature")
    path = f"/v2/signed/app/manifests/{Digest.of(signature)}"
    assert ask(registry.port, "PUT", path, who, kind, body=signature).status == 201
    asked = {"repositoryName": "signed/app", "subjectId": {"imageDigest": str(subject)}}
    (found,) = ecr.list_image_referrers(**asked)["referrers"]
    assert (found["digest"], found["artifactType"]) == (str(Digest.of(signature)), "application/x-signature")
    nothing = ecr.list_image_referrers(**asked, filter={"artifactTypes": ["application/x-other"]})
    assert nothing["referrers"] == []
