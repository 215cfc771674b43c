"""The main job from a configuration to a finished run: data, splits, space, study, ensemble, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.report import write_report
from search import assembly, metrics
from search import resume as resuming
from search.audit import findings_table
from search.baselines import Baseline, baselines
from search.conclusion import combiner_of, conclude
from search.config import StudyConfig, load, to_toml
from search.ledger import Ledger
from search.looks import row_hashes
from search.objective import Objective, fold_scores, inner_plan, make_plan, standard_error
from search.preparation import Prepared, has_networks, name_of, prepare
from search.progress import Progress
from search.proposers import Proposer, check_has_epochs, keras_tuner_proposer, optuna_proposer
from search.records import Run, Trial, versions
from search.study import Budget, Study
from search.training.callbacks import attending, check_callbacks
from search.training.context import start_server
from search.training.limits import Limits
from search.training.plan import Plan
from search.training.recipe import Recipe
from search.training.trained import pooled_loss
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
    prepared = _prepared(config)
    if config.out is not None and resuming.is_begun(config.out):
        run = Run.open(config.out)
        resuming.check_config(load(run.path / "config.toml"), config)
    else:
        run = Run.create(config.out or free_place(config))
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
    config = resuming.configured(run, told)
    if run.is_finished and not told:
        raise resuming.ResumeError(
            f"a finished run goes on with more trials or time, such as --trials {2 * config.trials}: "
            f"{str(path)!r} is finished and nothing was told"
        )
    prepared = _prepared(config)
    with resuming.alone(run):
        return _run_through(run, config, prepared, command, is_verbose)


def _prepared(config: StudyConfig) -> Prepared:
    start_server(needs_networks=has_networks(config))
    if config.storage is not None:
        from search.remote import conduct

        conduct.check_places(config)
    prepared = prepare(config)
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
    budget, metric = config.time, prepared.metric.name
    with Progress(config.trials, metric, budget_seconds=budget, is_verbose=is_verbose) as progress:
        _announce(progress, prepared)
        outcome = carry_out(run, config, prepared, command=command, progress=progress, needs_evidence=True)
    write_report(run)
    if not outcome.is_interrupted:
        run.finish()
    return outcome


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
    references = _begin(run, config, prepared, command)
    plan = plan_of(config, prepared)
    left = None if config.time is None else max(0.0, config.time - resuming.seconds_used(earlier))
    limits = Limits(config.trial_time, config.trial_memory)
    with _workshop(config, plan, prepared, limits) as workshop:
        objective = Objective(
            workshop=workshop,
            plan=plan,
            folds=prepared.folds,
            signature=prepared.signature,
            metric=prepared.metric,
            defaults=recipe_of(config),
            seed=prepared.seeds.number("training"),
            deadline=None if left is None else time.time() + left,
            callbacks=attending(config.callbacks, run.path),
        )
        budget = Budget(config.trials, left, config.max_failures)
        searched = _search(run, ledger, config, prepared, objective, budget, earlier, progress)
    summary = _summary(prepared, plan, references, searched)
    completed = [trial for trial in searched.trials if trial.status == "completed"]
    if completed:
        progress.say("choosing the ensemble")
        conclude(
            run,
            ledger,
            config,
            prepared,
            combiner,
            objective,
            completed,
            summary,
            needs_evidence=needs_evidence,
        )
    run.save_json("summary.json", summary)
    run.export()
    return Outcome(run.path, searched.is_interrupted, len(completed))


def _workshop(
    config: StudyConfig, plan: Plan, prepared: Prepared, limits: Limits
) -> AbstractContextManager[Trains]:
    """What trains: processes of this machine, or tasks of a Ray cluster."""
    told = (plan, prepared.metric.name, prepared.dataset.task, max(1, config.workers), limits)
    if config.executor is None:
        return Workshop(*told)
    from search.remote.ray_executor import RayWorkshop

    return RayWorkshop(*told, address=config.executor.partition("=")[2] or None)


def _taken_up(run: Run, ledger: Ledger, config: StudyConfig, prepared: Prepared) -> list[Trial]:
    """The trials of a run that goes on, after what a killed process left is put in order."""
    resuming.check_prepared(run, prepared)
    event = resuming.human_event(run, config, prepared)
    if event is not None:
        ledger.append(event)
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


def _begin(run: Run, config: StudyConfig, prepared: Prepared, command: str) -> tuple[Baseline, ...]:
    """Write down what is known before the first trial; the result is the reference models."""
    dataset, folds = prepared.dataset, prepared.folds
    before = run.load_json("run.json") if run.has("run.json") else {}
    again = [*before.get("continued", []), command] if before else []
    facts = {
        "command": before.get("command", command),
        "continued": again,
        "versions": versions(),
        "metric": prepared.metric.name,
        "is_higher_better": prepared.metric.is_higher_better,
        "seed": config.seed,
        "task": dataset.task.to_json(),
        "schema": dataset.schema.to_json(),
        "dataset": {
            "name": dataset.name,
            "n_rows": dataset.n_rows,
            "n_columns": dataset.schema.n_columns,
            "n_dropped": dataset.n_dropped,
            "n_sealed": len(prepared.sealed),
            "fingerprint": dataset.fingerprint,
            "source": prepared.source,
            "notes": list(dataset.notes),
        },
        "folds": {
            "kind": folds.kind,
            "n_splits": folds.n_splits,
            "n_repeats": folds.n_repeats,
            "reason": folds.reason,
            "fingerprint": folds.fingerprint,
        },
        "space": prepared.space.to_json(),
    }
    run.save_text("config.toml", to_toml(config))
    run.save_json("run.json", facts)
    folds.save(run.path / "splits.npz")
    run.save_arrays(
        "rows.npz",
        {
            "development": prepared.development,
            "sealed": prepared.sealed,
            "hashes": row_hashes(dataset.table),
        },
    )
    run.save_csv("audit.csv", findings_table(prepared.findings))
    references = baselines(dataset, folds)
    run.save_arrays("baselines.npz", {baseline.name: baseline.predictions for baseline in references})
    return references


@dataclass(frozen=True)
class Searched:
    """The trials of a study, what ended it, and what was said of it meanwhile."""

    trials: list[Trial]
    reason: str
    is_interrupted: bool
    n_announced: int
    n_withheld: int
    leak_budget: dict[str, Any] | None


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


def _count(trials: Sequence[Trial], status: str) -> int:
    return sum(trial.status == status for trial in trials)


def _proposer(run: Run, config: StudyConfig, prepared: Prepared) -> tuple[Proposer, bool]:
    """The driver, and whether its proposals depend on earlier losses."""
    seed = prepared.seeds.number("proposer")
    if config.tuner == "keras-tuner":
        directory = run.path / "oracle"
        made = keras_tuner_proposer(
            prepared.space, oracle=config.oracle, seed=seed, directory=directory,
            max_trials=config.trials, max_epochs=config.epochs,
        )  # fmt: skip
        return made, config.oracle == "bayesian"
    made = optuna_proposer(
        prepared.space, sampler=config.sampler, seed=seed, storage_path=run.path / "journal.log",
        study_name="foldstack", enqueue=_first(config, prepared),
    )  # fmt: skip
    return made, config.sampler in ("tpe", "cmaes")


def _first(config: StudyConfig, prepared: Prepared) -> Sequence[Any]:
    """Configurations to begin with; a plan begins with its own."""
    if config.sampler in ("grid", "qmc"):
        return ()
    return first_configs(prepared.families, prepared.space, prepared.signature)


def _summary(
    prepared: Prepared, plan: Plan, references: Sequence[Baseline], searched: Searched
) -> dict[str, Any]:
    """What the reports say of a run, but for its ensemble."""
    return {
        "metric": prepared.metric.name,
        "is_higher_better": prepared.metric.is_higher_better,
        "n_rows": prepared.dataset.n_rows,
        "baselines": [_reference(prepared.metric, plan, baseline) for baseline in references],
        "stop_reason": searched.reason,
        "splits_reason": prepared.folds.reason,
        "n_failed": _count(searched.trials, "failed"),
        "n_pruned": _count(searched.trials, "pruned"),
        "n_duplicate": _count(searched.trials, "duplicate"),
        "ladder": {"n_announced": searched.n_announced, "n_withheld": searched.n_withheld},
        "leak_budget": searched.leak_budget,
    }


def _reference(metric: metrics.Metric, plan: Plan, baseline: Baseline) -> dict[str, Any]:
    scores = fold_scores(metric, plan, baseline.predictions)
    return {
        "name": baseline.name,
        "score": pooled_loss(metric.score, plan.y, baseline.predictions, plan.row_weights),
        "score_se": standard_error(scores),
        "fit_seconds": baseline.fit_seconds,
        "n_parameters": baseline.n_parameters,
    }
