"""The deb on a machine of its own: installed, started, upgraded, removed.

One machine, in the order of an operator's life; each test goes on where the
one before it stopped.
"""

import re
import shutil
import threading
from pathlib import Path

import pytest

import mariadb
import postal
from conftest import WORK, run, wait_for

UNITS = {
    "postal-tracker.service": "disabled",
    "postal-tracker.socket": "disabled",
    "postal-tracker-binder.socket": "static",  # comes with the service
    "postal-tracker-forwarder.service": "disabled",
    "postal-tracker-acme.timer": "disabled",
}
USERS = {f"postal-tracker-{r}"
         for r in ("keeper", "store", "binder", "forwarder", "acme")}
CONF = "/etc/postal-tracker/tracker.conf"
ASK = "http://127.0.0.1"
HTTPS = """[https]
listen = 0.0.0.0:443 [::]:443
certificates = /etc/postal-tracker/pairs
"""


@pytest.fixture(scope="module")
def database():
    """MariaDB and Postal's schema on this side; the machine has its socket."""
    place = Path("/tmp") / f"tracker-packaging-{mariadb.free_port()}"
    server = mariadb.MariaDB(place).start()
    yield postal.Postal(server)
    server.kill()
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def machine(make_machine, database):
    sock = Path(database.main_server.socket)
    return make_machine("deb", (f"--bind={sock.parent}:/run/mysqld",))


def processes(machine):
    """user and command of what is ours."""
    out = machine.run("ps", "-eo", "user:40,pid,args").stdout
    return [
        line.split(None, 2)
        for line in out.splitlines()
        if re.search(r"postal-tracker", line)
    ]


def status(machine, path):
    return machine.curl("-o", "/dev/null", "-w", "%{http_code}", ASK + path,
                        check=False).stdout


def events(machine):
    return machine.run("postal-tracker", "events", "--json").stdout.splitlines()


def port_inode(machine, port):
    """The listening socket itself: it stays the same when it is kept."""
    for table in ("tcp", "tcp6"):
        net = machine.path(f"/proc/{machine.main_pid_1}/net/{table}")
        for line in net.read_text().splitlines()[1:]:
            parts = line.split()
            if parts[3] == "0A" and parts[1].endswith(f":{port:04X}"):
                return parts[9]
    return None


def write_conf(machine, text):
    machine.path("/etc/postal-tracker/tracker.conf.d/test.conf").write_text(text)


# --- installing -----------------------------------------------------------------


def test_install(machine, packages):
    machine.main_pid_1 = 1
    deb = f"/packages/{packages.deb.relative_to(WORK)}"
    machine.run("dpkg", "--install", deb)
    users = {
        line.split(":")[0]: line.split(":")
        for line in machine.run("getent", "passwd").stdout.splitlines()
    }
    assert USERS <= set(users)
    for name in USERS:
        assert users[name][6].endswith("nologin"), users[name]
        assert users[name][2] != users["nobody"][2]
    assert len({users[n][2] for n in USERS}) == len(USERS)
    stat = machine.run(
        "stat", "-c", "%n %a %U", "/var/lib/postal-tracker",
        "/run/postal-tracker", "/var/lib/postal-tracker-acme/challenges", CONF,
    ).stdout
    assert stat.splitlines() == [
        "/var/lib/postal-tracker 700 postal-tracker-store",
        "/run/postal-tracker 755 root",
        "/var/lib/postal-tracker-acme/challenges 755 postal-tracker-acme",
        f"{CONF} 644 root",
    ]


def test_nothing_runs_by_being_installed(machine):
    """It takes port 80 from nobody: the first start is the operator's."""
    for unit, state in UNITS.items():
        assert machine.active(unit) == "inactive", unit
        enabled = machine.run("systemctl", "is-enabled", unit, check=False)
        assert enabled.stdout.strip() == state, unit
    assert processes(machine) == []
    assert port_inode(machine, 80) is None
    # No file has a capability: an upgrade would take it, and a port, away.
    assert machine.sh("test ! -x /sbin/getcap || getcap -r /usr/sbin").stdout == ""


# --- running --------------------------------------------------------------------


def test_one_command_starts_it(machine):
    machine.run("systemctl", "enable", "--now", "postal-tracker")
    assert machine.active("postal-tracker-binder.socket") == "active"
    assert machine.active("postal-tracker.socket") == "inactive"
    path = machine.run("postal-tracker", "link", "add", "--server", "news",
                       "https://example.com/offer").stdout.strip()
    machine.link = path
    wait_for(lambda: status(machine, path) == "307", "the redirect")
    assert status(machine, "/img/news/m1") == "200"
    # IPv6 too.
    assert machine.curl(f"http://[::1]{path}", "-o", "/dev/null", "-w",
                        "%{http_code}").stdout == "307"
    assert [e for e in events(machine) if '"kind":"open"' in e]
    assert "sandbox incomplete" not in machine.journal("postal-tracker")
    assert "user missing" not in machine.journal("postal-tracker")


def test_roles_have_their_users(machine):
    found = {(user, args) for user, _, args in processes(machine)}
    monitor = ("root", "/usr/sbin/postal-tracker run")
    assert monitor in found, found
    assert ("postal-tracker-store", "postal-tracker: store[0]") in found, found
    assert ("nobody", "postal-tracker: web[0]") in found, found
    assert ("nobody", "postal-tracker: admin[0]") in found, found


def test_metrics(machine):
    text = machine.curl("http://127.0.0.1:9092/metrics").stdout
    assert re.search(r"(?m)^postal_tracker_\w+ \d", text), text
    assert machine.curl("-o", "/dev/null", "-w", "%{http_code}",
                        "http://127.0.0.1:9092/ready").stdout == "200"


def test_the_service_is_confined(machine):
    """What the unit says is what the kernel has; and it serves like that."""
    pid = machine.main_pid()
    text = machine.path(f"/proc/{pid}/status").read_text()
    value = {
        k: v.strip() for k, v in
        (line.split(":", 1) for line in text.splitlines() if ":" in line)
    }
    # SETUID, SETGID, SETPCAP, SYS_CHROOT, KILL, DAC_READ_SEARCH
    bits = sum(1 << n for n in (7, 6, 8, 18, 5, 2))
    assert int(value["CapBnd"], 16) == bits
    assert int(value["CapPrm"], 16) & ~bits == 0
    assert int(value["CapAmb"], 16) == int(value["CapInh"], 16) == 0
    assert value["NoNewPrivs"] == "1" and value["Seccomp"] == "2"
    own = machine.run("readlink", f"/proc/{pid}/ns/net").stdout
    assert own != machine.run("readlink", "/proc/1/ns/net").stdout
    mounts = machine.path(f"/proc/{pid}/mounts").read_text()
    root = [m for m in mounts.splitlines() if m.split()[1] == "/"][-1]
    assert "ro" in root.split()[3].split(","), root


def test_reload(machine):
    """An error in tracker.conf fails the reload, and the daemon goes on."""
    pid = machine.main_pid()
    write_conf(machine, "[http]\nlisen = 80\n")
    failed = machine.run("systemctl", "reload", "postal-tracker", check=False)
    assert failed.returncode != 0
    assert "lisen" in machine.journal("postal-tracker")
    assert status(machine, machine.link) == "307"
    write_conf(machine, "[tracking]\ncount_head = yes\n")
    machine.run("systemctl", "reload", "postal-tracker")
    before = len(events(machine))
    machine.curl("-I", f"{ASK}/img/news/m2")
    wait_for(lambda: len(events(machine)) == before + 1, "a HEAD to count")
    assert machine.main_pid() == pid


def reload(machine):
    """Whether the same monitor goes on."""
    pid = machine.main_pid()
    machine.run("systemctl", "reload", "postal-tracker")
    assert machine.main_pid() == pid


def serves(machine, where):
    return machine.curl(f"http://{where}{machine.link}", "-o", "/dev/null", "-w",
                        "%{http_code}", check=False).stdout == "307"


def test_every_port_is_a_reload(machine):
    """Another address, one instead of all, and back: tracker.conf alone says
    it, and the service that has no network serves it."""
    write_conf(machine, "[http]\nlisten = 0.0.0.0:80 [::]:80 127.0.0.1:81\n")
    reload(machine)
    wait_for(lambda: serves(machine, "127.0.0.1:81"), "the other port")
    assert serves(machine, "127.0.0.1")
    write_conf(machine, "[http]\nlisten = 127.0.0.2:80 [::1]:80\n")
    reload(machine)
    wait_for(lambda: serves(machine, "127.0.0.2"), "the one address")
    wait_for(lambda: not serves(machine, "127.0.0.1"), "the others to close")
    assert port_inode(machine, 81) is None
    write_conf(machine, "")
    reload(machine)
    wait_for(lambda: serves(machine, "127.0.0.1"), "all addresses")
    # Each question was a process of its own user, and has ended.
    log = machine.run("journalctl", "--no-pager", "-o", "cat", "-t",
                      "postal-tracker").stdout
    assert "binder: open address=127.0.0.1:81" in log
    assert not [a for u, _, a in processes(machine)
                if u == "postal-tracker-binder" or a.endswith(" bind")]
    failed = machine.run("systemctl", "list-units", "--failed", "--plain",
                         "--no-legend").stdout
    assert "postal-tracker" not in failed


def test_a_taken_port(machine):
    """Said in the journal, and what is served stays."""
    holder = machine.sh(
        "systemd-run --quiet --unit=holder perl -MIO::Socket::INET -e "
        "'my $s = IO::Socket::INET->new(LocalAddr => q(127.0.0.1), LocalPort => 82, "
        "Listen => 1) or die; sleep 600'")
    assert holder.returncode == 0
    wait_for(lambda: port_inode(machine, 82), "its port")
    write_conf(machine, "[http]\nlisten = 0.0.0.0:80 [::]:80 127.0.0.1:82\n")
    reload(machine)
    wait_for(lambda: "reload failed: 127.0.0.1:82: the port is taken; "
             "`postal-tracker check` as root" in machine.journal("postal-tracker"),
             "the reason")
    check = machine.run("postal-tracker", "check", check=False).stdout
    assert re.search(r"(?m)^FAIL.*127\.0\.0\.1:82.*taken: perl", check), check
    machine.run("systemctl", "stop", "holder")
    assert serves(machine, "127.0.0.1")
    write_conf(machine, "")
    reload(machine)


def test_https_is_a_reload(machine):
    """Its port is opened then, below 1024, by a service without a network."""
    assert port_inode(machine, 443) is None
    pid = machine.main_pid()
    pair = "/etc/postal-tracker/pairs/track.example.com"
    machine.run("mkdir", "-p", pair)
    run("openssl", "req", "-x509", "-nodes", "-days", "30", "-newkey", "ec",
        "-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=track.example.com",
        "-addext", "subjectAltName=DNS:track.example.com",
        "-keyout", machine.path(f"{pair}/privkey.pem"),
        "-out", machine.path(f"{pair}/fullchain.pem"))
    # As an ACME client of another user leaves it.
    machine.run("chown", "-R", "postal-tracker-acme", pair)
    machine.run("chmod", "-R", "go-rwx", pair)
    write_conf(machine, HTTPS)
    machine.run("systemctl", "reload", "postal-tracker")

    def served():
        return machine.curl(
            "-k", "--resolve", "track.example.com:443:127.0.0.1", "-o",
            "/dev/null", "-w", "%{http_code}",
            f"https://track.example.com{machine.link}", check=False,
        ).stdout == "307"

    wait_for(served, f"HTTPS\n{machine.journal('postal-tracker')}")
    assert machine.main_pid() == pid
    keeper = [u for u, _, a in processes(machine) if a.endswith("keeper[0]")]
    assert keeper == ["postal-tracker-keeper"]


def test_a_role_is_restarted_under_the_unit(machine):
    before = {a: p for _, p, a in processes(machine)}
    machine.run("kill", "-KILL", before["postal-tracker: store[0]"])

    def back():
        now = {a: p for _, p, a in processes(machine)}
        new = now.get("postal-tracker: store[0]")
        return new and new != before["postal-tracker: store[0]"]

    wait_for(back, "another store")
    count = len(events(machine))
    assert status(machine, machine.link) == "307"
    wait_for(lambda: len(events(machine)) > count, "its event")


# --- the forwarder --------------------------------------------------------------


def test_forwarder(machine, database):
    """Its password is root's file, handed over by systemd."""
    database.add_server("ctqu6f", 1)
    message = database.add_message(1, token="abcdefghij")
    password = machine.path("/etc/postal-tracker/db-password")
    password.write_text(database.password + "\n")
    password.chmod(0o600)
    write_conf(machine, f"""{HTTPS}
[postal]
mode = mysql
[main_db]
socket = /run/mysqld/mariadb.sock
user = {database.user}
password_file = /etc/postal-tracker/db-password
database = {database.database}
[message_db]
prefix = {database.prefix}
""")
    machine.run("systemctl", "restart", "postal-tracker")
    machine.run("systemctl", "enable", "--now", "postal-tracker-forwarder")
    log = machine.journal("postal-tracker-forwarder")
    assert "not started as root" not in log, log
    wait_for(lambda: status(machine, "/img/ctqu6f/abcdefghij") == "200",
             f"the servers\n{log}")
    wait_for(lambda: database.loads(1), "a row in Postal's table")
    assert database.loads(1)[0]["message_id"] == message
    users = {u for u, _, a in processes(machine) if a.endswith(" forward")}
    assert users == {"postal-tracker-forwarder"}
    pid = machine.main_pid("postal-tracker-forwarder")
    text = machine.path(f"/proc/{pid}/status").read_text()
    assert re.search(r"(?m)^CapBnd:\s*0+$", text), text
    machine.run("systemctl", "reload", "postal-tracker-forwarder")
    # Another unit's processes do not find the password.
    assert database.password not in machine.sh(
        "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' ' '"
    ).stdout


# --- upgrading, removing ----------------------------------------------------------


class Visitors(threading.Thread):
    """Asks again and again, from the network of the machine."""

    def __init__(self, machine):
        super().__init__()
        self.machine, self.going, self.seen = machine, True, []

    def run(self):
        while self.going:
            r = self.machine.curl("-o", "/dev/null", "-w", "%{http_code}",
                                  f"{ASK}/robots.txt", check=False)
            self.seen.append((r.returncode, r.stdout))


def test_upgrade_keeps_ports_spool_and_configuration(machine, upgrade):
    sockets = port_inode(machine, 80), port_inode(machine, 443)
    assert None not in sockets
    pid, forwarder = machine.main_pid(), machine.main_pid(
        "postal-tracker-forwarder")
    conf = machine.path(CONF)
    conf.write_text(conf.read_text() + "\n; a word of the operator's\n")
    node = machine.run("postal-tracker", "status", "--json").stdout
    node = re.search(r'"node":\s*"([^"]+)"', node)[1]
    visitors = Visitors(machine)
    visitors.start()
    try:
        wait_for(lambda: len(visitors.seen) >= 3, "visitors")
        machine.run("dpkg", "--install", f"/packages/{upgrade.name}")
        count = len(visitors.seen)
        wait_for(lambda: len(visitors.seen) >= count + 3, "visitors after it")
    finally:
        visitors.going = False
        visitors.join()
    assert set(visitors.seen) == {(0, "200")}
    # The very sockets: systemd kept them while nobody had them open.
    assert sockets == (port_inode(machine, 80), port_inode(machine, 443))
    assert machine.main_pid() not in (0, pid)
    wait_for(
        lambda: machine.main_pid("postal-tracker-forwarder")
        not in (0, forwarder), "another forwarder")
    assert "a word of the operator's" in conf.read_text()
    after = machine.run("postal-tracker", "status", "--json").stdout
    assert node in after
    assert "+upgrade" in machine.run(
        "dpkg-query", "-W", "-f", "${Version}", "postal-tracker").stdout


def test_upgrade_starts_nothing_that_was_stopped(machine, upgrade):
    machine.run("systemctl", "stop", "postal-tracker-forwarder")
    machine.run("dpkg", "--install", f"/packages/{upgrade.name}")
    assert machine.active("postal-tracker-forwarder") == "inactive"
    assert machine.active("postal-tracker") == "active"


def test_remove_keeps_the_spool(machine):
    assert machine.path("/var/lib/postal-tracker/spool.db").exists()
    machine.run("dpkg", "--remove", "postal-tracker")
    assert processes(machine) == []
    assert port_inode(machine, 80) is port_inode(machine, 443) is None
    assert machine.path("/var/lib/postal-tracker/spool.db").exists()
    assert machine.path(CONF).exists()
    assert not machine.path("/usr/sbin/postal-tracker").exists()


def test_install_again_finds_the_spool(machine, packages):
    machine.run("dpkg", "--install",
                f"/packages/{packages.deb.relative_to(WORK)}")
    assert "a word of the operator's" in machine.path(CONF).read_text()
    machine.run("systemctl", "start", "postal-tracker")
    assert machine.run("postal-tracker", "status").returncode == 0


def test_purge_leaves_nothing(machine):
    machine.run("dpkg", "--purge", "postal-tracker")
    assert processes(machine) == []
    left = machine.sh(
        "find / -xdev \\( -path /proc -o -path /sys -o -path /packages \\) "
        "-prune -o -iname '*postal-tracker*' -print"
    ).stdout.split()
    assert [f for f in left if "/var/log/journal" not in f] == []
    # The users stay, so that nobody else gets their numbers.
    assert machine.run("id", "postal-tracker-store").returncode == 0
