"""A real PostgreSQL server for a test, that waits for no disk."""

from __future__ import annotations

import tempfile
from pathlib import Path
from uuid import uuid4

from benchmarks import postgres
from benchmarks.postgres import DATABASE as DATABASE
from benchmarks.postgres import PASSWORD as PASSWORD
from benchmarks.postgres import USER as USER


class Server(postgres.Server):
    """In a folder of its own, which the user nobody can reach."""

    def __init__(self) -> None:
        super().__init__(Path(tempfile.gettempdir()) / f"pg-{uuid4().hex}", is_durable=False)
