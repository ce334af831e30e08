"""Builds the packages, and boots Debian roots to install them in.

A root is a minimal Debian of this machine's release, made by mmdebstrap from
this machine's mirrors once and kept under build/. `booted` runs it in
namespaces with its own systemd, an overlay in memory and a network of its own,
so that units run as on a real machine: nothing of them is imitated here.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TREE = Path(os.environ.get("TREE", Path(__file__).parents[2]))
BUILD = Path(os.environ.get("BUILD", TREE / "build")).resolve()
WORK = BUILD / "packaging"
sys.path.append(str(TREE / "tests/system"))

WAIT_SECONDS = 30


def wait_for(condition, what, seconds=WAIT_SECONDS):
    """Waits until condition() is true and returns what it gave."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def run(*command, check=True, **kwargs):
    r = subprocess.run(
        [str(c) for c in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **{"timeout": 300, **kwargs},
    )
    if check:
        assert r.returncode == 0, f"{command}\n{r.stdout}\n{r.stderr}"
    return r


# --- building -------------------------------------------------------------------


class Packages:
    """What one build left behind."""

    def __init__(self, directory):
        self.directory = directory
        self.tarball = self._one("build/postal-tracker-*.tar.gz")
        self.deb = self._one("build/deb/postal-tracker_*.deb")
        self.dbgsym = self._one("build/deb/postal-tracker-dbgsym_*.deb")
        self.changes = self._one("build/deb/*.changes")
        self.dsc = self._one("build/deb/*.dsc")
        self.rpm = self._one("build/rpm/*/*.rpm")

    def _one(self, pattern):
        found = list(self.directory.glob(pattern))
        assert len(found) == 1, (pattern, found)
        return found[0]


def start_build(directory, command, **environment):
    """Unpacks the source and builds all in the background."""
    directory.mkdir(parents=True)
    tarball = next(BUILD.glob("postal-tracker-*.tar.gz"))
    # The tarball's own directory, under another name.
    run("tar", "-xzf", tarball, "-C", directory, "--strip-components=1")
    log = open(directory.parent / f"{directory.name}.log", "wb")
    return subprocess.Popen(
        [*command, "make", "-s", "dist", "deb", "rpm"],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env={
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "DEB_BUILD_OPTIONS": "parallel=1",
            **environment,
        },
        start_new_session=True,
    )


@pytest.fixture(scope="session")
def builds():
    """The same source built twice, by two who have nothing in common."""
    places = [
        WORK / "builds/one",
        WORK / "builds/another_place_with_a_longer_name",
    ]
    # For who works on the tests themselves.
    if "PACKAGING_REUSE" in os.environ:
        return [Packages(place) for place in places]
    shutil.rmtree(WORK / "builds", ignore_errors=True)
    run("make", "-s", "dist", cwd=TREE, env={**os.environ, "BUILD": BUILD})
    both = [
        start_build(places[0], ["sh", "-c", 'umask 022; exec "$@"', "-"],
                    LC_ALL="C.UTF-8", TZ="UTC"),
        start_build(places[1], ["sh", "-c", 'umask 077; exec "$@"', "-"],
                    LC_ALL="C", LANGUAGE="de", TZ="Asia/Kathmandu",
                    USER="somebody", LOGNAME="somebody"),
    ]
    try:
        for place, process in zip(places, both):
            code = process.wait(600)
            log = place.parent / f"{place.name}.log"
            assert code == 0, log.read_text(errors="replace")[-6000:]
    finally:
        for process in both:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return [Packages(place) for place in places]


@pytest.fixture(scope="session")
def packages(builds):
    return builds[0]


@pytest.fixture(scope="session")
def upgrade(packages):
    """The same package with a higher version."""
    root = WORK / "upgrade"
    shutil.rmtree(root, ignore_errors=True)
    run("dpkg-deb", "-R", packages.deb, root)
    control = root / "DEBIAN/control"
    control.write_text(
        re.sub(r"(?m)^(Version: .*)$", r"\1+upgrade", control.read_text())
    )
    out = WORK / "upgrade.deb"
    run("dpkg-deb", "--root-owner-group", "-b", root, out)
    return out


# --- Debian roots ---------------------------------------------------------------


def release():
    return re.search(
        r"(?m)^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text()
    )[1]


def mirrors(directory):
    """This machine's own sources of its release, without others' ones."""
    files = [Path("/etc/apt/sources.list")]
    files += sorted(Path("/etc/apt/sources.list.d").glob("*"))
    kept = []
    for f in files:
        if not f.exists():
            continue
        if f.suffix == ".sources":
            parts = re.split(r"\n\s*\n", f.read_text())
        else:
            parts = f.read_text().splitlines()
        kept += [
            (f.suffix == ".sources", p)
            for p in parts
            if re.search(rf"\b{release()}\b", p) and "debian" in p.lower()
            and not p.startswith("#") and "deb-src " not in p
        ]
    assert kept, f"no source of {release()} in /etc/apt"
    paths = []
    for suffix, deb822 in ((".sources", True), (".list", False)):
        wanted = [p for is_deb822, p in kept if is_deb822 == deb822]
        if wanted:
            paths.append(directory / f"mirrors{suffix}")
            paths[-1].write_text(("\n\n" if deb822 else "\n").join(wanted) + "\n")
    return paths


def names_of(deb, *fields):
    """The first alternative of each dependency."""
    text = ",".join(run("dpkg-deb", "-f", deb, f).stdout for f in fields)
    return sorted(
        {re.split(r"[ (|]", d.strip())[0] for d in text.split(",") if d.strip()}
    )


@pytest.fixture(scope="session")
def base(packages):
    """A directory with a minimal Debian, systemd, and what the deb needs."""
    wanted = names_of(packages.deb, "Depends", "Recommends")
    # curl is what debian/tests ask for, apt-utils what autopkgtest does.
    wanted = ",".join(sorted({*wanted, "systemd", "systemd-sysv", "procps",
                              "curl", "apt-utils"}))
    key = hashlib.sha256(f"{release()} {wanted}".encode()).hexdigest()[:16]
    root = WORK / f"root-{key}"
    tarball = WORK / f"root-{key}.tar"
    if not tarball.exists():
        partial = WORK / "root.tar"
        run("mmdebstrap", "--variant=minbase", f"--include={wanted}",
            release(), partial, *mirrors(WORK), timeout=900)
        partial.rename(tarball)
    if not root.exists():
        unpacked = WORK / "root.new"
        shutil.rmtree(unpacked, ignore_errors=True)
        unpacked.mkdir()
        run("tar", "-xf", tarball, "-C", unpacked, "--numeric-owner", "--xattrs")
        (unpacked / "packages").mkdir()
        unpacked.rename(root)
    return root


@pytest.fixture(scope="module")
def make_root(base):
    """Copies of the minimal root, in memory, where nothing runs."""
    mounted = []

    def mount(*arguments):
        run("mount", *arguments)
        mounted.append(arguments[-1])

    def make(name):
        place, memory = WORK / name, WORK / f"{name}.memory"
        for d in (place, memory):
            shutil.rmtree(d, ignore_errors=True)
            d.mkdir()
        mount("-t", "tmpfs", "tmpfs", memory)
        for d in ("upper", "work"):
            (memory / d).mkdir()
        mount("-t", "overlay", "overlay", "-o",
              f"lowerdir={base},upperdir={memory}/upper,workdir={memory}/work",
              place)
        # What scriptlets find on any machine.
        mount("--bind", "/proc", place / "proc")
        mount("--bind", WORK, place / "packages")
        return place

    yield make
    for place in reversed(mounted):
        run("umount", place)


class Machine:
    """A booted root. Changes are in memory and gone with it."""

    def __init__(self, base, name, binds=()):
        self.log_path = WORK / f"{name}.log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["systemd-nspawn", "--quiet", f"--directory={base}",
                 "--volatile=overlay", f"--machine=tracker-{name}-{os.getpid()}",
                 "--register=no", "--keep-unit", "--private-network",
                 "--console=pipe", "--link-journal=no",
                 # What a real machine's service manager may call, too.
                 "--system-call-filter=@known",
                 *binds, "--boot"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.leader = wait_for(self._leader, f"systemd to start\n{self.log()}")
        wait_for(
            lambda: self.run("systemctl", "is-system-running",
                             check=False).stdout.strip()
            in ("running", "degraded"),
            f"the machine to boot\n{self.log()}",
            120,
        )

    def _leader(self):
        assert self.process.poll() is None, self.log()
        children = Path(
            f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        )
        for pid in children.read_text().split():
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                comm = Path(f"/proc/{pid}/comm").read_text().strip()
            except FileNotFoundError:
                continue
            if comm == "systemd" and re.search(r"(?m)^NSpid:.*\b1$", status):
                return int(pid)
        return None

    def log(self):
        return self.log_path.read_text(errors="replace")

    def enter(self, *which):
        return ["nsenter", f"--target={self.leader}", *which]

    def run(self, *command, **kwargs):
        """A command of the machine, inside of it."""
        inside = self.enter("--mount", "--uts", "--ipc", "--net", "--pid",
                            "--cgroup", "--root", "--wd")
        env = ["/usr/bin/env", "-i", "LC_ALL=C.UTF-8",
               "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
               "DEBIAN_FRONTEND=noninteractive"]
        return run(*inside, *env, *command, **kwargs)

    def sh(self, text, **kwargs):
        return self.run("sh", "-c", text, **kwargs)

    def curl(self, *arguments, **kwargs):
        """This machine's curl in the network of the other."""
        return run(*self.enter("--net"), "curl", "-s", "--max-time", "20",
                   *arguments, **kwargs)

    def path(self, path):
        """A file of the machine, as it is seen from here."""
        return Path(f"/proc/{self.leader}/root") / str(path).lstrip("/")

    def journal(self, unit):
        return self.run("journalctl", "-o", "cat", "-u", unit).stdout

    def active(self, unit):
        return self.run("systemctl", "is-active", unit,
                        check=False).stdout.strip()

    def main_pid(self, unit="postal-tracker"):
        """As the machine numbers it."""
        return int(self.run("systemctl", "show", "-P", "MainPID", unit).stdout)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(60)


@pytest.fixture(scope="module")
def make_machine(base, packages):
    made = []

    def make(name, binds=()):
        bind = f"--bind-ro={WORK}:/packages"
        made.append(Machine(base, name, (bind, *binds)))
        return made[-1]

    yield make
    for machine in made:
        machine.close()


@pytest.fixture(scope="session", autouse=True)
def root_user():
    assert os.geteuid() == 0, "roots are made and booted: run this as root"
    WORK.mkdir(parents=True, exist_ok=True)
    # The roles' users have to reach what is bound into a machine.
    os.chmod(WORK, 0o755)
