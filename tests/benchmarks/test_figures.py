import pytest

from benchmarks.figures import Spread, percentile, ratios


def test_a_percentile_is_one_of_the_values_by_nearest_rank() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile(values, 1) == 100


def test_the_99th_percentile_of_few_values_is_the_largest() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0


def test_a_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


@pytest.mark.parametrize("share", [0, 1.01, -1])
def test_a_percentile_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        percentile([1.0], share)


def test_ratios_are_formed_inside_each_round() -> None:
    assert ratios({1: 10.0, 2: 30.0}, {1: 5.0, 2: 10.0}) == [2.0, 3.0]


def test_a_round_that_one_side_lacks_gives_no_ratio() -> None:
    assert ratios({1: 10.0, 3: 8.0}, {2: 5.0, 3: 4.0}) == [2.0]


def test_a_cost_too_small_for_the_clock_gives_no_ratio() -> None:
    assert ratios({1: 1.0}, {1: 0.0}) == []


def test_a_spread_holds_the_median_and_both_ends() -> None:
    assert Spread.of([4.0, 1.0, 2.0]) == Spread(median=2.0, low=1.0, high=4.0)
