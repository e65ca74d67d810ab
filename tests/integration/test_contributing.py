"""The examples of CONTRIBUTING.md are applied to a copy of the source, built and run."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys

import pytest

from iubench import IS_SANITIZED, PATIENCE_S, ROOT, Process, run, wait_for

pytestmark = pytest.mark.skipif(IS_SANITIZED, reason="a copy of the plain build is built")

with open(os.path.join(ROOT, "CONTRIBUTING.md"), encoding="utf-8") as page:
    PAGE = page.read()


def blocks(section, language):
    text = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found, f"no {language} in {section}"
    return found


def shell(*words, cwd, text=None, env=None):
    done = subprocess.run(list(map(str, words)), cwd=cwd, input=text, capture_output=True, text=True, timeout=180,
                          env={**os.environ, **(env or {})}, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The source with all examples in it, built; what they leave alone is not compiled again."""
    folder = tmp_path_factory.mktemp("copy") / "iubench"
    shutil.copytree(ROOT, folder, symlinks=True,
                    ignore=lambda path, names: {".git", "results", "go", "venv", "contestants", "asan", "fuzz", "replay",
                                                "tests", "corpus"} & set(names)
                    - ({"tests", "contestants"} if path == ROOT else set()))
    for section in ("An endpoint", "A store", "A panel"):
        for diff in blocks(section, "diff"):
            shell("git", "apply", "-C1", "-", cwd=folder, text=diff)
    (folder / "REVISION").write_text(shell("tools/revision", "0.1.0", cwd=ROOT))
    shell("make", "-s", f"-j{len(os.sched_getaffinity(0))}", "WERROR=1", "build/iubench", cwd=folder)
    return folder


@pytest.fixture
def changed(copy):
    """`iubench serve` of the copy."""
    words = ["serve", "--store", "counter", "--cache", "none", "--listen", "127.0.0.1:0"]
    server = Process(*words, prefix=["sh", "-c", 'shift; exec "$0" "$@"', copy / "build/iubench"])
    yield server
    server.stop()


def test_endpoint_answers(changed):
    assert json.loads(changed.get("/double/21").body) == {"n": 21, "double": 42}
    assert changed.get("/double/x").status == 400 and changed.get("/double/1000001").status == 400


def test_endpoint_is_in_the_contract(copy):
    """The tests that hold endpoints against one another know of it."""
    shell(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "openapi_names or every_mode or has",
          "tests/integration/test_serve.py", cwd=copy, env={"IUBENCH": str(copy / "build/iubench")})


def test_store_numbers_what_it_is_given(changed):
    assert "store counter" in changed.line
    with changed.connect() as client:
        device = b'{"mac":"EF-2B","firmware":"1"}'
        ids = [json.loads(client.request("POST", "/api/devices", device).body)["id"] for _ in range(3)]
    assert ids == [1, 2, 3]


def test_panel_is_on_the_page(copy):
    page = (copy / "build/gen/page.html").read_text()
    assert "Threads by party" in page
    if shutil.which("node"):
        shell("node", "--check", "web/panels.js", cwd=copy)


def test_formatted_as_the_rest(copy):
    if not shutil.which("clang-format-14"):
        pytest.skip("clang-format-14 is not installed: tools/setup test")
    for name in ("src/target/double.c", "storage/store_counter.c", "storage/store_counter.h"):
        shell("clang-format-14", "--dry-run", "-Werror", name, cwd=copy)


def test_contestant_starts_by_its_target_file(tmp_path):
    """Started as its file says, by hand here; loaded as any URL."""
    described = blocks("A contestant", "ini")[0]
    (tmp_path / "tiny.py").write_text(blocks("A contestant", "python")[0])
    (tmp_path / "target.ini").write_text(described)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = re.search(r"^command = (.+)$", described, re.MULTILINE)[1]
    words = command.replace("{host}", "127.0.0.1").replace("{port}", str(port)).split()
    process = subprocess.Popen(words, cwd=tmp_path)
    try:
        wait_for(lambda: process.poll() is None and is_open(port), PATIENCE_S)
        code, output, errors = run("load", "-q", "-n", "50", "-c", "2", "--expect-body-size", "541",
                                   f"http://127.0.0.1:{port}/api/devices")
        assert code in (0, 5) and "50 ok" in output, output + errors
    finally:
        process.kill()
        process.wait()


def is_open(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


