"""Candidate tables for the tests of this folder."""

from __future__ import annotations

import numpy as np

KINDS = ("binary", "multiclass", "multilabel", "regression")


def table(
    kind: str, *, n_candidates: int = 6, n_rows: int = 80, seed: int = 0, noise: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return candidates that know something, each with its own noise, and the targets."""
    rng = np.random.default_rng(seed)
    n_outputs = {"binary": 1, "multiclass": 3, "multilabel": 3, "regression": 2}[kind]
    signal = rng.normal(size=(n_rows, n_outputs))
    errors = rng.normal(size=(n_candidates, n_rows, n_outputs)) * rng.uniform(0.5, 1.5, (n_candidates, 1, 1))
    seen = signal + noise * errors
    if kind == "regression":
        return seen, signal + 0.3 * rng.normal(size=signal.shape)
    if kind == "multiclass":
        odds = np.exp(1.5 * seen)
        y = np.eye(3)[(1.5 * signal + rng.gumbel(size=signal.shape)).argmax(axis=1)]
        return odds / odds.sum(axis=2, keepdims=True), y
    y = (rng.random(signal.shape) < 1 / (1 + np.exp(-1.5 * signal))).astype(float)
    return 1 / (1 + np.exp(-1.5 * seen)), y


def loss_name(kind: str) -> str:
    return "squared_error" if kind == "regression" else "log_loss"


def repeated(candidates: np.ndarray, y: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the table with row i standing counts[i] times."""
    return np.repeat(candidates, counts, axis=1), np.repeat(y, counts, axis=0)
