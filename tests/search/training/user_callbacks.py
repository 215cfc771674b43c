"""Callbacks as a user writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

NOT_A_FUNCTION = 3
SEEN: list[tuple[str, Any]] = []


class Notes(keras.callbacks.Callback):  # type: ignore[misc]
    """Takes note of what it is told."""

    def on_train_begin(self, logs: Any = None) -> None:
        SEEN.append(("begin", dict(self.params)))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        SEEN.append(("rate", float(self.model.optimizer.learning_rate.numpy())))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        SEEN.append(("batch", batch))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        SEEN.append(("epoch", (epoch, sorted(logs))))

    def on_train_end(self, logs: Any = None) -> None:
        SEEN.append(("end", sorted(logs or {})))


class Halving(keras.callbacks.Callback):  # type: ignore[misc]
    """Halves the learning rate after every epoch."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        rate = self.model.optimizer.learning_rate
        rate.assign(rate * 0.5)


def nothing() -> list[Any]:
    return []


def notes() -> list[Any]:
    return [Notes()]


def halving() -> list[Any]:
    return [Halving(), Notes()]


def files(trial: int, member: int, place: str) -> list[Any]:
    folder = Path(place)
    return [
        keras.callbacks.CSVLogger(folder / "log.csv"),
        keras.callbacks.ModelCheckpoint(folder / "{epoch:02d}.weights.h5", save_weights_only=True),
        keras.callbacks.ModelCheckpoint(
            folder / "best.keras", monitor="loss", save_best_only=True, mode="min"
        ),
        keras.callbacks.TensorBoard(folder / "events"),
    ]


def first_member_stops(trial: int, member: int) -> list[Any]:
    """The first member stops at its first epoch that is no miracle, and goes back to its best weights."""
    if member:
        return [Notes()]
    return [
        keras.callbacks.EarlyStopping(
            monitor="loss", min_delta=10.0, patience=2, restore_best_weights=True, start_from_epoch=0
        ),
        Notes(),
    ]


def watches_held_out_rows() -> list[Any]:
    return [keras.callbacks.EarlyStopping(patience=3)]


def no_list() -> Any:
    return keras.callbacks.TerminateOnNaN()


def classes() -> Any:
    return [keras.callbacks.TerminateOnNaN]


def fails() -> Any:
    raise RuntimeError("no disk\nleft")


def one_argument(trial: int) -> list[Any]:
    return []


def with_defaults(trial: int = 0, member: int = 0, place: str = "", more: int = 1) -> list[Any]:
    return []
