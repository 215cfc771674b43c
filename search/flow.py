"""The main job from a configuration to a finished run: data, splits, space, study, ensemble, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reports.report import write_report
from search import assembly
from search import resume as resuming
from search.conclusion import combiner_of, conclude
from search.config import StudyConfig
from search.facts import Searched, summary_of, write_facts
from search.interruption import Interrupted
from search.ledger import Ledger
from search.objective import Objective, inner_plan, make_plan
from search.preparation import Prepared, has_networks, name_of, prepare
from search.progress import Progress
from search.proposers import Proposer, check_has_epochs, keras_tuner_proposer, optuna_proposer
from search.records import Run, Trial
from search.study import Budget, Study
from search.training.callbacks import attending, check_callbacks
from search.training.context import start_server
from search.training.limits import Limits
from search.training.plan import Plan
from search.training.recipe import Recipe
from search.training.workshop import Trains, Workshop
from search.watch import Growing, Leak, Watch
from spaces.joint import first_configs


@dataclass(frozen=True)
class Outcome:
    """Where a study's run is, and how it ended."""

    run_path: Path
    is_interrupted: bool
    n_completed: int


def study(config: StudyConfig, *, command: str, is_verbose: bool = False) -> Outcome:
    """Run a study from its configuration to the finished run folder; go on with one that was cut short.

    Raises
    ------
    ResumeError
        If the folder holds an unfinished run of another configuration, or of other data.
    """
    begun = Run.open(config.out) if config.out is not None and resuming.is_begun(config.out) else None
    if begun is not None:
        config = _kept(begun, config)
        resuming.check_config(_kept(begun, resuming.stored_config(begun)), config)
    prepared = _prepared(config, begun)
    run = begun or Run.create(config.out or free_place(config))
    with resuming.alone(run):
        return _run_through(run, config, prepared, command, is_verbose)


def resume(path: str | Path, told: Mapping[str, Any], *, command: str, is_verbose: bool = False) -> Outcome:
    """Go on with a run, as if it had never stopped; `told` are changes to its configuration.

    Raises
    ------
    ResumeError
        If something is told that a run keeps, its data have changed, or there is nothing left to do.
    """
    run = Run.open(path)
    config = _kept(run, resuming.configured(run, told))
    if run.is_finished and not told:
        raise resuming.ResumeError(
            f"a finished run goes on with more trials or time, such as --trials {2 * config.trials}: "
            f"{str(path)!r} is finished and nothing was told"
        )
    prepared = _prepared(config, run)
    with resuming.alone(run):
        return _run_through(run, config, prepared, command, is_verbose)


def _kept(run: Run, config: StudyConfig) -> StudyConfig:
    """The same with the repeats that a run has: their default depends on the time, which may change."""
    if config.repeats is not None or not run.has("run.json"):
        return config
    return config.model_copy(update={"repeats": run.load_json("run.json")["folds"]["n_repeats"]})


def _prepared(config: StudyConfig, begun: Run | None = None) -> Prepared:
    start_server(needs_networks=has_networks(config))
    if config.storage is not None:
        from search.remote import conduct

        conduct.check_places(config)
    prepared = prepare(config)
    if begun is not None and begun.has("run.json"):
        reason = begun.load_json("run.json")["folds"]["reason"]
        prepared = replace(prepared, folds=replace(prepared.folds, reason=reason))
    if config.model is not None:
        assembly.check_model(config.model, prepared.signature)
    if config.tuner == "keras-tuner" and config.oracle == "hyperband":
        check_has_epochs(prepared.families)
    if config.callbacks is not None:
        check_callbacks(config.callbacks, has_networks=has_networks(config))
    return prepared


def _run_through(
    run: Run, config: StudyConfig, prepared: Prepared, command: str, is_verbose: bool
) -> Outcome:
    shown = Progress(config.trials, prepared.metric.name, budget_seconds=config.time, is_verbose=is_verbose)
    try:
        with shown as progress:
            _announce(progress, prepared)
            done = carry_out(run, config, prepared, command=command, progress=progress, needs_evidence=True)
        write_report(run)
    except KeyboardInterrupt:  # outside the trials
        if not run.has("run.json"):
            raise
        raise Interrupted(
            f"what is finished is kept; python -m search.run resume {run.path} goes on"
        ) from None
    if not done.is_interrupted:
        run.finish()
    return done


def carry_out(
    run: Run,
    config: StudyConfig,
    prepared: Prepared,
    *,
    command: str,
    progress: Progress,
    needs_evidence: bool = False,
) -> Outcome:
    """Search and conclude a study whose data and splits stand, from where its run folder ends."""
    combiner = combiner_of(config, prepared)
    ledger = Ledger(run)
    earlier = _taken_up(run, ledger, config, prepared) if run.has("run.json") else []
    references = write_facts(run, config, prepared, command)
    plan = plan_of(config, prepared)
    left = None if config.time is None else max(0.0, config.time - resuming.seconds_used(earlier))
    limits = Limits(config.trial_time, config.trial_memory)
    with _workshop(config, plan, prepared, limits) as workshop:
        objective = objective_of(config, prepared, workshop, plan, left, run.path)
        budget = Budget(config.trials, left, config.max_failures)
        searched = _search(run, ledger, config, prepared, objective, budget, earlier, progress)
    summary = summary_of(prepared, plan, references, searched)
    completed = [trial for trial in searched.trials if trial.status == "completed"]
    if completed:
        progress.say("choosing the ensemble")
        told = (run, ledger, config, prepared, combiner, objective, completed, summary)
        conclude(*told, needs_evidence=needs_evidence)
    run.save_json("summary.json", summary)
    run.export()
    return Outcome(run.path, searched.is_interrupted, len(completed))


def objective_of(
    config: StudyConfig, prepared: Prepared, workshop: Trains, plan: Plan, seconds: float | None, place: Path
) -> Objective:
    """What a trial is worth; networks end after so many seconds, and files of callbacks go to a place."""
    return Objective(
        workshop=workshop,
        plan=plan,
        folds=prepared.folds,
        signature=prepared.signature,
        metric=prepared.metric,
        defaults=recipe_of(config),
        seed=prepared.seeds.number("training"),
        deadline=None if seconds is None else time.monotonic() + seconds,
        callbacks=attending(config.callbacks, place),
    )


def _workshop(
    config: StudyConfig, plan: Plan, prepared: Prepared, limits: Limits
) -> AbstractContextManager[Trains]:
    """What trains: processes of this machine, or tasks of a Ray cluster."""
    told = (plan, prepared.metric.name, prepared.dataset.task, max(1, config.workers), limits)
    if config.executor is None:
        return Workshop(*told)
    from search.remote.ray_executor import RayWorkshop

    address = config.executor.partition("=")[2] or None
    return RayWorkshop(*told, needs_networks=has_networks(config), address=address)


def _taken_up(run: Run, ledger: Ledger, config: StudyConfig, prepared: Prepared) -> list[Trial]:
    """The trials of a run that goes on, after what a killed process left is put in order."""
    resuming.check_prepared(run, prepared)
    event = resuming.human_event(run, config, prepared)
    if event is not None:
        ledger.append(event)
    run.check_ledger()
    (run.path / "DONE").unlink(missing_ok=True)
    resuming.sweep(run)
    return run.trials()


def free_place(config: StudyConfig) -> Path:
    """``runs/NAME``, or with the first number behind it that is free."""
    place, number = Path("runs") / name_of(config), 2
    while place.exists():
        place, number = Path("runs") / f"{name_of(config)}-{number}", number + 1
    return place


def recipe_of(config: StudyConfig) -> Recipe:
    """What a configuration of the space does not name."""
    return Recipe(
        n_epochs=config.epochs,
        patience=config.patience,
        epoch_choice=config.epoch_choice,
        class_weight=config.class_weight,
    )


def plan_of(config: StudyConfig, prepared: Prepared) -> Plan:
    """Rows and members of a study."""
    members = prepared.folds.members()
    if config.epoch_choice == "inner":
        return inner_plan(prepared.dataset, members, prepared.seeds.rng("inner"))
    return make_plan(prepared.dataset, members)


def _announce(progress: Progress, prepared: Prepared) -> None:
    dataset = prepared.dataset
    kind = f"{dataset.task.kind} target {', '.join(dataset.task.target_names)}"
    progress.say(f"{dataset.name}: {dataset.n_rows} rows, {dataset.schema.n_columns} columns, {kind}")
    for note in dataset.notes:
        progress.say(f"note: {note}")
    for finding in prepared.findings:
        progress.say(f"{finding.severity}: {finding.leak}: {finding.evidence} {finding.remedy}")
    if len(prepared.sealed):
        progress.say(f"holdout: {len(prepared.sealed)} rows are sealed and used by nothing")
    progress.say(f"splits: {prepared.folds.reason}")


def _search(
    run: Run,
    ledger: Ledger,
    config: StudyConfig,
    prepared: Prepared,
    objective: Objective,
    budget: Budget,
    earlier: Sequence[Trial],
    progress: Progress,
) -> Searched:
    """Run the trials that are left; an interruption keeps all that are finished."""
    growing = Growing(run, config, prepared, combiner_of(config, prepared), recipe_of(config))
    watch = Watch(run, prepared, progress, growing)
    leak = Leak(run, config, prepared) if config.leak_budget else None
    with _conducted(run, config, prepared, budget, progress) as (proposer, is_adaptive, run_all):
        running = Study(
            run, ledger, proposer, objective, prepared.families, budget, is_adaptive, watch, leak,
            config.workers, watch.begin,
        )  # fmt: skip
        running.take_up(earlier)
        try:
            reason, is_interrupted = run_all(running), False
        except KeyboardInterrupt:
            reason, is_interrupted = f"interrupted after {len(running.trials)} trials", True
    ladder, did = watch.ladder, leak.budget.to_json() if leak else None
    return Searched(running.trials, reason, is_interrupted, ladder.n_announced, ladder.n_withheld, did)


@contextmanager
def _conducted(
    run: Run, config: StudyConfig, prepared: Prepared, budget: Budget, progress: Progress
) -> Iterator[tuple[Proposer, bool, Callable[[Study], str]]]:
    """What proposes, whether that depends on earlier losses, and what runs trials: this process or many."""
    if config.storage is None:
        yield *_proposer(run, config, prepared), Study.run_all
        return
    from search.remote import conduct

    first = _first(config, prepared)
    with conduct.Conductor(run, config, prepared, budget.seconds, first) as conductor:
        progress.say(f"workers join with: {conductor.invitation}")
        yield conductor.proposer, conduct.is_adaptive(config), conductor.run_all


def _proposer(run: Run, config: StudyConfig, prepared: Prepared) -> tuple[Proposer, bool]:
    """The driver, and whether its proposals depend on earlier losses."""
    seed = prepared.seeds.number("proposer")
    if config.tuner == "keras-tuner":
        directory = run.path / "oracle"
        made = keras_tuner_proposer(
            prepared.space, oracle=config.oracle, seed=seed, directory=directory,
            max_trials=config.trials, max_epochs=config.epochs,
        )  # fmt: skip
        resuming.check_trials(run, made.settled)
        return made, config.oracle == "bayesian"
    made = optuna_proposer(
        prepared.space, sampler=config.sampler, seed=seed, storage_path=run.path / "journal.log",
        study_name="foldstack", enqueue=_first(config, prepared),
    )  # fmt: skip
    resuming.check_trials(run, made.settled)
    return made, config.sampler in ("tpe", "cmaes")


def _first(config: StudyConfig, prepared: Prepared) -> Sequence[Any]:
    """Configurations to begin with; a plan begins with its own."""
    if config.sampler in ("grid", "qmc"):
        return ()
    return first_configs(prepared.families, prepared.space, prepared.signature)
