"""Machines with networks and files of their own, and the Internet between.

A machine is a process that holds a network namespace and a mount namespace.
Its /etc is a small copy of this one's, its /run, /var/lib and /var/log are
empty, so that a configuration runs from the very path that it names. When
the holder ends and nothing runs inside any more, the kernel takes everything
away; nothing of it has a name outside.

    net = Internet(work, zone)                   # DNS, visitors
    a = net.add("postal", ["192.0.2.10"])
    a.run("ip", "address")
    with a.inside():                             # sockets made here are a's
        s = socket.create_connection(("192.0.2.10", 80))
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
from pathlib import Path

from conftest import Connection, wait_for

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)

# Of /etc: what programs need to find libraries, users and names.
OF_ETC = (
    "passwd group nsswitch.conf host.conf gai.conf ld.so.cache ld.so.conf "
    "ld.so.conf.d services protocols localtime nginx haproxy mime.types "
    "ssl/openssl.cnf alternatives"
).split()
# The packages make them; here they are in the machine's own /etc.
USERS = {
    "postal-tracker-keeper": 60981,
    "postal-tracker-store": 60982,
    "postal-tracker-forwarder": 60983,
    "postal-tracker-acme": 60990,
}

# $0 is the directory of the machine's files. It ends with its standard input,
# so not later than whoever started it.
HOLD = """
set -e
mount --make-rprivate /
for at in etc var/lib var/log; do mount --bind "$0/$at" "/$at"; done
mount -t tmpfs -o mode=755 none /run
ip link set lo up
echo ready
exec cat
"""

ROUTER = "192.0.2.1"
ROUTER6 = "2001:db8::1"
DNS = "198.51.100.53"
AUTHORITY = "198.51.100.14"
VISITOR = "198.51.100.7"
VISITOR6 = "2001:db8:1::7"


def set_namespace(path):
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(fd)


class Machine:
    def __init__(self, directory, name):
        self.name = name
        self.files = Path(directory) / name
        self.daemons = []
        self._make_files()
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c", HOLD,
             str(self.files)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        assert self.holder.stdout.readline() == b"ready\n", name

    def _make_files(self):
        etc = self.path("/etc")
        for one in ("etc/ssl/certs", "var/lib", "var/log"):
            (self.files / one).mkdir(parents=True)
        for one in OF_ETC:
            source = Path("/etc") / one
            if source.is_dir():
                shutil.copytree(source, etc / one, symlinks=True)
            elif source.exists():
                shutil.copy(source, etc / one)
        for name, number in USERS.items():
            with open(etc / "passwd", "a", encoding="ascii") as f:
                f.write(f"{name}:x:{number}:{number}::/nonexistent:/bin/false"
                        "\n")
            with open(etc / "group", "a", encoding="ascii") as f:
                f.write(f"{name}:x:{number}:\n")
        (etc / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
        (etc / "resolv.conf").write_text(f"nameserver {DNS}\n")

    # --- files ----------------------------------------------------------

    def path(self, path):
        """Where a file of the machine is, seen from here."""
        return self.files / path.lstrip("/")

    def write(self, path, text, mode=0o644):
        """Replaced by rename, as whoever edits a file of a daemon does."""
        at = self.path(path)
        at.parent.mkdir(parents=True, exist_ok=True)
        new = at.with_name(at.name + ".new")
        new.write_text(text)
        new.chmod(mode)
        new.rename(at)
        return at

    # --- programs -------------------------------------------------------

    def prefix(self, mount=True):
        """In front of a command; it keeps its pid. Without mount, it sees
        the files of here."""
        which = ["--net", *(["--mount"] if mount else [])]
        return ["nsenter", f"--target={self.holder.pid}", *which, "--"]

    def run(self, *command, check=True, **kwargs):
        r = subprocess.run(
            [*self.prefix(), *map(str, command)], capture_output=True,
            text=True, timeout=120, check=False, **kwargs,
        )
        assert not check or r.returncode == 0, (command, r.stdout, r.stderr)
        return r

    def ip(self, *batches):
        """Lines for ip(8), all at once."""
        r = subprocess.run(
            [*self.prefix(), "ip", "-batch", "-"], text=True, check=False,
            input="\n".join(batches), capture_output=True,
        )
        assert r.returncode == 0, r.stderr

    def daemon(self, *command, port=None, host="127.0.0.1", env=None):
        """Started, and answering on its port; ended with the machine."""
        log = self.files / f"{Path(command[0]).name}.log"
        with open(log, "ab") as out:
            process = subprocess.Popen(
                [*self.prefix(), *map(str, command)], stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, env={**os.environ, **(env or {})},
            )
        self.daemons.append(process)

        def up():
            assert process.poll() is None, log.read_text()
            return port is None or self.answers(host, port)

        wait_for(up, f"{command[0]} to answer\n{log}", 30)
        return process

    def finish(self):
        for process in reversed(self.daemons):
            process.terminate()
        for process in self.daemons:
            process.wait(20)
        self.holder.stdin.close()
        self.holder.wait(20)
        self.holder.stdout.close()

    # --- network --------------------------------------------------------

    @contextlib.contextmanager
    def inside(self):
        """This thread makes its sockets there."""
        own = "/proc/thread-self/ns/net"
        here = os.open(own, os.O_RDONLY | os.O_CLOEXEC)
        set_namespace(f"/proc/{self.holder.pid}/ns/net")
        try:
            yield
        finally:
            assert libc.setns(here, CLONE_NEWNET) == 0
            os.close(here)

    def connect(self, host, port, source=None):
        with self.inside():
            return Connection((host, port), source)

    def answers(self, host, port):
        try:
            self.connect(host, port).close()
            return True
        except OSError:
            return False


def read_zone(text):
    """[(name, type, value)] of lines as in packaging/examples."""
    rows = []
    for line in text.splitlines():
        words = line.split(";")[0].split()
        if words:
            name, kind, value = words
            rows.append((name.rstrip("."), kind, value.rstrip(".")))
    return rows


class Internet(Machine):
    """Between the machines: DNS, certificate authorities, visitors.

    All of them are one namespace with an address for each. zone: text as of
    dns.zone in packaging/examples.
    """

    def __init__(self, directory, zone):
        super().__init__(directory, "internet")
        self.machines = []
        self.records = read_zone(zone)
        # What is not there to other networks has no route back either.
        self.ip(
            "link add wire type bridge",
            "link set wire up",
            f"address add {ROUTER}/24 dev wire",
            f"address add {ROUTER6}/64 dev wire nodad",
            *(f"address add {a}/32 dev lo" for a in (DNS, AUTHORITY,
                                                     VISITOR)),
            f"address add {VISITOR6}/128 dev lo nodad",
            # Who asks from here is the visitor, unless he says otherwise.
            f"route replace 192.0.2.0/24 dev wire src {VISITOR}",
            f"route add 2001:db8::/64 dev wire src {VISITOR6} metric 1",
        )
        self.daemon("dnsmasq", *self._dnsmasq(), host=DNS, port=53)

    def _dnsmasq(self):
        options = ["--keep-in-foreground", "--conf-file=/dev/null",
                   "--no-resolv", "--no-hosts", "--user=root",
                   "--pid-file=", f"--listen-address={DNS}",
                   "--bind-interfaces", "--log-facility=-",
                   "--local=/#/"]
        for name, kind, value in self.records:
            what = "cname" if kind == "CNAME" else "host-record"
            options.append(f"--{what}={name},{value}")
        return options

    def address(self, name, kind="A"):
        """As the zone has it, through CNAMEs."""
        for owner, of, value in self.records:
            if owner == name and of == kind:
                return value
            if owner == name and of == "CNAME":
                return self.address(value, kind)
        raise AssertionError(f"{name} has no {kind}")

    def add(self, name, addresses):
        """A machine on the wire."""
        m = Machine(self.files.parent, name)
        self.machines.append(m)
        self.ip(
            f"link add {name} type veth peer name eth0 netns {m.holder.pid}",
            f"link set {name} master wire up",
        )
        # IPv6 that waits for duplicates would make tests wait too.
        m.ip(
            "link set eth0 up",
            *(add_address(a) for a in addresses),
            f"route add default via {ROUTER}",
            *([f"route add default via {ROUTER6}"]
              if any(":" in a for a in addresses) else []),
        )
        return m

    def finish(self):
        for m in self.machines:
            m.finish()
        super().finish()


def add_address(address):
    if ":" in address:
        return f"address add {address}/64 dev eth0 nodad"
    return f"address add {address}/24 dev eth0"
