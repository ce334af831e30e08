"""The rpm as far as a Debian machine can: its scriptlets run in a root."""

import subprocess

import pytest

from conftest import run


@pytest.fixture(scope="module")
def root(make_root):
    """rpm's own database is in it."""
    return make_root("rpm-root")


def rpm(root, *arguments, **kwargs):
    # Debian's root has no RPM database to find its libraries in.
    return run("rpm", f"--root={root}", "--nodeps", *arguments, **kwargs)


def test_install(root, packages):
    r = rpm(root, "--install", packages.rpm)
    assert "scriptlet failed" not in r.stderr, r.stderr
    passwd = (root / "etc/passwd").read_text()
    for role in ("keeper", "store", "forwarder", "acme"):
        assert f"postal-tracker-{role}:" in passwd
    spool = root / "var/lib/postal-tracker"
    uid = [line.split(":")[2] for line in passwd.splitlines()
           if line.startswith("postal-tracker-store:")][0]
    assert spool.stat().st_uid == int(uid)
    assert spool.stat().st_mode & 0o777 == 0o700
    # It runs: what it is linked with is there.
    out = subprocess.run(
        ["chroot", str(root), "/usr/sbin/postal-tracker", "version"],
        capture_output=True, text=True, check=True,
    ).stdout
    assert out.startswith("postal-tracker ")


def test_operators_configuration_stays(root, packages):
    conf = root / "etc/postal-tracker/tracker.conf"
    conf.write_text(conf.read_text() + "; mine\n")
    (root / "var/lib/postal-tracker/spool.db").write_text("events")
    rpm(root, "--upgrade", "--replacepkgs", packages.rpm)
    assert conf.read_text().endswith("; mine\n")


def test_removal_keeps_the_spool(root):
    r = rpm(root, "--erase", "postal-tracker")
    assert "scriptlet failed" not in r.stderr, r.stderr
    assert not (root / "usr/sbin/postal-tracker").exists()
    assert (root / "var/lib/postal-tracker/spool.db").read_text() == "events"
    assert (root / "etc/postal-tracker/tracker.conf.rpmsave").exists()


def test_scriptlets_leave_sockets_alone(packages):
    """An upgrade restarts the services; the last removal stops everything."""
    scripts = run("rpm", "-qp", "--scripts", packages.rpm).stdout
    post = scripts.split("postuninstall scriptlet")[1]
    assert "try-restart postal-tracker.service" in post
    assert ".socket" not in post
    pre = scripts.split("preuninstall scriptlet")[1].split("postuninstall")[0]
    for unit in ("postal-tracker.service", "postal-tracker.socket",
                 "postal-tracker-binder.socket", "postal-tracker-acme.timer",
                 "postal-tracker-acme.service"):
        assert unit in pre
