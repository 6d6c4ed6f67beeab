"""What a scanner says, in Trivy's JSON (`--format json`), as ECR shows it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SEVERITIES: Mapping[str, str] = {
    "UNKNOWN": "UNDEFINED",
    "NEGLIGIBLE": "INFORMATIONAL",
    "LOW": "LOW",
    "MEDIUM": "MEDIUM",
    "HIGH": "HIGH",
    "CRITICAL": "CRITICAL",
}
ORDER = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED")
MOST_FINDINGS = 50_000
LONGEST_TEXT = 4096
LONGEST_ATTRIBUTE = 256


class ReportError(Exception):
    """The scanner's answer is no report; the text says why."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, the worst first, as ECR's API shows it; and how often each severity."""

    findings: Sequence[Mapping[str, Any]]
    counts: Mapping[str, int]


def parse_report(payload: bytes) -> Report:
    """The report in these bytes. ReportError."""
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        raise ReportError("the scanner's answer is not JSON") from None
    if not isinstance(value, dict) or "SchemaVersion" not in value:
        raise ReportError("the scanner's answer is no report in Trivy's format")
    findings = [
        _finding(vulnerability, result)
        for result in _objects(value, "Results")
        for vulnerability in _objects(result, "Vulnerabilities")
    ]
    if len(findings) > MOST_FINDINGS:
        raise ReportError(f"the scanner found more than {MOST_FINDINGS} things")
    findings.sort(key=lambda finding: (ORDER.index(finding["severity"]), finding["name"]))
    return Report(findings, dict(Counter(finding["severity"] for finding in findings)))


def _objects(value: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = value.get(name)
    found = [] if found is None else found
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ReportError(f"{name} is not a list of objects")
    return found


def _finding(vulnerability: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    name = _text(vulnerability, "VulnerabilityID")
    if not name:
        raise ReportError("a vulnerability has no VulnerabilityID")
    attributes = {
        "package_name": _text(vulnerability, "PkgName"),
        "package_version": _text(vulnerability, "InstalledVersion"),
        "fixed_version": _text(vulnerability, "FixedVersion"),
        "target": _text(result, "Target"),
        **_scores(vulnerability),
    }
    finding = {
        "name": name,
        "description": _text(vulnerability, "Description") or _text(vulnerability, "Title"),
        "uri": _text(vulnerability, "PrimaryURL"),
        "severity": SEVERITIES.get(_text(vulnerability, "Severity").upper(), "UNDEFINED"),
        "attributes": [{"key": key, "value": text[:LONGEST_ATTRIBUTE]} for key, text in attributes.items() if text],
    }
    return {member: value for member, value in finding.items() if value}


def _scores(vulnerability: Mapping[str, Any]) -> dict[str, str]:
    """The score that the vulnerability's own source gives, else that of the national database."""
    scores = vulnerability.get("CVSS")
    if not isinstance(scores, dict):
        return {}
    for source in (_text(vulnerability, "SeveritySource"), "nvd", *sorted(map(str, scores))):
        found = scores.get(source)
        if isinstance(found, dict):
            known = {
                "CVSS3_SCORE": found.get("V3Score"),
                "CVSS3_VECTOR": found.get("V3Vector"),
                "CVSS2_SCORE": found.get("V2Score"),
                "CVSS2_VECTOR": found.get("V2Vector"),
            }
            return {key: str(value) for key, value in known.items() if isinstance(value, str | int | float)}
    return {}


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    return found[:LONGEST_TEXT] if isinstance(found, str) else ""
