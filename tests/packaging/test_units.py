"""The units as files: what systemd's own tools say of them, and what they allow
against what the roles do."""

import json
import re
import subprocess

import pytest

from conftest import TREE, run

UNITS = TREE / "packaging/systemd"
SERVICES = {"postal-tracker.service": 2.0,
            "postal-tracker-forwarder.service": 1.5,
            "postal-tracker-binder@.service": 2.0,
            "postal-tracker-acme.service": 2.0}
# What the roles under each service are filtered to.
POLICIES = {"postal-tracker.service": "web keeper store admin logger".split(),
            "postal-tracker-forwarder.service": ["forwarder"],
            "postal-tracker-binder@.service": ["binder"]}
# What entering a jail takes, before the filter is there (role/jail.c), and
# what the loader and the C library start with.
JAIL = set("""
    execve mmap mprotect brk prlimit64 capget capset prctl setgroups setresuid
    setresgid chroot chdir fchdir seccomp landlock_create_ruleset
    landlock_add_rule landlock_restrict_self close_range rt_sigaction fstat
""".split())
# Of a process that systemd starts as its user.
WITH_ROOT = {"setgroups", "setresuid", "setresgid", "chroot",
                      "chdir", "fchdir"}
MONITOR = set("""
    execveat clone wait4 kill signalfd4 epoll_create1 socketpair memfd_create
    sendfile flock bind listen socket mkdir rmdir unlink chmod dup2 statfs
""".split())


@pytest.fixture
def installed(tmp_path):
    """The units where their programs exist."""
    for f in UNITS.iterdir():
        text = f.read_text().replace("/usr/sbin/postal-tracker-acme", "/bin/true")
        (tmp_path / f.name).write_text(
            text.replace("/usr/sbin/postal-tracker", "/bin/true")
        )
    return tmp_path


def words(name, key):
    return [w for v in re.findall(rf"(?m)^{key}=(.*)$",
                                  (UNITS / name).read_text())
            for w in v.split()]


def expand(name, seen=()):
    """A group of system calls, flat."""
    out = run("systemd-analyze", "syscall-filter", name).stdout
    calls = set()
    for word in (line.strip() for line in out.splitlines()[1:]):
        if word.startswith("@"):
            calls |= expand(word, (*seen, name)) if word not in seen else set()
        elif word and not word.startswith("#"):
            calls.add(word)
    return calls


def allowed(service):
    calls = expand("@default")
    text = (UNITS / service).read_text()
    for line in re.findall(r"(?m)^SystemCallFilter=(.*)$", text):
        group = set()
        for word in line.removeprefix("~").split():
            group |= expand(word) if word.startswith("@") else {word}
        calls = calls - group if line.startswith("~") else calls | group
    return calls


def of_policy(role):
    calls = set()
    for line in (TREE / f"policy/{role}.policy").read_text().splitlines():
        include = re.match(r"@include (\w+)\.policy", line)
        if include:
            calls |= of_policy(include[1])
        elif re.match(r"\w+:", line):
            calls.add(line.split(":")[0])
    return calls


@pytest.mark.parametrize("service", POLICIES)
def test_the_filter_holds_what_the_roles_do(service):
    calls = allowed(service)
    for role in POLICIES[service]:
        missing = of_policy(role) - calls
        assert not missing, f"{service} refuses {missing} of {role}.policy"
    jail = JAIL if "store" in POLICIES[service] else JAIL - WITH_ROOT
    assert not jail - calls
    if "store" in POLICIES[service]:
        assert not MONITOR - calls, MONITOR - calls


@pytest.mark.parametrize("service", POLICIES)
def test_the_filter_has_no_more_than_it_says(service):
    """Groups that no role needs a call of are not in it."""
    calls = allowed(service)
    for call in ("ptrace", "mount", "umount2", "pivot_root", "init_module",
                 "kexec_load", "bpf", "perf_event_open", "reboot", "swapon",
                 "settimeofday", "iopl", "keyctl", "userfaultfd",
                 "setns", "unshare", "process_vm_writev", "personality", "chown", "fchown"):
        assert call not in calls, call


@pytest.mark.parametrize("service", SERVICES)
def test_security_score(installed, service):
    out = run("systemd-analyze", "security", "--offline=yes", "--no-pager",
              installed / service, cwd=installed).stdout
    score = float(re.search(r"exposure level for \S+: ([\d.]+)", out)[1])
    assert score <= SERVICES[service], out


@pytest.mark.parametrize("service", POLICIES)
def test_what_remains_is_explained(installed, service):
    """Each thing that costs is named in a comment, or it is a mistake."""
    out = run("systemd-analyze", "security", "--offline=yes", "--json=short",
              installed / service, cwd=installed).stdout
    text = (UNITS / service).read_text()
    comments = "\n".join(l for l in text.splitlines() if l.startswith("#"))
    for row in json.loads(out):
        if row.get("exposure") in (None, ""):
            continue
        needles = EXPLAINED[row["json_field"]]
        assert any(n in comments for n in needles), row


EXPLAINED = {
    "SystemCallFilter_privileged": ["@privileged"],
    "SystemCallFilter_mount": ["@mount"],
    "RootDirectoryOrRootImage": ["RootDirectory="],
    "UserOrDynamicUser": ["User="],
    "CapabilityBoundingSet_CAP_KILL": ["KILL (0.1)"],
    "CapabilityBoundingSet_CAP_SYS_CHROOT": ["SYS_CHROOT (0.1)"],
    "CapabilityBoundingSet_CAP_SET_UID_GID_PCAP": ["SETPCAP (0.3)"],
    "CapabilityBoundingSet_CAP_DAC_FOWNER_IPC_OWNER":
        ["DAC_READ_SEARCH (0.2)"],
    "RestrictAddressFamilies_AF_UNIX": ["AF_UNIX (0.1)"],
    "RestrictAddressFamilies_AF_NETLINK": ["AF_NETLINK:"],
    "RestrictAddressFamilies_AF_INET_INET6": ["AF_INET6 (0.3)"],
    "PrivateNetwork": ["PrivateNetwork= (0.5)"],
    "PrivateUsers": ["PrivateUsers= (0.2)"],
    "CapabilityBoundingSet_CAP_NET_BIND_SERVICE_BROADCAST_RAW)":
        ["Ports below 1024."],
    "AmbientCapabilities": ["Ports below 1024."],
    "DeviceAllow": ["DeviceAllow= (0.1)"],
    "IPAddressDeny": ["IPAddressDeny= (0.2)"],
}


def test_verify(installed):
    """systemd finds nothing to complain of; manual pages are looked for in the
    package, not here."""
    units = sorted(p for p in installed.iterdir() if p.suffix != ".conf")
    for p in units:
        p.write_text(re.sub(r"(?m)^Documentation=.*\n", "", p.read_text()))
    r = subprocess.run(
        ["systemd-analyze", "verify", *map(str, units)],
        env={"SYSTEMD_UNIT_PATH": f"{installed}:", "PATH": "/usr/bin:/bin",
             "SYSTEMD_LOG_LEVEL": "warning"},
        capture_output=True, text=True, check=False, timeout=120,
    )
    assert r.returncode == 0 and r.stdout == r.stderr == "", r.stderr


def test_the_binder_alone_has_a_network():
    """No capability for ports in the daemon's unit, none on a file, and no
    network; the binder has both, where root alone can ask it."""
    text = (UNITS / "postal-tracker.service").read_text()
    assert "CAP_NET_BIND_SERVICE" not in text
    assert words("postal-tracker.service", "RestrictAddressFamilies") == \
        ["AF_UNIX"]
    assert words("postal-tracker.service", "PrivateNetwork") == ["yes"]
    assert int(words("postal-tracker.service", "FileDescriptorStoreMax")[0]) \
        >= int(re.search(r"CONFIG_LISTEN_MAX (\d+)",
                         (TREE / "src/config/config.h").read_text())[1])
    binder = "postal-tracker-binder.socket"
    path, = words(binder, "ListenSequentialPacket")
    assert f"#binder = {path}\n" in (TREE / "tracker.conf").read_text()
    assert words(binder, "SocketMode") == ["0600"]
    assert words(binder, "Accept") == ["yes"]
    assert words("postal-tracker-binder@.service", "CapabilityBoundingSet") \
        == ["CAP_NET_BIND_SERVICE"]
    assert words("postal-tracker.socket", "ListenStream") == ["80"]
    for f in (TREE / "packaging").rglob("*"):
        if f.is_file():
            assert not re.search(r"(?m)^[^#]*\bsetcap\b", f.read_text()), f


def test_passwords_are_credentials():
    loaded = words("postal-tracker-forwarder.service", "LoadCredential")
    assert [c.split(":")[0] for c in loaded] == [
        "main_db_password", "message_db_password"]
    source = (TREE / "src/forward/target.h").read_text()
    for c in loaded:
        assert f'"{c.split(":")[0]}"' in source
