import numpy as np
import pytest

from ensemble.diversity import (
    ambiguity,
    collapse,
    decompose,
    disagreement,
    diversity_table,
    q_statistic,
    residual_correlation,
)
from ensemble.losses import squared_error
from tests.ensemble.tables import KINDS, repeated, table


def test_correlation_is_that_of_numpy():
    candidates, y = table("binary")
    expected = np.corrcoef((candidates - y)[:, :, 0])
    np.testing.assert_allclose(residual_correlation(candidates, y), expected, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_correlation_with_weights_is_that_of_repeated_rows(kind):
    candidates, y = table(kind)
    counts = np.random.default_rng(0).integers(0, 4, len(y))
    np.testing.assert_allclose(
        residual_correlation(candidates, y, counts),
        residual_correlation(*repeated(candidates, y, counts)),
        atol=1e-12,
    )


def test_correlation_does_not_depend_on_units():
    candidates, y = table("regression")
    units = np.array([1.0, 1e6])
    np.testing.assert_allclose(
        residual_correlation(candidates * units, y * units), residual_correlation(candidates, y), atol=1e-9
    )


def test_correlation_of_residuals_that_do_not_vary():
    _, y = table("regression")
    candidates = np.stack([y, y, y + 1.0, y + np.random.default_rng(0).normal(size=y.shape)])
    found = residual_correlation(candidates, y)
    np.testing.assert_array_equal(found[:3, :3], [[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    np.testing.assert_array_equal(found[3], [0, 0, 0, 1])


def test_disagreement_by_hand():
    y = np.array([[0.0], [1.0], [1.0], [0.0]])
    candidates = np.array([[0.1, 0.9, 0.4, 0.2], [0.2, 0.8, 0.6, 0.7]])[:, :, None]
    np.testing.assert_allclose(disagreement(candidates, y), [[0, 0.5], [0.5, 0]])
    np.testing.assert_allclose(disagreement(candidates, y, np.array([3, 3, 1, 1]))[0, 1], 0.25)
    classes = np.array([[[0.5, 0.3, 0.2]], [[0.3, 0.5, 0.2]], [[0.4, 0.35, 0.25]]])
    np.testing.assert_allclose(disagreement(classes, np.array([[1.0, 0, 0]]))[0], [0, 1, 0])


def test_error_of_the_mix_is_mean_error_less_ambiguity():
    candidates, y = table("regression")
    rng = np.random.default_rng(0)
    weights, rows = rng.dirichlet(np.ones(len(candidates))), rng.uniform(0, 2, len(y))
    mean = sum(w * squared_error(y, one, rows) for w, one in zip(weights, candidates, strict=True))
    mixed = squared_error(y, np.tensordot(weights, candidates, axes=1), rows)
    assert mixed == pytest.approx(mean - ambiguity(candidates, weights, rows), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_decomposition_is_exact(kind):
    candidates, y = table(kind)
    rng = np.random.default_rng(0)
    weights, rows = rng.dirichlet(np.ones(len(candidates))), rng.integers(0, 4, len(y))
    found = decompose(candidates, y, weights, rows)
    assert found.ensemble_error == pytest.approx(found.member_error - found.ambiguity, rel=1e-12)
    assert found.ensemble_error == pytest.approx(
        squared_error(y, np.tensordot(weights, candidates, axes=1), rows)
    )
    assert found.ambiguity > 0
    copied = decompose(*repeated(candidates, y, rows), weights)
    assert found.ambiguity == pytest.approx(copied.ambiguity)


def right_on(rows: list[int], n_rows: int = 10) -> np.ndarray:
    """A classifier of rows that are all 1, right on these."""
    found = np.full((n_rows, 1), 0.2)
    found[rows] = 0.9
    return found


def test_q_statistic_by_hand():
    y = np.ones((10, 1))
    # N11 = 4, N10 = 2, N01 = 1, N00 = 3: (4 * 3 - 2 * 1) / (4 * 3 + 2 * 1)
    candidates = np.stack(
        [right_on([0, 1, 2, 3, 4, 5]), right_on([0, 1, 2, 3, 6]), right_on(list(range(10)))]
    )
    found = q_statistic(candidates, y)
    assert found[0, 1] == found[1, 0] == pytest.approx(10 / 14)
    assert np.isnan(found[0, 2])  # never wrong: both products are zero
    np.testing.assert_array_equal(np.diag(found), 1.0)


def test_q_statistic_of_independent_and_of_opposite_errors():
    y = np.ones((4, 1))
    independent = np.stack([right_on([0, 1], 4), right_on([0, 2], 4)])
    assert q_statistic(independent, y)[0, 1] == pytest.approx(0.0)
    opposite = np.stack([right_on([0, 1], 4), right_on([2, 3], 4)])
    assert q_statistic(opposite, y)[0, 1] == pytest.approx(-1.0)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_q_statistic_with_weights_is_that_of_repeated_rows(kind):
    candidates, y = table(kind)
    counts = np.random.default_rng(0).integers(0, 4, len(y))
    np.testing.assert_allclose(
        q_statistic(candidates, y, counts), q_statistic(*repeated(candidates, y, counts))
    )


def test_the_table_has_every_pair_once():
    candidates, y = table("binary", n_candidates=3)
    configs = [{"a": 0}, {"a": 1}, {"b": 1}]
    found = diversity_table(candidates, y, names=["p", "q", "r"], configs=configs)
    assert found["first"] == ["p", "p", "q"] and found["second"] == ["q", "r", "r"]
    assert found["configuration_distance"] == [1.0, 1.0, 1.0]
    assert found["q_statistic"][2] == q_statistic(candidates, y)[1, 2]
    assert found["disagreement"][1] == disagreement(candidates, y)[0, 2]
    of_numbers = diversity_table(*table("regression"))
    assert set(of_numbers) == {"first", "second", "residual_correlation"}
    assert of_numbers["first"][0] == 0 and len(of_numbers["first"]) == 15
    with pytest.raises(ValueError, match="got 2"):
        diversity_table(candidates, y, names=["p", "q"])
    with pytest.raises(ValueError, match="got 0"):
        diversity_table(candidates, y, configs=[])


def twins(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Candidates 0 and 2 are nearly the same, and 2 is the better one; 1 is another."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(200, 1))
    error = rng.normal(size=y.shape)
    return np.stack([y + error, y + rng.normal(size=y.shape), y + 0.9 * error]), y


def test_the_better_of_two_twins_stays():
    candidates, y = twins()
    found = collapse(candidates, ["a", "a", "a"], y=y)
    np.testing.assert_array_equal(found.representative, [2, 1, 2])
    np.testing.assert_array_equal(found.keep, [False, True, True])


def test_twins_of_other_architecture_stay():
    candidates, y = twins()
    assert collapse(candidates, ["a", "a", "b"], y=y).keep.all()


def test_the_threshold_and_the_weights_count():
    candidates, y = twins()
    assert collapse(candidates, ["a"] * 3, y=y, threshold=1.0).keep.all()
    assert collapse(candidates, ["a"] * 3, y=y, threshold=-1.0).keep.sum() == 1
    counts = np.arange(len(y)) % 3
    weighted = collapse(candidates, ["a"] * 3, y=y, row_weights=counts)
    copied, copied_y = repeated(candidates, y, counts)
    np.testing.assert_array_equal(
        weighted.representative, collapse(copied, ["a"] * 3, y=copied_y).representative
    )


def test_equal_candidates_leave_the_first():
    candidates, y = table("multiclass", n_candidates=1)
    found = collapse(np.repeat(candidates, 3, axis=0), ["a"] * 3, y=y, loss="log_loss")
    np.testing.assert_array_equal(found.representative, 0)


@pytest.mark.parametrize(
    ("names", "threshold", "words"), [(["a"], 0.9, "got 1"), (["a"] * 3, 1.5, "got 1.5")]
)
def test_refused_at_the_door(names, threshold, words):
    candidates, y = twins()
    with pytest.raises(ValueError, match=words):
        collapse(candidates, names, y=y, threshold=threshold)
