"""What is counted, and how it is shown to Prometheus.

Requests are tallied in plain dictionaries, a few tenths of a microsecond each, and turned into metric families
when somebody asks. With several workers each leaves its tallies in a file every second, and whoever is asked adds
them all up: the others' numbers are at most that old.
"""

import json
import os
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from estiva_server import task_metrics
from estiva_server.storage_metrics import StorageTallies
from orchestrator.figures import Figures
from storage.metadata.events import Backlog

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
PUBLISH_EVERY = 1.0

Key = tuple[str, str, int]


class Tally:
    """Requests of one kind: how many, how long, how many body bytes went out."""

    __slots__ = ("buckets", "seconds", "sent")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0
        self.sent = 0

    def add(self, seconds: float, sent: int) -> None:
        """Count one more."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds
        self.sent += sent

    def merge(self, other: "Tally") -> None:
        """Count everything that the other has counted."""
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        self.seconds += other.seconds
        self.sent += other.sent


class EventTallies:
    """Deliveries of events by what became of them, and what waits."""

    def __init__(self) -> None:
        self.results: dict[str, int] = {"delivered": 0, "failed": 0, "dead": 0}
        self.waiting, self.waiting_since, self.given_up = 0, 0.0, 0

    def delivery(self, result: str) -> None:
        """Count a delivery that was `delivered`, `failed` or given up (`dead`)."""
        self.results[result] += 1

    def backlog(self, backlog: Backlog) -> None:
        """What waits now, which all processes see alike."""
        self.waiting, self.waiting_since, self.given_up = backlog.waiting, backlog.oldest or 0.0, backlog.dead

    def merge(self, other: "EventTallies") -> None:
        """Count everything that the other has counted; of what waits, what more of them has seen."""
        for result, count in other.results.items():
            self.results[result] += count
        if other.waiting >= self.waiting:
            self.waiting, self.waiting_since = other.waiting, other.waiting_since
        self.given_up = max(self.given_up, other.given_up)


class Tallies:
    """What one process has counted since it began."""

    def __init__(self) -> None:
        self.requests: dict[Key, Tally] = {}
        self.refused: dict[str, int] = {}
        self.repeated = 0
        self.events = EventTallies()
        self.storage = StorageTallies()
        self.pulled_through: dict[str, int] = {}
        self.replicated: dict[str, int] = {}
        self.tasks = Figures()

    def pull_through(self, result: str) -> None:
        """Count a pull through the cache, or a blob that came from upstream."""
        self.pulled_through[result] = self.pulled_through.get(result, 0) + 1

    def replicate(self, result: str) -> None:
        """Count an image that was brought to one destination, or given up."""
        self.replicated[result] = self.replicated.get(result, 0) + 1

    def request(self, method: str, route: str, status: int, seconds: float, sent: int) -> None:
        """Count a request that was answered."""
        key = (method, route, status)
        tally = self.requests.get(key)
        if tally is None:
            tally = self.requests[key] = Tally()
        tally.add(seconds, sent)

    def refuse(self, status: int) -> None:
        """Count a connection or request that was turned away before it was looked at."""
        self.refused[str(status)] = self.refused.get(str(status), 0) + 1

    def merge(self, other: "Tallies") -> None:
        """Count everything that the other has counted."""
        for key, tally in other.requests.items():
            self.requests.setdefault(key, Tally()).merge(tally)
        for status, count in other.refused.items():
            self.refused[status] = self.refused.get(status, 0) + count
        self.repeated += other.repeated
        self.events.merge(other.events)
        self.storage.merge(other.storage)
        for result, count in other.pulled_through.items():
            self.pulled_through[result] = self.pulled_through.get(result, 0) + count
        for result, count in other.replicated.items():
            self.replicated[result] = self.replicated.get(result, 0) + count
        task_metrics.merge(self.tasks, other.tasks)

    def as_json(self) -> str:
        """Everything, for another process to read with `from_json`."""
        requests = [[*key, tally.buckets, tally.seconds, tally.sent] for key, tally in self.requests.items()]
        others = {"refused": self.refused, "repeated": self.repeated, "pulled_through": self.pulled_through}
        others["replicated"] = self.replicated
        others["tasks"] = task_metrics.as_value(self.tasks)
        return json.dumps(
            {"requests": requests, "events": vars(self.events), "storage": self.storage.as_value(), **others}
        )

    @classmethod
    def from_json(cls, text: str) -> "Tallies":
        """What `as_json` wrote."""
        value, tallies = json.loads(text), cls()
        tallies.refused, tallies.repeated = value["refused"], value["repeated"]
        vars(tallies.events).update(value["events"])
        tallies.storage.take_value(value["storage"])
        tallies.pulled_through, tallies.replicated = value["pulled_through"], value["replicated"]
        tallies.tasks = task_metrics.from_value(value["tasks"])
        for method, route, status, buckets, seconds, sent in value["requests"]:
            tally = tallies.requests[method, route, status] = Tally()
            tally.buckets, tally.seconds, tally.sent = buckets, seconds, sent
        return tallies


class Metrics:
    """The metrics page of one worker, and its contribution to the others'."""

    def __init__(self, tallies: Tallies, shared: Path | None = None) -> None:
        self._tallies = tallies
        self._shared = shared
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def page(self) -> bytes:
        """All metrics of all workers in Prometheus' text format."""
        return generate_latest(self._registry)

    def publish(self) -> None:
        """Leave this worker's tallies where the others find them."""
        if self._shared is None:
            return
        target = self._shared / f"{os.getpid()}.json"
        draft = target.with_suffix(".draft")
        draft.write_text(self._tallies.as_json())
        draft.replace(target)

    def collect(self) -> Iterable[Metric]:
        """The metric families (prometheus_client's collector protocol)."""
        total = Tallies()
        total.merge(self._tallies)
        for other in self._others():
            total.merge(other)
        return _families(total)

    def _others(self) -> Iterator[Tallies]:
        if self._shared is None:
            return
        for file in sorted(self._shared.glob("*.json")):
            if file.stem != str(os.getpid()):
                yield Tallies.from_json(file.read_text())


def _families(total: Tallies) -> Iterator[Metric]:
    labels = ["method", "route", "status"]
    seconds = HistogramMetricFamily("estiva_http_request_seconds", "Time from request to response.", labels=labels)
    sent = CounterMetricFamily("estiva_http_response_bytes", "Bytes of response bodies.", labels=labels)
    for (method, route, status), tally in sorted(total.requests.items()):
        values = [method, route, str(status)]
        seconds.add_metric(values, _cumulative(tally.buckets), tally.seconds)
        sent.add_metric(values, tally.sent)
    refused = CounterMetricFamily(
        "estiva_http_refused", "Connections and requests turned away unseen.", labels=["status"]
    )
    for refused_status, count in sorted(total.refused.items()):
        refused.add_metric([refused_status], count)
    repeated = CounterMetricFamily("estiva_http_repeated_answers", "Answers given again while nothing had changed.")
    repeated.add_metric([], total.repeated)
    through = CounterMetricFamily(
        "estiva_pull_through", "Pulls through the cache, and blobs that came from upstream.", labels=["result"]
    )
    for result, count in sorted(total.pulled_through.items()):
        through.add_metric([result], count)
    copies = CounterMetricFamily("estiva_replications", "Images brought to other registries.", labels=["result"])
    for result, count in sorted(total.replicated.items()):
        copies.add_metric([result], count)
    up = GaugeMetricFamily("estiva_up", "1 while the registry runs.", value=1)
    return iter(
        (
            seconds,
            sent,
            refused,
            repeated,
            through,
            copies,
            *_events(total.events),
            *total.storage.families(),
            *task_metrics.families(total.tasks),
            up,
        )
    )


def _events(total: EventTallies) -> Iterator[Metric]:
    results = CounterMetricFamily(
        "estiva_event_deliveries", "Attempts to tell a webhook of an event.", labels=["result"]
    )
    for result, count in sorted(total.results.items()):
        results.add_metric([result], count)
    yield results
    yield GaugeMetricFamily("estiva_event_backlog", "Events that webhooks are still to be told.", value=total.waiting)
    age = time.time() - total.waiting_since if total.waiting else 0.0
    yield GaugeMetricFamily("estiva_event_backlog_seconds", "Age of the oldest of these.", value=max(age, 0.0))
    yield GaugeMetricFamily("estiva_event_failures", "Events that were given up and are kept.", value=total.given_up)


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
    return [(bound, sum(buckets[: index + 1])) for index, bound in enumerate(bounds)]
