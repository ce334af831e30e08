"""The forwarder's way to the database: real servers, inside the real jail."""

import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from conftest import PROGRAMS, WAIT_SECONDS
from mariadb import Authority, MariaDB

SQLJAIL = f"{PROGRAMS}/sqljail"
FALLBACK_UID = 60983


class Jail:
    """sqljail, with its configuration in a directory of its own."""

    def __init__(self, directory, command=(), more="", **keys):
        self.directory = Path(directory)
        self.conf = self.directory / f"jail-{os.urandom(4).hex()}.conf"
        password = keys.pop("password", "se cret")
        if password is not None:
            path = self.conf.with_suffix(".pw")
            path.write_text(password + "\n")
            os.chmod(path, 0o600)
            keys["password_file"] = path
        keys.setdefault("user", "postal")
        text = "[main_db]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items())
        self.conf.write_text(text + more)
        self.process = subprocess.Popen(
            [*command, SQLJAIL, str(self.conf)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.first = self.process.stdout.readline().strip()

    def ask(self, line):
        """The answer; "" when the process ended, or was too slow for us."""
        watchdog = threading.Timer(2 * WAIT_SECONDS, self.process.kill)
        watchdog.start()
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().rstrip("\n")
        watchdog.cancel()
        return answer

    def connect(self, which="main"):
        answer = self.ask(f"connect {which}")
        assert answer.startswith("ok "), answer
        return answer

    def end(self):
        """Exit code and what it wrote to stderr."""
        _, err = self.process.communicate(timeout=WAIT_SECONDS)
        return self.process.returncode, err

    def __enter__(self):
        assert self.first.startswith("jailed "), self.first + self.end()[1]
        return self

    def __exit__(self, *failed):
        self.process.stdin.close()
        try:
            code = self.process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        err = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        if not any(failed):
            assert code == 0 and err == "", (code, err)


def own(path):
    os.chmod(path, 0o755)
    return Path(path)


@pytest.fixture(scope="module")
def place():
    path = own(tempfile.mkdtemp(prefix="tracker-sql-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def add_accounts(db):
    db.execute("CREATE DATABASE postal")
    db.add_user("postal", "se cret")
    db.add_user("few", "se cret", grants=["SELECT ON postal.*"])
    db.add_user("ed", "p'w\\d", plugin="ed25519")
    db.add_user("nobody", "")
    db.add_user("tls", "se cret", require="SSL")
    return db


@pytest.fixture(scope="module")
def db(place):
    with MariaDB(place / "plain") as server:
        yield add_accounts(server)


@pytest.fixture(scope="module")
def tls(place):
    with MariaDB(place / "tls", strict=False, tls=True) as server:
        yield add_accounts(server)


def tcp(server, host="127.0.0.1", **keys):
    return {"host": host, "port": server.port, **keys}


# --- connecting ----------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "socket"])
def test_connects_again_inside_the_jail(work, db, host):
    keys = {"socket": db.socket} if host == "socket" else tcp(db, host)
    with Jail(work, **keys) as jail:
        jail.connect()
        pid = jail.ask("query SELECT CONNECTION_ID()")
        assert pid.startswith("ok ")
        db.restart()
        lost = jail.ask("query SELECT 1")
        assert re.match(r"failed lost 20(06|13) ", lost), lost
        assert jail.ask("query SELECT 1").startswith("failed lost 0 ")
        db.stop()
        assert re.match(r"failed lost 200[23] ", jail.ask("connect main"))
        db.start()
        jail.connect()
        assert jail.ask("query SELECT 1, NULL").startswith("ok 1|NULL;")
        db.kill()
        db.start()
        assert jail.ask("text SELECT 1").startswith("failed lost 20")
        jail.connect()
        assert jail.ask("text SELECT 1") == "ok"


def test_socket_and_tcp_are_what_was_asked_for(work, db):
    where = "query SELECT HOST FROM information_schema.PROCESSLIST"
    with Jail(work, **tcp(db, "localhost")) as jail:
        jail.connect()
        assert re.match(r"ok 127\.0\.0\.1:\d+;", jail.ask(where))
    with Jail(work, socket=db.socket, host="nowhere.invalid") as jail:
        jail.connect()
        assert jail.ask(where).startswith("ok localhost;")


def test_waits_are_bounded(work, db):
    with Jail(work, **tcp(db)) as jail:
        assert jail.ask("wait 1") == "ok"
        jail.connect()
        db.pause()
        try:
            began = time.monotonic()
            assert jail.ask("query SELECT 1").startswith("failed lost 2013")
            assert jail.ask("connect main").startswith("failed lost 20")
            assert time.monotonic() - began < 8
        finally:
            db.resume()
        jail.connect()


def test_a_server_that_closed_the_connection(work, db):
    with Jail(work, **tcp(db)) as jail:
        jail.connect()
        number = jail.ask("query SELECT CONNECTION_ID()").split()[1].rstrip(";")
        db.execute(f"KILL {int(number)}")
        assert re.match(r"failed lost (1927|20\d\d) ", jail.ask("text BEGIN"))


def test_a_statement_of_an_earlier_connection(work, db):
    with Jail(work, **tcp(db)) as jail:
        jail.connect()
        answer = jail.ask("stale main")
        assert answer == "failed lost 0 the statement is of an earlier connection"
        assert jail.ask("query SELECT 1").startswith("ok 1;")


class NameServer:
    """Answers every A with 127.0.0.1 and every AAAA with ::1, over UDP."""

    def __init__(self, address):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((address, 53))
        self.asked = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def stop(self):
        self.sock.sendto(b"", self.sock.getsockname())
        self.thread.join(WAIT_SECONDS)
        self.sock.close()

    def serve(self):
        while True:
            query, peer = self.sock.recvfrom(4096)
            if not query:
                return
            end = query.index(b"\0", 12) + 5
            kind = struct.unpack("!H", query[end - 4 : end - 2])[0]
            self.asked.append((query[12 : end - 5], kind))
            data = {
                1: socket.inet_pton(socket.AF_INET, "127.0.0.1"),
                28: socket.inet_pton(socket.AF_INET6, "::1"),
            }[kind]
            answer = query[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0)
            answer += query[12:end] + b"\xc0\x0c"
            answer += struct.pack("!HHIH", kind, 1, 60, len(data)) + data
            self.sock.sendto(answer, peer)


def test_names_come_from_a_name_server(work, db):
    """Also from one that is configured after the jail was entered."""
    server = NameServer("127.9.8.7")
    (work / "etc").mkdir()
    etc = own(work / "etc")
    for name in ("hosts", "nsswitch.conf", "host.conf", "gai.conf"):
        if os.path.exists(f"/etc/{name}"):
            shutil.copy(f"/etc/{name}", etc)
    shutil.copy("/etc/passwd", etc)
    (etc / "group").write_text("")
    (etc / "resolv.conf").write_text("nameserver 127.9.8.6\n")
    (etc / "nsswitch.conf").write_text("hosts: files dns\n")
    mount = f'mount --bind {etc} /etc && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", mount, "sh"]
    with Jail(work, command, **tcp(db, "db.example.test")) as jail:
        new = etc / "resolv.conf.new"
        new.write_text("nameserver 127.9.8.7\n")
        new.rename(etc / "resolv.conf")
        jail.connect()
    server.stop()
    assert {kind for _, kind in server.asked} == {1, 28}


# --- the session ---------------------------------------------------------

SETTINGS = (
    "query SELECT @@sql_mode, @@time_zone, @@tx_isolation, @@autocommit, "
    "@@innodb_lock_wait_timeout, @@lock_wait_timeout, "
    "@@character_set_client, @@character_set_results, @@collation_connection"
)


def test_the_session_is_the_same_on_all_servers(work, db, tls):
    answers = set()
    for server in (db, tls):
        with Jail(work, **tcp(server)) as jail:
            jail.connect()
            answers.add(jail.ask(SETTINGS))
    assert len(answers) == 1
    answer = answers.pop()
    assert "STRICT_ALL_TABLES" in answer
    assert "|+00:00|READ-COMMITTED|1|2|2|utf8mb4|utf8mb4|utf8mb4" in answer


def test_binlog_by_statement_gets_its_isolation(work, place):
    options = ["--log-bin=log", "--binlog-format=STATEMENT"]
    with MariaDB(place / "binlog", options=options) as server:
        # The later option wins over --skip-log-bin.
        assert server.execute("SELECT @@log_bin") == [(1,)]
        add_accounts(server)
        with Jail(work, **tcp(server)) as jail:
            jail.connect()
            assert "|REPEATABLE-READ|" in jail.ask(SETTINGS)
            jail.ask("text CREATE TABLE postal.t (id INT) ENGINE=InnoDB")
            assert jail.ask("query INSERT INTO postal.t VALUES (1)").endswith(
                "affected=1 id=0"
            )


# --- values --------------------------------------------------------------


def test_values_go_and_come_as_they_are(work, db):
    with Jail(work, **tcp(db)) as jail:
        jail.connect()
        for text in ("plain", "h\u00e9 \u20ac \U0001f600", "' OR 1=1 -- `\\"):
            assert jail.ask(f"echo {text}").startswith(
                f"ok {text}|-9223372036854775808|18446744073709551615|"
                "1700000000.123456|NULL|NULL|;"
            )


def test_long_values_and_short_ones_after_them(work, db):
    with Jail(work, **tcp(db)) as jail:
        jail.connect()
        for size in (1, 255, 256, 257, 65535, 1048576):
            assert (
                jail.ask(f"long {size}")
                == f"a*1=1,1 b*{size}=2,1 c*1=3,1 "
            )
        answer = jail.ask("long 1048577")
        assert "failed data 0 column 1 has a value of 1048577" in answer


def test_many_rows_in_one_statement(work, db):
    db.execute("CREATE OR REPLACE TABLE postal.many (id INT, note TEXT)")
    with Jail(work, **tcp(db)) as jail:
        jail.connect()
        for n in (1, 2500, 32767):
            answer = jail.ask(f"many {n} postal.many")
            assert answer == f"ok  affected={n} id=0"
            found = "SELECT COUNT(*), SUM(id), MIN(note) FROM postal.many"
            assert db.execute(found) == [(n, n * (n + 1) // 2, "a note")]
            db.execute("TRUNCATE postal.many")
        # Over the protocol's limit: said, and the connection lives on.
        assert jail.ask("many 32768 postal.many").startswith("failed other")
        assert jail.ask("many 1 postal.many").startswith("ok")


# --- failures ------------------------------------------------------------

FAILURES = [
    ("postal", "SELECT * FROM `postal-server-1`.links", "gone 1146"),
    ("postal", "INSERT INTO `no-such`.t VALUES (1)", "gone 1(049|146)"),
    ("postal", "SELECT nothing FROM postal.f", "gone 1054"),
    ("few", "INSERT INTO postal.f (id) VALUES (9)", "denied 1142"),
    ("few", "SELECT * FROM mysql.user", "denied 1142"),
    ("postal", "INSERT INTO postal.f (note) VALUES ('abcdef')", "data 1406"),
    ("postal", "INSERT INTO postal.f (id) VALUES (99999999999)", "data 1264"),
    ("postal", "INSERT INTO postal.f (id) VALUES ('x')", "data 1366"),
    ("postal", "INSERT INTO postal.f (at) VALUES ('x')", "data 1292"),
    ("postal", "INSERT INTO postal.f (id) VALUES (1), (1)", "data 1062"),
    ("postal", "INSERT INTO postal.f (must) VALUES (NULL)", "data 1048"),
    ("postal", "SELEC", "other 1064"),
]


@pytest.mark.parametrize("user,sql,kind", FAILURES)
def test_failures_have_kinds(work, tls, user, sql, kind):
    """On the server that is not strict by itself."""
    tls.execute(
        "CREATE TABLE IF NOT EXISTS postal.f (id INT UNIQUE, note VARCHAR(5),"
        " at DATETIME, must INT NOT NULL DEFAULT 1)"
    )
    with Jail(work, **tcp(tls, user=user)) as jail:
        jail.connect()
        answer = jail.ask("query " + sql)
        assert re.match(rf"failed {kind} .*\(error \d+\)$", answer), answer
        assert jail.ask("text SELECT 1") == "ok"
    assert tls.execute("SELECT COUNT(*) FROM postal.f") == [(0,)]


def test_locks_are_not_waited_for(work, db):
    db.execute("CREATE OR REPLACE TABLE postal.l (id INT PRIMARY KEY)")
    db.execute("INSERT INTO postal.l VALUES (1)")
    other = db.connect()
    other.begin()
    other.cursor().execute("SELECT * FROM postal.l WHERE id = 1 FOR UPDATE")
    with Jail(work, **tcp(db)) as jail:
        jail.connect()
        began = time.monotonic()
        answer = jail.ask("query UPDATE postal.l SET id = 2 WHERE id = 1")
        assert answer.startswith("failed retry 1205"), answer
        answer = jail.ask("text ALTER TABLE postal.l ADD COLUMN n INT")
        assert answer.startswith("failed retry 1205"), answer
        assert time.monotonic() - began < 8
    other.close()


def test_a_server_that_is_read_only(work, db):
    db.add_user("plain", "se cret", grants=["ALL PRIVILEGES ON postal.*"])
    db.execute("CREATE TABLE IF NOT EXISTS postal.ro (id INT)")
    db.execute("SET GLOBAL read_only = 1")
    try:
        with Jail(work, **tcp(db, user="plain")) as jail:
            jail.connect()
            answer = jail.ask("query INSERT INTO postal.ro VALUES (1)")
            assert answer.startswith("failed read-only 1290"), answer
    finally:
        db.execute("SET GLOBAL read_only = 0")


# --- logging in ----------------------------------------------------------


@pytest.mark.parametrize(
    "user,password,kind",
    [
        ("postal", "se cret", "ok"),
        ("ed", "p'w\\d", "ok"),
        ("nobody", None, "ok"),
        ("postal", "wrong", "failed denied 1045"),
        ("ed", "wrong", "failed denied 1045"),
        ("postal", None, "failed denied 1045"),
        ("stranger", "x", "failed denied 1045"),
    ],
)
def test_accounts(work, db, user, password, kind):
    with Jail(work, **tcp(db, user=user, password=password)) as jail:
        answer = jail.ask("connect main")
        assert answer.startswith(kind + " "), answer
        assert password is None or password not in answer


def test_two_accounts_on_one_server(work, db):
    more = "[message_db]\nuser = few\n"
    with Jail(work, more=more, **tcp(db)) as jail:
        who = "query SELECT CURRENT_USER()"
        jail.connect("main")
        assert jail.ask(who).startswith("ok postal@%;")
        jail.connect("message")
        assert jail.ask(who).startswith("ok few@%;")


class FakeServer:
    """Speaks enough of the protocol to ask for what it must not get."""

    def __init__(self, talk):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.seen = b""
        self.thread = threading.Thread(
            target=self.serve, args=(talk,), daemon=True
        )
        self.thread.start()

    def packet(self, number, body):
        head = len(body).to_bytes(3, "little") + bytes([number])
        self.peer.sendall(head + body)

    def read(self):
        try:
            data = self.peer.recv(65536)
        except ConnectionResetError:
            data = b""
        self.seen += data
        return data

    def serve(self, talk):
        self.peer, _ = self.listener.accept()
        self.peer.settimeout(WAIT_SECONDS)
        greeting = b"\x0a5.7.99\0" + struct.pack("<I", 7) + b"12345678\0"
        # Long passwords, 4.1 protocol, plugins, LOAD DATA LOCAL.
        flags = 0x0008A2FF & ~0x0800
        greeting += struct.pack("<HBHH", flags & 0xFFFF, 45, 2, flags >> 16)
        greeting += bytes([21]) + bytes(10) + b"123456789012\0"
        greeting += b"mysql_native_password\0"
        self.packet(0, greeting)
        self.read()
        talk(self)
        while self.read():
            pass
        self.peer.close()

    def end(self):
        self.thread.join(WAIT_SECONDS)
        self.listener.close()
        return self.seen


def ask_for_clear_password(server):
    server.packet(2, b"\xfemysql_clear_password\0")


def ask_for_a_file(server):
    server.packet(2, b"\0\0\0\x02\0\0\0")
    server.read()
    server.packet(1, b"\xfb/etc/passwd")


def test_a_password_is_never_sent_as_it_is(work):
    fake = FakeServer(ask_for_clear_password)
    with Jail(work, **tcp(fake)) as jail:
        answer = jail.ask("connect main")
        assert answer.startswith("failed denied 50"), answer
    seen = fake.end()
    assert b"postal" in seen and b"se cret" not in seen


def test_no_file_is_sent(work):
    fake = FakeServer(ask_for_a_file)
    with Jail(work, **tcp(fake)) as jail:
        assert jail.ask("wait 2") == "ok"
        answer = jail.ask("connect main")
        assert answer.startswith("failed "), answer
    assert b"SET SESSION" in fake.seen
    assert b"root:" not in fake.end()


# --- TLS -----------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_tls(work, tls, host):
    with Jail(work, **tcp(tls, host, tls_ca=tls.ca, user="tls")) as jail:
        assert re.search(r" TLS_AES|-GCM-", jail.connect())
        tls.restart()
        assert re.search(r" TLS_AES|-GCM-", jail.connect())


def test_tls_of_another_authority(work, tls):
    other = Authority(work, "other")
    with Jail(work, **tcp(tls, tls_ca=other.cert)) as jail:
        answer = jail.ask("connect main")
        assert answer.startswith("failed lost 2026"), answer


def test_tls_of_another_name(work, place):
    with MariaDB(place / "name", tls="DNS:other.example") as server:
        add_accounts(server)
        for host in ("localhost", "127.0.0.1", "::1"):
            with Jail(work, **tcp(server, host, tls_ca=server.ca)) as jail:
                answer = jail.ask("connect main")
                assert answer.startswith("failed lost 2026"), answer
        # A Unix socket has no wire to listen on.
        keys = {"socket": server.socket, "tls_ca": server.ca}
        with Jail(work, **keys) as jail:
            jail.connect()


def test_tls_that_the_server_does_not_have(work, db, tls):
    with Jail(work, **tcp(db, tls_ca=tls.ca)) as jail:
        answer = jail.ask("connect main")
        assert answer.startswith("failed lost 2026"), answer


def test_tls_is_not_required_without_an_authority(work, tls):
    with Jail(work, **tcp(tls)) as jail:
        jail.connect()


def test_a_renewed_authority_is_read(work, tls):
    """The jail's rule is for the directory: a new file has a new inode."""
    ca = own(work) / "renewed.pem"
    shutil.copy(Authority(work, "old").cert, ca)
    with Jail(work, **tcp(tls, tls_ca=ca)) as jail:
        assert jail.ask("connect main").startswith("failed lost 2026")
        shutil.copy(tls.ca, work / "new.pem")
        (work / "new.pem").rename(ca)
        jail.connect()


def test_an_authority_that_cannot_be_read(work, db):
    closed = work / "closed.pem"
    closed.write_text("x")
    os.chmod(closed, 0o600)
    jail = Jail(work, **tcp(db, tls_ca=closed))
    assert jail.first.startswith("not started: cannot read "), jail.first
    assert "closed.pem: Permission denied" in jail.first
    jail.end()


# --- the jail ------------------------------------------------------------

TRIES = {
    # Refused by Landlock: the process goes on.
    "read /usr/bin/env": "EACCES",
    "read /var/lib/dpkg/status": "EACCES",
    "read /proc/self/environ": "EACCES",
    "port 1": "EACCES",
    # Refused by the filter: the process ends.
    "write /etc/hosts": "openat",
    "create /tmp/made-by-a-jail": "openat",
    "execve /bin/true": "execve",
    "fork": "clone",
    "listen": "bind",
    "accept": "accept",
    "raw": "socket",
    "packet": "socket",
    "kill": "kill",
    "ptrace": "ptrace",
    "code /etc/hosts": "mmap",
    "mprotect": "mprotect",
    "unlink /etc/hosts": "unlink",
}
if "sanitized" in SQLJAIL:
    # Its runtime maps files as code: tests/sanitized/extra.policy.
    del TRIES["code /etc/hosts"]
NUMBERS = {
    "x86_64": {
        "openat": 257, "execve": 59, "clone": 56, "bind": 49, "accept": 43,
        "socket": 41, "kill": 62, "ptrace": 101, "mmap": 9, "mprotect": 10,
        "unlink": 87,
    },
}  # fmt: skip


@pytest.mark.parametrize("what", TRIES)
def test_what_the_jail_refuses(work, db, what):
    jail = Jail(work, **tcp(db))
    jail.connect()
    answer = jail.ask("try " + what)
    expected = TRIES[what]
    if expected.isupper():
        assert answer == f"refused {expected}"
        jail.connect()
        jail.process.stdin.close()
        assert jail.process.wait(WAIT_SECONDS) == 0
        return
    assert answer == ""
    code, err = jail.end()
    assert code == 159
    number = NUMBERS.get(os.uname().machine, {}).get(expected, r"\d+")
    line = rf"<3>forwarder: died call={number}: a system call that .*\n"
    assert re.fullmatch(line, err), err


def test_what_the_jail_allows(work, db):
    with Jail(work, **tcp(db)) as jail:
        assert jail.ask("try read /etc/hosts") == "done"
        assert jail.ask(f"try port {db.port}") == "done"


def test_the_filter_may_kill(work, db):
    jail = Jail(work, more="[sandbox]\naction = kill\n", **tcp(db))
    assert jail.ask("try fork") == ""
    assert jail.end()[0] == -signal.SIGSYS


def test_what_the_process_is(work, db):
    with Jail(work, **tcp(db)) as jail:
        assert f"uid={FALLBACK_UID} fallback=1 " in jail.first
        assert jail.first.endswith("missing=")
        jail.connect()
        pid = jail.process.pid
        text = Path(f"/proc/{pid}/status").read_text()
        status = dict(line.split(":\t", 1) for line in text.splitlines())
        assert status["Uid"].split() == [str(FALLBACK_UID)] * 4
        assert status["Gid"].split() == [str(FALLBACK_UID)] * 4
        assert status["Groups"].split() == []
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
        assert status["Threads"] == "1"
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[name], 16) == 0, name
        assert os.stat(f"/proc/{pid}/environ").st_uid == 0
        for name in ("environ", "cmdline"):
            data = Path(f"/proc/{pid}/{name}").read_bytes()
            assert b"se cret" not in data
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert "libmariadb.so.3" in maps and "client_ed25519.so" in maps
        assert "clear_password" not in maps
        targets = [
            os.readlink(f"/proc/{pid}/fd/{fd}")
            for fd in os.listdir(f"/proc/{pid}/fd")
        ]
        assert len([t for t in targets if t.startswith("socket:")]) == 1


def test_a_user_of_ones_choice(work, db):
    with Jail(work, more="[forwarder]\nuser = daemon\n", **tcp(db)) as jail:
        assert "uid=1 fallback=0 " in jail.first
        jail.connect()
    jail = Jail(work, more="[forwarder]\nuser = no-such-user\n", **tcp(db))
    assert "[forwarder] user: there is no user no-such-user" in jail.first
    jail.end()


def not_root():
    return "setpriv --reuid 61000 --regid 61000 --clear-groups".split()


def test_without_root(work, db):
    for path in work.iterdir():
        os.chmod(path, 0o755)
    keys = tcp(db, user="nobody", password=None)
    with Jail(work, not_root(), **keys) as jail:
        assert "missing=not started as root, so uid 61000 is kept" in jail.first
        jail.connect()
        assert jail.ask("try read /usr/bin/env") == "refused EACCES"
    more = "[sandbox]\nsandbox = required\n"
    jail = Jail(work, not_root(), more=more, **keys)
    assert "sandbox = required, but this is not root" in jail.first
    jail.end()


def test_a_password_that_others_can_read(work, db):
    path = work / "open"
    path.write_text("se cret\n")
    os.chmod(path, 0o644)
    jail = Jail(work, password=None, password_file=path, **tcp(db))
    assert "every user of this machine can get at it" in jail.first
    assert f"chmod o-rwx {path}" in jail.first
    jail.end()


# --- the file ------------------------------------------------------------


def test_the_library_is_declared_and_not_linked():
    def readelf(*args):
        # It complains about types of notes that it does not know.
        return subprocess.run(
            ["readelf", "-W", *args, SQLJAIL],
            check=False, capture_output=True, text=True,
        ).stdout  # fmt: skip

    needed = re.findall(r"NEEDED.*\[(\S+?)\]", readelf("-d"))
    assert not [n for n in needed if "mysql" in n or "mariadb" in n]
    notes = readelf("-n")
    assert re.search(r"FDO\s+0x\w+\s.*0x407c0c0a", notes), notes
    text = readelf("-p", ".note.dlopen")
    assert '[{"feature":"mysql"' in text and '"libmariadb.so.3"' in text


def test_no_library(work, db):
    """Where nothing can be loaded, the error says what to install."""
    script = (
        "mount -t tmpfs none /usr/lib/x86_64-linux-gnu/libmariadb3 && "
        "for l in /usr/lib/*/libmariadb.so.3; do "
        'mount --bind /dev/null "$l"; done; exec "$@"'
    )
    command = ["unshare", "-m", "sh", "-c", script, "sh"]
    jail = Jail(work, command, **tcp(db))
    assert "not started: there is no MySQL client library" in jail.first
    assert "libmariadb3" in jail.first
    jail.end()
