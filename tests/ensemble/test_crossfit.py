import numpy as np
import pytest

from ensemble.crossfit import crossfit
from ensemble.losses import log_loss
from ensemble.selection import select
from ensemble.weights import weigh
from tests.ensemble.tables import KINDS, loss_name, table


def greedy(kind, n_rounds=6):
    def decide(candidates, y, row_weights):
        chosen = select(candidates, y, loss=loss_name(kind), row_weights=row_weights, n_rounds=n_rounds)
        return chosen.weights

    return decide


def convex(kind):
    return lambda candidates, y, row_weights: weigh(
        candidates, y, loss=loss_name(kind), row_weights=row_weights
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", [greedy, convex])
def test_no_group_influences_its_own_predictions(kind, rule):
    candidates, y = table(kind)
    groups, strata = np.arange(len(y)) // 2, np.arange(len(y)) % 3
    changed = y.copy()
    mine = groups == 7
    changed[mine] = 100.0 if kind == "regression" else np.roll(1 - y[mine], 1, axis=1)
    if kind == "multiclass":
        changed[mine] = np.roll(y[mine], 1, axis=1)

    def run(targets):
        return crossfit(
            candidates,
            targets,
            decide=rule(kind),
            groups=groups,
            strata=strata,
            rng=np.random.default_rng(3),
            n_parts=5,
            n_rounds=2,
        )

    before, after = run(y), run(changed)
    np.testing.assert_array_equal(before.parts, after.parts)
    np.testing.assert_array_equal(before.predictions[:, mine], after.predictions[:, mine])
    assert not np.array_equal(before.predictions, after.predictions)  # others did use them


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_those_of_the_rule_on_the_other_rows(kind):
    candidates, y = table(kind)
    rows = np.random.default_rng(0).uniform(0.1, 2, len(y))
    found = crossfit(
        candidates,
        y,
        decide=greedy(kind),
        row_weights=rows,
        rng=np.random.default_rng(0),
        n_parts=4,
        n_rounds=2,
    )
    for parts, predictions, weights in zip(found.parts, found.predictions, found.weights, strict=True):
        for part in range(4):
            held = parts == part
            expected = greedy(kind)(candidates[:, ~held], y[~held], rows[~held])
            np.testing.assert_allclose(weights[part], expected)
            np.testing.assert_allclose(
                predictions[held], np.tensordot(expected, candidates[:, held], axes=1), rtol=1e-12
            )


def test_parts_keep_groups_whole_and_strata_even():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), 3)
    y = np.repeat(rng.random(100) < 0.2, 3).astype(float)[:, None]
    found = crossfit(rng.random((2, 300, 1)), y, decide=lambda *_: [0.5, 0.5], groups=groups, rng=rng)
    assert found.predictions.shape == (5, 300, 1)
    for parts in found.parts:
        assert all(len(set(parts[groups == g])) == 1 for g in range(100))
        assert set(np.bincount(parts)) == {30}
        positives = np.bincount(parts, weights=y[:, 0])
        assert positives.max() - positives.min() <= 3  # one group
    assert not np.array_equal(found.parts[0], found.parts[1])


def test_group_labels_may_be_text_and_few():
    candidates, y = table("binary")
    groups = np.array(["a", "b", "c", "d"])[np.arange(80) % 4]
    found = crossfit(candidates, y, decide=greedy("binary"), groups=groups, rng=np.random.default_rng(0))
    assert sorted(set(found.parts[0])) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="at least 2 groups, got 1"):
        crossfit(candidates, y, decide=greedy("binary"), groups=np.zeros(80), rng=np.random.default_rng(0))


def test_unequal_groups_fill_parts_evenly():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), rng.integers(1, 9, 200))
    y = rng.normal(size=(len(groups), 1))
    found = crossfit(y[None], y, decide=lambda *_: [1.0], groups=groups, rng=rng, n_rounds=1)
    sizes = np.bincount(found.parts[0])
    assert sizes.max() - sizes.min() <= 8


@pytest.mark.parametrize("kind", KINDS)
def test_integer_weights_are_repeated_rows(kind):
    candidates, y = table(kind)
    counts = np.random.default_rng(0).integers(1, 4, len(y))
    arguments = {"decide": greedy(kind), "n_parts": 5, "n_rounds": 2}
    weighted = crossfit(candidates, y, row_weights=counts, rng=np.random.default_rng(1), **arguments)
    copied = crossfit(
        np.repeat(candidates, counts, axis=1),
        np.repeat(y, counts, axis=0),
        groups=np.repeat(np.arange(len(y)), counts),
        rng=np.random.default_rng(1),
        **arguments,
    )
    np.testing.assert_array_equal(np.repeat(weighted.parts, counts, axis=1), copied.parts)
    np.testing.assert_allclose(weighted.weights, copied.weights)
    loss = loss_name(kind)
    assert weighted.score(y, loss, counts) == pytest.approx(
        copied.score(np.repeat(y, counts, axis=0), loss), rel=1e-10
    )


def test_the_same_seed_gives_the_same_answer():
    candidates, y = table("binary")
    one, two = (
        crossfit(candidates, y, decide=greedy("binary"), rng=np.random.default_rng(4)) for _ in range(2)
    )
    np.testing.assert_array_equal(one.predictions, two.predictions)


def test_one_candidate_keeps_its_own_score():
    candidates, y = table("binary", n_candidates=1)
    found = crossfit(candidates, y, decide=greedy("binary"), rng=np.random.default_rng(0))
    assert found.score(y, "log_loss") == pytest.approx(log_loss(y, candidates[0]), rel=1e-12)


def test_in_time_only_the_past_decides():
    candidates, y = table("regression", n_rows=60)
    rng = np.random.default_rng(0)
    time = rng.integers(0, 20, 60)
    seen = []

    def decide(some, targets, row_weights):
        # rows are recognised by their targets
        seen.append(np.flatnonzero(np.isin(y[:, 0], targets[:, 0])))
        return greedy("regression")(some, targets, row_weights)

    found = crossfit(candidates, y, decide=decide, time=time, rng=rng, n_parts=5)
    assert found.predictions.shape == (1, 60, 2)
    is_scored = found.parts[0] >= 0
    np.testing.assert_array_equal(np.isfinite(found.predictions[0]).all(axis=1), is_scored)
    assert 0.6 <= is_scored.mean() < 1
    for part, rows in zip(sorted(set(found.parts[0][is_scored])), seen, strict=True):
        np.testing.assert_array_equal(rows, np.flatnonzero(time < time[found.parts[0] == part].min()))
    changed = y.copy()
    changed[time == time.max()] += 50
    again = crossfit(candidates, changed, decide=greedy("regression"), time=time, rng=rng, n_parts=5)
    np.testing.assert_array_equal(again.predictions, found.predictions)
    assert np.isfinite(found.score(y, "squared_error"))
    with pytest.raises(ValueError, match="got 1"):
        crossfit(candidates, y, decide=decide, time=np.zeros(60), rng=rng)


def test_optimism_on_noise_is_in_the_sample_only():
    """Targets are coin flips: the true loss of any weights is known exactly."""
    rng = np.random.default_rng(11)
    in_sample, crossfitted = [], []
    for _ in range(60):
        candidates = 1 / (1 + np.exp(-0.7 * rng.normal(size=(40, 100, 1))))
        y = (rng.random((100, 1)) < 0.5).astype(float)

        def true_loss(predictions):
            return -0.5 * (np.log(predictions) + np.log(1 - predictions)).mean()

        weights = greedy("binary", 10)(candidates, y, None)
        mixed = np.tensordot(weights, candidates, axes=1)
        truth = true_loss(mixed)
        in_sample.append(log_loss(y, mixed) - truth)
        found = crossfit(candidates, y, decide=greedy("binary", 10), rng=rng, n_rounds=1)
        crossfitted.append(found.score(y, "log_loss") - truth)
    error = np.std(crossfitted) / np.sqrt(len(crossfitted))
    assert np.mean(in_sample) < -0.03  # much too good
    assert abs(np.mean(crossfitted)) < 4 * error + 0.003
    assert error < 0.006  # so the line above can fail


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_parts": 1},
        {"n_rounds": 0},
        {"groups": np.zeros(3)},
        {"decide": lambda *_: np.ones(2)},
    ],
)
def test_refused_at_the_door(arguments):
    candidates, y = table("binary")
    with pytest.raises(ValueError, match="got"):
        crossfit(candidates, y, **{"decide": greedy("binary"), "rng": np.random.default_rng(0), **arguments})


def test_in_time_a_group_is_never_on_both_sides():
    candidates, y = table("regression", n_rows=60)
    time, groups = np.arange(60), np.arange(60) % 20
    seen = []

    def decide(some, targets, row_weights):
        seen.append(set(groups[np.isin(y[:, 0], targets[:, 0])]))
        return np.full(len(some), 1 / len(some))

    found = crossfit(
        candidates, y, decide=decide, time=time, groups=groups, rng=np.random.default_rng(0), n_parts=6
    )
    for part, used in zip(range(1, 6), seen, strict=True):
        assert used
        assert not used & set(groups[found.parts[0] == part])
