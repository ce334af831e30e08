"""The same source gives the same packages, byte for byte."""

import hashlib
import subprocess

import pytest


@pytest.mark.parametrize("kind", ["tarball", "deb", "dbgsym", "dsc", "rpm"])
def test_two_builds_are_one(builds, kind):
    one, other = (getattr(b, kind) for b in builds)
    assert one != other
    digests = [hashlib.sha256(p.read_bytes()).hexdigest() for p in (one, other)]
    assert digests[0] == digests[1], subprocess.run(
        ["cmp", "-l", str(one), str(other)],
        capture_output=True, text=True, check=False,
    ).stdout[:1000]
