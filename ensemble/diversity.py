"""How different candidates err, and which of them are nearly the same."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.distance import Range, configuration_distance
from ensemble.losses import Loss, LossName, many_losses_of
from ensemble.table import Floats, check_table, is_one_of_many, is_zero_one


@dataclass(frozen=True)
class Collapsed:
    """Which candidate stands for each.

    Attributes
    ----------
    representative : (n_candidates,) int64
        Index of the candidate that stands for this one; its own where it stays.
    """

    representative: NDArray[np.int64]

    @property
    def keep(self) -> NDArray[np.bool_]:
        """Candidates that stay, `(n_candidates,)` bool."""
        return np.asarray(self.representative == np.arange(len(self.representative)))


def residual_correlation(
    candidates: Floats, y: Floats, row_weights: Floats | None = None
) -> NDArray[np.float64]:
    """Return the correlation of the candidates' residuals, pooled over outputs.

    Residuals are centred for each output and divided by the standard deviation of its targets, so units do
    not matter. Candidates whose residuals do not vary correlate 1 with equal residuals and 0 with others.

    Parameters
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
    y : (n_rows, n_outputs)
    row_weights : (n_rows,), optional

    Returns
    -------
    (n_candidates, n_candidates) float64
        Symmetric, from -1 to 1, ones on the diagonal.
    """
    shares = check_table(candidates, y, row_weights)
    spread = np.sqrt(shares @ (y - shares @ y) ** 2)
    residuals = (np.asarray(candidates, dtype=np.float64) - y) / np.where(spread > 0, spread, 1.0)
    centred = residuals - np.einsum("cro,r->co", residuals, shares)[:, None, :]
    flat = (centred * np.sqrt(shares)[:, None]).reshape(len(centred), -1)
    norms = np.linalg.norm(flat, axis=1)
    # centring leaves rounding behind: what is small against the values is zero
    is_flat = norms <= 1e-9 * np.sqrt(1.0 + (residuals**2).mean(axis=2) @ shares)
    flat = np.where(is_flat[:, None], 0.0, flat / np.where(is_flat, 1.0, norms)[:, None])
    correlation = np.clip(flat @ flat.T, -1.0, 1.0)
    for i in np.flatnonzero(is_flat):
        is_close = np.isclose(residuals, residuals[i]).all(axis=2) | (shares == 0)
        equal = is_flat & is_close.all(axis=1)
        correlation[i, equal] = correlation[equal, i] = 1.0
    np.fill_diagonal(correlation, 1.0)
    return np.asarray(correlation, dtype=np.float64)


def disagreement(candidates: Floats, y: Floats, row_weights: Floats | None = None) -> NDArray[np.float64]:
    """Return the share of rows on which two candidates decide otherwise; over several labels, the mean share.

    Classification only: the most probable class, or, for one output or several labels, above one half.

    Parameters
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
    y : (n_rows, n_outputs)
        Tells classes from labels.
    row_weights : (n_rows,), optional

    Returns
    -------
    (n_candidates, n_candidates) float64
        Symmetric, from 0 to 1, zeros on the diagonal.
    """
    shares = check_table(candidates, y, row_weights)
    decided = _decided(candidates, y)[0]
    rows = [(decided != one).mean(axis=2) @ shares for one in decided]
    return np.array(rows, dtype=np.float64)


def q_statistic(candidates: Floats, y: Floats, row_weights: Floats | None = None) -> NDArray[np.float64]:
    """Return Yule's Q of two candidates being right on the same rows; over labels, all decisions pooled.

    `Q = (N11 N00 - N01 N10) / (N11 N00 + N01 N10)`, with N11 the weight of the decisions on which both are
    right (Kuncheva & Whitaker 2003, "Measures of diversity in classifier ensembles", equation 3). 0 for
    independent errors, 1 where one is never wrong on what the other gets right alone. Classification only.

    Parameters
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
    y : (n_rows, n_outputs)
        Tells classes from labels.
    row_weights : (n_rows,), optional

    Returns
    -------
    (n_candidates, n_candidates) float64
        Symmetric, from -1 to 1, ones on the diagonal; NaN where both products are zero.
    """
    shares = check_table(candidates, y, row_weights)
    decided, truth = _decided(candidates, y)
    is_right = (decided == truth).astype(np.float64).reshape(len(candidates), -1)
    weights = np.repeat(shares, decided.shape[2])
    both = (is_right * weights) @ is_right.T
    neither = ((1.0 - is_right) * weights) @ (1.0 - is_right).T
    one = (is_right * weights) @ (1.0 - is_right).T
    alike, unlike = both * neither, one * one.T
    with np.errstate(invalid="ignore"):
        found = np.where(alike + unlike > 0.0, (alike - unlike) / (alike + unlike), np.nan)
    np.fill_diagonal(found, 1.0)
    return np.asarray(found, dtype=np.float64)


def _decided(candidates: Floats, y: Floats) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return what each candidate decides `(n_candidates, n_rows, n)`, and the truth `(n_rows, n)`."""
    if is_one_of_many(candidates, y):
        return candidates.argmax(axis=2)[:, :, None], y.argmax(axis=1)[:, None]
    return candidates > 0.5, y > 0.5


def ambiguity(candidates: Floats, weights: Floats, row_weights: Floats | None = None) -> float:
    """Return the weighted spread of the candidates around their mix, in squared units of the targets.

    Squared error of the mix = weighted mean squared error of the candidates - ambiguity
    (Krogh & Vedelsby 1995, equation 6).

    Parameters
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
    weights : (n_candidates,)
        Not negative, sum 1.
    row_weights : (n_rows,), optional
    """
    wide = np.asarray(candidates, dtype=np.float64)
    mix = np.tensordot(weights, wide, axes=1)
    shares = check_table(wide, mix, row_weights)
    return float(weights @ (((wide - mix) ** 2).mean(axis=2) @ shares))


@dataclass(frozen=True)
class Decomposition:
    """The squared error of a mix as that of its members, less what their differences save.

    Attributes
    ----------
    ensemble_error : float
        Mean squared error of the mix.
    member_error : float
        Weighted mean of the candidates' mean squared errors.
    ambiguity : float
        Their difference: the gain of the mix over its mean member.
    """

    ensemble_error: float
    member_error: float
    ambiguity: float


def decompose(
    candidates: Floats, y: Floats, weights: Floats, row_weights: Floats | None = None
) -> Decomposition:
    """Return the ambiguity decomposition (Krogh & Vedelsby 1995, equation 6), each part computed by itself.

    Parameters
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
    y : (n_rows, n_outputs)
    weights : (n_candidates,)
        Not negative, sum 1.
    row_weights : (n_rows,), optional
    """
    shares = check_table(candidates, y, row_weights)
    wide = np.asarray(candidates, dtype=np.float64)
    errors = ((wide - y) ** 2).mean(axis=2) @ shares
    mix = np.tensordot(weights, wide, axes=1)
    return Decomposition(
        ensemble_error=float(((mix - y) ** 2).mean(axis=1) @ shares),
        member_error=float(weights @ errors),
        ambiguity=ambiguity(candidates, weights, row_weights),
    )


def diversity_table(
    candidates: Floats,
    y: Floats,
    *,
    row_weights: Floats | None = None,
    names: Sequence[Any] | None = None,
    configs: Sequence[Mapping[str, Any]] | None = None,
    ranges: Mapping[str, Range] | None = None,
) -> dict[str, list[Any]]:
    """Return how every two candidates differ: columns of equal length, ready for `pandas.DataFrame`.

    Parameters
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
    y : (n_rows, n_outputs)
    row_weights : (n_rows,), optional
    names : sequence, optional
        Of the candidates; their indices when absent.
    configs, ranges : optional
        As for `configuration_distance`.

    Returns
    -------
    dict
        "first", "second", "residual_correlation"; with targets of 0 and 1 "disagreement" and "q_statistic";
        with configurations "configuration_distance". One entry for each pair.
    """
    labels = list(range(len(candidates))) if names is None else list(names)
    if len(labels) != len(candidates):
        raise ValueError(f"names must be one per candidate ({len(candidates)}), got {len(labels)}")
    if configs is not None and len(configs) != len(candidates):
        raise ValueError(f"configs must be one per candidate ({len(candidates)}), got {len(configs)}")
    measures = {"residual_correlation": residual_correlation(candidates, y, row_weights)}
    if is_zero_one(y):
        measures["disagreement"] = disagreement(candidates, y, row_weights)
        measures["q_statistic"] = q_statistic(candidates, y, row_weights)
    if configs is not None:
        measures["configuration_distance"] = configuration_distance(configs, ranges)
    first, second = np.triu_indices(len(candidates), k=1)
    table: dict[str, list[Any]] = {
        "first": [labels[i] for i in first],
        "second": [labels[i] for i in second],
    }
    return table | {name: values[first, second].tolist() for name, values in measures.items()}


def collapse(
    candidates: Floats,
    architectures: Sequence[Hashable],
    *,
    y: Floats,
    threshold: float = 0.98,
    row_weights: Floats | None = None,
    loss: Loss | LossName = "squared_error",
) -> Collapsed:
    """Let near-identical candidates count as one: same architecture, correlated residuals.

    Candidates are visited from the lowest loss on (equal losses by index); each either stays or is
    represented by the best one already kept that it nearly equals: residuals that correlate above the
    threshold. So the better stays, and no chain joins unlike ends.

    Parameters
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
    architectures : sequence of hashable
        One for each candidate.
    y : (n_rows, n_outputs)
    threshold : float
        From -1 to 1.
    row_weights : (n_rows,), optional
    loss : function or {"log_loss", "squared_error"}
        Which of two is better.

    Raises
    ------
    ValueError
        When the number of architectures or the threshold breaks a rule above.
    """
    if len(architectures) != len(candidates):
        raise ValueError(
            f"architectures must be one per candidate ({len(candidates)}), got {len(architectures)}"
        )
    if not -1.0 <= threshold <= 1.0:
        raise ValueError(f"threshold must lie between -1 and 1, got {threshold}")
    alike = residual_correlation(candidates, y, row_weights) > threshold
    losses = many_losses_of(loss)(y, candidates, row_weights)
    representative = np.arange(len(candidates), dtype=np.int64)
    kept: list[int] = []
    for i in np.argsort(losses, kind="stable"):
        twins = [k for k in kept if alike[i, k] and architectures[i] == architectures[k]]
        representative[i] = twins[0] if twins else i
        if not twins:
            kept.append(int(i))
    return Collapsed(representative)
