"""Small ensembles of members that are no networks, fitted and saved."""

from __future__ import annotations

import json
from functools import cache

import numpy as np

from ensemble.model import Candidate, Ensemble
from spaces.encoding import Layout
from spaces.families import FAMILIES
from tests.spaces.checks import Case, small_case

FAMILY_NAMES = ("linear", "extra_trees", "boosting", "lightgbm", "xgboost", "catboost")


@cache
def fitted_case() -> Case:
    """The table that the members learn from."""
    return small_case("binary", n_rows=60)


@cache
def fitted_ensemble(families: tuple[str, ...] = ("linear", "boosting")) -> Ensemble:
    """One trial per family with two equal members."""
    case = fitted_case()
    members = [_candidate(name, k, 1 / len(families)) for k, name in enumerate(families)]
    return Ensemble(case.schema, case.task, members)


def _candidate(name: str, trial: int, weight: float) -> Candidate:
    case, module = fitted_case(), FAMILIES[name].fitted
    config = {**FAMILIES[name].first_configs(case.signature)[0]}
    config |= {"learning_rate": 0.3} if "learning_rate" in config else {}
    model = module.fit(config, case.signature, case.x(module), case.y, seed=trial)
    return packed_candidate(name, trial, weight, module.pack(model), module.rounds(config)[-1])


def packed_candidate(name: str, trial: int, weight: float, data: bytes, n_rounds: int) -> Candidate:
    """A trial of two members whose models are these bytes."""
    case = fitted_case()
    layout = Layout.of(case.schema)
    fields = {field: getattr(layout, field) for field in ("n_numbers", "indicators", "n_codes", "n_slots")}
    facts = {"class_name": "Fitted", "family": name, "n_outputs": 1, "layout": fields}
    learned = [getattr(case.statistics, field) for field in ("fill", "center", "scale", "slot_of_code")]
    return Candidate(
        trial=trial,
        family=name,
        weight=weight,
        architecture=json.dumps(facts),
        weights=(
            np.full(2, n_rounds),
            np.full(2, len(data)),
            np.stack([np.frombuffer(data, np.uint8)] * 2),
            *(np.stack([values] * 2) for values in learned),
        ),
        target_center=np.zeros((2, 1)),
        target_scale=np.ones((2, 1)),
    )
