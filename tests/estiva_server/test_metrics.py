import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from estiva_server.metrics import BOUNDS, Metrics, Tallies
from orchestrator.engines import Usage
from orchestrator.state import DesiredStatus, StopCode, Task, TaskStatus
from registry.collecting import Collected
from registry.scrubbing import Scrubbed
from storage.metadata.events import Backlog


def samples(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What Prometheus reads off the page."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def labels(**values: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(values.items()))


STEPS, LAST_RUN = ("trashed", "removed"), ("last_run_seconds", "last_run_timestamp_seconds")
MANIFEST = labels(method="GET", route="manifest", status="200")


@pytest.fixture
def tallies() -> Tallies:
    """A little of everything."""
    tallies = Tallies()
    tallies.request("GET", "manifest", 200, 0.0004, 100)
    tallies.request("GET", "manifest", 200, 0.002, 50)
    tallies.request("GET", "manifest", 200, 100.0, 0)
    tallies.request("PUT", "upload", 201, 0.3, 0)
    tallies.refuse(408)
    tallies.refuse(408)
    tallies.refuse(503)
    tallies.repeated = 7
    return tallies


def test_requests_are_counted_by_method_route_and_status(tallies: Tallies) -> None:
    seen = samples(Metrics(tallies).page())
    assert seen["estiva_http_request_seconds_count", MANIFEST] == 3
    assert seen["estiva_http_request_seconds_sum", MANIFEST] == pytest.approx(100.0024)
    assert seen["estiva_http_response_bytes_total", MANIFEST] == 150
    assert seen["estiva_http_request_seconds_count", labels(method="PUT", route="upload", status="201")] == 1


def test_buckets_are_cumulative_and_end_with_everything(tallies: Tallies) -> None:
    seen = samples(Metrics(tallies).page())
    buckets = [
        seen["estiva_http_request_seconds_bucket", tuple(sorted((*MANIFEST, ("le", bound))))]
        for bound in (*(str(bound) for bound in BOUNDS), "+Inf")
    ]
    assert buckets == [1, 1, 2, *[2] * (len(BOUNDS) - 3), 3]


def test_a_duration_on_a_bound_is_below_it() -> None:
    tallies = Tallies()
    tallies.request("GET", "base", 200, BOUNDS[0], 0)
    key = tuple(sorted((*labels(method="GET", route="base", status="200"), ("le", str(BOUNDS[0])))))
    assert samples(Metrics(tallies).page())["estiva_http_request_seconds_bucket", key] == 1


def test_refusals_and_repeated_answers_are_counted(tallies: Tallies) -> None:
    seen = samples(Metrics(tallies).page())
    assert seen["estiva_http_refused_total", labels(status="408")] == 2
    assert seen["estiva_http_refused_total", labels(status="503")] == 1
    assert seen["estiva_http_repeated_answers_total", ()] == 7
    assert seen["estiva_up", ()] == 1


def test_a_page_before_the_first_request_is_a_page() -> None:
    told = {("estiva_event_deliveries_total", labels(result=name)) for name in ("delivered", "failed", "dead")}
    waiting = {(f"estiva_event_{name}", ()) for name in ("backlog", "backlog_seconds", "failures")}
    others = {("estiva_http_repeated_answers_total", ()), ("estiva_up", ())}
    collected = {
        *((f"estiva_gc_{name}_total", labels(step=step)) for name in ("blobs", "bytes") for step in STEPS),
        *((f"estiva_gc_{name}", ()) for name in ("runs_total", "candidates", *LAST_RUN)),
        *((f"estiva_scrub_{name}_total", ()) for name in ("blobs", "bytes")),
        *(("estiva_scrub_broken_total", labels(state=state)) for state in ("missing", "corrupt")),
    }
    seen = samples(Metrics(Tallies()).page())
    assert seen.keys() == {*told, *waiting, *others, *collected}
    assert {name for name, value in seen.items() if value} == {("estiva_up", ())}


def test_tallies_survive_the_way_to_another_process(tallies: Tallies) -> None:
    assert Metrics(Tallies.from_json(tallies.as_json())).page() == Metrics(tallies).page()


def test_whoever_is_asked_adds_up_what_all_have_published(tallies: Tallies, tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text(tallies.as_json())
    (tmp_path / "2.json").write_text(tallies.as_json())
    (tmp_path / "3.draft").write_text("{ not written to its e")
    metrics = Metrics(tallies, tmp_path)
    metrics.publish()
    assert (tmp_path / f"{os.getpid()}.json").read_text() == tallies.as_json()
    for _ in range(2):
        seen = samples(metrics.page())
        assert seen["estiva_http_request_seconds_count", MANIFEST] == 9
        assert seen["estiva_http_refused_total", labels(status="408")] == 6
        assert seen["estiva_http_repeated_answers_total", ()] == 21
        assert seen["estiva_up", ()] == 1


def test_a_worker_alone_publishes_nothing(tallies: Tallies) -> None:
    Metrics(tallies).publish()


def test_deliveries_of_events_are_counted_and_what_waits_is_not_added_up() -> None:
    mine, others = Tallies(), Tallies()
    for result in ("delivered", "delivered", "failed", "dead"):
        mine.events.delivery(result)
    others.events.delivery("delivered")
    mine.events.backlog(Backlog(3, time.time() - 60, 2))
    others.events.backlog(Backlog(4, time.time() - 120, 2))
    mine.merge(Tallies.from_json(others.as_json()))
    seen = samples(Metrics(mine).page())
    assert seen["estiva_event_deliveries_total", labels(result="delivered")] == 3
    assert seen["estiva_event_deliveries_total", labels(result="failed")] == 1
    assert seen["estiva_event_deliveries_total", labels(result="dead")] == 1
    assert (seen["estiva_event_backlog", ()], seen["estiva_event_failures", ()]) == (4, 2)
    assert seen["estiva_event_backlog_seconds", ()] == pytest.approx(120, abs=5)


def test_collections_are_added_up_and_the_last_one_is_told_of() -> None:
    mine, others = Tallies(), Tallies()
    mine.storage.collected(Collected(trashed=2, trashed_bytes=20, removed=1, removed_bytes=10), 0.5, 7)
    others.storage.collected(Collected(trashed=1, trashed_bytes=5), 0.25, 6)
    mine.storage.run_at, others.storage.run_at = 100.0, 200.0
    mine.merge(Tallies.from_json(others.as_json()))
    seen = samples(Metrics(mine).page())
    assert seen["estiva_gc_runs_total", ()] == 2
    assert seen["estiva_gc_blobs_total", labels(step="trashed")] == 3
    assert seen["estiva_gc_bytes_total", labels(step="trashed")] == 25
    assert seen["estiva_gc_bytes_total", labels(step="removed")] == 10
    assert (seen["estiva_gc_candidates", ()], seen["estiva_gc_last_run_seconds", ()]) == (6, 0.25)
    assert seen["estiva_gc_last_run_timestamp_seconds", ()] == 200


def test_scrubs_are_added_up() -> None:
    tallies = Tallies()
    for _ in range(2):
        tallies.storage.scrubbed(Scrubbed(read=3, read_bytes=30, missing=1, corrupt=2))
    seen = samples(Metrics(tallies).page())
    assert (seen["estiva_scrub_blobs_total", ()], seen["estiva_scrub_bytes_total", ()]) == (6, 60)
    assert seen["estiva_scrub_broken_total", labels(state="missing")] == 2
    assert seen["estiva_scrub_broken_total", labels(state="corrupt")] == 4


def test_the_room_is_told_where_it_is_known() -> None:
    tallies = Tallies()
    assert ("estiva_storage_free_bytes", ()) not in samples(Metrics(tallies).page())
    tallies.storage.room = (500, 10)
    seen = samples(Metrics(Tallies.from_json(tallies.as_json())).page())
    assert (seen["estiva_storage_free_bytes", ()], seen["estiva_storage_reserve_bytes", ()]) == (500, 10)


def test_tasks_are_told_by_whichever_worker_acts(tmp_path: Path) -> None:
    acting = Tallies()
    task = Task("t1", "default", "web", 1, DesiredStatus.STOPPED, TaskStatus.STOPPED, 0.0, service="web")
    acting.tasks.launched("default", task)
    failed = replace(task, stop_code=StopCode.TASK_FAILED_TO_START, stopped_reason="CannotPullContainerError: gone")
    acting.tasks.ended("default", failed)
    acting.tasks.ended("default", replace(task, stop_code=StopCode.USER_INITIATED))
    acting.tasks.services["default"] = {("web", "desired"): 3}
    acting.tasks.used("default", {"t1": (task, [Usage("app", 1.5, 2048)])})
    (tmp_path / "1.json").write_text(acting.as_json())

    seen = samples(Metrics(Tallies(), tmp_path).page())
    web = {"cluster": "default", "service": "web"}
    assert seen["estiva_service_tasks", labels(**web, state="desired")] == 3
    assert seen["estiva_task_launches_total", labels(**web)] == 1
    why = labels(**web, code="TaskFailedToStart", reason="CannotPullContainerError")
    assert [value for (name, _), value in seen.items() if name == "estiva_task_failures_total"] == [1]
    assert seen["estiva_task_failures_total", why] == 1
    container = labels(**web, task="t1", container="app")
    assert seen["estiva_task_cpu_seconds_total", container] == 1.5
    assert seen["estiva_task_memory_bytes", container] == 2048
