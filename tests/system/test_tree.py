"""The tree and the binary as such: rooms, hardening, the two commands."""

import re
import subprocess
from pathlib import Path

import pytest

from conftest import TRACKER

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"

LEVELS = [
    ["base"],
    ["ipc", "sandbox", "config", "http", "tls"],
    ["role"],
    ["monitor"],
    ["web", "keeper", "logger", "store", "forward", "admin", "binder"],
    ["cli"],
]
LEVEL = {room: i for i, rooms in enumerate(LEVELS) for room in rooms}
CRYPTO = ("tls", "keeper")
OWNERS = {
    "sqlite3.h": ("store",),
    "seccomp.h": ("sandbox",),
    "ini.h": ("config",),
    "mysql.h": ("forward",),
    "yaml.h": ("cli",),
    "bearssl.h": CRYPTO,
    "sodium.h": CRYPTO,
    "gmp.h": CRYPTO,
    "nettle": CRYPTO,
    "openssl": ("keeper",),
}


def includes(path):
    return re.findall(r'#include ["<]([^">]+)[">]', path.read_text())


@pytest.mark.starts_nothing
def test_every_room_is_in_the_drawing():
    rooms = {p.name for p in SRC.iterdir() if p.is_dir()}
    assert rooms == set(LEVEL)


@pytest.mark.starts_nothing
def test_includes_only_go_down():
    for path in SRC.glob("*/*.[ch]"):
        room = path.parent.name
        for name in includes(path):
            other = name.split("/")[0]
            if "/" not in name or other not in LEVEL or other == room:
                continue
            assert LEVEL[other] < LEVEL[room], f"{path}: {name}"


@pytest.mark.starts_nothing
def test_libraries_have_their_owners():
    for path in SRC.glob("**/*.[ch]"):
        for name in includes(path):
            owners = OWNERS.get(name) or OWNERS.get(name.split("/")[0])
            assert not owners or path.parent.name in owners, f"{path}: {name}"


@pytest.mark.starts_nothing
def test_files_say_what_they_are_and_stay_small():
    for path in [*SRC.glob("**/*.[ch]"), *ROOT.glob("tests/*/*.[ch]")]:
        lines = path.read_text().splitlines()
        assert lines[1].startswith(f" * {path.name} - "), path
        assert len(lines) <= (600 if SRC in path.parents else 800), path


def readelf(*args):
    return subprocess.run(
        ["readelf", "-W", *args, TRACKER],
        check=True, capture_output=True, text=True,
    ).stdout


def test_hardening():
    if "sanitized" in TRACKER:
        # Another build, never shipped: its flags are the sanitizers'.
        assert "__asan_init" in readelf("--dyn-syms")
        return
    assert re.search(r"Type:\s+DYN", readelf("-h")), "a PIE"
    dynamic = readelf("-d")
    assert re.search(r"FLAGS_1.*\bNOW\b", dynamic)
    assert "RPATH" not in dynamic and "RUNPATH" not in dynamic
    segments = readelf("-l")
    assert "GNU_RELRO" in segments
    stack = re.search(r"GNU_STACK.*", segments)[0]
    assert re.search(r"\bRW\b", stack) and "RWE" not in stack
    for line in segments.splitlines():
        assert not re.search(r"LOAD.*\bRWE\b", line)
        # separate-code: no page is both data and code.
        assert not re.search(r"LOAD.*\bRW E\b", line)
    symbols = readelf("--dyn-syms")
    assert "__stack_chk_fail" in symbols
    assert re.search(r"__\w+_chk\b", symbols), "fortified calls"
    if "X86-64" in readelf("-h"):
        # The linker drops the note when the C library's start files have
        # none; the code itself has its landing pads all the same.
        code = subprocess.run(
            ["objdump", "-d", "--disassemble=web_main", TRACKER],
            check=True, capture_output=True, text=True,
        ).stdout
        assert "endbr64" in code
    needed = re.findall(r"NEEDED.*\[(\S+?)\.so", dynamic)
    assert set(needed) <= {
        "libc", "libseccomp", "libsqlite3", "libinih", "libbearssl",
        "libsodium", "libnettle", "libhogweed", "libgmp",
    }


def test_version_says_how_it_was_built():
    out = subprocess.run(
        [TRACKER, "version"], check=True, capture_output=True, text=True
    ).stdout
    assert re.match(r"postal-tracker \d+\.\d+\.\d+\n", out)
    assert re.search(r"^sqlite: 3\.", out, re.M)
    assert re.search(r"^libseccomp: 2\.", out, re.M)
    assert str(ROOT) not in out


@pytest.mark.starts_nothing
def test_readme_has_its_two_commands():
    blocks = re.findall(r"```\n(.*?)```", (ROOT / "README.md").read_text(),
                        re.S)
    assert "apt-get update && apt-get install -y make && make run\n" in blocks
    assert "make check\n" in blocks


def test_the_build_refuses_a_call_that_is_listed_twice(tmp_path):
    tool = Path(TRACKER).parent / "policy-compile"
    for name in sorted(p.name for p in (ROOT / "policy").glob("*.policy")):
        text = (ROOT / "policy" / name).read_text()
        (tmp_path / name).write_text(text)
    ok = subprocess.run([tool, tmp_path], capture_output=True, check=False)
    assert ok.returncode == 0
    with open(tmp_path / "web.policy", "a", encoding="utf-8") as f:
        f.write("read: arg0 == 1\n")
    bad = subprocess.run(
        [tool, tmp_path], capture_output=True, text=True, check=False
    )
    assert bad.returncode == 65
    assert "the call is listed twice: read" in bad.stderr


@pytest.mark.starts_nothing
def test_policies_say_why():
    dangerous = {
        "openat", "mmap", "prctl", "ioctl", "socket", "connect", "clone",
        "fcntl", "unlink", "rename", "getsockopt", "sendto", "mremap",
    }
    for path in (ROOT / "policy").glob("*.policy"):
        lines = path.read_text().splitlines()
        for i, line in enumerate(lines):
            if line.split(":")[0] not in dangerous:
                continue
            # A comment above it, or above the group that it belongs to.
            j = i
            while j > 0 and lines[j] and not lines[j].startswith("#"):
                j -= 1
            assert lines[j].startswith("#"), f"{path.name}: {line}"
    for role in ("web", "store", "admin"):
        text = (ROOT / "policy" / f"{role}.policy").read_text()
        for call in ("socket", "connect", "execve", "ptrace", "kill"):
            assert not re.search(rf"^{call}:", text, re.M)
