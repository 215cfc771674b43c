"""How a compiled Keras model is trained, in the terms of the engine, or why the engine cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

MOMENTUM = 0.9  # that of the engine's SGD
FREE = ("name", "learning_rate", "weight_decay", "beta_2")
LOSSES = {
    "BinaryCrossentropy": ("binary", "multilabel"),
    "CategoricalCrossentropy": ("multiclass",),
    "SparseCategoricalCrossentropy": ("multiclass",),
    "MeanSquaredError": ("regression",),
}


class NotHonoured(ValueError):  # noqa: N818
    """The engine cannot train a model as it is compiled; the message is the reason in one line."""


@dataclass(frozen=True)
class Compiled:
    """What a model was compiled with.

    Attributes
    ----------
    loss : str
        Class name of the Keras loss.
    is_sparse : bool
        Whether the loss takes numbers of classes.
    is_logits : bool
        Whether the outputs still lack their sigmoid or softmax.
    training : mapping
        ``optimizer``, ``learning_rate`` and, where the optimizer has them, ``weight_decay`` and ``beta2``.
    """

    loss: str
    is_sparse: bool
    is_logits: bool
    training: Mapping[str, Any]

    def serves(self, kind: str) -> bool:
        """Whether the loss is that of a kind of task."""
        return kind in LOSSES[self.loss]

    def kind(self, n_outputs: int) -> str:
        """The kind of task with so many outputs."""
        kinds = LOSSES[self.loss]
        return kinds[-1] if n_outputs > 1 else kinds[0]


def read_compiled(model: keras.Model) -> Compiled:
    """Read optimizer and loss of a compiled model.

    Raises
    ------
    NotHonoured
        If the model trains by its own ``train_step``; the optimizer is not Adam, AdamW, RMSprop or SGD with a
        momentum of 0.9 or none, or has settings beside the learning rate, AdamW's decay and beta 2; or the
        loss is not a plain cross-entropy or squared error.
    """
    import keras

    if type(model).train_step is not keras.Model.train_step:
        raise NotHonoured("a model with its own train_step is trained by fit")
    if type(model).compute_loss is not keras.Model.compute_loss:
        raise NotHonoured("a model with its own compute_loss is trained by fit")
    config = model.get_compile_config() or {}
    if config.get("loss_weights") is not None:
        raise NotHonoured("the engine knows no loss_weights")
    loss, settings = _loss(model.loss)
    return Compiled(
        loss=loss,
        is_sparse=loss.startswith("Sparse"),
        is_logits=bool(settings.get("from_logits")),
        training=_training(model.optimizer),
    )


def _loss(given: Any) -> tuple[str, dict[str, Any]]:
    import keras

    named = given if not isinstance(given, str) else keras.losses.get(given)
    for name in LOSSES:
        kind = getattr(keras.losses, name)
        plain = kind()
        if named is plain.fn:
            return name, {}
        if type(named) is kind:
            settings, usual = named.get_config(), plain.get_config()
            other = [k for k in usual if k not in ("name", "from_logits") and settings.get(k) != usual[k]]
            if other:
                raise NotHonoured(f"the engine knows no {other[0]} of a loss")
            return name, settings
    raise NotHonoured(f"the engine knows no loss {getattr(named, '__name__', type(named).__name__)!r}")


def _training(optimizer: Any) -> dict[str, Any]:
    import keras

    usual = {
        "adam": keras.optimizers.Adam(),
        "adamw": keras.optimizers.AdamW(),
        "rmsprop": keras.optimizers.RMSprop(),
        "sgd": keras.optimizers.SGD(momentum=MOMENTUM),
        "plain_sgd": keras.optimizers.SGD(),
    }
    alike = [n for n, plain in usual.items() if type(plain) is type(optimizer)]
    name = alike[-1 if alike and getattr(optimizer, "momentum", None) == 0.0 else 0] if alike else None
    if name is None:
        raise NotHonoured(f"the engine knows no optimizer {type(optimizer).__name__!r}")
    settings, plain = optimizer.get_config(), usual[name].get_config()
    free = FREE if name.startswith("adam") else FREE[:2]
    other = [key for key in plain if key not in free and settings.get(key) != plain[key]]
    if other:
        raise NotHonoured(f"the engine knows no {other[0]}={settings.get(other[0])!r} of {name}")
    _check_decay(optimizer)
    return {**_numbers(name, settings), "learning_rate": _rate(settings["learning_rate"])}


def _numbers(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    numbers: dict[str, Any] = {"optimizer": name}
    if name.startswith("adam"):
        numbers["beta2"] = float(settings["beta_2"])
    if name == "adamw":
        numbers["weight_decay"] = float(settings["weight_decay"])
    elif settings.get("weight_decay"):
        raise NotHonoured(f"the engine knows no weight_decay of {name}")
    return numbers


def _rate(rate: Any) -> float:
    if not isinstance(rate, int | float):
        raise NotHonoured("the engine knows no learning rate schedule of an optimizer")
    return float(rate)


def _check_decay(optimizer: Any) -> None:
    names = ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern")
    if any(getattr(optimizer, name, None) for name in names):
        raise NotHonoured("the engine decays all weights alike")
