"""What a report shows of a finished study beyond its trials and scores, computed once and kept in the run.

targets.npz      y and, where rows count differently, row_weights, of the development rows
columns.json     what the columns hold                 hardware.json   the machine
members.json     greedy curve, and each member left out
growth.json      honest and printed scores as the trials came
importance.json  permutation importance of the ensemble, out of fold
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble import select
from ensemble.calibration import Calibration
from reports.growth import growth
from reports.history import History
from reports.replay import Lines, Rule
from reports.scoring import losses
from search.assembly import CandidateTable, Choice
from search.columns import summaries
from search.combination import Combiner
from search.data import Dataset
from search.hardware import hardware
from search.metrics import Metric
from search.permutation import Shuffled, parts_of, shuffle_columns
from search.preparation import Prepared
from search.records import Run, Trial
from search.training.context import context, started
from search.training.recipe import Recipe

Array = NDArray[Any]
N_DRAWS = 200
MOST_WEIGHTS = 16_000_000  # row weights at a time
SECONDS_FOR_IMPORTANCE = 60.0
N_ROUNDS = 25


def write_evidence(
    run: Run,
    prepared: Prepared,
    table: CandidateTable,
    choice: Choice,
    combiner: Combiner,
    history: History,
    recipe: Recipe,
) -> None:
    """Write all files of this module into the run. Members' models must be in `weights/`."""
    dataset = prepared.dataset
    replayed, _, first, second = prepared.seeds.rng("crossfit").spawn(4)  # the first two replay the study
    weights = {} if dataset.row_weights is None else {"row_weights": dataset.row_weights}
    run.save_arrays("targets.npz", {"y": dataset.y, **weights})
    run.save_json("columns.json", summaries(dataset.schema, dataset.table))
    run.save_json("hardware.json", hardware())
    run.save_json("members.json", members(table, choice, combiner, first))
    rule = _settled(combiner.rule(recipe), combiner, choice)
    run.save_json("growth.json", growth(history, rule, rng=replayed))
    run.save_json("importance.json", importance(run, prepared, table, choice, second))


def _settled(rule: Rule, combiner: Combiner, choice: Choice) -> Rule:
    """The rule with the method that was chosen, and without the choice of a calibration: much faster."""
    weigh = partial(combiner.weigh, method=choice.method)
    known = choice.calibration
    calibrate = rule.calibrate
    if calibrate is not None and (known is None or known.method == "none"):
        calibrate = None
    elif calibrate is not None and known is not None:
        calibrate = partial(_same_calibration, combiner, known.method)
    return replace(rule, choose_method=None, choose_members=weigh, calibrate=calibrate)


def _same_calibration(combiner: Combiner, kind: str, lines: Lines, predictions: Array, _: Any) -> Calibration:
    return combiner.calibrate(lines, predictions, kind)


def members(
    table: CandidateTable, choice: Choice, combiner: Combiner, rng: np.random.Generator
) -> dict[str, Any]:
    """The greedy curve over all candidates, and what the chosen ensemble loses with each member.

    All scores are on the rows that chose (too good), without calibration. A member left out: the weights of
    the others grow in proportion; `loss_increase` has a 95 % bootstrap interval over rows.
    """
    chosen = np.flatnonzero(choice.weights)
    full = np.tensordot(choice.weights, table.predictions, axes=1)
    left = [i for i in chosen if choice.weights[i] < 1.0]
    without = [_without(table, choice.weights, i) for i in left]
    changes = _changes(combiner.metric, table.y, full, without, table.row_weights, table.units, rng)
    return {
        "method": choice.method,
        "score": table.score(combiner.metric, full),
        "greedy": _greedy_curve(table, combiner),
        "left_out": [
            {"trial": table.trials[i].number, "weight": float(choice.weights[i]), **change}
            for i, change in zip(left, changes, strict=True)
        ],
    }


def _without(table: CandidateTable, weights: Array, left: Any) -> Array:
    others = np.where(np.arange(len(weights)) == left, 0.0, weights)
    mixed: Array = np.tensordot(others / others.sum(), table.predictions, axes=1)
    return mixed


def _greedy_curve(table: CandidateTable, combiner: Combiner) -> dict[str, Any]:
    """The trial picked in each round, and the score after it."""
    lines = table.lines
    found = select(
        lines.candidates, lines.y, loss=combiner.loss, row_weights=lines.row_weights, n_rounds=N_ROUNDS
    )
    total, scores = np.zeros_like(table.predictions[0]), []
    for n, pick in enumerate(found.path, start=1):
        total = total + table.predictions[pick]
        scores.append(table.score(combiner.metric, total / n))
    return {"path": [table.trials[i].number for i in found.path], "scores": scores, "n_kept": found.n_kept}


def _changes(
    metric: Metric,
    y: Array,
    plain: Array,
    others: Sequence[Array],
    row_weights: Array,
    units: Array,
    rng: np.random.Generator,
) -> list[dict[str, float]]:
    """How much worse other predictions are, as loss, with a bootstrap over units."""
    if not len(others):
        return []
    codes = np.unique(units, return_inverse=True)[1]
    n_units = int(codes.max()) + 1
    tables = np.stack([plain, *others])
    n_at_once = max(1, MOST_WEIGHTS // len(y))
    found: list[Array] = []
    weights: Array = np.ones((1, len(y)))
    for start in range(0, N_DRAWS, n_at_once):
        n = min(n_at_once, N_DRAWS - start)
        counts = rng.multinomial(n_units, np.full(n_units, 1 / n_units), n)[:, codes]
        weights = np.vstack([weights, counts]) if start == 0 else counts
        found.append(losses(metric, y, tables, weights * row_weights))
    at_all = np.concatenate(found, axis=1)
    changes = at_all[1:] - at_all[0]
    ends = _quantiles(changes[:, 1:])
    return [
        {"loss_increase": float(change[0]), "low": float(low), "high": float(high)}
        for change, low, high in zip(changes, *ends, strict=True)
    ]


def _quantiles(values: Array) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a score that no draw defines has no interval
        return np.asarray(np.nanquantile(values, (0.025, 0.975), axis=1))


def importance(
    run: Run, prepared: Prepared, table: CandidateTable, choice: Choice, rng: np.random.Generator
) -> dict[str, Any]:
    """Permutation importance of the ensemble on rows that its models did not learn from, first repeat.

    Computed in a process of its own, as models may need TensorFlow. Where that does not work out, `reason`
    says why.
    """
    chosen = [(t, float(w)) for t, w in zip(table.trials, choice.weights, strict=True) if w > 0]
    missing = [t.number for t, _ in chosen if not run.has(f"weights/{t.number:05d}.npz")]
    if missing:
        return {"reason": f"the models of trial {missing[0]} were too large to be kept", "columns": []}
    n_splits, units = prepared.folds.n_splits, prepared.folds.units
    held = [member.held for member in prepared.folds.members()[:n_splits]]
    found = _in_a_child(run, chosen, prepared.dataset, held, choice.calibration, int(rng.integers(2**31)))
    if isinstance(found, str):
        return {"reason": found, "columns": []}
    dataset, rows = prepared.dataset, found.rows
    weights = np.ones(len(rows)) if dataset.row_weights is None else dataset.row_weights[rows]
    return _importance(
        found, prepared.metric, dataset.y[rows], weights, rows if units is None else units[rows], rng
    )


def _importance(
    found: Shuffled, metric: Metric, y: Array, weights: Array, units: Array, rng: np.random.Generator
) -> dict[str, Any]:
    """The increase of the loss by each column, averaged over permutations, the largest first."""
    n_permutations, n_parts = found.permuted.shape[:2]
    flat = found.permuted.reshape(-1, *y.shape)
    by_table = _changes(metric, y, found.plain, list(flat), weights, units, rng)
    columns: list[dict[str, Any]] = []
    for i, part in enumerate(found.parts):
        own = by_table[i::n_parts]
        means = {
            name: float(np.mean([one[name] for one in own])) for name in ("loss_increase", "low", "high")
        }
        columns.append({"column": part.name, **means})
    columns.sort(key=lambda one: -one["loss_increase"])
    base = float(losses(metric, y, found.plain[None], weights[None])[0, 0])
    return {
        "metric": metric.name,
        "score": -base if metric.is_higher_better else base,
        "n_rows": len(y),
        "n_permutations": n_permutations,
        "n_left_out": found.n_left_out,
        "columns": columns,
    }


def _in_a_child(
    run: Run,
    chosen: Sequence[tuple[Trial, float]],
    dataset: Dataset,
    held: Sequence[Array],
    calibration: Calibration | None,
    seed: int,
) -> Shuffled | str:
    """Shuffle columns in a child process; the result, or why there is none."""
    ours, theirs = context().Pipe()
    members = [(run.weights(trial.number), weight) for trial, weight in chosen]
    child: Any = started(_serve, theirs, members, dataset.schema, dataset.table, held, calibration, seed)
    theirs.close()
    try:
        if not ours.poll(SECONDS_FOR_IMPORTANCE):
            return f"it took more than {SECONDS_FOR_IMPORTANCE:.0f} seconds"
        found: Shuffled | str = ours.recv()
        return found
    except (EOFError, OSError):
        return "its process died: out of memory?"
    finally:
        ours.close()
        child.terminate()
        child.join(5)


def _serve(
    pipe: Any,
    members: Sequence[tuple[dict[str, Array], float]],
    schema: Any,
    table: Any,
    held: Sequence[Array],
    calibration: Calibration | None,
    seed: int,
) -> None:
    """The child: predict with the members' fold models, and send what came of it."""
    try:
        predict = _predictor(members, calibration)
        rng = np.random.default_rng(seed)
        pipe.send(shuffle_columns(predict, table, held, parts_of(schema), n_models=len(members), rng=rng))
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")


def _predictor(members: Sequence[tuple[dict[str, Array], float]], calibration: Calibration | None) -> Any:
    """The ensemble as the models of one fold make it."""
    from ensemble.evaluation import program_of

    programs: dict[str, Any] = {}
    for arrays, _ in members:
        architecture = str(arrays["architecture"])
        if architecture not in programs:
            programs[architecture] = program_of(architecture)

    own = [{name: values for name, values in arrays.items()} for arrays, _ in members]
    names = [sorted(name for name in arrays if name.startswith("weight_")) for arrays in own]
    kept: dict[tuple[int, int], list[Array]] = {}

    def weights_of(member: int, fold: int) -> list[Array]:
        """The same arrays each time: a program that read a model keeps it."""
        if (member, fold) not in kept:
            kept[member, fold] = [own[member][name][fold : fold + 1] for name in names[member]]
        return kept[member, fold]

    def predict(fold: int, table: Any) -> Array:
        total: Any = 0.0
        inputs = {"numbers": table.numbers, "codes": table.codes}
        for i, (arrays, weight) in enumerate(members):
            outputs = programs[str(arrays["architecture"])](weights_of(i, fold), inputs)[0]
            total = total + weight * (outputs * arrays["target_scale"][fold] + arrays["target_center"][fold])
        return np.asarray(total if calibration is None else calibration.apply(total), np.float64)

    return predict
