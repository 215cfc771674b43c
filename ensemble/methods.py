"""The ways to weigh candidates, and the choice among them by losses on rows that did not decide."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.bagging import select_bagged
from ensemble.crossfit import codes_of, parts_of
from ensemble.diverse import select_diverse
from ensemble.losses import Loss, LossName, likelihoods, loss_of, many_losses_of, row_losses
from ensemble.preference import ONE_ERROR, prefer
from ensemble.selection import first_best, select
from ensemble.table import Floats, check_table, is_one_of_many, shares
from ensemble.weights import weigh

N_UNIFORM = 10
NAMED = ("log_loss", "squared_error")  # what can be computed row by row, and optimised exactly


@dataclass(frozen=True, eq=False)
class Pool:
    """Candidates to be weighed, and what is known of them.

    Attributes
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
        Out-of-fold predictions, finite.
    y : (n_rows, n_outputs)
    loss : function or {"log_loss", "squared_error"}
        Lower is better.
    row_weights : (n_rows,), optional
        An integer weight counts as that many copies of the row.
    families, architectures : sequence of hashable
        One for each candidate; absent, all are of one family, and each has its own architecture.
    """

    candidates: Floats
    y: Floats
    loss: Loss | LossName
    row_weights: Floats | None = None
    families: Sequence[Hashable] = ()
    architectures: Sequence[Hashable] = ()

    def __post_init__(self) -> None:
        for name, given in (("families", self.families), ("architectures", self.architectures)):
            if len(given) not in (0, len(self.candidates)):
                raise ValueError(
                    f"{name} must be one per candidate ({len(self.candidates)}), got {len(given)}"
                )

    @property
    def n_candidates(self) -> int:
        """Number of candidates."""
        return len(self.candidates)


@dataclass(frozen=True, eq=False)
class Choice:
    """Which method weighs the candidates, and what each was worth on rows that did not decide.

    Attributes
    ----------
    method : str
    weights : (n_candidates,) float64
        Of that method on all rows; sum 1.
    losses : dict
        Cross-fitted loss of each method; the chosen one's is slightly too good to be reported.
    n_alternatives : int
        Methods compared.
    """

    method: str
    weights: NDArray[np.float64]
    losses: dict[str, float]
    n_alternatives: int


Method = Callable[[Pool], NDArray[np.float64]]
"""`method(pool) -> weights (n_candidates,)`, not negative, sum 1."""


def diverse(pool: Pool) -> NDArray[np.float64]:
    """Weigh by `select_diverse`."""
    return select_diverse(
        pool.candidates,
        pool.y,
        loss=pool.loss,
        row_weights=pool.row_weights,
        families=pool.families,
        architectures=pool.architectures,
    ).weights


def bagged(pool: Pool) -> NDArray[np.float64]:
    """Weigh by `select_bagged`."""
    return select_bagged(pool.candidates, pool.y, loss=pool.loss, row_weights=pool.row_weights)


def greedy(pool: Pool) -> NDArray[np.float64]:
    """Weigh by `select`."""
    return select(pool.candidates, pool.y, loss=pool.loss, row_weights=pool.row_weights).weights


def convex(pool: Pool) -> NDArray[np.float64]:
    """Weigh by `weigh`; log loss and squared error alone."""
    loss: Any = pool.loss
    return weigh(pool.candidates, pool.y, loss=loss, row_weights=pool.row_weights)


def uniform(pool: Pool) -> NDArray[np.float64]:
    """Weigh the ten candidates of lowest loss alike (all, where there are fewer)."""
    best = np.argsort(_losses(pool), kind="stable")[:N_UNIFORM]
    weights = np.zeros(pool.n_candidates)
    weights[best] = 1.0 / len(best)
    return weights


def best(pool: Pool) -> NDArray[np.float64]:
    """Give all weight to the candidate of lowest loss."""
    weights = np.zeros(pool.n_candidates)
    weights[first_best(_losses(pool))] = 1.0
    return weights


METHODS: Mapping[str, Method] = {
    "greedy": greedy,
    "diverse": diverse,
    "convex": convex,
    "bagged": bagged,
    "uniform": uniform,
    "best": best,
}

COMPARED = ("greedy", "diverse", "convex")
"""What `choose_method` compares unless told otherwise, in the order of preference.

With few rows the others are chosen by luck: on real predictions a choice among all six cost up to a fifth.
"""


def available(loss: Loss | LossName) -> tuple[str, ...]:
    """Return the methods for a loss: all, without "convex" where the loss is a function."""
    return tuple(name for name in METHODS if name != "convex" or loss in NAMED)


def choose_method(
    pool: Pool,
    *,
    groups: NDArray[Any] | None = None,
    time: NDArray[Any] | None = None,
    n_parts: int = 4,
    methods: Sequence[str] | None = None,
    seed: int = 0,
    n_errors: float = ONE_ERROR,
) -> Choice:
    """Choose the method with the lowest cross-fitted loss, or an earlier one that is as good up to luck.

    Each method decides on all parts of the rows but one and is scored on that one. Among methods that are
    within a paired standard error of the lowest loss the earliest is taken. For a loss that is a function,
    the standard error is that of the differences between parts.

    Parameters
    ----------
    pool : Pool
    groups : (n_rows,), optional
        Rows of one group are never on both sides: the original row, where repeats are laid out as rows.
    time : (n_rows,), optional
        Sort key: each part is then scored by decisions from the rows before it.
    n_parts : int
        At least 2.
    methods : sequence of str, optional
        In the order of preference; those of `COMPARED` that are `available` when absent.
    seed : int
        Of the parts.
    n_errors : float
        Standard errors that an earlier method may be worse.

    Raises
    ------
    ValueError
        When an argument breaks a rule above.
    """
    names = _checked(methods, pool.loss)
    base, labels, times = _counted(pool, groups, time)
    if len(names) == 1 or pool.n_candidates == 1:
        return Choice(names[0], METHODS[names[0]](base), {}, len(names))
    parts = parts_of(
        base.y,
        rng=np.random.default_rng(seed),
        groups=labels,
        row_weights=base.row_weights,
        n_parts=n_parts,
        n_rounds=1,
        time=times,
    )[0]
    base = of_likelihoods(base)
    decided = _decided(base, names, parts, labels, is_in_time=times is not None)
    losses, weights, units = _scored(base, decided, parts, labels)
    chosen = names[prefer(losses, weights, units, n_errors=n_errors)]
    found = dict(zip(names, (losses @ weights).tolist(), strict=True))
    return Choice(chosen, METHODS[chosen](base), found, len(names))


def of_likelihoods(pool: Pool) -> Pool:
    """Return an equivalent pool that is smaller, where a log loss looks at one class of each row alone."""
    if pool.loss != "log_loss" or not is_one_of_many(pool.candidates, pool.y):
        return pool
    events, _ = likelihoods(pool.candidates, pool.y, np.ones(len(pool.y)))
    return replace(pool, candidates=events[:, :, None], y=np.ones((len(pool.y), 1)))


def of_moments(factors: Sequence[NDArray[np.float64]], pool: Pool) -> Pool:
    """Return a pool with the squared errors of the rows that gave the factors, in one row per candidate."""
    total = np.asarray(np.linalg.qr(np.concatenate(factors), mode="r"))
    candidates = total.T[:, :, None] * np.sqrt(len(total))
    return replace(pool, candidates=candidates, y=np.zeros((len(total), 1)), row_weights=None)


def _checked(methods: Sequence[str] | None, loss: Loss | LossName) -> tuple[str, ...]:
    loss_of(loss)
    known = available(loss)
    names = tuple(name for name in COMPARED if name in known) if methods is None else tuple(methods)
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        raise ValueError(f"methods for this loss must be some of {', '.join(known)}, got {names}")
    return names


def _counted(
    pool: Pool, groups: NDArray[Any] | None, time: NDArray[Any] | None
) -> tuple[Pool, NDArray[np.int64], NDArray[np.int64] | None]:
    """Return the rows that count at all, their groups and their times."""
    counts = check_table(pool.candidates, pool.y, pool.row_weights) > 0.0
    labels = codes_of(groups, len(pool.y), "groups")
    times = None if time is None else codes_of(time, len(pool.y), "time")
    if counts.all():
        return pool, labels, times
    return _rows(pool, counts), labels[counts], None if times is None else times[counts]


def _rows(pool: Pool, rows: NDArray[np.bool_]) -> Pool:
    row_weights = None if pool.row_weights is None else pool.row_weights[rows]
    return replace(pool, candidates=pool.candidates[:, rows], y=pool.y[rows], row_weights=row_weights)


def _decided(
    pool: Pool, names: Sequence[str], parts: NDArray[np.int64], labels: NDArray[np.int64], *, is_in_time: bool
) -> NDArray[np.float64]:
    """Return the weights by every method for each part, from the others `(n_parts, n_methods, n_candidates)`.

    In time from the earlier ones, and NaN for the first.
    """
    n_parts = int(parts.max()) + 1
    found = np.full((n_parts, len(names), pool.n_candidates), np.nan)
    factors = _factors(pool, parts) if pool.loss == "squared_error" and not is_in_time else []
    for part in range(1 if is_in_time else 0, n_parts):
        if factors:
            others = of_moments([*factors[:part], *factors[part + 1 :]], pool)
        elif is_in_time:
            others = _rows(pool, (parts < part) & ~np.isin(labels, labels[parts == part]))
        else:
            others = _rows(pool, parts != part)
        found[part] = [METHODS[name](others) for name in names]
    return found


def _factors(pool: Pool, parts: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    """Return for each part what its squared errors are made of: the R of a QR of its weighted residuals."""
    roots = np.sqrt(shares(pool.row_weights, len(pool.y)) / pool.y.shape[1])
    found = []
    for part in range(int(parts.max()) + 1):
        rows = parts == part
        residuals = np.asarray(pool.candidates[:, rows], dtype=np.float64) - pool.y[rows]
        columns = (residuals * roots[rows, None]).reshape(len(residuals), -1).T
        found.append(np.asarray(np.linalg.qr(columns, mode="r")))
    return found


def _scored(
    pool: Pool, decided: NDArray[np.float64], parts: NDArray[np.int64], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return losses `(n_methods, n)`, shares and units, row by row or (loss a function) part by part."""
    places = np.flatnonzero(~np.isnan(decided[:, 0, 0]))
    losses, masses, units = [], [], []
    for part in places:
        rows = parts == part
        mixes = np.tensordot(decided[part], pool.candidates[:, rows], axes=1)
        y = pool.y[rows]
        row_weights = None if pool.row_weights is None else pool.row_weights[rows]
        mass = np.ones(len(y)) if row_weights is None else np.asarray(row_weights, dtype=np.float64)
        if isinstance(pool.loss, str):
            losses.append(np.stack([row_losses(y, mix, pool.loss) for mix in mixes]))
            masses.append(mass)
            units.append(labels[rows])
        else:
            losses.append(many_losses_of(pool.loss)(y, mixes, row_weights)[:, None])
            masses.append(mass.sum(keepdims=True))
            units.append(np.array([part], dtype=np.int64))
    total = np.concatenate(masses)
    return np.concatenate(losses, axis=1), total / total.sum(), np.concatenate(units)


def _losses(pool: Pool) -> NDArray[np.float64]:
    """Return the loss of each candidate, `(n_candidates,)`; infinite where it is not a number."""
    found = many_losses_of(pool.loss)(pool.y, pool.candidates, pool.row_weights)
    if not np.isfinite(found).any():
        raise ValueError(f"a candidate must have a finite loss, got none among {len(found)}")
    return np.where(np.isnan(found), np.inf, found)
