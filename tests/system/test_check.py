"""`postal-tracker check`: each broken set-up, really broken, gets one line with
a remedy, and a good one gets none. (Postal's databases: test_check_mysql.py.)"""

import json
import os
import re
import socket
import subprocess
import struct
import sys
import threading
import time

import kernel
import pytest

from certificates import Directory, Issuer
from conftest import NOBODY, TRACKER, free_port, wait_for
from fake_forwarder import NUMBER
from service_manager import PASS

# A number, so that no check speaks of users that the packages would make.
STORE_USER = {"sandbox": {"store_user": "60982"}}


def check(tracker, *args, prefix=(), preexec_fn=kernel.IN_STEP, env=None):
    """(exit code, [(verdict, text)])."""
    done = subprocess.run(
        [*prefix, TRACKER, "check", "-c", str(tracker.conf), *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=preexec_fn,
        env=env,
    )
    assert done.stderr == "", done.stderr
    return done.returncode, [
        tuple(line.split(None, 1)) for line in done.stdout.splitlines()
    ]


def troubles(lines):
    return [(verdict, text) for verdict, text in lines if verdict != "ok"]


def expect(tracker, verdict, *words, **kwargs):
    """Exactly one trouble, of this verdict, with all these words and a
    remedy. Returns its text."""
    code, lines = check(tracker, **kwargs)
    found = troubles(lines)
    assert len(found) == 1 and found[0][0] == verdict, lines
    assert code == (69 if verdict == "FAIL" else 0)
    for word in words:
        assert re.search(word, found[0][1]), (word, found[0][1])
    sentence, remedy = found[0][1].split("; ", 1)
    assert len(sentence) > 10 and len(remedy) > 8, found
    return found[0][1]


def inside(script, kind="-m"):
    """A prefix: the command in a namespace of its own, after the script."""
    return ["unshare", kind, "sh", "-ec", script + '\nexec "$@"', "sh"]


@pytest.fixture
def new(make_tracker):
    """A tracker that is not started, with nothing wrong about it."""

    def make(settings=None):
        merged = {k: dict(v) for k, v in STORE_USER.items()}
        for section, keys in (settings or {}).items():
            merged.setdefault(section, {}).update(keys)
        return make_tracker(merged)

    return make


# --- the daemon -------------------------------------------------------------


NEWER = (b"this command speaks version 5 of the protocol, the daemon version "
         b"9; restart the daemon after an upgrade")


@pytest.mark.parametrize("answer, words", [
    (None, "it listens, but the store does not answer; see its log"),
    (b"", "it listens, but the store closed the connection; see its log"),
    (struct.pack("<HH", NUMBER["REFUSAL"], len(NEWER)) + NEWER,
     "version 5 .* version 9; restart the daemon"),
], ids=["silent", "closes", "newer"])
def test_a_daemon_that_cannot_be_asked(new, answer, words):
    """Somebody listens: that is not the same as no daemon."""
    t = new()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.bind(t.settings["spool"]["socket"])
        s.listen(8)
        over = threading.Event()

        def serve():
            kept = []
            while not over.is_set():
                try:
                    c = s.accept()[0]
                except TimeoutError:
                    continue
                if answer:
                    c.send(answer)
                if answer is None:
                    kept.append(c)
                else:
                    c.close()

        s.settimeout(0.1)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            expect(t, "FAIL", "^daemon: ", words)
        finally:
            over.set()
            thread.join()


def test_a_daemon_that_may_not_be_asked(new):
    t = new().start()
    os.chmod(t.directory, 0o755)
    _, lines = check(t, prefix=NOBODY)
    assert [v for v, x in lines if x.startswith("daemon: not asked: only root "
            "and uid 60982 may ask here; you are uid 65534")] == ["warn"], lines


def test_no_daemon(new):
    code, lines = check(new())
    assert code == 0
    assert [v for v, x in lines if x.startswith("daemon: not asked: no daemon "
            "listens on")] == ["ok"], lines


# --- nothing is wrong -------------------------------------------------------


def test_json(new):
    t = new()
    text = subprocess.run(
        [TRACKER, "check", "--json", "-c", str(t.conf)],
        capture_output=True, text=True, check=True,
        preexec_fn=kernel.IN_STEP,
    ).stdout
    rows = [json.loads(line) for line in text.splitlines()]
    assert len(rows) > 8
    for row in rows:
        assert set(row) == {"level", "subject", "sentence", "remedy"}
        assert row["level"] == "ok" and row["remedy"] is None, row
        assert row["subject"] and row["sentence"], row
    subjects = {row["subject"] for row in rows}
    assert {"configuration", "kernel", "clock", "[http] listen",
            "[spool] directory", "[sandbox] web_user"} <= subjects


def test_json_of_what_is_wrong(new):
    t = new({"http": {"listen": f"192.0.2.77:{free_port()}"}})
    done = t.cli("check", "--json", check=False)
    assert done.returncode == 69
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    (row,) = [row for row in rows if row["level"] != "ok"]
    assert row["level"] == "fail" and row["subject"] == "[http] listen"
    assert row["sentence"].endswith("this address is not on this machine")
    assert row["remedy"] == "`ip addr` lists those that are"


def test_json_of_a_wrong_configuration(new):
    t = new({"http": {"listn": "1"}})
    done = t.cli("check", "--json", check=False)
    assert done.returncode == 78
    (row,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert row["level"] == "fail" and row["subject"] == "configuration"
    assert "did you mean listen?" in row["remedy"]
    assert f"{t.conf}:" in row["sentence"]


# --- listening --------------------------------------------------------------


NGINX = """
daemon off; worker_processes 1; pid {dir}/nginx.pid;
error_log {dir}/nginx.log;
events {{ }}
http {{ access_log off; server {{ listen 0.0.0.0:{port}; }} }}
"""


@pytest.fixture
def nginx(work):
    """nginx on all addresses, as its packages configure it."""
    port = free_port()
    conf = work / "nginx.conf"
    conf.write_text(NGINX.format(dir=work, port=port))
    process = subprocess.Popen(["nginx", "-c", str(conf)])

    def listens():
        assert process.poll() is None
        with open("/proc/net/tcp", encoding="ascii") as f:
            return f"00000000:{port:04X} 00000000:0000 0A" in f.read()

    wait_for(listens, "nginx to listen", 30)
    yield process.pid, port
    process.terminate()
    process.wait(30)


def test_nginx_on_all_addresses(new, nginx):
    pid, port = nginx
    t = new({"http": {"listen": f"127.0.0.1:{port}"}})
    expect(
        t, "FAIL",
        rf"the port is taken: nginx \(pid {pid}\) listens on 0\.0\.0\.0:{port}",
        "this port of every address",
        f"nginx: `listen ADDRESS:{port}`",
        "restart",
    )


def test_two_of_our_own(new):
    port = free_port()
    t = new({"http": {"listen": f"0.0.0.0:{port} 127.0.0.1:{port}"}})
    expect(t, "FAIL", f"0.0.0.0:{port} and .* 127.0.0.1:{port}", "take one")
    other = new({"http": {"listen": f"127.0.0.1:{port}"},
                 "https": {"listen": f"0.0.0.0:{port}"}})
    _, lines = check(other)
    assert any(
        v == "FAIL" and "[http] listen" in x and "[https] listen" in x
        for v, x in lines
    ), lines


def test_another_daemon(new):
    """Its own socket is what tells our daemon from another one."""
    other = new().start()
    t = new({"http": {"listen": f"127.0.0.1:{other.port}"}})
    expect(t, "FAIL", "another postal-tracker", f"pid {other.process.pid}",
           "give one of both another")
    assert troubles(check(other)[1]) == []


def test_a_privileged_port(new):
    t = new({"http": {"listen": "127.0.0.1:80"}})
    os.chmod(t.directory, 0o777)
    _, lines = check(t, prefix=NOBODY)
    (text,) = [x for v, x in lines if v == "FAIL"]
    assert "ports below 1024 need root" in text and "never setcap" in text


def test_an_address_that_is_missing(new):
    port = free_port()
    for at in (f"192.0.2.5:{port}", f"[2001:db8::5]:{port}"):
        t = new({"http": {"listen": at}})
        expect(t, "FAIL", "is not on this machine", "`ip addr`",
               prefix=inside("ip link set lo up", "-n"))


def test_an_address_that_is_there(new):
    t = new({"http": {"listen": f"192.0.2.5:{free_port()}"}})
    script = """ip link set lo up
ip addr add 192.0.2.5/24 dev lo"""
    code, lines = check(t, prefix=inside(script, "-n"))
    assert (code, troubles(lines)) == (0, [])


def test_a_tentative_address(new):
    """The link has no carrier, so the kernel cannot ask its neighbours."""
    t = new({"http": {"listen": f"[2001:db8::5]:{free_port()}"}})
    script = """ip link set lo up
ip link add one type veth peer name two
ip link set one up
ip -6 addr add 2001:db8::5/64 dev one"""
    expect(t, "FAIL", "is tentative", "network-online.target",
           prefix=inside(script, "-n"))


def test_an_address_that_another_machine_has(new):
    t = new({"http": {"listen": f"[2001:db8::5]:{free_port()}"}})
    script = """ip link set lo up
ip link add one type veth peer name two
ip link set two up
ip -6 addr add 2001:db8::5/64 dev two nodad
ip link set one up
ip -6 addr add 2001:db8::5/64 dev one
n=0
until ip -6 addr show dev one dadfailed | grep -q 2001; do
    n=$((n + 1)); test $n -lt 300; sleep 0.1
done
ip -6 addr del 2001:db8::5/64 dev two"""
    expect(t, "FAIL", "another machine of this network", "dadfailed",
           prefix=inside(script, "-n"))


# Process 1 of a namespace, of this name: has sockets of these ports, starts a
# service with the first of them in the place of FD, and once the service is
# ready a command.
SYSTEMD = """
import ctypes, json, socket, subprocess, sys, time
ctypes.CDLL(None).prctl(15, b"systemd", 0, 0, 0)
ports, service, ready = map(json.loads, sys.argv[1:4])
sockets = [socket.create_server(("127.0.0.1", port)) for port in ports]
fd = sockets[0].fileno()
if service:
    service = subprocess.Popen(
        [str(fd) if word == "FD" else word for word in service],
        pass_fds=[fd], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
while ready and subprocess.call(ready, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL) != 0:
    assert service.poll() is None
    time.sleep(0.05)
code = subprocess.call(sys.argv[4:])
if service:
    service.terminate()
    service.wait()
sys.exit(code)
"""


def systemd(*ports, service=(), ready=()):
    """A prefix."""
    return ["unshare", "-p", "-f", "--mount-proc", sys.executable, "-c",
            SYSTEMD, *map(json.dumps, (ports, service, ready))]


def our_service(tracker, *ports, names=""):
    """The daemon with a socket of systemd's."""
    return systemd(
        *ports,
        service=[sys.executable, "-c", PASS, "FD", names, TRACKER, "run", "-c",
                 str(tracker.conf)],
        ready=[TRACKER, "status", "-c", str(tracker.conf)])


def test_a_port_that_systemd_holds(new):
    """Before the first start of the daemon: only systemd knows for whom."""
    t = new()
    said = expect(t, "warn", "held by systemd for a .socket unit; ",
                  "list-sockets` names it: it has to be "
                  r"postal-tracker\.socket", prefix=systemd(t.port))
    assert f"127.0.0.1:{t.port}" in said


@pytest.mark.parametrize("names", ["http", "listen-a_port"],
                         ids=["unit", "store"])
def test_our_port_that_systemd_keeps(new, names):
    """Process 1 comes first in /proc and has it as well."""
    t = new()
    code, lines = check(t, prefix=our_service(t, t.port, names=names))
    assert (code, troubles(lines)) == (0, []), lines
    assert any(re.search(rf"127\.0\.0\.1:{t.port}: served by postal-tracker "
                         r"\(pid \d+\), kept by systemd$", x)
               for _, x in lines), lines


def test_a_port_that_systemd_holds_for_a_stranger(new):
    t = new()
    service = [sys.executable, "-c", "import time; time.sleep(60)", "FD"]
    expect(t, "FAIL", rf"127\.0\.0\.1:{t.port}: the port is taken: python",
           prefix=systemd(t.port, service=service))


def test_a_port_of_another_unit(new):
    """The daemon runs, and would not get it with a reload."""
    t = new()
    other = free_port()
    conf = t.conf.read_text()
    t.settings["admin"]["listen"] = f"127.0.0.1:{other}"
    t.write_conf()
    started = t.directory / "started.conf"
    started.write_text(conf)
    prefix = [word.replace(str(t.conf), str(started))
              for word in our_service(t, t.port, other)]
    said = expect(t, "FAIL", "held by systemd", "not the running daemon's",
                  "list-sockets", prefix=prefix)
    assert said.startswith(f"[admin] listen 127.0.0.1:{other}: ")


# --- the spool --------------------------------------------------------------


def test_a_spool_in_memory(new):
    t = new({"spool": {"max_size": "64M"}})
    t.spool.mkdir()
    script = f"""mount -t tmpfs -o size=200m,mode=700,uid=60982 none {t.spool}"""
    expect(t, "warn", r"\(tmpfs\) is in memory", "choose a directory on a disk",
           prefix=inside(script))


def test_a_spool_of_a_container(new):
    t = new()
    for name in ("spool", "lower", "work"):
        (t.directory / name).mkdir(mode=0o700)
    # The upper directory of an overlay cannot lie on another overlay.
    script = f"""cd {t.directory}
mount -t tmpfs -o size=1100m none work
mkdir work/upper work/work
chmod 700 work/upper
chown 60982 work/upper
mount -t overlay -o lowerdir=lower,upperdir=work/upper,workdir=work/work \
none spool"""
    expect(t, "warn", r"\(overlay\) is a container's own",
           prefix=inside(script))


# Real file systems on a loop device: megabytes, options of mkfs, what fills
# them, and what is said.
DISKS = {
    "full": (
        None, 70, ["-m", "0"],
        "dd if=/dev/zero of=fill bs=1M status=none 2>/dev/null || true",
        ("FAIL", r"only \d+k? are free", "make room, events that"),
    ),
    "smaller than the spool may grow": (
        "2G", 200, [], "",
        ("warn", r"\d+M are free, but the spool may grow to max_size = 2G"),
    ),
    # Eleven of sixteen inodes are the file system's own.
    "without inodes": (
        "64M", 200, ["-N", "16"],
        "n=0; while touch $n 2>/dev/null; do n=$((n + 1)); done",
        ("FAIL", r"no inodes left for files \(\d free\)", "remove files"),
    ),
}


@pytest.mark.parametrize("max_size, megabytes, options, fill, said",
                         DISKS.values(), ids=DISKS)
def test_a_file_system_that_is(new, max_size, megabytes, options, fill, said):
    t = new({"spool": {"max_size": max_size}} if max_size else None)
    image = t.directory / "image"
    with open(image, "wb") as f:
        f.truncate(megabytes << 20)
    subprocess.run(["mkfs.ext4", "-q", *options, image], check=True)
    t.spool.mkdir()
    script = f"""mount -o loop {image} {t.spool}
chown 60982 {t.spool}
chmod 700 {t.spool}
(cd {t.spool}; {fill or ":"})"""
    expect(t, *said, prefix=inside(script))


def test_a_file_system_that_is_read_only(new):
    t = new()
    t.spool.mkdir(mode=0o700)
    os.chown(t.spool, 60982, 60982)
    script = f"""mount --bind {t.spool} {t.spool}
mount -o remount,ro,bind {t.spool}"""
    expect(t, "FAIL", "read-only file system", "remount", prefix=inside(script))


def test_an_owner_that_is_wrong(new):
    t = new()
    t.spool.mkdir(mode=0o700)
    expect(t, "FAIL", "belongs to uid 0, the store runs as uid 60982", "chown")
    os.chown(t.spool, 60982, 60982)
    (t.spool / "spool.db-wal").touch()
    text = expect(t, "FAIL", "spool.db-wal belongs to uid 0", "run: chown -R")
    subprocess.run(text.split("run: ")[1].split(), check=True)
    assert troubles(check(t)[1]) == []


def test_a_mode_that_is_too_open(new):
    t = new()
    t.spool.mkdir()
    os.chown(t.spool, 60982, 60982)
    os.chmod(t.spool, 0o755)
    expect(t, "warn", "mode 0755", "who opened and clicked", "chmod 700")
    os.chmod(t.spool, 0o777)
    text = expect(t, "FAIL", "mode 0777", "replace", "chmod 700")
    subprocess.run(text.split("run: ")[1].split(), check=True)
    assert troubles(check(t)[1]) == []


def test_no_place_for_spool_and_socket(new):
    t = new({"spool": {"directory": "/nonexistent/a/spool"}})
    expect(t, "FAIL", "there is no directory /nonexistent/a",
           "mkdir -p /nonexistent/a")
    t = new({"spool": {"socket": "/nonexistent/a/b/s.sock"}})
    expect(t, "FAIL", r"\[spool\] socket", "mkdir -p /nonexistent/a/b")


def test_a_spool_that_is_a_file(new):
    t = new()
    t.spool.touch()
    expect(t, "FAIL", "is not a directory", "choose another")


# --- clocks -----------------------------------------------------------------


def preload(library):
    """A sanitizer's runtime wants to be the first one, but need not be."""
    return {**os.environ, "LD_PRELOAD": library,
            "ASAN_OPTIONS": "verify_asan_link_order=0"}


def test_a_clock_that_was_never_set(new):
    """As after a battery died; libfaketime, as faketime(1) loads it."""
    library = subprocess.run(
        ["faketime", "2001-01-01", "sh", "-c", 'echo "$LD_PRELOAD"'],
        capture_output=True, text=True, check=True,
    ).stdout.strip()
    env = {**preload(library), "FAKETIME": "@2001-01-01 00:00:00"}
    expect(new(), "FAIL", "clock: it says 2001-01-01T", "younger",
           "set-ntp true", env=env)


def test_a_clock_that_went_back(new):
    t = new().start()
    t.stop()
    later = time.time() + 86400
    os.utime(t.spool / "spool.db", (later, later))
    expect(t, "FAIL", "the spool was written at", "went back", "set-ntp true")


UNSYNCHRONISED = """
#include <sys/timex.h>

int
adjtimex(struct timex *t)
{
	t->status = STA_UNSYNC;
	return TIME_ERROR;
}
"""


def test_a_clock_that_nothing_keeps_in_step(new, work):
    source, library = work / "adjtimex.c", work / "adjtimex.so"
    source.write_text(UNSYNCHRONISED)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source],
                   check=True)
    os.chmod(library, 0o755)
    expect(new(), "warn", "nothing keeps it in step", "run a time service",
           env=preload(str(library)), preexec_fn=None)


def test_the_kernel_is_asked(new):
    """Whatever it says here, check says the same."""
    state = subprocess.run(
        [sys.executable, "-c", "import ctypes; b = bytes(400);"
         "print(ctypes.CDLL(None).adjtimex(ctypes.c_char_p(b)))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()
    _, lines = check(new(), preexec_fn=None)
    said = [x for v, x in lines if "in step" in x]
    assert len(said) == 1
    assert ("nothing keeps" in said[0]) is (state == "5"), (state, said)


# --- the kernel, users, limits ----------------------------------------------


def test_a_kernel_without_filters(new):
    expect(new(), "FAIL", "kernel: no seccomp filters", "could make any system",
           "CONFIG_SECCOMP_FILTER", preexec_fn=kernel.NO_SECCOMP)
    t = new({"sandbox": {"sandbox": "best-effort"}})
    expect(t, "warn", "no seccomp filters", preexec_fn=kernel.NO_SECCOMP)


def test_a_kernel_without_landlock(new):
    expect(new(), "warn", "kernel: no Landlock", "files that are not theirs",
           "Linux 5.13", preexec_fn=kernel.NO_LANDLOCK)


@pytest.mark.parametrize("key", ["web_user", "store_user", "keeper_user"])
def test_a_user_that_is_missing(new, key):
    settings = {"sandbox": {key: "no-such-user"}}
    if key == "keeper_user":
        settings["https"] = {"listen": f"127.0.0.1:{free_port()}"}
    _, lines = check(new(settings))
    (text,) = [x for v, x in lines if v == "FAIL" and key in x]
    assert "no-such-user" in text and "useradd --system" in text


# root would raise the limit.
FEW_DESCRIPTORS = ["setpriv", "--bounding-set", "-sys_resource", "prlimit",
                   "-n=300:300"]


def test_too_few_descriptors(new):
    t = new()
    expect(t, "warn", r"max_connections = 10000 needs \d+ descriptors",
           "may open 300", "LimitNOFILE=", prefix=FEW_DESCRIPTORS)


def test_too_few_descriptors_of_the_daemon(make_tracker):
    t = make_tracker(STORE_USER, command=FEW_DESCRIPTORS).start()

    expect(t, "warn", "the running daemon may open 300", "LimitNOFILE=")


# --- visitors' addresses ----------------------------------------------------


@pytest.fixture
def served(new):
    def make(settings=None):
        t = new(settings).start()
        t.link("ctqu6f", "H0zoVR7I")
        t.wait_server("ctqu6f")
        return t

    return make


def open_often(t, headers=()):
    for i in range(25):
        given = [(n, v.format(i)) for n, v in headers]
        assert t.get(f"/img/ctqu6f/m{i}", given).status == 200


def test_a_proxy_that_is_not_trusted(served):
    t = served()
    open_often(t, [("X-Forwarded-For", "198.51.100.{}")])
    expect(t, "warn", "25 opens and clicks all came from 127.0.0.1",
           r"trusted_proxies = 127\.0\.0\.1$")
    # One visitor from elsewhere, and it is no proxy.
    t.settings["clients"] = {"trusted_proxies": "127.0.0.1"}
    t.write_conf()
    t.process.send_signal(1)
    t.wait_ready(2)
    open_often(t, [("X-Forwarded-For", "198.51.100.{}")])
    assert troubles(check(t)[1]) == []


def test_a_few_from_one_address_are_nobody(served):
    t = served()
    for i in range(19):
        t.get(f"/img/ctqu6f/m{i}")
    assert troubles(check(t)[1]) == []


def test_a_proxy_that_does_not_say_for_whom(served):
    t = served({"clients": {"trusted_proxies": "127.0.0.1"}})
    open_often(t)
    expect(t, "warn", "from the proxy 127.0.0.1 itself", "X-Forwarded-For")


HEADERS = pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 198.51.100.7 192.0.2.1 5000 80\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12),
    ],
    ids=["v1", "v2"],
)


@HEADERS
def test_proxy_headers_that_are_not_expected(served, header):
    t = served()
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    assert t.raw(header + request).status in (400, 501)
    # A worker tells its counters once a second.
    name = "proxy_headers_unexpected_total"
    wait_for(lambda: t.status()["counters"][name] == 1, "the counter", 30)
    expect(t, "warn", "1 connections began with a PROXY header",
           "proxy_protocol = yes")


@HEADERS
def test_proxy_headers_before_tls(served, work, header):
    issued = Issuer(work / "authority").issue("ec.example")
    Directory(work / "certificates").write("ec.example", *issued)
    port = free_port()
    t = served({
        "sandbox": {"keeper_user": "60981"},
        "https": {"listen": f"127.0.0.1:{port}",
                  "certificates": str(work / "certificates")},
    })
    with socket.create_connection(("127.0.0.1", port), 30) as s:
        s.sendall(header + b"\x16\x03\x01")
        while s.recv(100):
            pass
    wait_for(lambda: t.status()["counters"]["tls_failed_not_tls_total"] == 1,
             "the counter", 30)
    t.wait_log('detail="a PROXY header that is not expected"')
    expect(t, "warn", "1 connections began with a PROXY header",
           "proxy_protocol = yes")


def test_proxy_headers_that_are_missing(served):
    t = served()
    t.settings["clients"] = {"trusted_proxies": "127.0.0.1",
                             "proxy_protocol": "yes"}
    t.write_conf()
    t.process.send_signal(1)
    t.wait_ready(2)
    assert t.get("/").status == 200
    name = "proxy_headers_bad_total"
    wait_for(lambda: t.status()["counters"][name] >= 1, "the counter", 30)
    expect(t, "warn", "had no proper PROXY header", "send-proxy-v2")


# --- Postal's tracking domains ----------------------------------------------


def add_domain(postal, name, status, error=None):
    postal.main.execute(
        "INSERT INTO postal.domains (name, server_id, created_at, updated_at)"
        " VALUES ('example.com', 1, NOW(), NOW())"
    )
    postal.main.execute(
        "INSERT INTO postal.track_domains (name, server_id, domain_id,"
        " dns_status, dns_error, created_at, updated_at) VALUES (%s, 1,"
        " (SELECT MAX(id) FROM postal.domains), %s, %s, NOW(), NOW())",
        (name, status, error),
    )


def test_domains_that_postal_does_not_call_ok(make_stack):
    stack = make_stack(settings={**STORE_USER, "forwarder": {"user": "60983"}})
    stack.postal.add_server("ctqu6f", 1)
    add_domain(stack.postal, "good", "OK")
    code, lines = check(stack.tracker)
    assert (code, troubles(lines)) == (0, []), lines
    add_domain(stack.postal, "click", "Missing", "There is no record; none.")
    expect(stack.tracker, "warn", r"tracking domain click\.example\.com: ",
           "calls its DNS Missing", "There is no record, none", "set the CNAME")
    stack.postal.main.execute(
        "UPDATE postal.track_domains SET dns_status = NULL, dns_error = NULL"
    )
    _, lines = check(stack.tracker)
    assert [v for v, _ in troubles(lines)] == ["warn", "warn"]
    assert all("has not looked at its DNS yet" in x for _, x in troubles(lines))


def test_everything_runs(make_stack):
    """Nothing but ok of a whole system with Postal."""
    stack = make_stack(settings={**STORE_USER, "forwarder": {"user": "60983"}})
    stack.postal.add_server("ctqu6f", 1)
    stack.start()
    stack.wait_status(lambda s: s["forwarder"]["connected_to_mysql"], "MySQL")
    code, lines = check(stack.tracker)
    assert (code, troubles(lines)) == (0, []), lines
    assert any("forwarder: pid" in x for _, x in lines)
