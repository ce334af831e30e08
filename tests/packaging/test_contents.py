"""What is in the packages, and what Debian's and RPM's own checkers say."""

import json
import re
import tempfile
from pathlib import Path

import pytest

from conftest import BUILD, TREE, names_of, run

# soname to the package that has it, where the loader is told and not linked.
PACKAGE_OF = {"libmariadb.so.3": "libmariadb3", "libcrypto.so.3": "libssl3",
              "libyaml-0.so.2": "libyaml-0-2"}


def complaints(text):
    return [line for line in text.splitlines()
            if re.search(r": [WEIP]: |^[WEIP]: ", line)]


def test_lintian(packages):
    r = run("lintian", "--pedantic", "--display-info", "--tag-display-limit",
            "0", "--fail-on", "error,warning,info,pedantic", "--allow-root",
            packages.changes, check=False)
    assert complaints(r.stdout) == [], r.stdout + r.stderr
    # That it looked at all.
    assert r.returncode in (0, 2), r.stderr


def test_rpmlint(packages):
    r = run("rpmlint", "--config", TREE / "packaging/rpm/rpmlint.toml",
            packages.rpm, TREE / "packaging/rpm/postal-tracker.spec",
            check=False)
    assert "packages and 1 specfiles checked" in r.stdout, r.stdout
    assert complaints(r.stdout) == [], r.stdout


def dlopen_notes(binary):
    """Owner FDO, a JSON array: UAPI group, "ELF dlopen metadata"."""
    with tempfile.NamedTemporaryFile() as f:
        run("objcopy", "--dump-section", f".note.dlopen={f.name}", binary,
            "/dev/null")
        out = Path(f.name).read_bytes()
    notes, at = [], 0
    while at + 12 <= len(out):
        name, size, _ = (
            int.from_bytes(out[at + i : at + i + 4], "little") for i in (0, 4, 8)
        )
        at += 12
        assert out[at : at + name] == b"FDO\0"
        at += -(-name // 4) * 4
        notes += json.loads(out[at : at + size].rstrip(b"\0"))
        at += -(-size // 4) * 4
    return notes


def test_dlopened_libraries_are_dependencies(packages, tmp_path):
    """Both packages ask for what the binary's notes name, as firmly."""
    run("dpkg-deb", "-x", packages.deb, tmp_path)
    notes = dlopen_notes(tmp_path / "usr/sbin/postal-tracker")
    assert notes, "the binary has no note of what it opens"
    fields = {"required": ("Depends", "--requires"),
              "recommended": ("Recommends", "--recommends"),
              "suggested": ("Suggests", "--suggests")}
    for note in notes:
        soname = note["soname"][0]
        deb, rpm = fields[note["priority"]]
        assert PACKAGE_OF[soname] in names_of(packages.deb, deb), note
        asked = run("rpm", "-qp", rpm, packages.rpm).stdout
        assert f"{soname}()(64bit)" in asked.splitlines(), note
    linked = run("readelf", "-d", tmp_path / "usr/sbin/postal-tracker").stdout
    assert not any(s in linked for s in PACKAGE_OF)


def listing(directory):
    return {
        "/" + str(p.relative_to(directory)): p
        for p in directory.rglob("*") if p.is_file() or p.is_symlink()
    }


def test_both_packages_hold_what_make_install_puts(packages, tmp_path):
    """And nothing else, but for what Debian's policy adds."""
    (tmp_path / "deb").mkdir()
    run("dpkg-deb", "-x", packages.deb, tmp_path / "deb")
    run("make", "-s", "install", f"DESTDIR={tmp_path}/make", "prefix=/usr",
        "sysconfdir=/etc", f"BUILD={packages.directory}/build", cwd=TREE)
    made = {re.sub(r"^/(usr/)?lib/systemd", "/lib/systemd", f)
            for f in listing(tmp_path / "make")}
    deb = {re.sub(r"\.gz$", "", f) for f in listing(tmp_path / "deb")}
    doc = "/usr/share/doc/postal-tracker"
    extra = {f"{doc}/copyright", f"{doc}/changelog.Debian",
             "/usr/share/lintian/overrides/postal-tracker"}
    assert deb - made <= extra, deb - made
    assert made <= deb, made - deb
    rpm = run("rpm", "-qpl", packages.rpm).stdout.split()
    rpm = {re.sub(r"^/(usr/)?lib/systemd", "/lib/systemd",
                  re.sub(r"\.gz$", "", f)) for f in rpm}
    assert made <= rpm, made - rpm
    # Directories are listed there, too.
    assert not [f for f in rpm - made
                if not any(m.startswith(f + "/") for m in made)
                and not f.endswith("tracker.conf.d")]


def test_programs_that_are_run_are_suggested(packages):
    """curl by selftest, uacme by postal-tracker-acme."""
    rpm = run("rpm", "-qp", "--suggests", packages.rpm).stdout.split()
    assert {"curl", "uacme"} == set(names_of(packages.deb, "Suggests"))
    assert {"curl", "uacme"} == set(rpm)


def test_modes_and_owners(packages):
    lines = run("dpkg-deb", "-c", packages.deb).stdout.splitlines()
    for line in lines:
        mode, owner, *_, path = line.split()
        assert owner == "root/root", line
        if mode.startswith("l"):
            continue
        assert mode[5] == mode[8] == "-", line  # nobody else writes
        assert "s" not in mode, line
        if mode.startswith("-"):
            executable = path.startswith("./usr/sbin/")
            assert mode == ("-rwxr-xr-x" if executable else "-rw-r--r--"), line


@pytest.mark.parametrize("sbindir", ["/usr/sbin", "/usr/bin"])
def test_the_spec_lists_what_it_installs(tmp_path, sbindir):
    """Also where programs are in /usr/bin, as Fedora has them from 42 on."""
    spec = run("rpmspec", "--parse", "--define", f"_sbindir {sbindir}",
               TREE / "packaging/rpm/postal-tracker.spec").stdout
    install = re.search(r"(?m)^make (.*) DESTDIR=\S+ install$", spec)[1]
    run("make", "-s", *install.split(), f"DESTDIR={tmp_path}", "install",
        f"BUILD={BUILD}", cwd=TREE)
    listed = re.findall(r"(?m)^(?:%\S+ )?(/\S+)$",
                        spec.split("%files")[1].split("%changelog")[0])
    assert f"{sbindir}/postal-tracker" in listed
    for pattern in listed:
        assert list(tmp_path.glob(pattern[1:])), pattern
    unit = next(tmp_path.rglob("postal-tracker.service")).read_text()
    assert f"ExecStart={sbindir}/postal-tracker run" in unit


def test_conffiles(packages):
    deb = run("dpkg-deb", "-I", packages.deb, "conffiles").stdout.split()
    rpm = run("rpm", "-qpc", packages.rpm).stdout.split()
    assert deb == rpm
    assert "/etc/postal-tracker/tracker.conf" in deb
    # noreplace: the operator's stays, ours comes as .rpmnew.
    flags = run("rpm", "-qp", "--qf", "[%{FILENAMES} %{FILEFLAGS:fflags}\n]",
                packages.rpm).stdout
    for f in rpm:
        assert f"{f} cn" in flags, flags


def test_the_binary_is_hardened(packages, tmp_path):
    """Debian's flags came behind ours and took nothing away."""
    run("dpkg-deb", "-x", packages.deb, tmp_path)
    binary = tmp_path / "usr/sbin/postal-tracker"
    header = run("readelf", "-hld", binary).stdout
    assert "DYN (Position-Independent" in header
    assert "GNU_RELRO" in header and "BIND_NOW" in header
    assert re.search(r"GNU_STACK.*\n.*RW\s", header)
    flags = run(binary, "version").stdout
    assert "-D_FORTIFY_SOURCE=3" in flags and str(TREE) not in flags
    assert str(packages.directory).encode() not in binary.read_bytes()


def test_apparmor_profile_is_parsed(tmp_path):
    profile = TREE / "policy/apparmor/usr.sbin.postal-tracker"
    run("apparmor_parser", "--skip-kernel-load", "--skip-cache", profile)
    # That the parser is one: a broken line is refused.
    broken = tmp_path / "profile"
    broken.write_text(profile.read_text().replace(
        "capability setuid,", "capability set_uid,"))
    assert run("apparmor_parser", "--skip-kernel-load", "--skip-cache", broken,
               check=False).returncode != 0


def test_apparmor_knows_the_monitors_capabilities():
    profile = (TREE / "policy/apparmor/usr.sbin.postal-tracker").read_text()
    monitor = (TREE / "src/monitor/monitor.c").read_text()
    kept = re.search(r"kept_capabilities =(.*?);", monitor, re.S)[1]
    for name in re.findall(r"CAP_(\w+)", kept):
        assert f"capability {name.lower()}," in profile


@pytest.mark.parametrize("field", ["Maintainer", "Description", "Section"])
def test_fields(packages, field):
    assert run("dpkg-deb", "-f", packages.deb, field).stdout.strip()
