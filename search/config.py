"""The configuration of a study: one TOML file, overridden by flags, checked at the door."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from search import toml
from search.remote.address import check_address, redacted
from spaces.shown import shown

Demo = Literal["breast_cancer", "wine", "digits", "diabetes", "iris"]
PRESETS: dict[str, dict[str, Any]] = {
    "fast": {
        "families": ("linear", "boosting", "mlp"),
        "trials": 12,
        "epochs": 60,
        "repeats": 1,
        "draws": 200,
    },
    "good": {
        "families": ("linear", "boosting", "mlp", "extra_trees", "random_forest"),
        "trials": 30,
        "epochs": 100,
    },
    "best": {"families": ("all",), "trials": 100, "epochs": 256},
}
"""What a preset sets where nothing else is told."""

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


class ConfigError(ValueError):
    """A configuration that breaks a rule; the message is one line."""


def seconds(duration: str | float) -> float:
    """The seconds of a duration: a number of seconds, or text such as 90s, 10m, 1h30m.

    Raises
    ------
    ConfigError
        If it is neither, or not above zero.
    """
    if isinstance(duration, bool) or not isinstance(duration, str | int | float):
        raise ConfigError(
            f"a duration is a number of seconds or text such as 90s, 10m or 1h30m, not {duration!r}"
        )
    value = _seconds_of_text(duration) if isinstance(duration, str) else float(duration)
    if not 0.0 < value < float("inf"):
        raise ConfigError(f"a duration must be above zero and finite, not {duration!r}")
    return value


def _seconds_of_text(text: str) -> float:
    number = r"\d+(?:\.\d+)?"
    if re.fullmatch(number, text.strip()):
        return float(text)
    parts = re.fullmatch(
        rf"(?:({number})d)?(?:({number})h)?(?:({number})m)?(?:({number})s)?", text.strip().lower()
    )
    if parts is None or not any(parts.groups()):
        raise ConfigError(
            f"a duration is a number of seconds or text such as 90s, 10m or 1h30m, not {text!r}"
        )
    return sum(float(n or 0) * unit for n, unit in zip(parts.groups(), _UNITS.values(), strict=True))


def _names(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _pairs(value: Any) -> Any:
    """Texts NAME=KIND of the command line as a dictionary."""
    if not isinstance(value, list | tuple):
        return value
    for text in value:
        if not isinstance(text, str) or "=" not in text:
            raise ConfigError(f"an input is told as NAME=KIND, not {text!r}")
    return dict(text.rsplit("=", 1) for text in value)


def _duration(value: Any) -> Any:
    return None if value is None else seconds(value)


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ConfigError(f"a text must hold no NUL character, and {shown(text)} does")
    return text


Name = Annotated[str, Field(min_length=1), AfterValidator(_without_nul)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_names)]


class StudyConfig(BaseModel):
    """Everything that a study is told. `None` means: chosen from the data, and printed with its reason."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    preset: Literal["fast", "good", "best"] = "good"
    """How much is tried: sets families, trials and epochs (fast: repeats and draws too) where not told."""
    data: Name | None = None
    """Path of the table: CSV, TSV or Parquet, also gzipped, or arrays in an NPZ; relative to the working
    directory."""
    target: Names = ()
    """Target column, or several."""
    demo: Demo | None = None
    """A built-in table in place of `data`."""
    name: Name | None = None
    """Of the run; by default that of the table."""
    task: Literal["binary", "multiclass", "multilabel", "regression"] | None = None
    """What is predicted; by default inferred from the target."""
    groups: Name | None = None
    """Column whose equal values keep rows together, on one side of every split; no input."""
    time_column: Name | None = None
    """Column that tells when a row was seen: models learn from the past alone; no input."""
    weights: Name | None = None
    """Column that tells how much a row counts, in training and in every score."""
    class_weight: Literal["balanced"] | None = None
    """Whether networks learn from rows of rare classes more, all classes alike; no score counts them so."""
    drop: Names = ()
    """Columns that are neither features nor targets."""
    inputs: Annotated[dict[str, str], BeforeValidator(_pairs)] = Field(default_factory=dict)
    """What groups of columns ``name[i,j]``, or arrays of an ``.npz``, are: image, sequence, tokens, counts,
    vector or columns; or that a text column is text, whose words are counted."""
    keep: Names = ()
    """Columns that the audit must not take out or stop at."""
    audit: bool = True
    """Whether the table is audited before the first trial."""
    near_duplicates: bool = False
    """Whether nearly equal rows are kept in one fold, as equal rows are."""
    strict: bool = False
    """Whether warnings of the audit stop the study, as errors do."""
    holdout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Fraction of the rows sealed away before anything is learned."""
    splits: Annotated[int, Field(ge=1)] | None = None
    """Folds; 1 means one holdout."""
    repeats: Annotated[int, Field(ge=1)] | None = None
    """Reshuffled repeats of the folds; by default 3 below 2,000 rows with 5 minutes or more, else 1."""
    stratify: bool | None = None
    """Whether folds and holdout keep class shares. Stratified folds flatter a mean of rows such as log loss,
    so by default only other metrics (AUC) have them."""
    metric: Name | None = None
    """What is optimised and reported; by default log_loss or rmse."""
    sampler: Literal["tpe", "random", "grid", "qmc", "cmaes"] = "tpe"
    """Which of the samplers proposes when `tuner` is optuna."""
    tuner: Literal["optuna", "keras-tuner"] = "optuna"
    """Whose methods propose configurations."""
    oracle: Literal["random", "bayesian", "grid", "hyperband"] = "bayesian"
    """Which oracle proposes when `tuner` is keras-tuner."""
    trials: Annotated[int, Field(ge=1)] = 30
    """Configurations to try at most."""
    time: Annotated[float | None, BeforeValidator(_duration)] = None
    """Seconds after which no further trial starts and a running network ends at its next checkpoint; in TOML
    also text such as "10m". Ensemble and report come on top."""
    workers: Annotated[int, Field(ge=0, le=1_024)] = 1
    """Trials that are trained at the same time, each in one process of one thread; 0: other processes that
    join by the storage train them all."""
    storage: Annotated[str | None, Field(min_length=1, repr=False)] = None
    """Database in which workers on any machine share the study: postgresql://, mysql:// or sqlite:///FILE; by
    default a journal in the run folder. A password is best told as ${VARIABLE} or by PGPASSWORD; it is never
    written down."""
    artifacts: Name | None = None
    """Where workers leave the files of trials: a folder that all share, or s3://BUCKET/PREFIX; by default
    artifacts/ in the run folder."""
    executor: Name | None = None
    """What trains instead of processes of this machine: ray, or ray=ADDRESS of a cluster."""
    trial_time: Annotated[float | None, BeforeValidator(_duration)] = None
    """Seconds that one trial may take; one that takes longer fails."""
    trial_memory: Annotated[float | None, Field(gt=0)] = None
    """Megabytes that each process of a trial may use; a trial that uses more fails."""
    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """Epochs at most."""
    patience: Annotated[float, Field(ge=0)] = 2.0
    """A trial ends at this multiple of its best epoch so far, not before epoch 25; 0: never early."""
    epoch_choice: Literal["common", "inner", "fold", "fixed"] = "common"
    """How a trial's epoch is chosen: one for all folds on their mean curve; each fold's own on a slice of its
    training rows; each fold's own on its held-out rows; or the last."""
    leak_budget: bool = False
    """Whether the study stops when another trial is expected to add more optimism than it gains."""
    max_failures: Annotated[int, Field(ge=1)] = 5
    """Failed trials in a row that end the study."""
    families: Annotated[Names, Field(min_length=1)] = PRESETS["good"]["families"]
    """Kinds of model that are searched; all: every one that is installed."""
    model: Name | None = None
    """A model of one's own, package.module:function with ``build(hp)`` or ``build(trial)``, searched in place
    of the families."""
    callbacks: Name | None = None
    """Keras callbacks for networks, package.module:function with ``function(trial, member, place)``; they are
    trained by Keras' own ``fit`` then."""
    ensemble: Literal["auto", "greedy", "bagged", "convex", "diverse", "uniform", "best"] = "auto"
    """How members and weights are chosen; auto: by the method that is best on rows that did not choose."""
    calibration: Literal["auto", "none", "temperature", "isotonic"] = "auto"
    """How the ensemble's probabilities are corrected; auto: only where it helps."""
    final: Literal["bag", "refit"] = "bag"
    """The predictor: the average of the fold models, or members trained again on all rows."""
    nested: Annotated[int, Field(ge=0, le=100)] = 0
    """Outer folds around the whole study, as a check that costs so many studies more; 0: none."""
    fresh_seeds: Annotated[int, Field(ge=0, le=1_000)] = 0
    """Fresh seeds with which winner and members are trained again at the end; 0: none."""
    draws: Annotated[int, Field(ge=0, le=100_000)] = 500
    """Bootstrap draws for the interval of the reported scores; 0: no interval."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of everything that is random; the same seed gives the same run."""
    out: Name | None = None
    """The run folder; by default runs/NAME with a number behind where that exists."""
    space: dict[str, Any] = Field(default_factory=dict)
    """Overrides of the search space by parameter: a value, {low, high, log, step}, or a list of choices; by
    family, a table of such for this family alone."""

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, values: Any) -> Any:
        told = values if isinstance(values, Mapping) else {}
        preset = told.get("preset", "good")
        return {**(PRESETS.get(preset, {}) if isinstance(preset, str) else {}), **told}


def alone(config: StudyConfig) -> StudyConfig:
    """The same for a study beside it, which this process does by itself."""
    own = {"storage": None, "artifacts": None, "executor": None, "workers": max(1, config.workers)}
    return config.model_copy(update=own)


def load(toml_path: str | Path | None = None, flags: Mapping[str, Any] | None = None) -> StudyConfig:
    """Read the TOML file, if any, and put the flags that are not None over it; without data, the demo.

    Raises
    ------
    ConfigError
        In one line, on an unreadable file, an unknown key (naming the nearest), a value against its rule,
        or data without a target.
    """
    told = {} if toml_path is None else _read(Path(toml_path))
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    if "demo" in given:
        told = {name: value for name, value in told.items() if name not in ("data", "target")}
    if "data" in given:
        told.pop("demo", None)
    return _completed(check({**told, **given}))


def check(values: Mapping[str, Any]) -> StudyConfig:
    """A StudyConfig of these values; ConfigError in one line where a rule is broken."""
    for name in values:
        if name not in StudyConfig.model_fields:
            raise ConfigError(f"unknown key {shown(name)}: the nearest is {nearest(name)!r}")
    try:
        return StudyConfig.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(_one_line(error)) from None


def nearest(name: str) -> str:
    """The key of StudyConfig that is spelled most like `name`."""
    keys = list(StudyConfig.model_fields)
    close = difflib.get_close_matches(name.lower().replace("-", "_"), keys, n=1, cutoff=0.0)
    return close[0]


def to_toml(config: StudyConfig) -> str:
    """The configuration as TOML; keys that are None are left out, and `load` gives the same configuration."""
    told = {name: value for name, value in config.model_dump().items() if value is not None}
    return toml.dumps(told if config.storage is None else {**told, "storage": redacted(config.storage)})


def _read(path: Path) -> dict[str, Any]:
    if "\0" in str(path) or (path.exists() and not (path.is_file() or path.is_dir())):
        raise ConfigError(f"the configuration must be a plain file, and {shown(str(path))} is none")
    from search.archives import check_text

    try:
        if path.is_file():
            check_text(path)
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ConfigError(f"the configuration {str(path)!r} is not TOML: it is nested too deeply") from None
    except OSError as error:
        raise ConfigError(f"the configuration {str(path)!r} cannot be read: {error.strerror}") from None
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise ConfigError(f"the configuration {str(path)!r} is not TOML: {error}") from None


def _completed(config: StudyConfig) -> StudyConfig:
    if config.data is None and config.demo is None:
        if config.target:
            raise ConfigError(f"a target needs a table: got target {config.target[0]!r} and no DATA")
        return config.model_copy(update={"demo": "breast_cancer"})
    if config.data is not None and config.demo is not None:
        raise ConfigError(f"data and demo exclude each other: got {config.data!r} and {config.demo!r}")
    if config.data is not None and not config.target:
        raise ConfigError(f"a table needs --target COL, the column to predict: got only {config.data!r}")
    if config.callbacks and config.tuner == "keras-tuner" and config.oracle == "hyperband":
        raise ConfigError("callbacks see whole trainings, which Hyperband cuts up: got oracle 'hyperband'")
    if config.workers > 1 and config.tuner == "keras-tuner" and config.oracle == "hyperband":
        raise ConfigError(f"Hyperband compares whole rounds, so workers must be 1: got {config.workers}")
    if config.storage is not None:
        check_address(config.storage)
    if config.storage is not None and config.tuner == "keras-tuner":
        raise ConfigError("an oracle of KerasTuner lives in one process: a storage needs --tuner optuna")
    if config.storage is None and (config.artifacts is not None or config.workers == 0):
        raise ConfigError("a study is shared by --storage URL: got --artifacts or --workers 0 without one")
    if config.executor is not None and config.executor.partition("=")[0] != "ray":
        raise ConfigError(f"an executor must be ray or ray=ADDRESS, got {config.executor!r}")
    if config.executor is not None and (config.storage is not None or config.callbacks is not None):
        raise ConfigError("an executor trains for one process alone: got a storage or callbacks beside it")
    if config.demo is not None and config.target:
        raise ConfigError(
            f"a demo has its own target: got --target {config.target[0]!r} and demo {config.demo!r}"
        )
    return config


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):
        return f"{place}: {cause}"
    rule = (
        first["msg"]
        .replace("Input should be", "must be")
        .replace("String should", "must")
        .replace("Tuple", "it")
    )
    return f"{place} {rule}, not {shown(first['input'])}"
