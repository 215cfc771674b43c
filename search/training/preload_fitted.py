"""Imported by the fork server before it forks, where no network is searched: scikit-learn's models."""

import sklearn.ensemble
import sklearn.linear_model  # noqa: F401
import threadpoolctl  # noqa: F401

import search.training.fitting  # noqa: F401
