"""The import rule as a function: which module of ours may import which."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("spaces", "search", "ensemble", "reports")
# These modules put the stages together and may import them all; nothing else imports them.
ROOTS = tuple(
    f"search.{name}"
    for name in (
        "run", "flow", "conclusion", "ending", "watch", "assembly", "combination",
        "checks", "evidence", "estimators", "estimator_study", "estimator_state", "doctor", "lr_range",
        "workflow",
        "kfold_tuner", "verbs", "verbs_training", "verbs_resume", "verbs_reports", "verbs_craft",
        "verbs_worker",
    )
)  # fmt: skip
# The saved, predicting artefact reads frames by a schema and runs models that are built of our layers.
ARTEFACT = tuple(
    f"ensemble.{name}" for name in ("artefact", "model", "architecture", "card", "evaluation", "fitted")
)
READS = ("encoding", "families", "layers", "matrix", "monte_carlo", "packed", "schema", "startup", "task")
_ALLOWED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(ROOTS, PACKAGES),
    "spaces": ("spaces",),
    "search": ("search", "spaces"),
    "ensemble": ("ensemble",),
    **dict.fromkeys(ARTEFACT, ("ensemble", *(f"spaces.{name}" for name in READS))),
    "reports": ("reports", "search.records", "search.metrics"),
}


def violations(module: str, source: str) -> list[str]:
    """Imports in the source of `module` that the rule forbids."""
    allowed = _ALLOWED.get(module) or _ALLOWED[module.split(".")[0]]
    found = []
    for name in dict.fromkeys(imported(module, source)):
        if name.split(".")[0] not in PACKAGES or name == module:
            continue
        is_root = any(_is_within(name, root) for root in ROOTS)
        if is_root and not (module in ROOTS and not _is_within(name, "search.run")):
            found.append(f"{module} imports {name}, which only a composition root may")
        elif not any(_is_within(name, place) for place in allowed):
            found.append(f"{module} imports {name}")
    return found


def _is_within(name: str, place: str) -> bool:
    return name == place or name.startswith(place + ".")


def imported(module: str, source: str) -> Iterator[str]:
    """Full names that a module imports anywhere, also within functions and by `import_module("literal")`.

    `from search import records` gives `search.records`: a name that is no module stays within its package and
    breaks no rule that the package itself would not break.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = _start(module, node)
            yield from (f"{start}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__"):
                yield str(node.args[0].value)


def _start(module: str, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return str(node.module)
    parents = module.split(".")[: -node.level]
    return ".".join([*parents, node.module] if node.module else parents)


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Name and path of every module of the four packages."""
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            # A package's own file is named package.__init__ here, so that `from . import x` resolves alike.
            yield ".".join(parts), path
