"""Malformed configuration files: values of every key, files that are no TOML, overrides of the space."""

# ruff: noqa: E501 - a case is a line
from __future__ import annotations

from pathlib import Path

from tests.hostile.corpus import Case, good_text

BASE = {"data": '"t.csv"', "target": '"y"', "families": '["linear"]'}
_WORD = ("3", "true", "[1]", "{u = 1}", "2024-01-01", '""', r'"\u001b[31m"')
_TEXT = ("3", "true", "[1]", "{u = 1}", '""')
_NAMES = ("3", "true", "[3]", "[[]]", '[""]', '["u", 3]', "{u = 1}")
_FLAG = ("1", '"yes"', "[]", "0.0", "{}")
_COUNT = ('"many"', "1.5", "true", "-1", "inf", "nan", "[]", "{}")
_POSITIVE = (*_COUNT, "0")
_SHARE = ('"half"', "1.0", "-0.1", "nan", "inf", "-inf", "true", "[]")

KEYS: dict[str, tuple[str, ...]] = {
    "preset": _WORD, "data": _TEXT, "target": _NAMES, "demo": _WORD, "name": _TEXT, "task": _WORD,
    "groups": _TEXT, "time_column": _TEXT, "weights": _TEXT, "class_weight": _WORD, "drop": _NAMES,
    "inputs": ("3", '"a"', '["a"]', "{a = 3}", "{a = []}", '{a = "movie"}', '{u = "image"}'), "keep": _NAMES,
    "audit": _FLAG, "near_duplicates": _FLAG, "strict": _FLAG, "holdout": _SHARE, "splits": _POSITIVE,
    "repeats": _POSITIVE, "stratify": _FLAG, "metric": (*_WORD, '"rmse"'), "sampler": _WORD, "tuner": _WORD,
    "oracle": _WORD, "trials": _POSITIVE, "time": ('"soon"', "0", "-1", "nan", "inf", "true", "[]", '""', '"1h1h"',
    '"-5m"', r'"\u001b"', "2024-01-01"), "epochs": _POSITIVE, "patience": ('"long"', "-1.0", "nan", "[]", "true"),
    "epoch_choice": _WORD, "leak_budget": _FLAG, "max_failures": _POSITIVE, "families": (*_NAMES, "[]",
    '["forest of trees"]', r'["\u001b[31m"]'), "model": (*_TEXT, '"nocolon"', '"no.such:build"', r'"\u001b:u"',
    '"json:nothing"', '":"', '"..:u"'), "ensemble": _WORD, "calibration": _WORD, "final": _WORD,
    "nested": _COUNT, "fresh_seeds": _COUNT, "draws": _COUNT, "seed": _COUNT, "out": _TEXT,
    "workers": (*_COUNT, "2000"), "trial_time": ('"soon"', "0", "-1", "nan", "true", "[]"),
    "trial_memory": ("0.0", "-1.0", "true", "[]", '"much"'), "callbacks": (*_TEXT, '"nocolon"', '"no.such:made"'),
    "space": ("3", '"mlp"', "[]", "[{depth = 1}]"),
}  # fmt: skip
"""Literals that each key refuses; the message must name the key or what it is about."""
SAYS = {
    "metric": "metric", "inputs": "input", "families": "families", "model": "mod", "time": "time",
    "target": "target",
}  # fmt: skip


def written(content: str | bytes) -> object:
    """Write the good table and a configuration beside it."""
    Path("t.csv").write_text(good_text())
    return Path("c.toml").write_bytes(content.encode() if isinstance(content, str) else content)


def toml(name: str, content: str | bytes, rule: str) -> Case:
    """A case of a configuration file."""
    return Case(name, lambda: written(content), ("--config", "c.toml"), rule)


def with_key(key: str, literal: str) -> str:
    """A good configuration with one value replaced."""
    return "".join(f"{name} = {value}\n" for name, value in {**BASE, key: literal}.items())


def space(name: str, lines: str, rule: str, family: str = "mlp") -> Case:
    """A case of overrides."""
    head = with_key("families", f'["{family}"]')
    return toml(f"space of {family}: {name}", f"{head}[space.{family}]\n{lines}\n", rule)


VALUES = tuple(
    toml(f"{key} = {literal}", with_key(key, literal), SAYS.get(key, key))
    for key, literals in KEYS.items()
    for literal in literals
)
GOOD = with_key("seed", "1")
FILES = (
    toml("no TOML", "data is t.csv\n", "not TOML"),
    toml("YAML", "data: t.csv\ntarget: y\n", "not TOML"),
    toml("JSON", '{"data": "t.csv"}', "not TOML"),
    toml("bytes", bytes(range(256)), "not TOML"),
    toml("UTF-16", GOOD.encode("utf-16"), "not TOML"),
    toml("NUL bytes", GOOD + "\0", "not TOML"),
    toml("a control character", GOOD + '# \x1b[31m\n', "not TOML"),
    toml("a string that never ends", GOOD + 'name = "u', "not TOML"),
    toml("a key twice", GOOD + "seed = 2\n", "not TOML"),
    toml("a table twice", GOOD + "[space]\n[space]\n", "not TOML"),
    toml("a key that is a table too", GOOD + "[seed]\nu = 1\n", "not TOML"),
    toml("a steering key twice", GOOD + r'"\u001b[31m" = 1' + "\n" + r'"\u001b[31m" = 1' + "\n", "not TOML"),
    toml("deep lists", f"space = {'[' * 100_000}{']' * 100_000}\n", "not TOML"),
    toml("deep tables", "".join(["space = ", "{u = " * 50_000, "1", "}" * 50_000]), "not TOML"),
    toml("deep keys", GOOD + "space." + ".".join("u" * 2000) + " = 1\n", "unknown parameter"),
    toml("a number of many digits", GOOD + "trials = " + "9" * 5000 + "\n", "not TOML"),
    toml("an unknown key", GOOD + "trails = 3\n", "unknown key 'trails': the nearest is 'trials'"),
    toml("an empty key", GOOD + '"" = 3\n', "unknown key ''"),
    toml("a steering key", GOOD + r'"\u001b[31mred" = 3' + "\n", r"\x1b[31mred"),
    toml("a key of two lines", GOOD + r'"u\nv" = 3' + "\n", r"u\nv"),
    toml("a key from right to left", GOOD + r'"\u202eabc" = 3' + "\n", r"\u202eabc"),
    toml("a long key", GOOD + "u" * 100_000 + " = 3\n", "unknown key"),
    toml("a long value", GOOD + 'sampler = "' + "u" * 100_000 + '"\n', "sampler"),
    toml("many unknown keys", GOOD + "".join(f"u{i} = 1\n" for i in range(20_000)), "unknown key 'u0'"),
    toml("an unknown table", GOOD + "[study]\ntrials = 3\n", "unknown key 'study'"),
    toml("data and demo", GOOD + 'demo = "wine"\n', "exclude each other"),
    toml("no target", 'data = "t.csv"\n', "--target"),
    toml("no data", 'target = "y"\n', "target needs a table"),
    toml("NUL in data", with_key("data", r'"t\u0000.csv"'), "NUL"),
    toml("NUL in out", with_key("out", r'"u\u0000v"'), "NUL"),
    toml("NUL in name", with_key("name", r'"u\u0000v"'), "NUL"),
    toml("a name too long", with_key("name", '"' + "u" * 5000 + '"'), "too long"),
    toml("out is a file", with_key("out", '"t.csv"'), "is a file"),
    toml("out is below a file", with_key("out", '"t.csv/run"'), "t.csv"),
    toml("out is full", with_key("out", '"."'), "empty folder"),
    toml("out is a device", with_key("out", '"/dev/null"'), "is a file"),
    Case("no configuration", lambda: None, ("--config", "c.toml"), "cannot be read"),
    Case("a folder", lambda: Path("c.toml").mkdir(), ("--config", "c.toml"), "cannot be read"),
)  # fmt: skip
SPACES = (
    space("a text for a whole number", 'depth = "deep"', "depth"),
    space("a fraction for a whole number", "depth = 1.5", "depth"),
    space("a flag for a whole number", "depth = true", "depth"),
    space("no number for a number", "learning_rate = nan", "learning_rate"),
    space("infinity for a number", "learning_rate = inf", "learning_rate"),
    space("below 0 on a log scale", "learning_rate = -0.1", "learning_rate"),
    space("0 on a log scale", "learning_rate = 0.0", "learning_rate"),
    space("a text for a number", 'learning_rate = "fast"', "learning_rate"),
    space("a date for a number", "learning_rate = 2024-01-01", "learning_rate"),
    space("an unknown option", 'optimizer = "adamm"', "optimizer"),
    space("an option that steers", r'optimizer = "\u001b[31m"', r"\x1b[31m"),
    space("a number for an option", "optimizer = 3", "optimizer"),
    space("a range for an option", "optimizer = {low = 0, high = 1}", "optimizer"),
    space("no options", "optimizer = []", "optimizer"),
    space("options twice", 'optimizer = ["adam", "adam"]', "optimizer"),
    space("options that nest", 'optimizer = [["adam"]]', "optimizer"),
    space("a table as an option", "optimizer = [{u = 1}]", "optimizer"),
    space("an upside-down range", "depth = {low = 5, high = 1}", "depth"),
    space("a range of texts", 'depth = {low = "1", high = "3"}', "depth"),
    space("a range of fractions", "depth = {low = 1.5, high = 2.5}", "depth"),
    space("a range without end", "learning_rate = {low = 0.1, high = inf}", "learning_rate"),
    space("a range from 0 on a log scale", "learning_rate = {low = 0.0, high = 0.1, log = true}", "learning_rate"),
    space("steps on a log scale", "learning_rate = {low = 0.1, high = 0.2, log = true, step = 0.1}", "step"),
    space("no steps", "depth = {low = 1, high = 3, step = 0}", "step"),
    space("steps that do not fit", "depth = {low = 1, high = 4, step = 2}", "step"),
    space("log is no flag", 'depth = {low = 1, high = 4, log = "yes"}', "log"),
    space("an unknown key of a range", "depth = {min = 1, max = 4}", "low, high, log, step"),
    space("an unknown parameter", "deepness = 3", "unknown parameter 'deepness'"),
    space("a parameter that steers", r'"\u001b[31m" = 3', r"\x1b[31m"),
    space("a huge whole number", "depth = 1000000000000000000000000", "depth"),
    space("a whole number beyond all floats", "learning_rate = 1" + "0" * 400, "learning_rate"),
    space("a switch that contradicts", "l2_on = false\nl2 = 0.1", "l2"),
    space("an unknown parameter", "depth = 3", "depth", "linear"),
    toml("space of an unknown family", GOOD + "[space.forest]\ntrees = 3\n", "forest"),
    toml("space of a family not searched", GOOD + "[space.mlp]\ndepth = 3\n", ""),
    toml("unknown parameter of all", GOOD + "[space]\ndeepness = 3\n", "deepness"),
)  # fmt: skip
CONFIGURATIONS: tuple[Case, ...] = (*VALUES, *FILES, *SPACES)
