"""Some of the other scenarios with blobs in a bucket: through the registry, and with clients sent to the S3 server."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.scenario import Goal, Scenario
from benchmarks.scenarios import pulls, pushes, small

_ON_DISK = {scenario.name: scenario for scenario in [*small.SCENARIOS, *pulls.SCENARIOS, *pushes.SCENARIOS]}
_FACTS = ("manifest-get-tag-16", "manifest-head-tag-16", "blob-head-16")
"""What asks S3 for nothing here, so that the goal is that of a disk."""
_PUSHES = ("blob-put-64k-4", "blob-put-10m-4", "blob-patch-10m-4", "blob-patch-256m-1", "manifest-put-4")
_PULLS = ("blob-get-10m-4", "blob-get-10m-16", "blob-get-256m-4")
_UNABLE = {"docker-registry": "2.8 is not measured with S3"}


def _proxied(name: str) -> Scenario:
    scenario = _ON_DISK[name]
    goal = scenario.goal if name in _FACTS else Goal(rate=1)
    title = f"S3: {scenario.title}"
    return replace(scenario, name=f"s3-{name}", title=title, quick=False, storage="s3-proxy", goal=goal, unable=_UNABLE)


def _redirected(name: str) -> Scenario:
    scenario = _proxied(name)
    title = f"{scenario.title}, redirected"
    return replace(scenario, name=f"s3-redirect-{name}", title=title, storage="s3-redirect")


SCENARIOS = [*(_proxied(name) for name in (*_FACTS, *_PUSHES, *_PULLS)), *(_redirected(name) for name in _PULLS)]
