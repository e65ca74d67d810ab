"""Man pages and completions come from the tables that --help comes from: they are held against it, by
the programs that read them: mandoc and groff, bash, zsh and fish."""

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import termios
import time

import pytest

from iubench import PATIENCE_S, ROOT, run

SCENARIOS = sorted(name[:-4] for name in os.listdir(os.path.join(ROOT, "scenarios")) if name.endswith(".ini"))


def said(*words):
    code, output, errors = run(*words)
    assert code == 0, errors
    return output


def commands():
    listed = said("--help").partition("Commands:\n")[2]
    return re.findall(r"^  (\S+)", listed, re.MULTILINE)


COMMANDS = commands()


def words_of(text):
    return re.sub(r"\s+", " ", text).strip()


def options_of(command):
    """(names, sentence) as --help shows them."""
    text = said(command, "--help").partition("\nOptions:\n")[2].partition("\nExamples:\n")[0]
    entries = re.split(r"^ {2}(?=-|    --)", text, flags=re.MULTILINE)[1:]
    for entry in entries:
        names, _, sentence = entry.strip().partition("  ") if "  " in entry.strip().split("\n")[0] \
            else entry.strip().partition("\n")
        yield names.strip(), words_of(sentence)


def tool(name):
    return shutil.which(name) or pytest.skip(f"{name} is not installed: tools/setup test")


def pipe(command, text):
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", ["", *COMMANDS, "scenario"])
def test_man_page_is_well_formed(command):
    """mandoc finds nothing to warn of, nor does groff with all its warnings."""
    page = said("manual", *command.split())
    if shutil.which("mandoc"):
        assert pipe(["mandoc", "-T", "lint", "-W", "warning"], page) == (0, "", "")
    code, _, errors = pipe([tool("groff"), "-man", "-ww", "-T", "ascii"], page)
    assert (code, errors) == (0, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_man_page_agrees_with_help(command):
    """Every option with its sentence, in the same order; summary and examples too."""
    code, shown, errors = pipe([tool("mandoc"), "-T", "ascii"], said("manual", command))
    assert code == 0, errors
    shown = words_of(re.sub(".\b", "", shown))  # without overstriking
    help_text = said(command, "--help")
    at = shown.index("OPTIONS")
    options = list(options_of(command))
    assert options and options[-1] == ("-h, --help", "show this help")
    for names, sentence in options:
        entry = f"{names} {sentence}"
        assert entry in shown[at:], entry
        at = shown.index(entry, at) + len(entry)
    assert words_of(help_text.split("\n\n")[1]) in shown
    for example in help_text.partition("\nExamples:\n")[2].splitlines():
        assert words_of(example) in shown


def test_man_page_of_scenarios():
    """Every key that a built-in scenario uses stands in its section, with the option's sentence."""
    code, shown, errors = pipe([tool("mandoc"), "-T", "ascii", "-O", "width=200"], said("manual", "scenario"))
    assert code == 0, errors
    sections = re.split(r"^\[(\w+)\]$", re.sub(".\b", "", shown).partition("\nEXAMPLE")[0], flags=re.MULTILINE)[1:]
    texts = {name: words_of(text) for name, text in zip(sections[::2], sections[1::2])}
    assert list(texts) == ["scenario", "target", "upstream", "load", "fault"]
    used = set()
    for name in SCENARIOS:
        section = None
        with open(os.path.join(ROOT, "scenarios", name + ".ini"), encoding="utf-8") as file:
            for line in file:
                if line.startswith("["):
                    section = line.strip()[1:-1]
                elif re.match(r"[\w-]+ ?=", line):
                    used.add((section, line.partition("=")[0].strip()))
    assert len(used) > 20
    for section, key in used:
        assert f" {key} = " in texts[section], (section, key)
    assert "connections = N connections, dealt to the threads (default 64)" in texts["load"]


def test_man_page_of_the_whole_names_every_command():
    page = said("manual").replace("\\-", "-")
    assert [name for name in COMMANDS if f"iubench-{name} (1)" in page] == COMMANDS
    version = said("--version").split()[1]
    assert version in page


def test_unknown_names_are_refused():
    assert run("manual", "lod")[0] == 2
    code, _, errors = run("completion", "tcsh")
    assert code == 2 and "bash|zsh|fish" in errors


# --- completion: ask(line) gives what a shell offers for the last word of the line ----------------


class Bash:
    name = "bash"
    script = """
        source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _iubench iubench
        printf '%s\\n' "${COMPREPLY[@]}" """

    def __init__(self, folder):
        self.folder = folder

    def ask(self, line):
        # as readline cuts it
        words = re.findall(r"=|[^\s=]+", line) + [""] * (line[-1] in " =")
        done = subprocess.run(["bash", "--norc", "-c", self.script, "completion", *words], cwd=self.folder,
                              capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert not done.stderr, done.stderr
        return set(done.stdout.split())


class Fish:
    name = "fish"

    def __init__(self, folder):
        self.folder = folder

    def ask(self, line):
        done = subprocess.run(
            ["fish", "--no-config", "-c", "source completion; complete -C $argv[1]", line], cwd=self.folder,
            env={**os.environ, "HOME": str(self.folder)}, capture_output=True, text=True,
            timeout=PATIENCE_S, check=False)
        assert not done.stderr, done.stderr
        before = re.search(r"--[\w-]+=", line)
        found = {answer.split("\t")[0] for answer in done.stdout.splitlines()}
        return {word.removeprefix(before[0] if before else "") for word in found}


class Zsh:
    """Completes only in an interactive shell, so it gets a terminal; control-D lists."""
    name = "zsh"
    start = (b"fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; stty -echo; LISTMAX=9999; PS1='rea''dy> '\n")

    def __init__(self, folder):
        self.folder = folder
        shutil.copy(folder / "completion", folder / "_iubench")

    def ask(self, line):
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.folder)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", 400, 400, 0, 0))
            os.execvpe("zsh", ["zsh", "-f", "-i"], {**os.environ, "TERM": "dumb", "ZDOTDIR": str(self.folder)})
        try:
            os.write(terminal, self.start)
            self.read(terminal, b"ready> ")
            os.write(terminal, line.encode() + b"\4")
            output = self.read(terminal, b"ready> " + line.encode(), b"\a")  # a bell: there is nothing
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)
            os.close(terminal)
        listed = output.decode().partition("\r\r\n")[2].rpartition("\r\nready> ")[0]
        rows = [re.sub(r"\s+-- .*", "", row) for row in listed.split("\r\n")]
        return set(" ".join(rows).split())

    @staticmethod
    def read(terminal, *marks):
        output, deadline = b"", time.monotonic() + PATIENCE_S
        while not any(mark in output for mark in marks):
            assert time.monotonic() < deadline, output
            if select.select([terminal], [], [], 0.1)[0]:
                output += os.read(terminal, 65536)
        return output


@pytest.fixture(params=[Bash, Zsh, Fish], ids=lambda shell: shell.name)
def shell(request, tmp_path):
    tool(request.param.name)
    (tmp_path / "completion").write_text(said("completion", request.param.name))
    (tmp_path / "body.json").write_text("{}")
    (tmp_path / "folder").mkdir()
    return request.param(tmp_path)


def test_commands_are_completed(shell):
    assert set(COMMANDS) <= shell.ask("iubench ")


def test_every_option_is_completed(shell):
    for command in ("serve", "load", "run"):
        names = {word for names, _ in options_of(command)
                 for word in re.findall(r"--[\w-]+", names.replace("[no-]", ""))}
        offered = shell.ask(f"iubench {command} --")
        assert names <= offered, names - offered


def test_values_are_completed(shell):
    modes = {"all", "static", "fib", "proxy", "post", "db"}
    assert shell.ask("iubench serve --mode ") == modes
    assert shell.ask("iubench serve --mode=") == modes
    assert shell.ask("iubench run --services ") == {"auto", "managed", "external", "embedded"}
    assert {"round1", "round2"} == shell.ask("iubench serve --schema ")


def test_arguments_are_completed(shell):
    assert {"all", *SCENARIOS} <= shell.ask("iubench run ")
    assert shell.ask("iubench completion ") == {"bash", "zsh", "fish"}
    assert shell.ask("iubench manual ") == {*COMMANDS, "scenario"}


def test_paths_are_completed(shell):
    """Files where a file is meant, folders where a folder is, nothing where a number is."""
    assert "body.json" in shell.ask("iubench load --json b") | shell.ask("iubench load --json ")
    folders = {name.rstrip("/") for name in shell.ask("iubench run --out ")}
    assert "folder" in folders and "body.json" not in folders
    assert not shell.ask("iubench load --rate ")
