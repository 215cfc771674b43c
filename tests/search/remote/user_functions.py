"""A model and callbacks as a user writes them; the callbacks note what their process is like."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import keras


def build(hp: Any) -> keras.Model:
    """A network of one layer."""
    model = keras.Sequential()
    model.add(keras.layers.Dense(hp.Choice("units", [4, 8]), activation="relu"))
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
    return model


def note(trial: int, member: int, place: str) -> list[keras.callbacks.Callback]:
    """Write down the process and its threads."""
    import tensorflow as tf

    told = {"pid": os.getpid(), "n_threads": tf.config.threading.get_intra_op_parallelism_threads()}
    Path(place, "process.json").write_text(json.dumps(told))
    return []
