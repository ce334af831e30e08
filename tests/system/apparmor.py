"""What AppArmor would say, where the kernel has none.

`Profile` reads a profile as apparmor_parser's preprocessor gives it, and
matches paths as the kernel would. `Trace` reads what strace wrote of a program
and its children, and makes of each call the permissions that the kernel asks
the profile for (security/apparmor/lsm.c): those of the path that it led to,
from the real root, whatever the process' own root is.
"""

import itertools
import os
import re
import stat
import subprocess

from netns import USERS

# --- profiles -------------------------------------------------------------


def translate(glob):
    """AppArmor's globs as a regular expression."""
    out, depth, at = "", 0, 0
    while at < len(glob):
        c = glob[at]
        if c == "*":
            stars = 2 if glob.startswith("**", at) else 1
            one = "." if stars == 2 else "[^/]"
            # A whole last component is never empty.
            last = glob[at - 1:at] == "/" and at + stars == len(glob)
            out += one + ("+" if last else "*")
            at += stars
            continue
        if c == "[":
            end = glob.index("]", at)
            out += glob[at:end + 1]
            at = end + 1
            continue
        depth += (c == "{") - (c == "}")
        special = {"?": "[^/]", "{": "(?:", "}": ")"}
        if c == "," and depth:
            out += "|"
        else:
            out += special.get(c, re.escape(c))
        at += 1
    return re.compile(out, re.S)


class Rule:
    def __init__(self, text):
        self.text = text
        self.used = False


class PathRule(Rule):
    def __init__(self, text, owner, globs, permissions):
        super().__init__(text)
        self.owner = owner
        self.regexes = [translate(g) for g in globs]
        self.permissions = set(permissions)
        if "x" in permissions:
            self.permissions -= set("ipcuPCU")

    def matches(self, path):
        return any(r.fullmatch(path) for r in self.regexes)


PATH_RULE = re.compile(r"(owner )?\s*(/\S*|@\{\S+)\s+([a-zA-Z]+)$")


class Profile:
    """What is allowed. Other rules than those of paths are words: "network
    inet stream", "capability kill", "ptrace (read)"."""

    def __init__(self, path):
        text = subprocess.run(
            ["apparmor_parser", "--preprocess", str(path)],
            capture_output=True, text=True, check=True,
        ).stdout
        self.variables = {}
        self.paths, self.words = [], {}
        for line in text.splitlines():
            self._read(re.sub(r"(^|\s)#.*", "", line).strip())
        assert self.paths and self.words, text

    def _read(self, line):
        variable = re.fullmatch(r"(@\{\w+\})\s*=\s*(.*)", line)
        if variable:
            self.variables[variable[1]] = variable[2].split()
            return
        line = line.removesuffix(",")
        path = PATH_RULE.match(line)
        if path:
            globs = [re.sub("//+", "/", g) for g in self._expand(path[2])]
            self.paths.append(PathRule(line, bool(path[1]), globs, path[3]))
        elif re.match(r"(network|capability|ptrace) ", line):
            words = " ".join(line.split())
            self.words[words] = Rule(words)

    def _expand(self, text):
        """Each value of each variable."""
        found = re.findall(r"@\{\w+\}", text)
        if not found:
            return [text]
        out = []
        for values in itertools.product(*(self.variables[v] for v in found)):
            one = text
            for name, value in zip(found, values):
                one = one.replace(name, value, 1)
            out += self._expand(one)
        return out

    def refused(self, need):
        """The permissions of a Need that no rule gives."""
        missing = set(need.permissions)
        if not need.path:
            rule = self.words.get(need.words)
            if rule:
                rule.used = True
            return set() if rule else {need.words}
        for rule in self.paths:
            if rule.owner and not need.is_owner:
                continue
            if rule.permissions & set(need.permissions) and \
                    rule.matches(need.path):
                rule.used = True
                missing -= rule.permissions
                # To write is more than to append.
                if "w" in rule.permissions:
                    missing.discard("a")
        return missing


# --- traces -----------------------------------------------------------------


class Need:
    """One thing that a process did: permissions on a path, or words."""

    def __init__(self, call, path="", permissions="", is_owner=False,
                 words=""):
        self.call = call
        self.path = path
        self.permissions = permissions
        self.is_owner = is_owner
        self.words = words

    def __str__(self):
        what = f"{self.path} {self.permissions}" if self.path else self.words
        return f"{what}: {self.call}"


CALLS = ("%file,%creds,mmap,flock,fcntl,ftruncate,fchmod,fchown,fchdir,prctl,"
         "kill,socket,bind,connect,sendto,sendmsg")
LINE = re.compile(r"(?:[\d.]+ )?(\w+)\((.*)\)\s+= (-?\w+)(.*)$", re.S)
NAMED_FD = r"(-?\w+)<((?:[^>\\]|\\.)*)>"
CAPABILITY_OF = {
    "setgroups": "setgid", "setresgid": "setgid", "setgid": "setgid",
    "setresuid": "setuid", "setuid": "setuid", "chroot": "sys_chroot",
    "fchown": "chown", "chown": "chown", "lchown": "chown",
    "fchownat": "chown",
}
LOCKS = "F_SETLK|F_SETLKW|F_OFD_SETLK|F_OFD_SETLKW"
# Writing, of a path that stands in the call.
CHANGES = set("unlink rmdir mkdir mknod truncate chmod chown lchown".split())
# AppArmor lets everybody look at what he can name, and oneself.
FREE = set("""
    access faccessat faccessat2 stat lstat fstat newfstatat statx statfs fstatfs
    getcwd getuid geteuid getgid getegid getresuid getresgid getgroups capget
    capset
""".split())


class Process:
    """As far as it matters for paths and capabilities."""

    def __init__(self, lines, uid):
        self.lines = lines
        self.root, self.cwd, self.uid = "/", "/", uid

    def real(self, path, directory=None):
        """From the real root."""
        if path.startswith("/"):
            base = self.root
        else:
            base = directory or self.cwd
        return os.path.normpath(f"{base}/{path}")


def quoted(text):
    """The C strings in arguments; ours have no escapes in them."""
    return [s.replace('\\"', '"')
            for s in re.findall(r'"((?:[^"\\]|\\.)*)"', text)]


class Trace:
    """`command` in front of a command; `needs` when strace has ended and its
    machine has not."""

    def __init__(self, directory, machine, names, user="root", output=None):
        """machine: of netns.py, whose files and users these are. names: other
        ones for some paths. output: the file of the machine's into which a
        shell redirected the command; the kernel asks for it at exec."""
        self.directory = directory
        self.machine = machine
        self.names = names
        self.user = user
        self.output = output
        directory.mkdir()

    def command(self):
        return ["strace", "-ff", "-y", "-q", "-s", "512",
                "-u", self.user, "-o", str(self.directory / "calls"),
                "-e", "signal=none", "-e", f"trace={CALLS}"]

    def needs(self):
        uid = USERS.get(self.user, 0)
        if self.output:
            need = self._need(self.output, "w", Process([], uid))
            need.call = "inherited from the shell"
            yield need
        for file in sorted(self.directory.iterdir()):
            yield from self._of_process(Process(
                file.read_text(errors="replace").splitlines(), uid))

    def _uid_of(self, pid):
        """What a child became, 0 when it is none."""
        file = self.directory / f"calls.{pid}"
        if not file.exists():
            return 0
        found = re.findall(r"setresuid\((\d+), .*\) += 0", file.read_text())
        return int(found[0]) if found else 0

    def _of_process(self, process):
        for line in process.lines:
            match = LINE.match(line)
            if not match or match[3].startswith("-"):
                continue
            call, arguments, result, after = match.groups()
            short = line if len(line) < 200 else line[:200] + "..."
            for need in self._of_call(process, call, arguments,
                                      result + after):
                need.call = short
                yield need

    # --- calls ----------------------------------------------------------

    def _of_call(self, p, call, arguments, result):
        if call in CAPABILITY_OF and p.uid == 0:
            yield Need(call, words=f"capability {CAPABILITY_OF[call]}")
        # _of_open and so on: a call has its function, or is in CHANGES.
        kind = getattr(self, f"_of_{call}", None)
        if kind:
            yield from kind(p, arguments, result) or ()
        elif call in CHANGES:
            path = p.real(quoted(arguments)[0])
            yield self._need(path, "w", p, call in ("rmdir", "mkdir"))
        else:
            assert call in FREE | set(CAPABILITY_OF), f"what is {call}?"

    def _of_readlink(self, p, arguments, result):
        """Not mediated, but for the descriptors of others; what was traced
        beside this one has the same profile."""
        other = re.search(r'[<"]/proc/(\d+)/', arguments)
        if other and not list(self.directory.parent.glob(
                f"*/calls.{other[1]}")):
            yield Need("", words="ptrace (read)")

    _of_readlinkat = _of_readlink

    def _need(self, path, permissions, p, directory=False):
        """The kernel puts a slash behind directories."""
        st = self._stat(path)
        # Made by who asks, if it is gone by now.
        owner = st is None or st.st_uid == p.uid
        if directory or st and stat.S_ISDIR(st.st_mode):
            path = path.rstrip("/") + "/"
        return Need("", self.names.get(path, path), permissions, owner)

    def _stat(self, path):
        try:
            return os.stat(f"/proc/{self.machine.holder.pid}/root{path}")
        except OSError:
            return None

    def _overridden(self, p, path, wanted):
        """What root needs with files that are closed to others."""
        st = self._stat(path)
        if p.uid != 0 or st is None:
            return
        closed = st.st_uid != 0 and st.st_mode
        if closed and "r" in wanted and not closed & 0o004:
            yield Need("", words="capability dac_read_search")
        if closed and "w" in wanted and not closed & 0o002:
            yield Need("", words="capability dac_override")

    def _of_openat(self, p, arguments, result):
        path = re.match(NAMED_FD, result)
        flags = re.findall(r"\bO_\w+", arguments.rsplit('"', 1)[-1])
        if not path or "O_PATH" in flags:
            return
        if "O_WRONLY" in flags:
            wanted = "a" if "O_APPEND" in flags else "w"
        else:
            wanted = "rw" if "O_RDWR" in flags else "r"
        if ("O_CREAT" in flags or "O_TRUNC" in flags) and "w" not in wanted:
            wanted += "w"
        yield from self._overridden(p, unescaped(path[2]), wanted)
        yield self._need(unescaped(path[2]), wanted, p,
                         "O_DIRECTORY" in flags)

    _of_open = _of_openat2 = _of_openat

    def _of_mmap(self, p, arguments, result):
        parts = arguments.split(", ")
        path = re.match(NAMED_FD, parts[4])
        if not path or not is_mediated(path[2]):
            return
        wanted = "m" if "PROT_EXEC" in parts[2] else ""
        wanted += "r" if "PROT_READ" in parts[2] else ""
        if "MAP_SHARED" in parts[3] and "PROT_WRITE" in parts[2]:
            wanted += "w"
        if wanted:
            yield self._need(unescaped(path[2]), wanted, p)

    def _of_fd(self, p, arguments, permissions):
        path = re.match(NAMED_FD, arguments)
        if path and is_mediated(path[2]):
            yield self._need(unescaped(path[2]), permissions, p)

    def _of_flock(self, p, arguments, result):
        yield from self._of_fd(p, arguments, "k")

    def _of_fcntl(self, p, arguments, result):
        if re.search(rf", ({LOCKS}),", arguments):
            yield from self._of_fd(p, arguments, "k")

    def _of_ftruncate(self, p, arguments, result):
        yield from self._of_fd(p, arguments, "w")

    def _of_fchmod(self, p, arguments, result):
        path = re.match(NAMED_FD, arguments)
        st = self._stat(unescaped(path[2]))
        if p.uid == 0 and st and st.st_uid != 0:
            yield Need("", words="capability fowner")
        yield from self._of_fd(p, arguments, "w")

    _of_fchown = _of_ftruncate

    def _of_execve(self, p, arguments, result):
        yield self._need(p.real(quoted(arguments)[0]), "x", p)

    def _of_execveat(self, p, arguments, result):
        yield from self._of_fd(p, arguments, "x")

    def _at(self, p, arguments):
        """Directory descriptors and paths behind them, as real paths."""
        pairs = re.findall(NAMED_FD + r', "((?:[^"\\]|\\.)*)"', arguments)
        return [p.real(name, directory) for _, directory, name in pairs]

    def _of_unlinkat(self, p, arguments, result):
        for path in self._at(p, arguments):
            yield self._need(path, "w", p, "AT_REMOVEDIR" in arguments)

    def _of_mkdirat(self, p, arguments, result):
        for path in self._at(p, arguments):
            yield self._need(path, "w", p, True)

    def _of_fchmodat(self, p, arguments, result):
        for path in self._at(p, arguments):
            yield self._need(path, "w", p)

    _of_fchownat = _of_fchmodat

    def _of_rename(self, p, arguments, result):
        old, new = (p.real(name) for name in quoted(arguments)[:2])
        yield self._need(old, "rw", p)
        yield self._need(new, "w", p)

    def _of_renameat(self, p, arguments, result):
        old, new = self._at(p, arguments)
        yield self._need(old, "rw", p)
        yield self._need(new, "w", p)

    _of_renameat2 = _of_renameat

    # --- the process itself ----------------------------------------------

    def _of_chroot(self, p, arguments, result):
        p.root = p.real(quoted(arguments)[0])

    def _of_chdir(self, p, arguments, result):
        p.cwd = p.real(quoted(arguments)[0])

    def _of_fchdir(self, p, arguments, result):
        p.cwd = unescaped(re.match(NAMED_FD, arguments)[2])

    def _of_setresuid(self, p, arguments, result):
        uid = arguments.split(", ")[1]
        p.uid = p.uid if uid == "-1" else int(uid)

    def _of_setuid(self, p, arguments, result):
        p.uid = int(arguments)

    def _of_kill(self, p, arguments, result):
        pid, number = arguments.split(", ")
        if p.uid == 0 and number != "0" and self._uid_of(pid) != 0:
            yield Need("", words="capability kill")

    def _of_prctl(self, p, arguments, result):
        if arguments.startswith("PR_CAPBSET_DROP"):
            yield Need("", words="capability setpcap")

    # --- network ----------------------------------------------------------

    def _of_socket(self, p, arguments, result):
        family, kind = arguments.split(", ")[:2]
        family = family.removeprefix("AF_").lower()
        kind = re.match(r"SOCK_(\w+)", kind)[1].lower()
        if family != "unix":
            yield Need("", words=f"network {family} {kind}")

    def _of_bind(self, p, arguments, result):
        port = re.search(r"sin6?_port=htons\((\d+)\)", arguments)
        if port and 0 < int(port[1]) < 1024:
            yield Need("", words="capability net_bind_service")
        yield from self._of_sun_path(p, arguments, "w")

    def _of_connect(self, p, arguments, result):
        yield from self._of_sun_path(p, arguments, "rw")

    def _of_sendto(self, p, arguments, result):
        yield from self._of_sun_path(p, arguments, "w")

    _of_sendmsg = _of_sendto

    def _of_sun_path(self, p, arguments, permissions):
        """Sockets with a place among the files count as such."""
        path = re.search(r'sun_path="(/(?:[^"\\]|\\.)*)"', arguments)
        if path:
            yield self._need(p.real(path[1]), permissions, p)


def is_mediated(path):
    """A memory file lies on a mount of the kernel's own, which is not."""
    return path.startswith("/") and not path.startswith("/memfd:")


def unescaped(path):
    """A removed file is mediated as if it still were there."""
    return path.replace("\\ ", " ").removesuffix(" (deleted)").removesuffix(
        "(deleted)")
