"""HTTPS of the real daemon, as real clients see it."""

import pytest

from conftest import wait_for
from https import EC, RSA, Https, context, make_pair


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    d = tmp_path_factory.mktemp("pairs")
    return {
        "ec": make_pair(d / "ec", EC, ["ec.example", "*.wild.example"]),
        "rsa": make_pair(d / "rsa", RSA, ["rsa.example"]),
    }


@pytest.fixture
def https(make_tracker, pairs):
    return Https(make_tracker({"http": {"workers": "2"}}), pairs).start()


def test_smoke(https):
    assert https.get("/img/ctqu6f/m").status == 200
