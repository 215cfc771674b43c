"""What the audit says: findings, their table, and the columns they take out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import pandas as pd

Severity = Literal["error", "warning", "note"]
Leak = Literal[
    "target proxy",
    "identifier",
    "time order",
    "groups",
    "duplicate rows",
    "near duplicate rows",
    "rows in the holdout",
    "drift",
    "missing values",
]
ALPHA = 0.01  # of one kind of leak on a clean table, shared by all columns that it looks at (Bonferroni)


class AuditError(ValueError):
    """The audit was given parts that do not belong together."""


@dataclass(frozen=True)
class Finding:
    """One leak that was found.

    Parameters
    ----------
    leak
        Its kind.
    severity
        ``"error"``: a study on this table means nothing; ``"warning"``: its score is likely too good or a
        column is useless; ``"note"``: worth knowing, nothing is wrong.
    columns
        The columns concerned, the worst first; empty when it concerns rows.
    evidence
        A sentence with the numbers.
    remedy
        A sentence with the option to type.

    Raises
    ------
    AuditError
        If the leak or the severity is not one of the above.
    """

    leak: Leak
    severity: Severity
    columns: tuple[str, ...]
    evidence: str
    remedy: str

    def __post_init__(self) -> None:
        if self.leak not in get_args(Leak):
            raise AuditError(f"a leak is one of {', '.join(get_args(Leak))}, not {self.leak!r}")
        if self.severity not in get_args(Severity):
            raise AuditError(f"a severity is one of {', '.join(get_args(Severity))}, not {self.severity!r}")


def sorted_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings, the gravest first, then in the order of the kinds of leak."""
    severities, leaks = get_args(Severity), get_args(Leak)
    return tuple(sorted(findings, key=lambda f: (severities.index(f.severity), leaks.index(f.leak))))


def kept_by_name(findings: Iterable[Finding], keep: Iterable[str]) -> tuple[Finding, ...]:
    """Return the findings, those about kept columns only as notes."""
    kept = set(keep)
    return tuple(
        replace(f, severity="note", remedy="Nothing to do: kept by name.")
        if f.columns and kept.issuperset(f.columns)
        else f
        for f in findings
    )


def strict(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings, warnings as errors."""
    return tuple(replace(f, severity="error") if f.severity == "warning" else f for f in findings)


def columns_to_drop(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return the columns that are left out unless kept by name: identifiers."""
    graver = (f for f in findings if f.leak == "identifier" and f.severity != "note")
    return tuple(dict.fromkeys(c for f in graver for c in f.columns))


def findings_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """Return one row per finding: severity, leak, columns (joined by commas), evidence, remedy."""
    import pandas as pd

    rows = [(f.severity, f.leak, ", ".join(f.columns), f.evidence, f.remedy) for f in findings]
    return pd.DataFrame(rows, columns=["severity", "leak", "columns", "evidence", "remedy"], dtype="str")


def typed(name: str) -> str:
    """Return a column name as it is typed after an option."""
    return name if re.fullmatch(r"[\w.+][\w.+-]*", name) else json.dumps(name, ensure_ascii=False)


def kept(name: str) -> str:
    """Return the setting that keeps a column."""
    return f"keep = [{json.dumps(name, ensure_ascii=False)}]"


def percent(share: float) -> str:
    """Return a share for people: whole per cents, tenths below 10 %."""
    return f"{share:.1%}" if share < 0.0995 else f"{share:.0%}"
