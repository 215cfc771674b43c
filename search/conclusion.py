"""The end of a study: winner, members and weights are chosen, entered, scored honestly and written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ensemble.model import Candidate
from reports.estimates import Honest
from reports.history import History
from reports.leakage import accounts
from reports.leakage import write as write_accounts
from search import assembly
from search.combination import Combiner, calibration_nats, nats_of
from search.config import StudyConfig
from search.evidence import write_evidence
from search.ledger import Event, Ledger, of_best_of
from search.objective import Objective
from search.preparation import Prepared
from search.records import Run, Trial
from search.splits import Folds
from search.training.recipe import Recipe
from search.training.trained import TrainingFailed
from spaces.threads import limited


@limited(1)  # decisions are made in two threads: with two more of BLAS in each they wait for each other
def conclude(
    run: Run,
    ledger: Ledger,
    config: StudyConfig,
    prepared: Prepared,
    combiner: Combiner,
    objective: Objective,
    completed: Sequence[Trial],
    summary: dict[str, Any],
    *,
    needs_evidence: bool,
) -> None:
    """Choose winner, members and weights, enter them in the ledger, write the ensemble and what it scores.

    Parameters
    ----------
    completed
        At least one trial.
    summary
        What the run's summary says so far; winner and ensemble are added.
    needs_evidence
        Whether the files are written that only the report's pictures need; they cost some seconds.
    """
    dataset, metric = prepared.dataset, prepared.metric
    table = assembly.candidate_table(run, dataset, prepared.folds, completed, metric)
    choice = assembly.choose(table, combiner)
    members = [(t, float(w)) for t, w in zip(table.trials, choice.weights, strict=True) if w > 0]
    _enter_choice(ledger, prepared.folds, dataset.n_rows, table, choice, members)
    pairs, gain = assembly.diversity(table, choice)
    run.save_json("diversity.json", {"pairs": pairs, "decomposition": gain})
    history, honest = _reckon(run, config, prepared, combiner, objective.defaults)
    winner = table.trials[0]
    summary["best_single"] = {
        "trial": winner.number, "score": winner.score, "crossfit_score": honest.winner.honest,
        "low": honest.winner.low, "high": honest.winner.high,
    }  # fmt: skip
    summary["ensemble"] = {
        "score": honest.ensemble.honest,
        "low": honest.ensemble.low,
        "high": honest.ensemble.high,
        "in_sample_score": honest.ensemble.printed,
        "members": [{"trial": t.number, "family": t.family, "weight": weight} for t, weight in members],
        "method": choice.method,
        "method_losses": choice.losses,
        "baseline_losses": choice.baselines,
        "calibration": None if choice.calibration is None else choice.calibration.to_json(),
        "final": config.final,
        "n_distinct": choice.n_distinct,
        "difference": honest.difference.to_json(),
    }
    candidates, summary["ensemble"]["final"] = _final(run, config, prepared, objective, members)
    facts = {"metric": metric.name, **summary["ensemble"]}
    assembly.save_ensemble(run, dataset, candidates, choice.calibration, facts)
    if needs_evidence:
        write_evidence(run, prepared, table, choice, combiner, history, objective.defaults)


def _final(
    run: Run,
    config: StudyConfig,
    prepared: Prepared,
    objective: Objective,
    members: Sequence[tuple[Trial, float]],
) -> tuple[list[Candidate], str]:
    """The members' fold models, or the members trained again on all rows; which of the two, if that fails."""
    trials, dataset = [trial for trial, _ in members], prepared.dataset
    if config.final == "bag":
        assembly.restore(run, dataset, objective, trials)
        return assembly.bagged(run, members), "bag"
    n_models = max(1, prepared.folds.n_repeats)
    try:
        return assembly.refitted(dataset, objective, members, n_models), "refit"
    except TrainingFailed as failure:
        assembly.restore(run, dataset, objective, trials)
        return assembly.bagged(run, members), f"bag, because the refit failed: {failure}"


def combiner_of(config: StudyConfig, prepared: Prepared) -> Combiner:
    """How a study makes its ensemble."""
    seed = prepared.seeds.number("methods")
    return Combiner(prepared.metric, config.ensemble, config.calibration, seed)


def _reckon(
    run: Run, config: StudyConfig, prepared: Prepared, combiner: Combiner, recipe: Recipe
) -> tuple[History, Honest]:
    """Replay the study, draw up the leak accounts and write them into the run."""
    folds, first, second = prepared.folds, *prepared.seeds.rng("crossfit").spawn(2)
    history, honest = assembly.replay(
        run,
        prepared.dataset,
        folds,
        combiner,
        recipe,
        rng=first,
        n_draws=config.draws,
    )
    found = accounts(history, prepared.metric, honest, run.events(), folds.fold_of_row, second)
    write_accounts(run, found, honest)
    return history, honest


def _enter_choice(
    ledger: Ledger,
    folds: Folds,
    n_rows: int,
    table: assembly.CandidateTable,
    choice: assembly.Choice,
    members: Sequence[tuple[Trial, float]],
) -> None:
    n, scores = len(table.trials), [trial.score or 0.0 for trial in table.trials]
    shared = {"trial": None, "repeats": folds.n_repeats, "folds": folds.n_splits, "rows": n_rows}
    ledger.enter(
        Event(
            stage="winner", alternatives=n, nats=of_best_of(n),
            apparent_gain=scores[0] - float(np.mean(scores)),
            chosen=f"trial {table.trials[0].number}", **shared,  # type: ignore[arg-type]
        )
    )  # fmt: skip
    n_members, known = len(members), choice.calibration
    if choice.losses:
        ledger.enter(
            Event(
                stage="method", alternatives=len(choice.losses), nats=of_best_of(len(choice.losses)),
                apparent_gain=None, chosen=choice.method, **shared,  # type: ignore[arg-type]
            )
        )  # fmt: skip
    ledger.enter(
        Event(
            stage="members", alternatives=choice.n_distinct,
            nats=nats_of(choice.method, choice.n_distinct, n_members, n_rows),
            apparent_gain=choice.in_sample_score - scores[0],
            chosen=", ".join(f"trial {trial.number} ({weight:.2f})" for trial, weight in members),
            **shared,  # type: ignore[arg-type]
        )
    )  # fmt: skip
    if known is not None:
        ledger.enter(
            Event(
                stage="calibration", alternatives=max(1, len(known.losses)),
                nats=calibration_nats(known, n_rows),
                apparent_gain=None, chosen=known.method, **shared,  # type: ignore[arg-type]
            )
        )  # fmt: skip
