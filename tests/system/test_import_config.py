"""`postal-tracker import-config`: tracker.conf out of Postal's postal.yml, in
both of its formats, and out of hostile files nothing at all."""

import os
import re
import stat
import subprocess
import time
from pathlib import Path

import pytest

import kernel
from conftest import TRACKER

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("MAIN_DB_", "MESSAGE_DB_", "POSTAL_", "DNS_")
HANDED_OVER = {
    "main_db_password": "/etc/postal-tracker/db-password",
    "message_db_password": "/etc/postal-tracker/message-db-password",
}


def environment(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(NAMES)}
    return {**kept, **more}


def run(*args, code=0, env=None):
    done = subprocess.run(
        [TRACKER, "import-config", *map(str, args)],
        capture_output=True, text=True, timeout=60, check=False,
        env=environment(**(env or {})),
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    assert (done.stdout != "") is (code == 0), done.stdout
    return done.stdout if code == 0 else done.stderr


@pytest.fixture
def convert(work):
    """convert(text, …) gives the values as `config` reads them back."""

    def make(text, *args, env=None):
        source = work / "postal.yml"
        source.write_text(text)
        made = work / "made.conf"
        made.write_text(run(*args, source, env=env))
        shown = subprocess.run(
            [TRACKER, "config", "-c", made],
            capture_output=True, text=True, check=True,
        )
        assert shown.stderr == ""
        values, section, last = {}, None, None
        for line in shown.stdout.splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif line.startswith("    ") and last:
                values[last] += " " + line.split("  ;")[0].strip()
            elif " = " in line and f"; {made}" in line:
                key, value = line.split(" = ", 1)
                last = f"{section}.{key}"
                values[last] = value.split("  ;")[0].strip()
        return values, made.read_text()

    return make


OLD = """
web:
  host: postal.example.org
  protocol: https

fast_server:
  enabled: yes
  bind_address: [192.0.2.4, "2001:db8::4"]
  port: 8080
  proxy_protocol: true

main_db:
  host: 10.0.0.5
  port: 3307
  username: tr
  password: "it's; a #secret"   # quoted
  database: mail
  encoding: utf8mb4

message_db:
  host: 10.0.0.6
  password: another
  prefix: msg

dns:
  track_domain: track.example.org

rabbitmq:
  vhost: /postal
"""

NEW = """
version: 2

postal:
  web_hostname: postal.example.org
  trusted_proxies:
    - 10.1.2.3/8
    - 127.0.0.1
    - 2001:db8::7

main_db:
  host: db.example.org
  username: tr
  password: secret

message_db:
  database_name_prefix: msg
  prefix: not-this-one
  password: secret
"""


ALL_NAMES = {
    "MAIN_DB_HOST": "e1", "MAIN_DB_PORT": "1111", "MAIN_DB_USERNAME": "e2",
    "MAIN_DB_DATABASE": "e3", "MESSAGE_DB_HOST": "e4",
    "MESSAGE_DB_PORT": "2222", "MESSAGE_DB_USERNAME": "e5",
    "MESSAGE_DB_PREFIX": "e6", "MESSAGE_DB_DATABASE_NAME_PREFIX": "e7",
    "POSTAL_TRUSTED_PROXIES": "198.51.100.1,203.0.113.0/24",
    "DNS_TRACK_DOMAIN": "track.env.example",
}

OLD_VALUES = {
    "postal.mode": "mysql",
    "http.listen": "192.0.2.4:8080 [2001:db8::4]:8080",
    "clients.proxy_protocol": "yes",
    "clients.trusted_proxies": "127.0.0.1 ::1",
    "main_db.host": "10.0.0.5",
    "main_db.port": "3307",
    "main_db.user": "tr",
    "main_db.database": "mail",
    "message_db.host": "10.0.0.6",
    "message_db.prefix": "msg",
}

NEW_VALUES = {
    "postal.mode": "mysql",
    "clients.trusted_proxies": "127.0.0.1 ::1 10.0.0.0/8 2001:db8::7",
    "main_db.host": "db.example.org",
    "main_db.user": "tr",
    "message_db.prefix": "msg",
}

# Postal's file, the environment; the values, and what stands in comments.
FORMATS = {
    # Where each came from, what has no counterpart, what to do next.
    "old": (
        OLD, {}, OLD_VALUES,
        [
            "# postal.yml:13, main_db.host\nhost = 10.0.0.5\n",
            "# postal.yml:18, main_db.encoding: has no counterpart",
            "#listen = 192.0.2.4:443 [2001:db8::4]:443\n",
            "--target track.example.org",
            "postal-tracker sql",
            "postal-tracker check",
        ],
    ),
    # What the file does not say, the environment does.
    "old, with an environment": (
        OLD, ALL_NAMES,
        {**OLD_VALUES, "message_db.port": "2222", "message_db.user": "e5"},
        ["(MAIN_DB_HOST and the file differ;"],
    ),
    "new": (
        NEW, {}, NEW_VALUES,
        [
            "message_db.prefix: Postal ignores it in this format",
            "#listen = 127.0.0.1:5010",
        ],
    ),
    # What both databases have is written once.
    "new, as most have it": (
        NEW.replace("message_db:", "message_db:\n  host: db.example.org\n"
                    "  username: tr"), {}, NEW_VALUES,
        ["\n[message_db]\n# postal.yml:17, message_db.host: as in [main_db]\n"],
    ),
    # The environment wins.
    "new, with an environment": (
        NEW, ALL_NAMES,
        {
            "postal.mode": "mysql",
            "clients.trusted_proxies":
                "127.0.0.1 ::1 198.51.100.1 203.0.113.0/24",
            "main_db.host": "e1", "main_db.port": "1111",
            "main_db.user": "e2", "main_db.database": "e3",
            "message_db.host": "e4", "message_db.port": "2222",
            "message_db.user": "e5", "message_db.prefix": "e7",
        },
        [
            "# MAIN_DB_HOST in the environment\nhost = e1\n",
            "--target track.env.example",
        ],
    ),
}


@pytest.mark.parametrize("source, env, values, said", FORMATS.values(),
                         ids=FORMATS)
def test_a_format(convert, source, env, values, said):
    got, text = convert(source, env=env)
    assert got == values
    for words in said:
        assert words in text


def test_sections_without_a_counterpart(convert):
    _, text = convert(OLD)
    assert re.search(r"^#   web$.*^#   rabbitmq$", text, re.M | re.S)


def test_passwords_are_not_shown(convert):
    """Of the new format's two the message database's is the same one."""
    for source, n in ((OLD, 2), (NEW, 1)):
        _, text = convert(source)
        assert "secret" not in text and "another" not in text
        assert text.count("--password-file PATH writes it") == n
        files = re.findall(r"#password_file = (\S+)$", text, re.M)
        assert files == list(HANDED_OVER.values())[:n]


@pytest.mark.starts_nothing
def test_password_files_are_those_that_the_unit_hands_over():
    unit = ROOT / "packaging/systemd/postal-tracker-forwarder.service"
    assert dict(re.findall(r"^LoadCredential=(\w+):(\S+)$",
                           unit.read_text(), re.M)) == HANDED_OVER


def test_passwords(convert, work):
    path = work / "db-password"
    values, text = convert(OLD, "--password-file", path)
    assert values["main_db.password_file"] == str(path)
    other = work / "message-db-password"
    assert values["message_db.password_file"] == str(other)
    assert path.read_bytes() == b"it's; a #secret\n"
    assert other.read_bytes() == b"another\n"
    for one in (path, other):
        assert stat.S_IMODE(os.stat(one).st_mode) == 0o600
    assert "secret" not in text and "another" not in text
    # One that is there is not touched.
    path.write_text("mine\n")
    said = run("--password-file", path, work / "postal.yml", code=73)
    assert "File exists" in said and path.read_text() == "mine\n"
    shown = run("--show-password", work / "postal.yml")
    assert "# It is: it's; a #secret\n" in shown


def test_both_password_files_or_none(convert, work):
    """What was made for nothing goes, and the command can be run again."""
    (work / "postal.yml").write_text(OLD)
    path, other = work / "db-password", work / "message-db-password"
    other.write_text("mine\n")
    said = run("--password-file", path, work / "postal.yml", code=73)
    assert f"{other}: File exists" in said
    assert not path.exists() and other.read_text() == "mine\n"
    other.unlink()
    run("--password-file", path, work / "postal.yml")
    assert path.exists() and other.exists()


def test_a_password_file_is_not_made_for_nothing(work):
    (work / "postal.yml").write_text(
        "main_db: {host: a, port: 99999, password: x}\n")
    path = work / "password"
    run("--password-file", path, work / "postal.yml", code=65)
    assert not path.exists()
    said = run("--password-file", "relative", code=64)
    assert "absolute path" in said


def test_the_environment_alone(work):
    made = work / "made.conf"
    made.write_text(run(env={**ALL_NAMES, "MAIN_DB_PASSWORD": "hush"}))
    shown = subprocess.run([TRACKER, "config", "-c", made], check=True,
                           capture_output=True, text=True).stdout
    assert re.search(r"^host = e1 ", shown, re.M)
    assert re.search(r"^prefix = e7 ", shown, re.M)
    assert "hush" not in made.read_text()


def test_a_fast_server_that_is_off(convert):
    values, text = convert("fast_server: {enabled: false, port: 1}\n")
    assert "http.listen" not in values and "#listen = 127.0.0.1:5010" in text
    values, text = convert("fast_server: {enabled: true}\n")
    assert "http.listen" not in values and "bind_address is missing" in text
    values, _ = convert(
        "fast_server: {enabled: true, bind_address: 192.0.2.1}\n")
    assert values["http.listen"] == "192.0.2.1:80"


def test_nothing_at_all(convert):
    for text in ("", "---\n", "~\n", "# nothing\n", "main_db:\n"):
        values, _ = convert(text)
        assert set(values) == {"postal.mode", "clients.trusted_proxies"}


def test_the_whole_way(make_stack, work):
    """Out of Postal's file to a database that `check` is content with."""
    stack = make_stack()
    stack.postal.add_server("ctqu6f", 1)
    server, postal = stack.postal.main_server, stack.postal
    (work / "postal.yml").write_text(f"""
version: 2
main_db:
  host: 127.0.0.1
  port: {server.port}
  username: {postal.user}
  password: {postal.password!r}
  database: {postal.database}
message_db:
  database_name_prefix: {postal.prefix}
""")
    made = work / "made.conf"
    made.write_text(run("--password-file", work / "pw", work / "postal.yml"))
    drop_in = work / "made.conf.d"
    drop_in.mkdir()
    (drop_in / "test.conf").write_text(f"""
[http]
listen = 127.0.0.1:{stack.tracker.port}
[spool]
directory = {work}/spool
socket = {work}/s.sock
[sandbox]
store_user = 60982
[forwarder]
user = 60983
""")
    done = subprocess.run(
        [TRACKER, "check", "-c", made], capture_output=True, text=True,
        check=False, preexec_fn=kernel.IN_STEP,
    )
    assert done.returncode == 0, done.stdout
    assert {x.split()[0] for x in done.stdout.splitlines()} == {"ok"}
    assert "[main_db] database `postal`: all tables" in done.stdout


# --- what cannot be read ----------------------------------------------------


@pytest.mark.parametrize(
    "text, words",
    [
        ("main_db:\n  host: [a\n", r"postal\.yml:3: "),
        ("main_db:\n\thost: a\n", r"postal\.yml:2: .*"),
        ("main_db:\n  host: 'a\n", r"postal\.yml:\d: .*"),
        ("- a\n- b\n", r":1: it is not a list of keys"),
        ("just text\n", r":1: it is not a list of keys"),
        ("? [a, b]\n: c\n", r":1: a key that is not a plain name"),
        ("main_db:\n  host: a\n  host: b\n",
         r":3: main_db\.host stands twice, here and in line 2"),
        ("main_db:\n  host: &h a\nmessage_db:\n  host: *h\n",
         r":4: message_db\.host: the alias \*h is not followed"),
        ("main_db:\n  host:\n    a: b\n",
         r":\d: main_db\.host: a single value is expected"),
        ("main_db:\n  port: many\n",
         r"postal\.yml:2: .*port = many: is not a number"),
        ("main_db:\n  port: 70000\n", r"postal\.yml:2: .*port = 70000"),
        ('main_db:\n  host: "a\\nuser = root"\n',
         r":2: \[main_db\] host cannot have this value"),
        ('main_db:\n  host: "a ;b"\n', r":2: \[main_db\] host cannot have"),
        (f"main_db:\n  host: {300 * 'x'}\n", r":2: .*host"),
        ('main_db:\n  host: "a\\0b"\n', r":2: .*too long, or has a NUL"),
        ('main_db:\n  password: "a\\nb"\n', r":2: a password of more than"),
        ("version: 3\n", r":1: version 3: this is for versions 1 and 2"),
        ("version: 2\npostal:\n  trusted_proxies: [nonsense]\n",
         r':3: trusted_proxies: "nonsense" is not an address'),
        ("fast_server:\n  enabled: true\n  port: x\n",
         r':3: fast_server\.port: "x" is not a port'),
        ("fast_server:\n  enabled: true\n  bind_address: nonsense\n",
         r":3: .*listen = nonsense:80"),
    ],
    ids=lambda v: repr(v)[:40],
)
def test_what_is_wrong_has_file_and_line(work, text, words):
    source = work / "postal.yml"
    source.write_text(text)
    said = run(source, code=65)
    assert re.search(words, said), said


def test_files_that_are_none(work):
    assert "No such file" in run(work / "none.yml", code=65)
    assert "not a regular file" in run(work, code=65)
    os.mkfifo(work / "fifo")
    assert "not a regular file" in run(work / "fifo", code=65)
    big = work / "big.yml"
    big.write_bytes(b"#" * (1 << 20) + b"#")
    assert "larger than 1 MiB" in run(big, code=65)
    binary = work / "binary.yml"
    binary.write_bytes(bytes(range(256)) * 100)
    run(binary, code=65)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(9 * ['*' + chr(97 + i)])}]\n"
    for i in range(20)
)


@pytest.mark.parametrize(
    "text, words",
    [
        # 9 to the 20th, for who follows aliases; nobody asks for these.
        (BOMB, None),
        ("main_db: &m\n  host: a\n  <<: *m\n", None),
        ("a: " + "[" * 500000, "nested too deeply"),
        ("{a: " * 200000, "nested too deeply"),
        ("main_db:\n" + "".join(
            "  " + " " * i + f"k{i}:\n" for i in range(40)), "too deeply"),
        ("x: " + "y" * 1000000, None),
        ("x: '" + "y" * 1000000, r":\d+: "),
        ("y" * 1000000 + ": x", None),
        ("main_db:\n  " + "y" * 100000 + ": x\n  host: a\n", r":2: |^$"),
        ("".join(f"k{i}: {i}\n" for i in range(1000)), "too many keys"),
        ("x: [" + "1," * 400000 + "]", "too many values"),
        ("a: !<!ruby/object:Gem::Installer> {x: 1}\n", None),
        ("%TAG ! tag:x,2000:\n" * 3 + "---\na: b\n", r":\d+: "),
        ("? " * 200000, None),
    ],
    ids=lambda v: repr(v)[:30],
)
def test_hostile_files(work, text, words):
    """A clean end, soon, whatever it holds; and never what it does not say."""
    source = work / "postal.yml"
    source.write_text(text)
    begun = time.monotonic()
    done = subprocess.run(
        [TRACKER, "import-config", source], capture_output=True, text=True,
        timeout=60, check=False, env=environment(),
    )
    assert time.monotonic() - begun < 30
    assert done.returncode in (0, 65), (done.returncode, done.stderr)
    assert (done.stdout == "") is (done.returncode == 65)
    assert len(done.stdout) + len(done.stderr) < 65536
    assert "Sanitizer" not in done.stderr
    if words and done.returncode == 65:
        assert re.search(words, done.stderr), done.stderr
    if words and words != r":2: |^$":
        assert done.returncode == 65, done.stdout


def test_a_key_cannot_end_its_comment(convert):
    """postal.yml may be written by a user with less rights."""
    values, text = convert(
        'main_db:\n  host: a.example\n'
        '  "x\\n[sandbox]\\naction = kill\\n# ": 1\n'
        '"y\\nmax_connections = 1\\n# ": 2\n'
    )
    assert values["main_db.host"] == "a.example"
    assert "sandbox.action" not in values, text
    assert "clients.max_connections" not in values, text
    assert "x?[sandbox]?action = kill?# " in text
    assert "y?max_connections = 1?# " in text


def test_a_terminal_obeys_no_value(work):
    source = work / "postal.yml"
    for line in (r'port: "\e[2J"', r'bind_address: "\e[2J"', r'port: "\x9b2J"'):
        source.write_text("fast_server:\n  enabled: yes\n  bind_address: ::1\n"
                          f"  {line}\n")
        said = run(source, code=65)
        assert "\x1b" not in said and "\x9b" not in said, repr(said)
    # Nor is it put into tracker.conf.
    source.write_text(r'main_db: {database: "x\e[2J"}')
    assert "cannot have this value" in run(source, code=65)


def test_utf16_and_a_byte_order_mark(convert, work):
    text = "main_db:\n  host: a.example\n"
    for encoding in ("utf-8-sig", "utf-16"):
        (work / "p.yml").write_bytes(text.encode(encoding))
        assert "host = a.example" in run(work / "p.yml")


HOSTILE_LIBRARY = r"""
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void
say(const char *what, int worked)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%s %s\n", what,
	    worked ? "worked" : "refused");

	(void)!write(2, line, (size_t)n);
}

int
yaml_parser_initialize(void *parser)
{
	(void)parser;
	say("root", setuid(0) == 0 || getuid() == 0);
	say("fork", fork() >= 0);
	say("open", open("/etc/shadow", O_RDONLY) >= 0);
	say("write", open(MARK, O_WRONLY | O_CREAT, 0600) >= 0);
	say("socket", socket(AF_INET, SOCK_STREAM, 0) >= 0);
	say("privileges", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1);
	return 0;
}

void yaml_parser_set_input_string(void) {}
int yaml_parser_parse(void) { return 0; }
void yaml_event_delete(void) {}
"""


def test_a_library_that_was_taken_over(work):
    """What reads the file owns nothing and can open nothing."""
    source = work / "libyaml.c"
    source.write_text(HOSTILE_LIBRARY)
    subprocess.run(
        ["cc", "-shared", "-fPIC", f'-DMARK="{work}/mark"', "-o",
         work / "libyaml-0.so.2", source], check=True,
    )
    os.chmod(work, 0o777)
    (work / "postal.yml").write_text("a: b\n")
    said = run(work / "postal.yml", code=65,
               env={"LD_LIBRARY_PATH": str(work)})
    lines = said.splitlines()
    wanted = ["root", "fork", "open", "write", "socket", "privileges"]
    assert lines[:6] == [f"{x} refused" for x in wanted], said
    assert not (work / "mark").exists()


def test_the_library_is_declared_and_not_linked(work):
    def readelf(*args):
        return subprocess.run(["readelf", "-W", *args, TRACKER], text=True,
                              check=False, capture_output=True).stdout

    assert "yaml" not in "".join(re.findall(r"NEEDED.*", readelf("-d")))
    text = readelf("-p", ".note.dlopen")
    assert '"feature":"import-config"' in text and "libyaml-0.so.2" in text
    (work / "postal.yml").write_text("a: b\n")
    script = ("for l in /usr/lib/*/libyaml-0.so.2; do "
              'mount --bind /dev/null "$l"; done; exec "$@"')
    done = subprocess.run(
        ["unshare", "-m", "sh", "-ec", script, "sh", TRACKER,
         "import-config", work / "postal.yml"],
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 65 and "install libyaml-0-2" in done.stderr
