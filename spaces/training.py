"""How a network may be trained beyond its default space: what an override may add or name besides."""

from __future__ import annotations

from spaces.overrides import Extra
from spaces.parameters import Choice, Float, Int
from spaces.signature import Signature

SCHEDULES = (
    "constant", "cosine", "flat_cosine", "exponential", "piecewise", "power", "one_cycle", "performance",
)  # fmt: skip
LARGE = 1e6


def training_extras(signature: Signature) -> dict[str, Extra]:
    """What an override of a network's space may name besides, with all that it may be.

    ``clip_norm``, ``clip_value``, ``max_norm`` and ``label_smoothing``, which is for classes, are off at 0;
    ``plateau_factor`` and ``plateau_patience`` take part where the schedule is ``performance``.
    """
    kind = signature.task.kind
    has_classes, plateau = kind in ("binary", "multiclass"), ("schedule", ("performance",))
    return {
        "schedule": Extra(Choice(SCHEDULES)),
        "plateau_factor": Extra(Float(0.01, 0.99), *plateau),
        "plateau_patience": Extra(Int(1, 1000), *plateau),
        "dropout_schedule": Extra(Choice(("constant", "flat_cosine"))),
        **({} if kind == "regression" else {"label_smoothing": Extra(Float(0.0, 0.99))}),
        "beta2": Extra(Float(0.0, 0.99999)),
        "clip_norm": Extra(Float(0.0, LARGE)),
        "clip_value": Extra(Float(0.0, LARGE)),
        "max_norm": Extra(Float(0.0, LARGE)),
        **({"class_weight": Extra(Choice(("none", "balanced")))} if has_classes else {}),
    }
