"""The documents: what the tutorial tells to type works, links lead somewhere, and every command is named."""

import os
import re
import shlex
import signal
import subprocess

import pytest

from iubench import IS_SANITIZED, PROGRAM, ROOT, Process, run
from services import free_port

# A line that ends otherwise than a user should see ends the tutorial: 3 and 5 are answers, not failures.
WATCH = """trap 'code=$?; case $code in 3|5) ;; *) echo "exit code $code: $BASH_COMMAND" >&2; exit 1 ;; esac' ERR
trap 'trap - ERR; kill $(jobs -p) 2>/dev/null; wait' EXIT
"""


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as f:
        return f.read()


def documents():
    names = [name for name in os.listdir(ROOT) if name.endswith(".md")]
    return sorted(names + [f"docs/{name}" for name in os.listdir(os.path.join(ROOT, "docs")) if name.endswith(".md")])


@pytest.mark.skipif(IS_SANITIZED, reason="its loads are long for a sanitizer build")
def test_tutorial_works_line_by_line(tmp_path):
    """Every block that is marked as sh, in one shell, on ports that are free."""
    os.symlink(PROGRAM, tmp_path / "iubench")
    script = "".join(re.findall(r"^```sh\n(.*?)^```$", read("docs/TUTORIAL.md"), re.MULTILINE | re.DOTALL))
    for port in ("8080", "8000"):
        script = script.replace(port, str(free_port()))
    done = subprocess.run(["bash", "-c", WATCH + script], cwd=tmp_path, capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert {"service.json", "ceiling.json", "both.html", "first"} <= set(os.listdir(tmp_path))
    assert {"result.json", "report.html"} <= set(os.listdir(tmp_path / "first"))


def test_lines_that_take_longer_begin(tmp_path):
    """Those that are shown behind a prompt: interrupted after a moment, but not refused."""
    lines = re.findall(r"^\$ \./iubench (.*)", read("docs/TUTORIAL.md"), re.MULTILINE)
    assert len(lines) >= 3
    server = Process("serve", "--mode", "static", "--listen", "127.0.0.1:0")
    try:
        for line in lines:
            words = shlex.split(line.replace("http://127.0.0.1:8000", server.url))
            if words[0] == "compare":  # what the line before was interrupted in
                run("run", "test1", "--rps-ramp", "100:200:100/200ms", "--warmup", "0", "--target", server.url,
                    "--target", "iubench", "--repeat", "2", "--out", tmp_path / os.path.dirname(words[1]))
            child = subprocess.Popen([PROGRAM, *words], cwd=tmp_path, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, text=True)
            try:
                child.wait(timeout=1)
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGINT)
            _, errors = child.communicate(timeout=60)
            assert child.returncode not in (2, 4), f"{line}: {errors}"
        server.stop()
    finally:
        if server.is_running():
            server.kill()


@pytest.mark.parametrize("name", documents())
def test_links_lead_somewhere(name):
    folder = os.path.dirname(os.path.join(ROOT, name))
    text = re.sub(r"^```.*?^```$", "", read(name), flags=re.MULTILINE | re.DOTALL)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    dead = [link for link in links if link and ":" not in link and not os.path.exists(os.path.join(folder, link))]
    assert not dead


def commands():
    return re.findall(r"^  (\S+)", run("--help")[1].partition("Commands:\n")[2], re.MULTILINE)


@pytest.mark.parametrize("name", documents())
def test_commands_in_documents_are_known(name):
    """`iubench WORD` in a document is a command, and each --option behind it one of its options."""
    help_of = {command: run(command, "--help")[1].replace("[no-]", "") for command in commands()}
    for line in re.findall(r"\biubench ((?:\\\n|[^`\n|;>])*)", read(name)):
        words = re.sub(r"'[^']*'|\"[^\"]*\"", "", line.replace("\\\n", " ")).split()
        if not words or words[0] not in help_of:
            continue
        for option in (word.partition("=")[0] for word in words if word.startswith("--")):
            option = option.rstrip(",.:)")
            known = option in ("--help", "--") or re.search(rf"{re.escape(option)}\b", help_of[words[0]])
            assert known or f"--{option[5:]}" in help_of[words[0]], f"iubench {words[0]} has no {option}"


def test_readme_shows_every_command():
    text = read("README.md")
    assert [command for command in commands() if f"iubench {command}" not in text] == []
