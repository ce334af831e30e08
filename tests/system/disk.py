"""File systems that are soon full."""

import contextlib
import subprocess


@contextlib.contextmanager
def small_disk(path, size):
    """path, which does not exist yet, as one of this size ("8m")."""
    path.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "none", path],
        check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def fill(path):
    """Not a page more has room there. The file that takes it all."""
    filler = path / "filler"
    with open(filler, "wb", buffering=0) as f:
        try:
            while True:
                f.write(b"\0" * 4096)
        except OSError:
            return filler
