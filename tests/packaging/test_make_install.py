"""`make install` by hand: what it puts, and that uninstall takes it back."""

import os
import re
import shutil

import pytest

from conftest import BUILD, TREE, run

PROFILE = "etc/apparmor.d/usr.sbin.postal-tracker"
ROTATE = "etc/logrotate.d/postal-tracker"


def make(*arguments, check=True, build=BUILD, **env):
    return run("make", "-s", *arguments, cwd=TREE, check=check,
               env={**os.environ, "BUILD": str(build), **env})


@pytest.fixture
def own_build(tmp_path):
    """A copy of the build, for what changes it."""
    make("all")
    copy = tmp_path / "build"
    copy.mkdir()
    for name in ("src", "gen", "man", "sysconfdir", "libtracker.a",
                 "postal-tracker", "policy-compile", "manual-compile"):
        run("cp", "-a", BUILD / name, copy)
    return copy


def files(directory):
    return sorted(
        str(p.relative_to(directory)) for p in directory.rglob("*")
        if not p.is_dir()
    )


def test_install_check_uninstall(tmp_path):
    dest = f"DESTDIR={tmp_path}"
    make("install", dest)
    there = files(tmp_path)
    assert "usr/local/sbin/postal-tracker" in there
    assert "usr/local/lib/systemd/system/postal-tracker.service" in there
    make("installcheck", dest)
    # What the operator and the daemon have put there since.
    conf = tmp_path / "etc/postal-tracker/tracker.conf"
    conf.write_text(conf.read_text() + "; mine\n")
    spool = tmp_path / "var/lib/postal-tracker/spool.db"
    spool.parent.mkdir(parents=True)
    spool.write_text("events")
    make("install", dest)
    assert conf.read_text().endswith("; mine\n")
    make("uninstall", dest)
    assert files(tmp_path) == ["etc/postal-tracker/tracker.conf",
                               "var/lib/postal-tracker/spool.db"]
    assert conf.read_text().endswith("; mine\n")
    assert not (tmp_path / "usr/local/share/doc/postal-tracker").exists()


def test_installcheck_misses_a_file(tmp_path):
    dest = f"DESTDIR={tmp_path}"
    make("install", dest)
    (tmp_path / "usr/local/lib/systemd/system/postal-tracker.socket").unlink()
    assert make("installcheck", dest, check=False).returncode != 0


@pytest.mark.parametrize("path", [PROFILE, ROTATE,
                                  "etc/postal-tracker/tracker.conf"])
def test_what_an_operator_edits_stays(tmp_path, path):
    """The new file comes beside his, until they are the same."""
    dest, file = f"DESTDIR={tmp_path}", tmp_path / path
    beside = file.with_name(file.name + ".dpkg-dist")
    make("install", dest)
    new = file.read_text()
    file.write_text(new + "# mine\n")
    r = make("install", dest)
    assert file.read_text() == new + "# mine\n"
    assert beside.read_text() == new
    assert [f for f in files(tmp_path) if f.endswith("-dist")] == [
        f"{path}.dpkg-dist"]
    said = f"install: {file} stays; {beside} is the new one\n"
    assert r.stdout.count(said) == r.stdout.count("install: ") == 1
    r = make("uninstall", dest)
    assert file.read_text() == new + "# mine\n" and not beside.exists()
    file.write_text(new)
    beside.write_text("of before")
    assert "stays" not in make("install", dest).stdout
    assert file.read_text() == new and not beside.exists()


def test_what_lies_beside_is_not_read(tmp_path):
    """Neither by logrotate nor by AppArmor, which read whole directories."""
    logs, profiles = tmp_path / "logs", tmp_path / "profiles"
    for directory, text in ((logs, "/{}.log {{\nmissingok\n}}\n"),
                            (profiles, "profile {} {{ }}\n")):
        directory.mkdir()
        (directory / "one").write_text(text.format("one"))
        (directory / "other.dpkg-dist").write_text(text.format("other"))
    conf = tmp_path / "conf"
    conf.write_text(f"include {logs}\n")
    said = run("logrotate", "--debug", "--state", tmp_path / "state", conf).stderr
    assert re.findall("considering log (.*)", said) == ["/one.log"]
    names = run("apparmor_parser", "--names", profiles).stdout.split()
    assert names == ["one"]


@pytest.mark.parametrize("prefix, etc", [
    ("/usr/local", "/etc"), ("/usr", "/etc"),
    ("/opt/tracker", "/opt/tracker/etc")])
def test_paths_follow_the_prefix(tmp_path, own_build, prefix, etc):
    dest = tmp_path / "dest"
    make("install", f"DESTDIR={dest}", f"prefix={prefix}", build=own_build)
    make("installcheck", f"DESTDIR={dest}", f"prefix={prefix}", build=own_build)
    unit = dest / f"{prefix[1:]}/lib/systemd/system/postal-tracker.service"
    assert f"ExecStart={prefix}/sbin/postal-tracker run" in unit.read_text()
    of_etc = {f"{etc[1:]}/{f.removeprefix('etc/')}"
              for f in (PROFILE, ROTATE, "etc/postal-tracker/tracker.conf")}
    assert {f for f in files(dest) if "etc/" in f} == of_etc
    for f in files(dest):
        if not f.endswith(("README.md", "sbin/postal-tracker")):
            text = (dest / f).read_text()
            if prefix != "/usr":
                assert "/usr/sbin/postal" not in text, f
            if "/doc/" not in f:
                assert text.count("/etc/postal-") == \
                    text.count(f"{etc}/postal-"), f


def test_the_binary_reads_what_was_installed(tmp_path, own_build):
    """After a `make` that knew nothing of the prefix."""
    prefix = f"prefix={tmp_path}/opt"
    make("all", build=own_build)
    make("install", prefix, build=own_build)
    conf = tmp_path / "opt/etc/postal-tracker/tracker.conf"
    conf.write_text("[http]\nworkers = 3\n")
    binary = tmp_path / "opt/sbin/postal-tracker"
    assert f"workers = 3  ; {conf}:2" in run(binary, "config").stdout
    make("installcheck", prefix, build=own_build)
    conf.write_text("[nonsense]\n")
    assert make("installcheck", prefix, build=own_build,
                check=False).returncode != 0
    # One that reads another place.
    conf.write_text("")
    conf.write_text("; mine\n")
    shutil.copy(BUILD / "postal-tracker", binary)
    r = make("installcheck", prefix, build=own_build, check=False)
    assert r.returncode != 0 and "another configuration" in r.stdout


# Debian's architectures: what each compiler takes for jumps and returns.
@pytest.mark.parametrize("target, flag", [
    ("x86_64", "-fcf-protection"), ("i686", "-fcf-protection"),
    ("aarch64", "-mbranch-protection=standard"), ("riscv64", None),
    ("powerpc64le", None)])
def test_flags_of_other_processors(tmp_path, target, flag):
    r = make("--dry-run", f"{tmp_path}/src/base/number.o", "V=1",
             f"CC=clang --target={target}-linux-gnu", build=tmp_path)
    flags = set(r.stdout.split())
    assert "-fstack-clash-protection" in flags
    assert flags & {"-fcf-protection", "-mbranch-protection=standard"} == (
        {flag} if flag else set())


# Answers as dpkg-query does for libssl3 on Debian 13, where only another
# package provides it, and as if all others were there.
DPKG_QUERY = """#!/bin/sh
for name; do :; done
[ "$name" != libssl3 ] || exit 1
printf installed
"""


def test_what_is_needed_can_be_had_on_debian_13(tmp_path):
    fake = tmp_path / "dpkg-query"
    fake.write_text(DPKG_QUERY)
    fake.chmod(0o755)
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    r = make("deps", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert r.stdout == ""


def test_dist_is_the_tree(tmp_path):
    """The tarball has what git has, and builds its like without git."""
    make("dist", f"BUILD={BUILD}")
    tarball = next(BUILD.glob("postal-tracker-*.tar.gz"))
    names = run("tar", "-tzf", tarball).stdout.split()
    tracked = run("git", "-c", f"safe.directory={TREE}", "ls-files",
                  cwd=TREE).stdout.split()
    top = {n.split("/")[0] for n in names}
    assert len(top) == 1
    assert {n.split("/", 1)[1] for n in names} >= {
        f for f in tracked if (TREE / f).exists()}
    run("tar", "-xzf", tarball, "-C", tmp_path)
    inner = tmp_path / top.pop()
    env = {k: v for k, v in os.environ.items() if k != "BUILD"}
    run("make", "-s", "dist", cwd=inner, env=env)
    again = next(inner.glob("build/*.tar.gz"))
    assert again.read_bytes() == tarball.read_bytes()


@pytest.mark.parametrize("with_git", [True, False])
@pytest.mark.parametrize("build", ["out", "out/of/it"])
def test_dist_leaves_out_another_build(tmp_path, with_git, build):
    make("dist")
    tarball = next(BUILD.glob("postal-tracker-*.tar.gz"))
    run("tar", "-xzf", tarball, "-C", tmp_path, "--strip-components=1")
    if with_git:
        run("git", "init", "--quiet", tmp_path)
        run("git", "add", ".", cwd=tmp_path)
    made = tmp_path / build / "src/main.o"
    made.parent.mkdir(parents=True)
    made.write_text("made")
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1"}
    run("make", "-s", "dist", f"BUILD={build}", cwd=tmp_path, env=env)
    again = next((tmp_path / build).glob("*.tar.gz"))
    names = [set(run("tar", "-tzf", t).stdout.split())
             for t in (tarball, again)]
    assert names[0] == names[1]
