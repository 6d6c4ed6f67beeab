import json

import pytest

from benchmarks import wrk
from benchmarks.scenario import Sample, ScenarioFailed

NO_ERRORS = {"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0}


def line(requests: int = 2000, **errors: int) -> str:
    told = {"requests": requests, "bytes": 4096, "us": 500_000, "p50_us": 1500, "p99_us": 9000}
    return json.dumps(told | {"errors": NO_ERRORS | errors})


def test_the_line_of_the_script_becomes_a_sample() -> None:
    assert wrk.parse(line()) == Sample(operations=2000, bytes=4096, seconds=0.5, p50_ms=1.5, p99_ms=9.0)


@pytest.mark.parametrize("kind", NO_ERRORS)
def test_one_error_of_any_kind_fails_the_scenario(kind: str) -> None:
    with pytest.raises(ScenarioFailed, match=kind):
        wrk.parse(line(**{kind: 1}))


def test_no_answer_at_all_fails_the_scenario() -> None:
    with pytest.raises(ScenarioFailed, match="0 answers"):
        wrk.parse(line(requests=0))


def test_a_missing_wrk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ScenarioFailed, match="needs wrk, which is not installed"):
        wrk.run("http://127.0.0.1:1/", 1, 1)
