"""The deb where no service manager runs: an image that is being built."""

import pytest

from conftest import WORK, run


@pytest.fixture(scope="module")
def root(make_root):
    return make_root("image")


def inside(root, *command, **kwargs):
    return run("chroot", root, "/usr/bin/env", "-i", "LC_ALL=C.UTF-8",
               "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
               "DEBIAN_FRONTEND=noninteractive", *command, **kwargs)


def test_install_upgrade_remove_purge(root, packages, upgrade):
    deb = f"/packages/{packages.deb.relative_to(WORK)}"
    inside(root, "dpkg", "--install", deb)
    for role in ("keeper", "store", "binder", "forwarder", "acme"):
        inside(root, "id", f"postal-tracker-{role}")
    spool = root / "var/lib/postal-tracker"
    (spool / "spool.db").write_text("events")
    inside(root, "dpkg", "--install", f"/packages/{upgrade.name}")
    assert (spool / "spool.db").read_text() == "events"
    inside(root, "dpkg", "--remove", "postal-tracker")
    assert (spool / "spool.db").read_text() == "events"
    inside(root, "dpkg", "--purge", "postal-tracker")
    assert not spool.exists()
    assert not (root / "etc/postal-tracker").exists()


def test_nothing_is_enabled_in_an_image(root, packages):
    deb = f"/packages/{packages.deb.relative_to(WORK)}"
    inside(root, "dpkg", "--install", deb)
    # Each file is what the package says.
    assert inside(root, "dpkg", "--verify", "postal-tracker").stdout == ""
    wants = [str(p) for p in (root / "etc/systemd/system").rglob("*postal*")]
    assert wants == []


def test_check_has_no_complaint_of_the_package(root):
    """`check` right after it: every user is there, the spool is the store's."""
    r = inside(root, "postal-tracker", "check", check=False)
    for line in r.stdout.splitlines():
        assert not ("user" in line and line.startswith(("warn", "FAIL"))), line
    assert "the store runs as" not in r.stdout
