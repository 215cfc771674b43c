"""Members that are no networks, read from arrays and evaluated one by one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from spaces.encoding import Layout, Statistics
from spaces.families import FAMILIES
from spaces.matrix import matrix

CHUNK_ROWS = 65_536  # whose columns are laid out as features at a time
N_STATISTICS = 4  # what a member learned about its columns: the last arrays of a fitted trial's weights


@final
class FittedProgram:
    """One kind of fitted trial, ready to evaluate its members.

    Parameters
    ----------
    architecture : str
        JSON with the family and the layout of its columns.
    """

    def __init__(self, architecture: str) -> None:
        self._facts = json.loads(architecture)
        layout = self._facts["layout"]
        fields: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in layout.items()}
        self._layout = Layout(**fields)
        self._family = FAMILIES[self._facts["family"]].fitted
        self._read: dict[int, tuple[NDArray[Any], list[Any]]] = {}

    @property
    def layout(self) -> Layout:
        """Where the columns stand that its members read."""
        return self._layout

    def check(self, weights: Sequence[NDArray[Any]]) -> None:
        """Raise ValueError where arrays are not those of such a trial."""
        expected = 3 + N_STATISTICS
        if len(weights) != expected or weights[2].dtype != np.uint8 or weights[2].ndim != 2:
            raise ValueError(f"a fitted trial has {expected} arrays, the third of bytes, got {len(weights)}")
        for name, array in zip(("rounds", "sizes"), weights, strict=False):
            if array.dtype.kind not in "iu" or array.ndim != 1 or array.min() < 0:
                raise ValueError(f"{name} of a fitted trial must be whole numbers, got {array.dtype}")
        sizes, room = weights[1], weights[2].shape[1]
        if sizes.max() > room:
            raise ValueError(f"a model must lie within its {room} bytes, got a size of {int(sizes.max())}")
        self._check_statistics(weights[3:])

    def try_out(self, weights: Sequence[NDArray[Any]], n_outputs: int) -> None:
        """Read all models and evaluate them on a row; raise ValueError where they do not fit it."""
        row: dict[str, NDArray[Any]] = {
            "numbers": np.zeros((1, self._layout.n_numbers), np.float32),
            "codes": np.zeros((1, len(self._layout.n_codes)), np.int32),
        }
        found = self(weights, row)
        if found.shape[1:] != (1, n_outputs):
            raise ValueError(f"members must have {n_outputs} outputs, got {found.shape[2]}")

    def _check_statistics(self, learned: Sequence[NDArray[Any]]) -> None:
        """Raise ValueError where what members learned about their columns does not fit the layout."""
        *numbers, slots = learned
        n_codes, n_slots = self._layout.n_codes, self._layout.n_slots
        for array in numbers:
            if array.dtype.kind != "f" or array.shape[1:] != (self._layout.n_numbers,):
                raise ValueError(f"statistics must be of {self._layout.n_numbers} numbers, got {array.shape}")
        is_whole = slots.dtype.kind in "iu" or not slots.size
        if len(n_codes) != len(n_slots) or not is_whole or slots.shape[1:] != (sum(n_codes),):
            raise ValueError(f"slots must be of {sum(n_codes)} codes, got {slots.dtype} {slots.shape}")
        if ((slots < 0) | (slots >= np.repeat(n_slots, n_codes).astype(np.int64))).any():
            raise ValueError("slots must lie within those of their column")

    def __call__(
        self, weights: Sequence[NDArray[Any]], inputs: Mapping[str, NDArray[Any]]
    ) -> NDArray[np.float64]:
        """Evaluate members on rows ``(n_members, n_rows, n_outputs)``; see `ensemble.evaluation.Program`."""
        rounds, sizes, models, *learned = weights
        n_rows, outputs = len(inputs["numbers"]), []
        for member, model in enumerate(self._models(sizes, models)):
            own = Statistics(*(values[member] for values in learned))
            parts = []
            for start in range(0, max(1, n_rows), CHUNK_ROWS):
                numbers, codes = (inputs[name][start : start + CHUNK_ROWS] for name in ("numbers", "codes"))
                x = matrix(self._family.COLUMNS, self._layout, numbers, codes, own)
                parts.append(self._family.predict(model, x, int(rounds[member])))
            outputs.append(np.concatenate(parts))
        return np.stack(outputs).astype(np.float64)

    def samples(
        self, weights: Sequence[NDArray[Any]], inputs: Mapping[str, NDArray[Any]], n_samples: int, seed: int
    ) -> NDArray[np.float64]:
        """The members' predictions, the same in every sample: nothing in them is random."""
        plain = self(weights, inputs)
        return np.broadcast_to(plain, (n_samples, *plain.shape))

    def _models(self, sizes: NDArray[Any], models: NDArray[Any]) -> list[Any]:
        """Read the models of a trial once; the array is kept, so that its identity stays its own."""
        key = id(models)
        if key not in self._read:
            read = [
                self._family.unpack(row[: int(n)].tobytes()) for row, n in zip(models, sizes, strict=True)
            ]
            self._read[key] = (models, read)
        return self._read[key][1]
