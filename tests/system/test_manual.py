"""The manual and the completion say what the program says, and no less."""

import re
import subprocess
from pathlib import Path

import pytest

from conftest import TRACKER

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(TRACKER).resolve().parent
PAGES = ("postal-tracker.8", "tracker.conf.5")
EXAMPLES = ROOT / "packaging/examples"
COMPLETION = ROOT / "packaging/completion/postal-tracker"


def run(*command, **kwargs):
    return subprocess.run(
        [*map(str, command)], check=True, capture_output=True, text=True,
        timeout=60, **kwargs,
    ).stdout


def read(page, width=900):
    """As it is shown, without overstriking, a paragraph a line."""
    text = run("mandoc", "-Tutf8", "-O", f"width={width}", "--",
               BUILD / "man" / page)
    return re.sub(".\b", "", text)


def section(text, name, indent=0):
    """What stands below a heading."""
    space = " " * indent
    match = re.search(
        rf"^{space}{re.escape(name)}\n((?:{space} .*\n|\n)*)", text, re.M
    )
    assert match, name
    return match[1]


def usages():
    """(command, what may follow it) of each line of `help`."""
    out = run(TRACKER, "help")
    return dict(
        re.match(r"([a-z-]+) ?(.*)", line).groups()
        for line in re.findall(r"^  postal-tracker (.*)", out, re.M)
    )


def options_of(usage):
    return set(re.findall(r"(?<![a-z])-c\b|--[a-z-]+", usage))


# --- form -------------------------------------------------------------------


@pytest.mark.starts_nothing
def test_lint():
    """Not even a matter of style, but that the other page is not installed."""
    r = subprocess.run(
        ["mandoc", "-Tlint", *(BUILD / "man" / page for page in PAGES)],
        capture_output=True, text=True, check=False, timeout=60,
    )
    own = r"(Xr (tracker\.conf 5|postal-tracker 8) |lacks (tracker|postal-))"
    said = (r.stdout + r.stderr).splitlines()
    assert [line for line in said if not re.search(own, line)] == []


# --- tracker.conf(5) --------------------------------------------------------


def directives():
    """(section, key): (value, default, text) as the packaged file has them."""
    found, name, text = {}, None, []
    for line in (ROOT / "tracker.conf").read_text().splitlines():
        if line.startswith("["):
            name, text = line[1:-1], []
        elif name and line.startswith("# Value: "):
            value = line[9:]
        elif name and line.startswith("# "):
            text.append(line[2:])
        elif name and (match := re.match(r"#(\w+) =(.*)", line)):
            found[name, match[1]] = (value, match[2].strip(), " ".join(text))
            text = []
    return found


@pytest.mark.starts_nothing
def test_every_directive():
    page = read("tracker.conf.5")
    known = directives()
    assert len(known) > 40
    shown = set(re.findall(r"^ {5}(\w+) = ", page, re.M))
    assert shown == {key for _, key in known}
    of_section = {}
    for name, key in known:
        of_section.setdefault(name, []).append(key)
    for name, keys in of_section.items():
        part = section(page, f"[{name}] section", 3)
        assert re.findall(r"^ {5}(\w+) = ", part, re.M) == keys, name
        for key in keys:
            value, default, text = known[name, key]
            item = section(part, re.search(rf"{key} = .*", part)[0], 5)
            lines = [line.strip() for line in item.splitlines()]
            end = f"Default: ‘{default}’." if default else "Empty by default."
            assert lines[0] == f"Value: {value}.  {end}"
            assert lines[1].startswith(text), (name, key)


def test_defaults_are_those_in_effect(tmp_path):
    empty = tmp_path / "tracker.conf"
    empty.write_text("")
    out = run(TRACKER, "config", "-c", empty)
    effect, name = {}, None
    for line in out.splitlines():
        if line.startswith("["):
            name = line[1:-1]
        elif match := re.match(r"(\w+) = (.*?) *; default$", line):
            effect[name, match[1]] = match[2]
    assert effect == {at: d for at, (_, d, _) in directives().items()}


# --- postal-tracker(8) ------------------------------------------------------


def test_synopsis():
    text = section(read("postal-tracker.8"), "SYNOPSIS")
    shown = [
        re.sub(r"\] *\.\.\. *", "]... ", line.strip()).lower()
        for line in text.splitlines() if line.strip()
    ]
    assert shown == [
        f"postal-tracker {command} {rest}".strip().lower()
        for command, rest in usages().items()
    ]


def test_commands_and_their_options():
    text = section(read("postal-tracker.8"), "COMMANDS")
    items = re.split(r"^ {5}(?=[a-z])", text, flags=re.M)[1:]
    shown = {item.split()[0]: item for item in items}
    known = usages()
    assert list(shown) == list(known)
    for command, usage in known.items():
        item = shown[command]
        head, body = item.split("\n", 1)
        wanted = options_of(usage) - {"-c"}
        assert options_of(head) == wanted == options_of(body), command
        assert re.search(r"\b[Ee]xits 0\b", item), command
    assert "-c file (or --config file)" in text


@pytest.mark.starts_nothing
def test_sections():
    text = read("postal-tracker.8")
    headings = re.findall(r"^[A-Z].*", text, re.M)[1:-1]
    assert headings == [
        "NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "SIGNALS", "FILES",
        "INSTALLATION SHAPES", "CERTIFICATES", "WITH POSTAL'S MYSQL",
        "WATCHING IT", "TROUBLESHOOTING", "SECURITY", "EXIT STATUS",
        "SEE ALSO", "STANDARDS", "CAVEATS",
    ]


@pytest.mark.starts_nothing
def test_shapes_are_those_that_are_tested():
    """Every example stands in the manual, to the letter."""
    page = read("postal-tracker.8")
    shapes = section(page, "INSTALLATION SHAPES").splitlines()
    lines = [line.strip().expandtabs() for line in shapes]
    names = set()
    for path in sorted(EXAMPLES.glob("*/*")):
        names.add(path.parent.name)
        wanted = [line.strip().expandtabs()
                  for line in path.read_text().splitlines()]
        n = len(wanted)
        assert any(lines[i:i + n] == wanted for i in range(len(lines))), path
    from test_shapes import SHAPES

    assert names == set(SHAPES)


@pytest.mark.starts_nothing
def test_messages_are_ones_that_are_said():
    """What TROUBLESHOOTING explains is somewhere in the program."""
    source = ""
    for path in sorted((ROOT / "src").glob("*/*.c")):
        source += re.sub(r'"\s*"', "", path.read_text()) + "\n"
    page = (ROOT / "packaging/man/postal-tracker.8.in").read_text()
    part = page.split(".Sh TROUBLESHOOTING")[1].split(".Sh SECURITY")[0]
    messages = re.findall(r"^\.It (.*)", part, re.M)
    assert len(messages) >= 20
    for message in messages:
        for piece in message.split(" ... "):
            assert piece in source, message


# --- completion -------------------------------------------------------------

ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_postal_tracker "$1"; printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(*words, cwd=None):
    out = run("bash", "-c", ASK, "bash", COMPLETION, TRACKER, *words, cwd=cwd)
    return sorted(filter(None, out.split("\n")))


def test_completion_of_commands():
    assert complete("") == sorted(usages())
    assert complete("st") == ["status"]
    assert complete("no-such", "") == []


def test_completion_of_options():
    for command, usage in usages().items():
        assert complete(command, "-") == sorted(options_of(usage)), command
    assert complete("domains", "--s") == ["--state"]
    assert complete("link", "a") == ["add"]


def test_completion_of_values(tmp_path):
    (tmp_path / "tracker.conf").touch()
    (tmp_path / "state").mkdir()
    at = {"cwd": tmp_path}
    for option in ("-c", "--config"):
        assert complete("run", option, "t", **at) == ["tracker.conf"]
        assert complete("run", option, "", **at) == ["state", "tracker.conf"]
    assert complete("domains", "--state", "", **at) == ["state"]
    assert complete("link", "add", "--server", "", **at) == []
    assert complete("run", "", **at) == ["-c"]
    assert complete("import-config", "t", **at) == ["tracker.conf"]
    assert complete("import-config", "--password-file", "t", **at) == [
        "tracker.conf"]


@pytest.mark.starts_nothing
def test_completion_is_found_by_bash():
    """By the name of the command, as bash-completion loads it."""
    out = run("bash", "-c", f"source {COMPLETION}; complete -p postal-tracker")
    assert out == "complete -F _postal_tracker postal-tracker\n"


# --- installed --------------------------------------------------------------


@pytest.fixture
def make(tmp_path):
    def make(target):
        run("make", "-C", ROOT, f"BUILD={BUILD}", "-o", "all", target,
            f"DESTDIR={tmp_path}", "prefix=/usr", "sysconfdir=/etc")

    return make


def test_install_and_uninstall(make, tmp_path):
    make("install")
    share = tmp_path / "usr/share"
    for page in PAGES:
        text = (share / f"man/man{page[-1]}" / page).read_text()
        assert text == (BUILD / "man" / page).read_text()
    completion = share / "bash-completion/completions/postal-tracker"
    assert completion.read_text() == COMPLETION.read_text()
    for path in EXAMPLES.glob("*/*"):
        at = share / "doc/postal-tracker/examples" / path.relative_to(EXAMPLES)
        assert at.read_text() == path.read_text()
    make("uninstall")
    left = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert left == [tmp_path / "etc/postal-tracker/tracker.conf"]
