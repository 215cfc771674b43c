"""The search in Optuna's own plots: importance, parallel coordinates, slices by family, and the timeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reports.page import optuna_figures as drawn
from reports.page.figure import Figure, Section, rounded
from reports.page.markup import heading, paragraph
from reports.page.optuna_study import FAMILY, MOST_BEST, MOST_TRIALS, SearchedSpace, quiet, study_of
from reports.page.optuna_study import drawn as drawn_of
from reports.summary import facts_of, is_higher_better, metric_of, part
from search.records import Run, Trial

if TYPE_CHECKING:
    import optuna

FEWEST_TRIALS = 4  # completed ones of a family, for plots of its parameters
MOST_FAMILIES = 4
MOST_PARALLEL = 7  # coordinates
MOST_SLICES = 9


def gather(run: Run) -> dict[str, Any]:
    """By family, the most tried first: how many trials, and the importance of its parameters.

    Importance is Optuna's (PED-ANOVA, Watanabe, Bansal and Hutter 2023), of parameters that all its
    completed trials have; empty where there are too few trials.
    """
    trials, space = run.trials(), SearchedSpace(part(facts_of(run), "space"))
    families = []
    for family in _families(trials):
        own = [trial for trial in trials if trial.family == family]
        completed = [trial for trial in own if trial.status == "completed" and trial.score is not None]
        found: dict[str, float] = {}
        if len(completed) >= FEWEST_TRIALS and space.of(family):
            study = study_of(trials, space, family=family, is_higher_better=is_higher_better(run))
            found = _importances(study)
        families.append(
            {"family": family, "n_trials": len(own), "n_completed": len(completed), "importances": found}
        )
    listed: dict[str, Any] = rounded({"families": families})
    return listed


def _families(trials: Sequence[Trial]) -> list[str]:
    """Families, those with the most completed trials first."""
    names = [*dict.fromkeys(trial.family for trial in trials)]
    return sorted(names, key=lambda name: -sum(t.family == name and t.status == "completed" for t in trials))


def _importances(study: optuna.Study) -> dict[str, float]:
    import optuna

    try:
        with quiet():
            found = optuna.importance.get_param_importances(study)
    except (ValueError, RuntimeError):  # parameters that do not vary, or scores that do not
        return {}
    return {name: float(value) for name, value in found.items()}


def section(facts: Mapping[str, Any], run: Run) -> Section:
    """Plots of the search; what cannot be drawn is said to be left out."""
    trials = run.trials()
    if not trials:
        return Section("search", "The search", paragraph("There are no trials."))
    space, is_higher = SearchedSpace(part(facts_of(run), "space")), is_higher_better(run)
    shown = drawn_of(trials, is_higher_better=is_higher)
    everything = study_of(shown, space, family=None, is_higher_better=is_higher)
    body, figures = [paragraph(_words(len(trials)))], []
    enough = [one for one in facts["search"]["families"] if one["n_completed"] >= FEWEST_TRIALS]
    if len(facts["search"]["families"]) > 1:
        figures += _known(drawn.slices(everything, [FAMILY], "families", metric_of(run)))
        body += [heading("Families"), *(one.html for one in figures)]
    for place, found in enumerate(enough[:MOST_FAMILIES]):
        study = study_of(shown, space, family=found["family"], is_higher_better=is_higher)
        own = _family(found, study, str(place), metric_of(run), is_part=len(shown) < len(trials))
        body += [heading(found["family"]), _shown(own)]
        figures += _known(own)
    names = [found["family"] for found in enough[:MOST_FAMILIES]]
    body.append(paragraph(_left_out(facts["search"]["families"], names), "note"))
    timeline = drawn.timeline(everything, trials)
    body += [heading("Timeline"), timeline.html]
    return Section("search", "The search", "".join(body), [*figures, timeline])


def _words(n_trials: int) -> str:
    more = ""
    if n_trials > MOST_TRIALS:
        more = (
            f" Of {n_trials:,} trials {MOST_TRIALS:,} are drawn: the best {MOST_BEST} and an even sample of "
            "the others. Importances are of all."
        )
    return (
        "Plots by Optuna, of out-of-fold scores, which also chose: with few trials they show luck as much as "
        f"structure. Each family has parameters of its own, and so plots of its own.{more}"
    )


def _left_out(families: Sequence[Mapping[str, Any]], shown: Sequence[str]) -> str:
    left = [f"{one['family']} ({one['n_completed']})" for one in families if one["family"] not in shown]
    if not left:
        return ""
    return (
        f"Without plots of their parameters, for less than {FEWEST_TRIALS} completed trials or fewer than "
        f"the others: {', '.join(left)}."
    )


def _family(
    found: Mapping[str, Any], study: optuna.Study, slug: str, metric: str, *, is_part: bool
) -> list[Figure | None]:
    """The plots of one family, maybe of a part of its trials; None for those that vary too little."""
    names = drawn.ordered(study, found["importances"])
    if not names:
        return [None]
    common = [name for name in names if all(name in t.params for t in drawn.completed(study))]
    return [
        drawn.importance(study, found["importances"], slug, metric, is_part=is_part),
        drawn.parallel(study, common[:MOST_PARALLEL], slug, metric),
        *drawn.slices(study, names[:MOST_SLICES], slug, metric),
    ]


def _known(figures: Sequence[Figure | None]) -> list[Figure]:
    return [figure for figure in figures if figure is not None]


def _shown(figures: Sequence[Figure | None]) -> str:
    """The pictures, and a sentence on those that are missing."""
    n_left = list(figures).count(None)
    words = "Plots are left out that its trials vary too little for." if n_left else ""
    return "".join(figure.html for figure in _known(figures)) + paragraph(words, "note")
