"""autopkgtest's virt server for a machine that conftest.py has booted.

Run by autopkgtest, with the pid of the machine's systemd as argument. It says
what such a machine is: root, and an init and a network of its own. It cannot be
brought back to what it was before a test.
"""

import sys

sys.path.insert(0, "/usr/share/autopkgtest/lib")
import VirtSubproc  # noqa: E402

CAPABILITIES = ["root-on-testbed", "isolation-container"]


def hook_open():
    VirtSubproc.auxverb = [
        "nsenter", f"--target={sys.argv[1]}", "--mount", "--uts", "--ipc",
        "--net", "--pid", "--cgroup", "--root", "--wd", "env", "-i",
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
    ]


def hook_downtmp(path):
    return VirtSubproc.downtmp_mktemp(path)


def hook_cleanup():
    VirtSubproc.downtmp_remove()


def hook_capabilities():
    return CAPABILITIES


if __name__ == "__main__":
    VirtSubproc.main()
