"""What leaves the source tree: the installed files, the archive, the Debian package, and that the same
source gives the same bytes wherever it is built."""

import filecmp
import os
import re
import shutil
import subprocess
import tarfile

import pytest

from iubench import IS_SANITIZED, PROGRAM, ROOT, run

pytestmark = pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer build is not packaged")


def shell(*words, cwd=ROOT, seconds=600, env=None):
    done = subprocess.run(list(map(str, words)), cwd=cwd, capture_output=True, text=True, timeout=seconds,
                          env={**os.environ, **(env or {})}, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def make(*words, **options):
    return shell("make", "-s", f"-j{len(os.sched_getaffinity(0))}", *words, **options)


def files_below(folder):
    return {os.path.relpath(os.path.join(path, name), folder)
            for path, _, names in os.walk(folder) for name in names}


needs_git = pytest.mark.skipif(not os.path.exists(os.path.join(ROOT, ".git")) or not shutil.which("git"),
                               reason="this is no repository of git")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An image of /opt/iu, the prefix, below a DESTDIR."""
    image = tmp_path_factory.mktemp("image")
    make("install", f"DESTDIR={image}", "prefix=/opt/iu")
    return image / "opt" / "iu"


def test_install_puts_everything_below_the_prefix(installed):
    assert os.listdir(installed.parent) == ["iu"] and os.listdir(installed.parent.parent) == ["opt"]
    files = files_below(installed)
    assert {"bin/iubench", "share/man/man1/iubench.1", "share/man/man1/iubench-load.1",
            "share/bash-completion/completions/iubench", "share/zsh/site-functions/_iubench",
            "share/fish/vendor_completions.d/iubench.fish", "lib/systemd/system/iubench.service",
            "share/iubench/seccomp/iubench.json", "share/doc/iubench/README.md",
            "share/doc/iubench/scenarios/test1.ini"} <= files
    help_text = run("--help")[1].partition("Commands:\n")[2]
    names = set(re.findall(r"^  (\S+)", help_text, re.MULTILINE))
    assert "share/man/man5/iubench-scenario.5" in files
    pages = {name[len("share/man/man1/iubench-"):-2] for name in files if "man1/iubench-" in name}
    assert pages == names
    modes = {name: os.stat(installed / name).st_mode & 0o777 for name in files}
    assert modes.pop("bin/iubench") == 0o755 and set(modes.values()) == {0o644}


def test_installed_program_works_from_its_place(installed):
    done = subprocess.run([installed / "bin/iubench", "--version"], cwd="/", capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0 and done.stdout == run("--version")[1]
    unit = (installed / "lib/systemd/system/iubench.service").read_text()
    assert "ExecStart=/opt/iu/bin/iubench " in unit and "/usr/local" not in unit


def test_uninstall_removes_what_was_installed_and_nothing_else(tmp_path):
    words = [f"DESTDIR={tmp_path}", "prefix=/opt/iu"]
    make("install", *words)
    others = {"opt/iu/share/doc/iubench/notes.txt", "opt/iu/share/man/man1/other.1", "opt/iu/bin/other"}
    for name in others:
        (tmp_path / name).write_text("somebody else's")
    make("uninstall", *words)
    assert files_below(tmp_path) == others
    assert not (tmp_path / "opt/iu/share/iubench").exists()


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A copy of the source, without git, in a folder whose name has another length, built there."""
    copy = tmp_path_factory.mktemp("somewhere") / "else"
    for name in shell("git", "ls-files", "-z").split("\0")[:-1]:
        if os.path.isfile(os.path.join(ROOT, name)) and not name.startswith("tests/"):
            os.makedirs((copy / name).parent, exist_ok=True)
            shutil.copy(os.path.join(ROOT, name), copy / name)
    (copy / "REVISION").write_text(shell("tools/revision", "0.1.0"))
    make("build/iubench", cwd=copy, env={"TZ": "Pacific/Kiritimati"})
    shutil.copy(copy / "build/iubench", copy / "first")
    return copy


@needs_git
def test_same_source_gives_the_same_bytes_in_another_folder(elsewhere):
    assert filecmp.cmp(elsewhere / "first", PROGRAM, shallow=False), \
        f"{PROGRAM} is another program: is it up to date?"


def needed_by(program):
    return set(re.findall(r"NEEDED\s+lib(\S+?)\.so", shell("objdump", "-p", program)))


@needs_git
def test_archives_are_linked_in_where_there_are_some(elsewhere):
    """What is left are the libraries that docs/DEPENDENCIES.md names, and those without an archive here."""
    make("build/iubench", "STATIC=1", cwd=elsewhere)
    program = elsewhere / "build/iubench"
    left = needed_by(program) - {"pq", "memcached", "c", "m"}
    assert not [name for name in left if os.path.isabs(shell("gcc", f"-print-file-name=lib{name}.a").strip())]
    assert needed_by(program) < needed_by(PROGRAM)
    assert shell(program, "--version") == run("--version")[1]


@needs_git
def test_archive_knows_its_version_and_repeats(tmp_path):
    name = make("dist").strip()
    first = (tmp_path / "first")
    shutil.copy(os.path.join(ROOT, name), first)
    assert make("dist").strip() == name and filecmp.cmp(first, os.path.join(ROOT, name), shallow=False)
    with tarfile.open(first) as archive:
        folders = {member.name.split("/")[0] for member in archive}
        archive.extractall(tmp_path)
    assert len(folders) == 1
    folder = folders.pop()
    assert name.endswith(f"/{folder}.tar.gz")
    told = shell("sh", "tools/revision", "0.1.0", cwd=tmp_path / folder)
    assert told == shell("tools/revision", "0.1.0") and folder == f"iubench-{told.split()[0]}"
    assert told.split()[0] in run("--version")[1]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    for tool in ("dpkg-deb", "dpkg-shlibdeps"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed: tools/setup test")
    name = make("deb").strip()
    path = tmp_path_factory.mktemp("deb") / os.path.basename(name)
    shutil.copy(os.path.join(ROOT, name), path)
    make("deb")
    assert filecmp.cmp(path, os.path.join(ROOT, name), shallow=False), "a second package differs"
    return path


def test_package_depends_on_what_the_program_loads(package):
    fields = dict(re.findall(r"^([\w-]+): (.*)", shell("dpkg-deb", "-f", package), re.MULTILINE))
    depends = {re.match(r"\S+", word)[0] for word in fields["Depends"].split(", ")}
    needed = set(re.findall(r"NEEDED\s+(\S+)", shell("objdump", "-p", PROGRAM)))
    assert {"libc6", "liburing2", "libinih1"} <= depends
    assert len(depends - {"libc6"}) == len({lib for lib in needed if not re.match(r"lib[cm]\.so|ld-", lib)})
    assert fields["Version"] == run("--version")[1].split()[1]


def test_package_runs_where_it_is_unpacked(package, tmp_path):
    shell("dpkg-deb", "-x", package, tmp_path)
    assert shell(tmp_path / "usr/bin/iubench", "--version") == run("--version")[1]
    assert not os.path.exists(tmp_path / "usr/local")
    assert "ExecStart=/usr/bin/iubench" in (tmp_path / "usr/lib/systemd/system/iubench.service").read_text()


def test_package_has_no_complaints(package):
    if not shutil.which("lintian"):
        pytest.skip("lintian is not installed: apt-get install lintian")
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", package],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
