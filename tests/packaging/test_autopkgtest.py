"""debian/tests as Debian runs it: by autopkgtest, on a machine of its own."""

import re
import sys
from pathlib import Path

import pytest

from conftest import run

SERVER = Path(__file__).with_name("virt_machine.py")


@pytest.fixture(scope="module")
def machine(make_machine):
    return make_machine("autopkgtest")


def test_debian_tests(machine, packages, tmp_path):
    """From the source package, with the packages that were built of it. It is
    unpacked here, and stands for one that was built: dpkg-source, which the
    machine has not, is asked for otherwise."""
    source = tmp_path / "source"
    run("dpkg-source", "--extract", packages.dsc, source)
    (source / "debian/files").touch()
    r = run("autopkgtest", "--no-built-binaries", "--output-dir",
            tmp_path / "out", packages.deb, source, "--",
            sys.executable, SERVER, machine.leader, check=False)
    summary = (tmp_path / "out/summary").read_text()
    assert re.fullmatch(r"click +PASS\n", summary), \
        f"{summary}{(tmp_path / 'out/log').read_text()[-4000:]}"
    assert r.returncode == 0, r.stdout + r.stderr
    out = (tmp_path / "out/click-stdout").read_text()
    assert out == "click: answered and stored\n"
