"""Parameters: what one name of a Space may be, and how it maps onto the unit interval."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

Value: TypeAlias = str | int | float | bool | None


class SpaceError(ValueError):
    """A parameter, a space or an override breaks a rule; the message is one line."""


def is_same(a: Value, b: Value) -> bool:
    """Whether two values are equal *and* of one type: ``1``, ``1.0`` and ``True`` differ."""
    return type(a) is type(b) and a == b


def is_whole(value: object) -> bool:
    """Whether ``value`` is an ``int`` and no ``bool``."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether ``value`` is a finite ``int`` or ``float`` and no ``bool``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max if isinstance(value, int) else math.isfinite(value)


def _check_unit(u: float) -> float:
    if not 0.0 <= u <= 1.0:
        raise SpaceError(f"a unit value must lie in [0, 1], got {u!r}")
    return float(u)


def _check_range(low: float, high: float, is_log: bool) -> None:
    if low > high:
        raise SpaceError(f"low must not exceed high, got low={low!r}, high={high!r}")
    if is_log and low <= 0:
        raise SpaceError(f"low must be above 0 with log=True, got low={low!r}")


def _check_points(n_points: int) -> int:
    if n_points < 2:
        raise SpaceError(f"a grid needs at least 2 points per range, got {n_points!r}")
    return n_points


@dataclass(frozen=True)
class Int:
    """Whole numbers ``low, low + step, ..., high``, both ends included.

    Parameters
    ----------
    low, high : int
        The ends; ``high - low`` is a multiple of ``step``; ``low >= 1`` with ``log``.
    step : int
        At least 1; exactly 1 with ``log``.
    log : bool
        Whether equal ratios, rather than equal differences, are equally likely.

    Raises
    ------
    SpaceError
        If a rule above is broken.
    """

    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            if not is_whole(getattr(self, name)):
                raise SpaceError(f"{name} must be a whole number, got {getattr(self, name)!r}")
        if not isinstance(self.log, bool):
            raise SpaceError(f"log must be true or false, got {self.log!r}")
        _check_range(self.low, self.high, self.log)
        if self.step < 1:
            raise SpaceError(f"step must be at least 1, got {self.step!r}")
        if self.log and self.step != 1:
            raise SpaceError(f"step must be 1 with log=True, got {self.step!r}")
        if (self.high - self.low) % self.step:
            raise SpaceError(f"high - low must be a multiple of step={self.step}, got {self.high - self.low}")

    @property
    def n_values(self) -> int:
        """How many values there are."""
        return (self.high - self.low) // self.step + 1

    def contains(self, value: object) -> bool:
        """Whether ``value`` is one of the values; ``True`` and ``3.0`` never are."""
        return (
            isinstance(value, int)
            and is_whole(value)
            and self.low <= value <= self.high
            and (value - self.low) % self.step == 0
        )

    def nearest(self, value: float) -> int:
        """The value closest to a number."""
        k = round((min(max(value, self.low), self.high) - self.low) / self.step)
        return self.low + self.step * k

    def to_unit(self, value: Value) -> float:
        """Middle of the value's share of [0, 1] (with ``log``: its place by logarithm)."""
        if not isinstance(value, int) or not self.contains(value):
            raise SpaceError(f"{value!r} is not a value of {self}")
        if self.log:
            start, stop = self._log_ends()
            return (math.log(value) - start) / (stop - start)
        return ((value - self.low) // self.step + 0.5) / self.n_values

    def from_unit(self, u: float) -> int:
        """The value whose share of [0, 1] holds ``u``."""
        u = _check_unit(u)
        if self.log:
            start, stop = self._log_ends()
            return self.nearest(math.exp(start + u * (stop - start)))
        return self.low + self.step * min(int(u * self.n_values), self.n_values - 1)

    def grid(self, n_points: int | None = None) -> tuple[int, ...]:
        """All values, rising; or at most ``n_points`` of them, spread evenly with both ends."""
        if n_points is None or self.n_values <= _check_points(n_points):
            return tuple(range(self.low, self.high + 1, self.step))
        return tuple(sorted({self.from_unit(k / (n_points - 1)) for k in range(n_points)}))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {"kind": "int", "low": self.low, "high": self.high, "step": self.step, "log": self.log}

    def _log_ends(self) -> tuple[float, float]:
        return math.log(self.low - 0.5), math.log(self.high + 0.5)


@dataclass(frozen=True)
class Float:
    """Numbers from ``low`` to ``high``, both included; with ``step`` only ``low + k * step``.

    Parameters
    ----------
    low, high : float
        Finite ends; ``low > 0`` with ``log``.
    log : bool
        Whether equal ratios, rather than equal differences, are equally likely.
    step : float, optional
        Above 0 and dividing ``high - low`` as decimals; not together with ``log``.

    Raises
    ------
    SpaceError
        If a rule above is broken.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            if name == "step" and value is None:
                continue
            if not is_number(value):
                raise SpaceError(f"{name} must be a finite number, got {value!r}")
            object.__setattr__(self, name, float(value))
        if not isinstance(self.log, bool):
            raise SpaceError(f"log must be true or false, got {self.log!r}")
        _check_range(self.low, self.high, self.log)
        self._check_step()

    def _check_step(self) -> None:
        if self.step is None:
            return
        if self.log:
            raise SpaceError(f"step does not go with log=True, got step={self.step!r}")
        if self.step <= 0:
            raise SpaceError(f"step must be above 0, got {self.step!r}")
        if (Decimal(repr(self.high)) - Decimal(repr(self.low))) % Decimal(repr(self.step)):
            raise SpaceError(
                f"high - low must be a multiple of step={self.step!r}, got {self.low!r} to {self.high!r}"
            )

    @property
    def n_values(self) -> int | None:
        """How many values there are; None where they are continuous."""
        if self.low == self.high:
            return 1
        if self.step is None:
            return None
        return int((Decimal(repr(self.high)) - Decimal(repr(self.low))) / Decimal(repr(self.step))) + 1

    def contains(self, value: object) -> bool:
        """Whether ``value`` is a number in the range (and on a step, to rounding)."""
        if not isinstance(value, int | float) or not is_number(value):
            return False
        if not self.low <= value <= self.high:
            return False
        return self.step is None or math.isclose(
            value, self.nearest(value), rel_tol=1e-9, abs_tol=1e-9 * self.step
        )

    def nearest(self, value: float) -> float:
        """The value closest to a number."""
        inside = float(min(max(value, self.low), self.high))
        if self.step is None:
            return inside
        return self._at(round((inside - self.low) / self.step))

    def to_unit(self, value: Value) -> float:
        """The value's place in [0, 1] (with ``step``: the middle of its share)."""
        if not isinstance(value, int | float) or not self.contains(value):
            raise SpaceError(f"{value!r} is not a value of {self}")
        if self.low == self.high:
            return 0.5
        if self.step is not None:
            assert self.n_values is not None
            return (round((value - self.low) / self.step) + 0.5) / self.n_values
        low, high, place = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return min(max((place - low) / (high - low), 0.0), 1.0)

    def from_unit(self, u: float) -> float:
        """The value at a place of [0, 1]."""
        u = _check_unit(u)
        if self.low == self.high:
            return self.low
        if self.step is not None:
            assert self.n_values is not None
            return self._at(min(int(u * self.n_values), self.n_values - 1))
        if u in (0.0, 1.0):
            return self.high if u else self.low
        if self.log:
            return self.nearest(math.exp((1 - u) * math.log(self.low) + u * math.log(self.high)))
        return self.nearest((1 - u) * self.low + u * self.high)

    def grid(self, n_points: int | None = None) -> tuple[float, ...]:
        """All values, rising; or at most ``n_points`` of them, spread evenly with both ends.

        Raises
        ------
        SpaceError
            If the values are continuous and no ``n_points`` is given.
        """
        n_values = self.n_values
        if n_values is not None and (n_points is None or n_values <= _check_points(n_points)):
            return tuple(self._at(k) for k in range(n_values))
        if n_points is None:
            raise SpaceError(f"a continuous range needs a number of grid points, got None for {self}")
        _check_points(n_points)
        return tuple(sorted({self.from_unit(k / (n_points - 1)) for k in range(n_points)}))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {"kind": "float", "low": self.low, "high": self.high, "log": self.log, "step": self.step}

    def _at(self, k: int) -> float:
        if k == 0 or self.step is None:
            return self.low
        return float(Decimal(repr(self.low)) + k * Decimal(repr(self.step)))


@dataclass(frozen=True)
class Choice:
    """One of some options, without order.

    Parameters
    ----------
    options : sequence of str, int, float, bool or None
        At least one, no two equal (``1`` equals ``True``). Whole numbers beside fractions become floats.

    Raises
    ------
    SpaceError
        If a rule above is broken.
    """

    options: tuple[Value, ...]

    def __init__(self, options: Sequence[Value]) -> None:
        if isinstance(options, str) or not isinstance(options, Sequence):
            raise SpaceError(f"options must be a list, got {options!r}")
        items = tuple(options)
        numbers = [item for item in items if isinstance(item, int | float) and is_number(item)]
        if len(numbers) == len(items) and any(isinstance(item, float) for item in items):
            items = tuple(float(item) for item in numbers)
        object.__setattr__(self, "options", items)
        self._check()

    def _check(self) -> None:
        if not self.options:
            raise SpaceError("options must hold at least one value, got an empty list")
        for k, option in enumerate(self.options):
            if not (isinstance(option, str | bool) or option is None or is_number(option)):
                raise SpaceError(f"an option must be a text, a finite number, a bool or None, got {option!r}")
            if option in self.options[:k]:
                raise SpaceError(f"options must differ, got {option!r} twice in {list(self.options)!r}")

    @property
    def n_values(self) -> int:
        """How many options there are."""
        return len(self.options)

    def contains(self, value: object) -> bool:
        """Whether ``value`` is an option, of the same type."""
        return any(type(option) is type(value) and option == value for option in self.options)

    def to_unit(self, value: Value) -> float:
        """Middle of the option's share of [0, 1]."""
        if not self.contains(value):
            raise SpaceError(f"{value!r} is not a value of {self}")
        return (self.options.index(value) + 0.5) / self.n_values

    def from_unit(self, u: float) -> Value:
        """The option whose share of [0, 1] holds ``u``."""
        return self.options[min(int(_check_unit(u) * self.n_values), self.n_values - 1)]

    def grid(self, n_points: int | None = None) -> tuple[Value, ...]:
        """All options, whatever ``n_points`` says."""
        return self.options

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {"kind": "choice", "options": list(self.options)}


Parameter: TypeAlias = Int | Float | Choice

_KINDS: Mapping[str, type[Int] | type[Float] | type[Choice]] = {"int": Int, "float": Float, "choice": Choice}


def parameter_from_json(data: Mapping[str, Any]) -> Parameter:
    """Read what ``to_json`` of a parameter wrote.

    Raises
    ------
    SpaceError
        If the kind is unknown or the fields do not fit.
    """
    fields = dict(data)
    kind = fields.pop("kind", None)
    if kind not in _KINDS:
        raise SpaceError(f"a parameter's kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    try:
        return _KINDS[kind](**fields)
    except TypeError as error:
        raise SpaceError(f"a parameter of kind {kind!r} does not have these fields: {error}") from error
