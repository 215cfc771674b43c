"""Which models enter the ensemble, with which weights, and the artefact that predicts.

Arrays in, weights out: `select`, `weigh`, `collapse` and `crossfit` know numpy and scipy alone. `Ensemble` is
the saved, predicting model; TensorFlow is imported when it first predicts. Names resolve on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Not lazy: importing the module of the same name later would put the module in the function's place.
from ensemble.crossfit import CrossFit, crossfit

if TYPE_CHECKING:
    from ensemble.artefact import ArtefactError
    from ensemble.diversity import Collapsed, ambiguity, collapse, disagreement, residual_correlation
    from ensemble.model import Candidate, Ensemble
    from ensemble.selection import Selection, select
    from ensemble.weights import weigh

__all__ = [
    "ArtefactError",
    "Candidate",
    "Collapsed",
    "CrossFit",
    "Ensemble",
    "Selection",
    "ambiguity",
    "collapse",
    "crossfit",
    "disagreement",
    "residual_correlation",
    "select",
    "weigh",
]

_MODULES = {
    "ArtefactError": "artefact",
    "Candidate": "model",
    "Collapsed": "diversity",
    "Ensemble": "model",
    "Selection": "selection",
    "ambiguity": "diversity",
    "collapse": "diversity",
    "disagreement": "diversity",
    "residual_correlation": "diversity",
    "select": "selection",
    "weigh": "weights",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
