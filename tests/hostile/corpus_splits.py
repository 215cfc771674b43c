"""Times, weights, groups, splits and inputs that do not fit their table."""

# ruff: noqa: E501 - a case is a line
from __future__ import annotations

import numpy as np

from tests.hostile.corpus_tables import Y, column, flags

SPLITS = (
    column("times in several formats", ["2024-01-31", "31.01.2024", "Jan 31"] * 20, "one format",
           "--time-column", "t", of="t"),
    column("times missing", ["2024-01-31", ""] * 30, "every row needs a time; 30 have none", "--time-column",
           "t", of="t"),
    column("times without sense", ["soon", "later"] * 30, "one format", "--time-column", "t", of="t"),
    column("infinite times", ["1", "inf"] * 30, "finite time", "--time-column", "t", of="t"),
    column("huge whole times", [2**63 + i for i in range(60)], "", "--time-column", "t", of="t"),
    column("times beyond 64 bits", [2**70 + i * 2**60 for i in range(60)], "", "--time-column", "t", of="t"),
    column("times out of range", ["9999-12-31", "0001-01-01"] * 30, "", "--time-column", "t",
           "--splits", "1", of="t"),
    column("one time", 1, "different times", "--time-column", "t", of="t"),
    column("times that steer", ["\x1b[31m", "2024-01-01"] * 30, r"'\x1b[31m'", "--time-column", "t", of="t"),
    column("long times", ["u" * 100_000, "v"] * 30, "one format", "--time-column", "t", of="t"),
    flags("repeats in time", "repeats must be 1", *Y, "--time-column", "t", "--repeats", "2"),
    column("negative weights", [1.0, -1.0] * 30, "at least 0 and one above, got -1", "--weights", "w", of="w"),
    column("missing weights", [1.0, np.nan] * 30, "got nan", "--weights", "w", of="w"),
    column("infinite weights", ["1", "inf"] * 30, "got inf", "--weights", "w", of="w"),
    column("weights of text", ["1", "u"] * 30, "got 'u'", "--weights", "w", of="w"),
    column("weights of zero", 0, "only zeros", "--weights", "w", of="w"),
    column("weights of one row", [1, *[0] * 59], "one class only", "--weights", "w", of="w"),
    column("largest weights", [1.7e308, 1.0] * 30, "must not differ more", "--weights", "w", of="w"),
    column("tiny weights", [5e-324, 1.0] * 30, "must not differ more", "--weights", "w", of="w"),
    column("long weights of text", ["u" * 100_000, "1"] * 30, "weights", "--weights", "w", of="w"),
    column("one group", 1, "1 separate group", "--groups", "g", of="g"),
    column("no groups", np.nan, "", "--groups", "g", of="g"),
    column("a group per row, and few splits", range(60), "", "--groups", "g", of="g"),
    column("a group per row, more splits", range(60), "fewer than 61 folds", "--groups", "g",
           "--splits", "61", of="g"),
    column("fewer groups than splits", [0, 1, 2] * 20, "fewer than 4 folds", "--groups", "g", "--splits", "4",
           of="g"),
    flags("more splits than rows", "fewer than 61 folds", *Y, "--splits", "61"),
    flags("far more splits than rows", "fewer than", *Y, "--splits", str(10**12)),
    flags("splits beyond 64 bits", "fewer than", *Y, "--splits", str(10**30)),
    flags("no splits", "greater than or equal to 1", *Y, "--splits", "0"),
    flags("splits below 0", "greater than or equal to 1", *Y, "--splits", "-3"),
    flags("far too many repeats", "models", *Y, "--repeats", str(10**9)),
    flags("repeats beyond 64 bits", "models", *Y, "--repeats", str(10**30)),
    flags("nearly everything sealed", "holdout of 0.999", *Y, "--holdout", "0.999"),
    flags("nearly nothing sealed", "holdout of 1e-09", *Y, "--holdout", "1e-9"),
    flags("all sealed", "less than 1", *Y, "--holdout", "1"),
    flags("below nothing sealed", "greater than or equal to 0", *Y, "--holdout", "-0.1"),
    flags("no number sealed", "holdout", *Y, "--holdout", "nan"),
    flags("a metric of another task", "rmse", *Y, "--metric", "rmse"),
    flags("a metric of nobody", r"\x1b[31m", *Y, "--metric", "\x1b[31m"),
    flags("an input of no kind", "NAME=KIND", *Y, "--inputs", "a"),
    flags("an input that is not there", "got 'u' as image", *Y, "--inputs", "u=image"),
    flags("an input of an unknown kind", "got 'movie'", *Y, "--inputs", "a=movie"),
    flags("one column as an image", "'a' as image", *Y, "--inputs", "a=image"),
)  # fmt: skip
