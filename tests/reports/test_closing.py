"""The closing paragraph says what the records say, and no more."""

from pathlib import Path

import pytest

from reports.closing import closing
from search.records import Run
from tests.reports.runs import finished


def grown(run: Run, losses: list[float], sign: float = 1.0) -> Run:
    """With the honest scores of the ensemble after 3, 6, 12, 24 trials."""
    points = [{"n_trials": 3 * 2**i, "ensemble_honest": sign * loss} for i, loss in enumerate(losses)]
    run.save_json("growth.json", points)
    return run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = finished(tmp_path / "run", n_trials=24)
    summary = run.load_json("summary.json")
    summary["ensemble"] = {
        "score": 0.40, "low": 0.35, "high": 0.52, "in_sample_score": 0.33,
        "members": [
            {"trial": 0, "family": "mlp", "weight": 0.5}, {"trial": 1, "family": "boosting", "weight": 0.3},
            {"trial": 2, "family": "mlp", "weight": 0.2},
        ],
        "difference": {"mean": -0.02, "low": -0.03, "high": -0.01},
    }  # fmt: skip
    run.save_json("summary.json", summary)
    return run


def test_what_was_found_and_how_sure_it_is(run: Run) -> None:
    text = closing(run)
    assert "an ensemble of 3 trials (mlp 70%, boosting 30%) that scores log_loss 0.4" in text
    assert "0.3 better than guessing (0.7) and 0.1 better than the linear model (0.5)" in text
    assert "95 % between 0.35 and 0.52, which includes the score of the linear model" in text
    assert "it scores 0.33, 0.07 too good to be believed" in text
    assert "better than the best single trial by more than noise" in text


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ([0.60, 0.55, 0.50, 0.45], "more trials are likely to help"),
        ([0.60, 0.45, 0.4005, 0.4004], "unlikely to help by more than can be seen"),
        ([0.40, 0.40, 0.40, 0.40], "stood still"),
        ([0.38, 0.39, 0.40, 0.41], "more trials are unlikely to help"),
    ],
)
def test_the_outlook_follows_the_growth(run: Run, losses: list[float], said: str) -> None:
    assert said in closing(grown(run, losses))


def test_higher_is_better_is_turned_round(tmp_path: Path) -> None:
    run = grown(finished(tmp_path / "r", metric="accuracy", n_trials=24), [0.6, 0.7, 0.8, 0.9])
    text = closing(run)
    assert "got better by" in text and "more trials are likely to help" in text


def test_few_trials_are_too_few(run: Run) -> None:
    run.save_json("growth.json", [{"n_trials": 5, "ensemble_honest": 0.4}])
    assert "5 trials are too few to tell" in closing(run)


def test_by_hand(run: Run) -> None:
    """A line in the logarithm: 0.05 for each doubling, and log2(24 / 16) of that over the last third."""
    text = closing(grown(run, [0.60, 0.55, 0.50, 0.45]))
    assert "got better by 0.029 log_loss over the last third of 24 trials" in text
    assert "would bring 0.05 for twice as many" in text


def test_a_worse_ensemble_is_not_praised(run: Run) -> None:
    summary = run.load_json("summary.json")
    summary["ensemble"]["difference"] = {"mean": 0.02, "low": 0.01, "high": 0.03}
    run.save_json("summary.json", summary)
    assert "It is worse than the best single trial by more than noise: use that one." in closing(run)


def test_a_tiny_member_is_not_nothing(run: Run) -> None:
    summary = run.load_json("summary.json")
    members = [
        {"trial": 0, "family": "mlp", "weight": 0.998},
        {"trial": 1, "family": "linear", "weight": 0.002},
    ]
    summary["ensemble"]["members"] = members
    run.save_json("summary.json", summary)
    assert "(mlp 100%, linear <1%)" in closing(run)


def test_nothing_found(interrupted: Run) -> None:
    assert closing(interrupted).startswith(
        "Nothing was found: 5 trials ended without a valid model, 1 of them"
    )
