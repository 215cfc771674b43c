"""Hypothesis strategies for parameters and spaces."""

from __future__ import annotations

from hypothesis import strategies as st

from spaces.parameters import Choice, Float, Int, Parameter
from spaces.space import Condition, Space

texts = st.text(max_size=4)
scalars = st.one_of(
    texts,
    st.booleans(),
    st.none(),
    st.integers(-5, 5),
    st.floats(-5, 5, allow_nan=False).map(lambda x: round(x, 3)),
)


@st.composite
def ints(draw: st.DrawFn) -> Int:
    if draw(st.booleans()):
        low = draw(st.integers(1, 500))
        return Int(low, low + draw(st.integers(0, 1000)), log=True)
    low, step = draw(st.integers(-500, 500)), draw(st.integers(1, 7))
    return Int(low, low + step * draw(st.integers(0, 60)), step=step)


@st.composite
def continuous(draw: st.DrawFn) -> Float:
    if draw(st.booleans()):
        low = draw(st.floats(1e-9, 1e3))
        return Float(low, low * draw(st.floats(1.0, 1e6)), log=True)
    low = draw(st.floats(-1e6, 1e6))
    return Float(low, low + draw(st.floats(0, 1e6)))


@st.composite
def stepped(draw: st.DrawFn) -> Float:
    low, step, n = draw(st.integers(-50, 50)), draw(st.integers(1, 9)), draw(st.integers(0, 20))
    return Float(low / 10, (low + n * step) / 10, step=step / 10)


@st.composite
def choices(draw: st.DrawFn) -> Choice:
    options: list[object] = []
    for item in draw(st.lists(scalars, min_size=1, max_size=5)):
        if item not in options:
            options.append(item)
    return Choice(options)  # type: ignore[arg-type]


parameters: st.SearchStrategy[Parameter] = st.one_of(ints(), continuous(), stepped(), choices())
finite: st.SearchStrategy[Parameter] = st.one_of(
    st.builds(lambda low, n: Int(low, low + n), st.integers(0, 5), st.integers(0, 4)),
    choices(),
    st.builds(lambda n: Float(0.0, n / 10, step=0.1), st.integers(0, 4)),
)


@st.composite
def spaces(draw: st.DrawFn, of: st.SearchStrategy[Parameter] = parameters, max_size: int = 6) -> Space:
    """Spaces with chained conditions, some of them never met, and fixed names that conditions look at."""
    fixed = {f"f{k}": value for k, value in enumerate(draw(st.lists(scalars, max_size=2)))}
    table = {f"p{k}": p for k, p in enumerate(draw(st.lists(of, min_size=1, max_size=max_size)))}
    conditions = {}
    earlier: list[str] = list(fixed)
    for name, parameter in table.items():
        if earlier and draw(st.booleans()):
            parent = draw(st.sampled_from(earlier))
            known = [fixed[parent]] if parent in fixed else list(table[parent].grid(4))
            values = draw(st.lists(st.sampled_from([*known, "never"]), min_size=1, max_size=2))
            conditions[name] = Condition(parent, tuple(values))
        if isinstance(parameter, Choice) or (isinstance(parameter, Int) and not parameter.log):
            earlier.append(name)
    return Space(table, conditions, fixed)
