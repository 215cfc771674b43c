"""A real MariaDB or MySQL server for a test, where one is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.search.remote.postgres import DATABASE, PASSWORD, USER

PLACES = ("/usr/sbin", "/usr/libexec", "/usr/local/sbin", "/opt/homebrew/bin")
MISSING = "no MariaDB or MySQL server is installed (Debian: apt-get install mariadb-server)"


def program(*names: str) -> str | None:
    """The first of these programs that is installed."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *PLACES])
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def is_installed() -> bool:
    """Whether there is a server to start."""
    return program("mariadbd", "mysqld") is not None


class Server:
    """A server on a port of its own, that lets one user in, with a password."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="my-", dir="/tmp"))
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = int(one.getsockname()[1])
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._lay_out()
        self._process: subprocess.Popen[bytes] | None = None

    def _lay_out(self) -> None:
        install, data = program("mariadb-install-db"), f"--datadir={self.folder / 'data'}"
        if install is not None:
            told = [install, "--no-defaults", data, "--auth-root-authentication-method=normal"]
        else:
            told = [str(program("mysqld")), "--no-defaults", "--initialize-insecure", data]
        subprocess.run(told, check=True, capture_output=True, cwd="/", **self._as)
        (self.folder / "begin.sql").write_text(
            f"create database if not exists {DATABASE} character set utf8mb4;\n"
            f"create user if not exists '{USER}'@'%' identified by '{PASSWORD}';\n"
            f"grant all on *.* to '{USER}'@'%';\n"
        )

    def url(self, password: str | None = PASSWORD) -> str:
        own = "" if password is None else f":{password}"
        return f"mysql://{USER}{own}@127.0.0.1:{self.port}/{DATABASE}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        told = {
            "datadir": self.folder / "data", "port": self.port, "bind-address": "127.0.0.1",
            "skip-name-resolve": 1,  # else an anonymous user of localhost comes before ours
            "socket": self.folder / "socket", "pid-file": self.folder / "pid",
            "init-file": self.folder / "begin.sql", "innodb-buffer-pool-size": "32M",
            "innodb-flush-log-at-trx-commit": 2,  # outlives the server, if not the machine
        }  # fmt: skip
        command = [str(program("mariadbd", "mysqld")), "--no-defaults"]
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [*command, *(f"--{name}={value}" for name, value in told.items())], stdout=log, stderr=log,
                cwd="/", start_new_session=True, **self._as,
            )  # fmt: skip
        import pymysql

        for _ in range(300):
            try:
                pymysql.connect(
                    host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, database=DATABASE
                ).close()
                return
            except pymysql.MySQLError:
                assert self._process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.1)
        raise RuntimeError((self.folder / "log").read_text())

    def kill(self) -> None:
        """End it with kill -9."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """End it, and remove what it wrote."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
        shutil.rmtree(self.folder)
