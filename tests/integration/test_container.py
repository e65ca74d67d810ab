"""The container image: its file system is made as the Dockerfile makes it, and the program is run in it,
as another user, on a read-only root, without a library of this machine."""

import os
import re
import subprocess

import pytest

from iubench import IS_SANITIZED, PROGRAM, ROOT, Process, run

DOCKERFILE = os.path.join(ROOT, "deploy", "container", "Dockerfile")
# What a container runtime does: a read-only root, a writable /tmp, another user.
ENTER = """
    root=$1; shift 2
    mount --bind "$root" "$root" && mount -o remount,ro,bind "$root" && mount -t tmpfs tmpfs "$root/tmp" &&
    exec chroot --userspec=65532:65532 "$root" /usr/bin/iubench "$@" """

pytestmark = pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer build is not packaged")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    root = tmp_path_factory.mktemp("image") / "root"
    done = subprocess.run([os.path.join(ROOT, "tools", "rootfs"), PROGRAM, root], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def inside(image):
    """The words that run the program in the image."""
    words = ["unshare", "--mount", "sh", "-c", ENTER, "enter", str(image)]
    done = subprocess.run([*words, PROGRAM, "--version"], capture_output=True, text=True, timeout=30, check=False)
    if os.geteuid() != 0 or "unshare: " in done.stderr:
        pytest.skip("only root can enter another root folder")
    assert done.returncode == 0 and done.stdout == run("--version")[1], done.stderr
    return words


def test_image_holds_the_program_and_its_libraries_alone(image):
    files = [os.path.relpath(os.path.join(path, name), image) for path, _, names in os.walk(image) for name in names]
    others = {name for name in files if not re.search(r"\.so(\.\d+)*$", name)}
    assert others == {"usr/bin/iubench", "etc/passwd", "etc/group", "etc/nsswitch.conf"}
    assert sum(os.path.getsize(image / name) for name in files) < 40_000_000
    assert not [name for name in files if os.stat(image / name).st_mode & 0o6022]


def test_image_serves_and_loads_on_a_read_only_root(inside):
    """Mode db, so that the file of SQLite is written where alone it can be."""
    server = Process("serve", "--mode", "db", "--listen", "127.0.0.1:0", prefix=inside)
    try:
        assert server.get("/api/devices").status == 200
        status = open(f"/proc/{server.process.pid}/status", encoding="utf-8").read()
        assert re.search(r"^Uid:\s+65532\s+65532", status, re.MULTILINE)
        load = subprocess.run([*inside, PROGRAM, "load", "-q", "-n", "200", "-c", "4", "--json", "/tmp/result.json",
                               "-b", '{"mac":"EF-2B","firmware":"1"}', server.url + "/api/devices"],
                              capture_output=True, text=True, timeout=60, check=False)
        assert load.returncode in (0, 5) and "200 ok" in load.stdout, load.stdout + load.stderr
        server.stop()
    finally:
        if server.is_running():
            server.kill()


def test_root_file_system_is_not_overwritten(image):
    done = subprocess.run([os.path.join(ROOT, "tools", "rootfs"), PROGRAM, image], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 1 and "is there already" in done.stderr


def instructions():
    with open(DOCKERFILE, encoding="utf-8") as f:
        text = re.sub(r"^\s*#.*\n", "", f.read(), flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(re.sub(r"\s+", " ", line).strip().split(" ", 1)) for line in text.splitlines() if line.strip()]


def test_dockerfile_builds_in_one_stage_and_ships_another():
    stages = []
    for name, words in instructions():
        if name == "FROM":
            stages.append([])
        stages[-1].append((name, words))
    assert len(stages) == 2
    build, final = stages
    assert build[0] == ("FROM", "debian:bookworm-slim AS build") and final[0] == ("FROM", "scratch")
    assert [name for name, _ in final] == ["FROM", "COPY", "USER", "WORKDIR", "EXPOSE", "ENTRYPOINT", "CMD"]
    assert ("COPY", "--from=build /root-of-image/ /") in final and ("USER", "65532:65532") in final
    assert any("tools/rootfs build/iubench /root-of-image" in words for _, words in build)


def test_dockerfile_fetches_nothing_but_packages():
    words = instructions()
    assert not [name for name, _ in words if name == "ADD"]
    assert not [text for _, text in words if re.search(r"https?://|curl|wget|:latest", text)]
    assert all("tools/setup build && rm -rf /var/lib/apt/lists/*" in text for _, text in words if "setup build" in text)
    for name, text in words:
        for source in text.split()[:-1] if name == "COPY" and not text.startswith("--from") else []:
            assert os.path.exists(os.path.join(ROOT, source)), source


def test_dockerignore_leaves_out_no_source():
    with open(DOCKERFILE + ".dockerignore", encoding="utf-8") as f:
        ignored = {line.strip() for line in f if line.strip() and not line.startswith("#")}
    assert not ignored & {"src", "upstream", "storage", "scenarios", "tools", "Makefile"}
    assert {".git", "build"} <= ignored
