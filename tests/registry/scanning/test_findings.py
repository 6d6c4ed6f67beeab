"""Reports in Trivy's JSON, as ECR shows them."""

import json
from typing import Any

import pytest

from registry.scanning.findings import LONGEST_ATTRIBUTE, ReportError, parse_report


def report(*vulnerabilities: dict[str, Any]) -> bytes:
    return json.dumps({"SchemaVersion": 2, "Results": [{"Target": "t", "Vulnerabilities": vulnerabilities}]}).encode()


def test_nothing_found_is_a_report_too() -> None:
    for text in (b'{"SchemaVersion":2}', b'{"SchemaVersion":2,"Results":[{"Target":"t"}]}'):
        assert (list(parse_report(text).findings), parse_report(text).counts) == ([], {})


def test_severities_have_ecrs_names_and_the_worst_comes_first() -> None:
    given = [{"VulnerabilityID": f"CVE-{number}", "Severity": text} for number, text in enumerate(
        ("UNKNOWN", "low", "CRITICAL", "NEGLIGIBLE", "odd", "MEDIUM", "HIGH")
    )]  # fmt: skip
    found = parse_report(report(*given))
    assert [finding["severity"] for finding in found.findings] == [
        "CRITICAL",
        "HIGH",
        "MEDIUM",
        "LOW",
        "INFORMATIONAL",
        "UNDEFINED",
        "UNDEFINED",
    ]
    assert found.counts["UNDEFINED"] == 2


def test_attributes_are_never_longer_than_ecr_allows() -> None:
    (finding,) = parse_report(report({"VulnerabilityID": "CVE-1", "PkgName": "p" * 1000})).findings
    values = {one["key"]: one["value"] for one in finding["attributes"]}
    assert len(values["package_name"]) == LONGEST_ATTRIBUTE
    assert finding["severity"] == "UNDEFINED"


def test_the_score_of_the_source_of_the_severity_counts() -> None:
    scores = {"nvd": {"V3Score": 9.8}, "debian": {"V3Score": 5.0}}
    given = {"VulnerabilityID": "CVE-1", "SeveritySource": "debian", "CVSS": scores}
    (finding,) = parse_report(report(given)).findings
    assert {"key": "CVSS3_SCORE", "value": "5.0"} in finding["attributes"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no JSON",
        b"[]",
        b"{}",
        b'{"SchemaVersion":2,"Results":{}}',
        b'{"SchemaVersion":2,"Results":[1]}',
        b'{"SchemaVersion":2,"Results":[{"Vulnerabilities":"x"}]}',
        b'{"SchemaVersion":2,"Results":[{"Vulnerabilities":[{}]}]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_report_is_refused(text: bytes) -> None:
    with pytest.raises(ReportError):
        parse_report(text)
