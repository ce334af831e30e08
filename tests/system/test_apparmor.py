"""The AppArmor profile allows what daemon, forwarder and commands do.

Few kernels under tests have AppArmor. So all of them live a life here with the
paths of the packages, below strace, and what they did is held against the
profile as the kernel would do it (apparmor.py).
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

import mariadb
from apparmor import Profile, Trace, translate
from certificates import make_chain, make_key
from conftest import TRACKER, wait_for
from forward_help import CLICK, OPEN, one_server
from https import TlsConnection
from netns import USERS, Machine
from postal import Postal
from service_manager import NotifySocket

PROFILE = (Path(__file__).parents[2]
           / "policy/apparmor/usr.sbin.postal-tracker")
ACME = "/var/lib/postal-tracker-acme"
ACCESS = "/var/log/postal-tracker/access.log"
CREDENTIALS = "/run/credentials/postal-tracker-forwarder.service"
NAME = "click.example.com"
SECONDS = 60

# What nothing below makes use of, and why it is there.
NOT_USED = {
    "/etc/letsencrypt/ r": "certbot's pairs, where tracker.conf says so",
    "/etc/letsencrypt/** r": "as before",
    "/var/lib/acme/** r": "where the manual has other clients put theirs",
    "owner /tmp/postal-tracker.*/ rw": "no place beside [spool] socket",
    "/{,usr/}lib{,64}/{mysql,mariadb}/plugin/*.so mr":
        "of other distributions than Debian",
}


def children(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


class Life:
    """A machine, and what was traced on it."""

    def __init__(self, work):
        self.machine = Machine(work, "confined")
        self.work = work
        self.traces = []
        self.processes = []
        self.names = {os.path.realpath(TRACKER): "/usr/sbin/postal-tracker"}
        self.root = Path(f"/proc/{self.machine.holder.pid}/root")
        (self.root / "run/systemd").mkdir()
        self.notify = NotifySocket(self.root / "run/systemd/notify")

    def start(self, *arguments, user="root", into=None, **env):
        """strace, with a command of the tracker's. It ends with the last
        process that it traced, and has written all by then. into: a file of
        the machine's for what it prints."""
        trace = Trace(self.work / f"trace{len(self.traces)}", self.machine,
                      self.names, user, into)
        self.traces.append(trace)
        log = self.work / f"log{len(self.traces)}"
        if into:
            log = self.machine.path(into)
            log.parent.mkdir(exist_ok=True)
        with open(log, "wb") as out:
            process = subprocess.Popen(
                [*self.machine.prefix(), *trace.command(),
                 os.path.realpath(TRACKER), *arguments],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/",
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **env},
            )
        process.log = log
        self.processes.append(process)
        return process

    def start_service(self, *arguments, **env):
        before = self.notify.read().count("READY=1")
        process = self.start(*arguments, NOTIFY_SOCKET="/run/systemd/notify",
                             **env)

        def is_ready():
            assert process.poll() is None, process.log.read_text()
            return self.notify.read().count("READY=1") > before

        try:
            wait_for(is_ready, "READY=1", SECONDS)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{process.log.read_text()}") from None
        process.traced_pid = int(children(process.pid)[0])
        return process

    def run(self, *arguments, **kwargs):
        """A command that ends by itself; what it printed."""
        process = self.start(*arguments, **kwargs)
        process.wait(SECONDS)
        return process.log.read_text()

    def get(self, target):
        with self.machine.connect("127.0.0.1", 80) as c:
            c.send(f"GET {target} HTTP/1.1\r\nHost: {NAME}\r\n"
                   "Connection: close\r\n\r\n".encode())
            return c.reply()

    def put_pair(self):
        """As postal-tracker-acme leaves it."""
        key = make_key("ec")
        chain = make_chain(key, NAME, self.work)
        for name, text in (("privkey.pem", key), ("fullchain.pem", chain)):
            path = f"{ACME}/certificates/{NAME}/{name}"
            at = self.machine.write(path, text, 0o600)
            os.chown(at, USERS["postal-tracker-acme"], 0)

    def end(self, process):
        os.kill(process.traced_pid, signal.SIGTERM)
        assert process.wait(SECONDS) == 0, process.log.read_text()

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                # strace ends when what it traces has ended, roles included.
                for pid in children(process.pid):
                    os.kill(int(pid), signal.SIGKILL)
                process.wait(SECONDS)
        self.notify.close()
        self.machine.finish()


def configure(life, postal, more=""):
    life.machine.write("/etc/postal-tracker/tracker.conf", f"""
[http]
listen = 0.0.0.0:80 [::]:80
[https]
listen = 0.0.0.0:443
certificates = {ACME}/certificates
acme_challenges = {ACME}/challenges
[log]
access = text
access_file = {ACCESS}
[postal]
mode = mysql
[main_db]
socket = /run/mysqld/mysqld.sock
user = {postal.user}
password_file = /etc/postal-tracker/db-password
database = {postal.database}
[message_db]
prefix = {postal.prefix}
{more}
""")


def furnish(life, postal):
    """What packages, systemd and an operator have made before."""
    m = life.machine
    m.write("/etc/postal-tracker/db-password", postal.password + "\n", 0o600)
    m.path("/var/log/postal-tracker").mkdir()
    (m.path(ACME) / "challenges").mkdir(parents=True)
    m.write(f"{ACME}/challenges/token", "token.thumbprint\n")
    life.put_pair()
    given = life.root / CREDENTIALS.lstrip("/")
    given.mkdir(parents=True)
    password = given / "main_db_password"
    password.write_text(postal.password + "\n")
    password.chmod(0o400)
    os.chown(password, USERS["postal-tracker-forwarder"], 0)
    m.run("sh", "-ec", "mkdir /run/mysqld; touch /run/mysqld/mysqld.sock; "
          f"mount --bind {postal.main_server.socket} /run/mysqld/mysqld.sock; "
          "mount -t tmpfs none /opt; mkdir -p /opt/postal/config")
    (life.root / "opt/postal/config/postal.yml").write_text(
        "main_db:\n  host: 127.0.0.1\n  username: postal\n  password: p\n"
        "message_db:\n  host: 127.0.0.1\n  username: postal\n"
        "  password: q\n")


def import_config(life):
    """As README has it, and with both passwords."""
    password = life.machine.path("/etc/postal-tracker/db-password")
    password.unlink()
    out = life.run("import-config", "--password-file",
                   "/etc/postal-tracker/db-password",
                   "/opt/postal/config/postal.yml",
                   into="/etc/postal-tracker/tracker.conf.d/postal.conf")
    assert "[main_db]" in out, out
    assert password.read_text() == "p\n"
    message = password.with_name("message-db-password")
    assert message.read_text() == "q\n"


def live(life, postal):
    """Start, requests, reloads, certificates, logs, commands, stop."""
    daemon = life.start_service("run")
    forwarder = life.start_service(
        "forward", user="postal-tracker-forwarder",
        CREDENTIALS_DIRECTORY=CREDENTIALS)
    wait_for(lambda: life.get(OPEN).status == 200, "the servers", SECONDS)
    wait_for(lambda: life.get(CLICK).status == 307, "the link", SECONDS)
    wait_for(lambda: postal.loads(1), "a row", SECONDS)
    challenge = life.get("/.well-known/acme-challenge/token")
    assert challenge.body.startswith(b"token.thumbprint")

    # A new pair is seen by itself; the log goes on in a new file at SIGHUP.
    life.put_pair()
    wait_for(lambda: "replaced" in daemon.log.read_text(), "the pair", SECONDS)
    with life.machine.inside():
        tls = TlsConnection(("127.0.0.1", 443), NAME)
    with tls as c:
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.reply().body == b"Hello."
    access = life.machine.path(ACCESS)
    wait_for(lambda: access.stat().st_size, "lines of requests", SECONDS)
    access.rename(access.with_suffix(".log.1"))
    configure(life, postal, "[tracking]\ncount_head = yes")
    os.kill(daemon.traced_pid, signal.SIGHUP)
    os.kill(forwarder.traced_pid, signal.SIGHUP)
    wait_for(access.exists, "a new access log", SECONDS)
    store = next(pid for pid in children(daemon.traced_pid) if b"store" in
                 Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(int(store), signal.SIGKILL)
    wait_for(lambda: "spool" in life.run("status"), "the store", SECONDS)

    for command in ("check", "config", "domains", "events", "selftest", "sql",
                    "version"):
        out = life.run(command)
        assert "ermission denied" not in out, out
    # A second one says who has ports and spool.
    assert str(daemon.traced_pid) in life.run("run")
    with life.machine.inside(), socket.create_server(("127.0.0.1", 81)):
        life.machine.write("/etc/postal-tracker/other.conf",
                           "[http]\nlisten = 127.0.0.1:81\n")
        assert str(os.getpid()) in life.run(
            "check", "-c", "/etc/postal-tracker/other.conf")
    # By curl, to what is there.
    life.run("selftest", "--url", f"https://{NAME}")
    import_config(life)
    life.end(forwarder)
    life.end(daemon)


@pytest.fixture(scope="module")
def needs():
    """All that was done; what is the same is there once."""
    work = Path(tempfile.mkdtemp(prefix="tracker-apparmor-"))
    os.chmod(work, 0o755)
    life = Life(work)
    server = mariadb.MariaDB(work / "mariadb").start()
    try:
        postal = Postal(server)
        one_server(postal)
        postal.add_track_domain(1, *NAME.split(".", 1))
        furnish(life, postal)
        configure(life, postal)
        live(life, postal)
        found = {(n.path, n.permissions, n.is_owner, n.words): n
                 for t in life.traces for n in t.needs()}
        yield list(found.values())
    finally:
        life.close()
        server.kill()
        shutil.rmtree(work, ignore_errors=True)


def refused(profile, needs):
    return [f"{need}" for need in needs if profile.refused(need)]


def own_rules():
    """Lines of the profile itself that are rules of paths, networks and
    capabilities."""
    text = PROFILE.read_text()
    return re.findall(r"(?m)^  (?:owner |capability |network )?[^ #]\S*.*,$",
                      text)


def test_all_is_allowed(needs):
    assert len(needs) > 100
    wrong = refused(Profile(PROFILE), needs)
    assert not wrong, "\n".join(wrong)


def test_rules_are_used(needs):
    """Or there is a reason for them."""
    profile = Profile(PROFILE)
    refused(profile, needs)
    own = {" ".join(line.split()).removesuffix(",") for line in own_rules()}
    rules = [*profile.paths, *profile.words.values()]
    unused = {" ".join(r.text.split()) for r in rules if not r.used} & own
    assert unused == set(NOT_USED), "\n".join(sorted(unused))


@pytest.mark.parametrize("rule", [
    "capability setuid,", "capability setgid,", "capability setpcap,",
    "capability sys_chroot,", "capability kill,", "capability chown,",
    "capability dac_read_search,", "capability fowner,", "ptrace (read),",
    "/var/lib/postal-tracker/ rwk,", "@{run}/systemd/notify rw,",
    "@{PROC}/locks r,", "/{usr/,}bin/curl mrix,",
    "/usr/sbin/postal-tracker mrix,", "/var/lib/postal-tracker/** rwk,",
    "/etc/postal-tracker/** r,",
    "owner /etc/postal-tracker/tracker.conf.d/*.conf w,",
    "owner /etc/postal-tracker/{,message-}db-password w,", "/var/log/postal-tracker/** rw,",
    "include <abstractions/base>",
])
def test_a_rule_that_is_taken_out_is_missed(needs, tmp_path, rule):
    text = PROFILE.read_text()
    assert text.count(f"  {rule}\n") == 1
    less = tmp_path / "profile"
    less.write_text(text.replace(f"  {rule}\n", ""))
    assert refused(Profile(less), needs) != []


@pytest.mark.parametrize("glob, yes, no", [
    ("/a/*", ["/a/b", "/a/.b"], ["/a/", "/a/b/c", "/a/b/"]),
    ("/a/**", ["/a/b", "/a/b/c", "/a/b/"], ["/a/", "/ab"]),
    ("/a/b*", ["/a/b", "/a/bc"], ["/a/b/c"]),
    ("/a/**.so*", ["/a/b.so", "/a/b/c.so.1", "/a/.so"], ["/a/b.s"]),
    ("/{,usr/}lib{,64}/x", ["/lib/x", "/usr/lib64/x"], ["/usr/lib32/x"]),
    ("/p/{[1-9],[1-9][0-9]}/?", ["/p/1/x", "/p/12/x"], ["/p/0/x", "/p/1//"]),
])
def test_globs(glob, yes, no):
    """As apparmor.d(5) has them."""
    for path in yes:
        assert translate(glob).fullmatch(path), path
    for path in no:
        assert not translate(glob).fullmatch(path), path
