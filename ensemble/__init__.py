"""Which models enter the ensemble, with which weights, and the artefact that predicts.

Arrays in, weights out: everything but `Ensemble` and `Candidate` knows numpy and scipy alone and serves
anyone's predictions, without the rest of the project. `Ensemble` is the saved, predicting model;
TensorFlow is imported when it first predicts. Names resolve on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Not lazy: importing the module of the same name later would put the module in the function's place.
from ensemble.crossfit import CrossFit, crossfit

if TYPE_CHECKING:
    from ensemble.artefact import ArtefactError
    from ensemble.bagging import select_bagged
    from ensemble.calibration import Calibration, calibrate
    from ensemble.distance import configuration_distance
    from ensemble.diverse import error_cosine, preselect, select_diverse
    from ensemble.diversity import (
        Collapsed,
        Decomposition,
        ambiguity,
        collapse,
        decompose,
        disagreement,
        diversity_table,
        q_statistic,
        residual_correlation,
    )
    from ensemble.methods import Choice, Pool, available, choose_method
    from ensemble.model import Candidate, Ensemble
    from ensemble.selection import Selection, select
    from ensemble.weights import weigh

__all__ = [
    "ArtefactError",
    "Calibration",
    "Candidate",
    "Choice",
    "Collapsed",
    "CrossFit",
    "Decomposition",
    "Ensemble",
    "Pool",
    "Selection",
    "ambiguity",
    "available",
    "calibrate",
    "choose_method",
    "collapse",
    "configuration_distance",
    "crossfit",
    "decompose",
    "disagreement",
    "diversity_table",
    "error_cosine",
    "preselect",
    "q_statistic",
    "residual_correlation",
    "select",
    "select_bagged",
    "select_diverse",
    "weigh",
]

_MODULES = {
    "ArtefactError": "artefact",
    "Calibration": "calibration",
    "Candidate": "model",
    "Choice": "methods",
    "Collapsed": "diversity",
    "Decomposition": "diversity",
    "Ensemble": "model",
    "Pool": "methods",
    "Selection": "selection",
    "ambiguity": "diversity",
    "available": "methods",
    "calibrate": "calibration",
    "choose_method": "methods",
    "collapse": "diversity",
    "configuration_distance": "distance",
    "decompose": "diversity",
    "disagreement": "diversity",
    "diversity_table": "diversity",
    "error_cosine": "diverse",
    "preselect": "diverse",
    "q_statistic": "diversity",
    "residual_correlation": "diversity",
    "select": "selection",
    "select_bagged": "bagging",
    "select_diverse": "diverse",
    "weigh": "weights",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
