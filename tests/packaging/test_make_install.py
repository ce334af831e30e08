"""`make install` by hand: what it puts, and that uninstall takes it back."""

import os

import pytest

from conftest import BUILD, TREE, run


def make(*arguments, check=True):
    return run("make", "-s", *arguments, cwd=TREE, check=check,
               env={**os.environ, "BUILD": str(BUILD)})


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


def test_paths_follow_the_prefix(tmp_path):
    make("install", f"DESTDIR={tmp_path}", "prefix=/opt/tracker")
    unit = tmp_path / "opt/tracker/lib/systemd/system/postal-tracker.service"
    assert "ExecStart=/opt/tracker/sbin/postal-tracker run" in unit.read_text()
    for f in files(tmp_path):
        if not f.endswith(("README.md", "sbin/postal-tracker")):
            text = (tmp_path / f).read_text()
            assert "/usr/sbin/postal" not in text, f


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
