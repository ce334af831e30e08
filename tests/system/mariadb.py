"""A real MariaDB server in a directory of its own.

Used by the system tests and the bench. The data directory is installed once
in a session and copied for each server; a server listens on 127.0.0.1 and ::1
(the same free port) and on a Unix socket, with grant tables, and with
InnoDB's default durability.

    with MariaDB(directory) as db:      # or start() ... stop()
        db.execute("CREATE DATABASE postal")
        db.add_user("postal", "secret")
        rows = db.execute("SELECT * FROM postal.servers WHERE id = %s", (1,))
"""

import atexit
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pymysql

from ports import free_port

START_SECONDS = 30
STOP_SECONDS = 30
# Small enough to copy in no time, large enough for a bench of millions.
LOG_FILE_SIZE = "64M"

_template = None


def _server_user():
    """Who the server runs as: it refuses root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    return "mysql"


def _own(path):
    if os.geteuid() == 0:
        user = pwd.getpwnam(_server_user())
        os.chown(path, user.pw_uid, user.pw_gid)


def template():
    """A data directory as mariadb-install-db leaves it; made once."""
    global _template
    if _template is None:
        parent = Path(tempfile.mkdtemp(prefix="mariadb-template-"))
        atexit.register(shutil.rmtree, parent, ignore_errors=True)
        os.chmod(parent, 0o755)
        _own(parent)
        made = subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                f"--datadir={parent}/data",
                f"--user={_server_user()}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
                f"--innodb-log-file-size={LOG_FILE_SIZE}",
            ],
            capture_output=True,
            text=True,
            check=False,
            # A server that starts clears its directory of temporary files,
            # whoever else has some there.
            env={**os.environ, "TMPDIR": str(parent)},
        )
        assert made.returncode == 0, made.stdout + made.stderr
        _template = parent / "data"
    return _template


class Authority:
    """A certificate authority made by openssl, in a directory."""

    def __init__(self, directory, name="ca"):
        self.directory = Path(directory)
        self.name = name
        self.key = self.directory / f"{name}.key"
        self.cert = self.directory / f"{name}.pem"
        self._openssl(
            *"req -x509 -nodes -days 2 -newkey ec".split(),
            *"-pkeyopt ec_paramgen_curve:prime256v1".split(),
            *("-subj", f"/CN=test authority {name}"),
            *("-keyout", self.key, "-out", self.cert),
        )
        os.chmod(self.cert, 0o644)

    @staticmethod
    def _openssl(*args):
        made = subprocess.run(
            ["openssl", *map(str, args)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr

    def issue(self, names, stem="server"):
        """Key and certificate for "DNS:a,IP:::1"; (key, cert) paths."""
        key = self.directory / f"{stem}.key"
        request = self.directory / f"{stem}.csr"
        cert = self.directory / f"{stem}.pem"
        extensions = self.directory / f"{stem}.ext"
        extensions.write_text(f"subjectAltName={names}\n")
        self._openssl(
            *"req -nodes -newkey ec".split(),
            *"-pkeyopt ec_paramgen_curve:prime256v1".split(),
            *("-subj", "/CN=test server"),
            *("-keyout", key, "-out", request),
        )
        self._openssl(
            *("x509", "-req", "-days", "2", "-in", request),
            *("-CA", self.cert, "-CAkey", self.key, "-CAcreateserial"),
            *("-extfile", extensions, "-out", cert),
        )
        os.chmod(cert, 0o644)
        os.chmod(key, 0o600)
        _own(key)
        return key, cert


class MariaDB:
    """One server: port, socket, directory, and with tls the file ca.

    strict: the server's default sql_mode is strict, or the empty one.
    tls: False; True for a certificate of localhost, 127.0.0.1 and ::1; or
    the names to put into it ("DNS:other.example").
    options: more of mariadbd's options ("--max-connections=20").
    within: a command to put in front, such as nsenter.
    """

    def __init__(
        self, directory, strict=True, tls=False, options=(), within=()
    ):
        self.directory = Path(directory)
        self.strict = strict
        self.options = list(options)
        self.within = list(within)
        self.data = self.directory / "data"
        self.socket = str(self.directory / "mariadb.sock")
        self.log_path = self.directory / "mariadb.log"
        self.port = free_port("127.0.0.1", "::1")
        self.process = None
        self.ca = None
        self.directory.mkdir(parents=True, exist_ok=True)
        os.chmod(self.directory, 0o755)
        _own(self.directory)
        if tls:
            names = tls
            if tls is True:
                names = "DNS:localhost,IP:127.0.0.1,IP:::1"
            authority = Authority(self.directory)
            self.ca = str(authority.cert)
            key, cert = authority.issue(names)
            self.options += [f"--ssl-key={key}", f"--ssl-cert={cert}"]
        subprocess.run(
            ["cp", "-a", "--reflink=auto", str(template()), str(self.data)],
            check=True,
        )

    # --- life -----------------------------------------------------------

    def command(self):
        return [
            *self.within,
            "mariadbd",
            "--no-defaults",
            f"--datadir={self.data}",
            f"--tmpdir={self.directory}",
            f"--user={_server_user()}",
            f"--socket={self.socket}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1,::1",
            f"--pid-file={self.directory}/mariadb.pid",
            f"--innodb-log-file-size={LOG_FILE_SIZE}",
            "--innodb-buffer-pool-size=64M",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--character-set-server=utf8mb4",
            "--plugin-load-add=auth_ed25519",
            "--loose-plugin-maturity=stable",
            "--sql-mode="
            + (
                "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,"
                "NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION"
                if self.strict
                else ""
            ),
            *self.options,
        ]

    def start(self):
        """Starts the server, or starts it again, and waits for it."""
        assert self.process is None, "it runs"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + START_SECONDS
        while True:
            assert self.process.poll() is None, self.log()
            try:
                self.connect().close()
                return self
            except pymysql.err.OperationalError:
                assert time.monotonic() < end, self.log()
                time.sleep(0.01)

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        """Ends it in order; nothing when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self):
        """As a crash: SIGKILL."""
        self._end(signal.SIGKILL)

    def _end(self, number):
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(number)
        # One that was paused has to run to end.
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)
            raise AssertionError(f"it did not stop: {self.log()}") from None

    def pause(self):
        """Every thread of it stands still when this returns."""
        os.kill(self.pid, signal.SIGSTOP)
        while any(state != "T" for state in self._thread_states()):
            time.sleep(0.001)

    def _thread_states(self):
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                stat = (task / "stat").read_text()
                yield stat.rsplit(")", 1)[1].split()[0]

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def restart(self):
        self.stop()
        return self.start()

    def log(self):
        return self.log_path.read_text(errors="replace")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # --- asking ---------------------------------------------------------

    def connect(self, user="root", password="", database=None, **more):
        """A pymysql connection over the socket, with autocommit."""
        return pymysql.connect(
            unix_socket=self.socket,
            user=user,
            password=password,
            database=database,
            autocommit=True,
            charset="utf8mb4",
            **more,
        )

    def execute(self, sql, args=None, database=None):
        """One statement as root; its rows as a list of tuples."""
        connection = self.connect(database=database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, args)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def script(self, sql, database=None):
        """Many statements as root, as the command-line client runs them."""
        command = ["mariadb", "--no-defaults", "-uroot"]
        command += [f"--socket={self.socket}"]
        if database:
            command.append(database)
        made = subprocess.run(
            command, input=sql, capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stderr
        return made.stdout

    def add_user(
        self,
        name,
        password="",
        grants=("ALL PRIVILEGES ON *.*",),
        plugin="mysql_native_password",
        require=None,
    ):
        """An account for every host. require: "SSL"."""
        account = f"'{name}'@'%'"
        plain = password.replace("\\", "\\\\").replace("'", "''")
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    f"CREATE OR REPLACE USER {account} IDENTIFIED VIA "
                    f"{plugin} USING PASSWORD('{plain}')"
                    + (f" REQUIRE {require}" if require else "")
                )
                for grant in grants:
                    cursor.execute(f"GRANT {grant} TO {account}")
        finally:
            connection.close()
