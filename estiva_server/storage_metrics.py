"""What garbage collection and scrubbing did, and how much room there is, as it is counted and shown to Prometheus."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from registry.collecting import Collected
from registry.scrubbing import Scrubbed
from storage.metadata.quotas import Quota

MOST_QUOTAS = 100
"""Of how many quotas there are figures: those with the least room."""


class StorageTallies:
    """Collections and scrubs of one process since it began; what is true of all processes is the latest of them."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = dict.fromkeys(
            (
                "runs",
                "trashed",
                "trashed_bytes",
                "removed",
                "removed_bytes",
                "read",
                "read_bytes",
                "missing",
                "corrupt",
            ),
            0,
        )
        self.run_at, self.run_seconds, self.candidates = 0.0, 0.0, 0
        self.room: tuple[int, int] | None = None
        self.quotas: list[tuple[str, int, int]] = []

    def quotas_are(self, quotas: Sequence[Quota]) -> None:
        """Take note of what these quotas are and how much of them is used, which all processes see alike."""
        self.quotas = [(quota.subject.key, quota.limit, quota.used) for quota in quotas]

    def collected(self, done: Collected, seconds: float, candidates: int) -> None:
        """Count a collection that just ended, after which so many blobs are still to be judged."""
        self._count("runs", 1)
        for name in ("trashed", "trashed_bytes", "removed", "removed_bytes"):
            self._count(name, getattr(done, name))
        self.run_at, self.run_seconds, self.candidates = time.time(), seconds, candidates

    def scrubbed(self, done: Scrubbed) -> None:
        """Count what was read, and found to be bad."""
        for name in ("read", "read_bytes", "missing", "corrupt"):
            self._count(name, getattr(done, name))

    def merge(self, other: "StorageTallies") -> None:
        """Count everything that the other has counted."""
        for name, count in other.counts.items():
            self._count(name, count)
        if other.run_at > self.run_at:
            self.run_at, self.run_seconds, self.candidates = other.run_at, other.run_seconds, other.candidates
        self.room = self.room or other.room
        self.quotas = self.quotas or other.quotas

    def as_value(self) -> dict[str, Any]:
        """Everything, as a JSON value."""
        return vars(self)

    def take_value(self, value: dict[str, Any]) -> None:
        """Become what `as_value` gave."""
        vars(self).update(value)
        self.room = None if self.room is None else (self.room[0], self.room[1])  # JSON knows lists only

    def _count(self, name: str, count: int) -> None:
        self.counts[name] += count

    def families(self) -> Iterator[Metric]:
        """The metric families."""
        counts = self.counts
        yield CounterMetricFamily("estiva_gc_runs", "Garbage collections that ended.", value=counts["runs"])
        blobs = CounterMetricFamily("estiva_gc_blobs", "Blobs that were collected.", labels=["step"])
        size = CounterMetricFamily("estiva_gc_bytes", "Bytes of these blobs.", labels=["step"])
        for step in ("trashed", "removed"):
            blobs.add_metric([step], counts[step])
            size.add_metric([step], counts[f"{step}_bytes"])
        yield from (blobs, size)
        yield GaugeMetricFamily("estiva_gc_candidates", "Blobs to be judged.", value=self.candidates)
        yield GaugeMetricFamily("estiva_gc_last_run_timestamp_seconds", "When the last ended.", value=self.run_at)
        yield GaugeMetricFamily("estiva_gc_last_run_seconds", "How long it took.", value=self.run_seconds)
        yield CounterMetricFamily("estiva_scrub_blobs", "Blobs that were read.", value=counts["read"])
        yield CounterMetricFamily("estiva_scrub_bytes", "Bytes of these blobs.", value=counts["read_bytes"])
        broken = CounterMetricFamily("estiva_scrub_broken", "Blobs that were found to be bad.", labels=["state"])
        for state in ("missing", "corrupt"):
            broken.add_metric([state], counts[state])
        yield broken
        yield from self._room()
        yield from self._quotas()

    def _quotas(self) -> Iterator[Metric]:
        limit = GaugeMetricFamily("estiva_quota_bytes", "Bytes that may be held.", labels=["subject"])
        used = GaugeMetricFamily("estiva_quota_used_bytes", "Bytes that count for that.", labels=["subject"])
        for subject, limit_bytes, used_bytes in self.quotas:
            limit.add_metric([subject], limit_bytes)
            used.add_metric([subject], used_bytes)
        yield from (limit, used)

    def _room(self) -> Iterator[Metric]:
        """Without a figure where no limit is known."""
        free = GaugeMetricFamily("estiva_storage_free_bytes", "Room that is free for blobs.")
        reserve = GaugeMetricFamily(
            "estiva_storage_reserve_bytes", "Room to be kept free: below it pushes are refused."
        )
        if self.room is not None:
            free.add_metric([], self.room[0])
            reserve.add_metric([], self.room[1])
        yield from (free, reserve)
