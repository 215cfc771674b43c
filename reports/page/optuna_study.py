"""A run's trials as Optuna studies, made from `trials.jsonl`, so that Optuna's own plots draw any run.

Names and options are written as plotly may show them (`reports.page.figure.label`): none is markup.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from reports.page.figure import label
from search.records import Trial

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

FAMILY = "family"
MOST_TRIALS = 1_000  # that are drawn
MOST_BEST = 200  # of them, if there are more trials


class SearchedSpace:
    """The searched parameters of a run, by family, as Optuna distributions.

    Parameters
    ----------
    record
        The space as `run.json` has it. Over several families a parameter is called `family.parameter`.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        items = list(record.get("parameters") or [])
        self._is_joint = any(item["name"] == FAMILY for item in items)
        self._items = {item["name"]: item for item in items if item["name"] != FAMILY}

    def of(self, family: str) -> dict[str, Mapping[str, Any]]:
        """The parameters of a family by their own names."""
        if not self._is_joint:
            return dict(self._items)
        start = f"{family}."
        return {name[len(start) :]: item for name, item in self._items.items() if name.startswith(start)}


def study_of(
    trials: Sequence[Trial], space: SearchedSpace, *, family: str | None, is_higher_better: bool
) -> optuna.Study:
    """An in-memory study of the trials, in their order and with their numbers.

    Parameters
    ----------
    family
        Its parameters alone; trials of others are there as failed ones, which plots of parameters leave out.
        None: no parameters but the family itself.
    """
    import optuna

    trials = sorted(trials, key=lambda trial: trial.number)

    with quiet():
        study = optuna.create_study(direction="maximize" if is_higher_better else "minimize")
        families = sorted({trial.family for trial in trials})
        for trial in trials:
            study.add_trial(_frozen(trial, space, family, families))
    for made, trial in zip(study.get_trials(deepcopy=False), trials, strict=True):
        made.number = trial.number  # Optuna numbers them from 0 on, whatever is left out
    return study


def drawn(trials: Sequence[Trial], *, is_higher_better: bool) -> list[Trial]:
    """Trials for a picture, by number: all, or 1,000, the best 200 and an even sample of the others."""
    ordered = sorted(trials, key=lambda trial: trial.number)
    if len(ordered) <= MOST_TRIALS:
        return ordered
    sign = -1.0 if is_higher_better else 1.0
    scored = [trial for trial in ordered if trial.status == "completed" and trial.score is not None]
    best = {t.number for t in sorted(scored, key=lambda t: sign * (t.score or 0.0))[:MOST_BEST]}
    others = [trial for trial in ordered if trial.number not in best]
    n_more = MOST_TRIALS - len(best)
    sample = {others[k * len(others) // n_more].number for k in range(n_more)}
    return [trial for trial in ordered if trial.number in best or trial.number in sample]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's remarks on its own features and on gaps in a study to itself."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)


def _frozen(
    trial: Trial, space: SearchedSpace, family: str | None, families: Sequence[str]
) -> optuna.trial.FrozenTrial:
    import optuna

    is_shown = family is None or trial.family == family
    params: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}
    if family is None:
        params[FAMILY] = label(trial.family)
        distributions[FAMILY] = optuna.distributions.CategoricalDistribution(
            [label(name) for name in families]
        )
    elif is_shown:
        params, distributions = _values(trial.config, space.of(family))
    found = optuna.trial.create_trial(
        state=_state(trial, is_shown),
        value=trial.score if trial.status == "completed" and is_shown else None,
        params=params,
        distributions=distributions,
    )
    start, end = _times(trial)
    found.datetime_start = start
    found.datetime_complete = end if found.state.is_finished() else None
    return found


def _state(trial: Trial, is_shown: bool) -> optuna.trial.TrialState:
    from optuna.trial import TrialState

    if not is_shown or trial.status == "failed":
        return TrialState.FAIL
    if trial.status == "completed":
        return TrialState.FAIL if trial.score is None else TrialState.COMPLETE
    return TrialState.PRUNED if trial.status == "pruned" else TrialState.WAITING


def _times(trial: Trial) -> tuple[datetime, datetime]:
    """Start and end in UTC; where they are not known, their time is that of the fit."""
    try:
        start, end = datetime.fromisoformat(trial.started), datetime.fromisoformat(trial.finished)
    except ValueError:
        start = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=trial.number)
        end = start + timedelta(seconds=max(0.0, trial.fit_seconds))
    return start.replace(tzinfo=None), max(start, end).replace(tzinfo=None)


def _values(
    config: Mapping[str, Any], items: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """The searched values of a configuration that Optuna can hold, under the names that are shown."""
    params: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}
    for name, shown in zip(items, distinct(list(items)), strict=True):
        distribution, value = _value(items[name], config.get(name, _ABSENT))
        if distribution is not None:
            params[shown], distributions[shown] = value, distribution
    return params, distributions


_ABSENT = object()


def _value(item: Mapping[str, Any], value: Any) -> tuple[BaseDistribution | None, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if value is _ABSENT:
        return None, None
    if item["kind"] == "choice":
        options = list(item["options"])
        places = [i for i, option in enumerate(options) if type(option) is type(value) and option == value]
        shown = _options(options)
        return (CategoricalDistribution(shown), shown[places[0]]) if places else (None, None)
    if not isinstance(value, (int, float)) or not item["low"] <= value <= item["high"]:
        return None, None
    if item["kind"] == "int":
        step = 1 if item.get("log") else item.get("step") or 1
        return IntDistribution(item["low"], item["high"], log=bool(item.get("log")), step=step), int(value)
    # a step is left out: it would refuse a value that rounding has moved off the grid
    return FloatDistribution(item["low"], item["high"], log=bool(item.get("log"))), float(value)


def _options(options: Sequence[Any]) -> list[Any]:
    """Options as they may be shown: texts as labels, other values as they are."""
    texts = iter(distinct([option for option in options if isinstance(option, str)]))
    return [next(texts) if isinstance(option, str) else option for option in options]


def distinct(names: Sequence[str]) -> list[str]:
    """Labels of names that stay apart where shortening makes them alike."""
    found: list[str] = []
    for name in names:
        shown, n = label(name), 2
        while shown in found:
            shown, n = f"{label(name, 26)} ({n})", n + 1
        found.append(shown)
    return found
