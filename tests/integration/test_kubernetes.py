"""deploy/kubernetes, rendered by kustomize and read strictly into Kubernetes' own types, by the Go test in
tests/kubernetes. Modules and what is compiled stay below build/go."""

import json
import os
import re
import shutil
import subprocess

import pytest

from iubench import IS_SANITIZED, PROGRAM, ROOT, run

FOLDER = os.path.join(ROOT, "tests", "kubernetes")
CACHE = os.path.join(ROOT, "build", "go")
OVERLAYS = os.path.join(ROOT, "deploy", "kubernetes", "overlays")

pytestmark = pytest.mark.skipif(IS_SANITIZED, reason="nothing of the program is tested here")


def go(*words, seconds=300):
    env = {**os.environ, "GOMODCACHE": os.path.join(CACHE, "mod"), "GOCACHE": os.path.join(CACHE, "cache"),
           "GOFLAGS": "-modcacherw -buildvcs=false", "GOTOOLCHAIN": "local"}
    return subprocess.run(["go", *words], cwd=FOLDER, env=env, capture_output=True, text=True, timeout=seconds,
                          check=False)


def test_manifests_are_what_kubernetes_takes():
    if not shutil.which("go"):
        pytest.skip("Go is not installed")
    version = re.search(r"go1\.(\d+)", go("version").stdout)
    if not version or int(version[1]) < 24:
        pytest.skip("Kubernetes' types need Go 1.24")
    modules = go("mod", "download")
    if modules.returncode != 0:
        pytest.skip(f"Go modules cannot be fetched: {modules.stderr.strip().splitlines()[-1]}")
    done = go("test", "-count=1", "-vet=off", "-gcflags=all=-N -l", "./...")
    assert done.returncode == 0, done.stdout + done.stderr


def words_of_client(overlay):
    """The arguments of the client as they stand in the overlay's patch."""
    with open(os.path.join(OVERLAYS, overlay, "kustomization.yaml"), encoding="utf-8") as f:
        listed = f.read().partition("/containers/0/args\n")[2]
    words = re.findall(r"^          - (.+)$", listed, re.MULTILINE)
    return [word.strip("\"'") for word in words]


@pytest.mark.parametrize("overlay", ["video-test1", "video-test2"])
def test_clients_know_their_options(overlay):
    """Every option that the manifests give is one of this program."""
    words = words_of_client(overlay)
    assert words[0] == "load" and words[1].startswith("http://target:8080/")
    help_text = run("load", "--help")[1].replace("[no-]", "")
    unknown = {word.partition("=")[0] for word in words[2:]} - set(re.findall(r"--[\w-]+", help_text))
    if unknown == {"--shard", "--start-at"}:
        pytest.skip("this program does not load in shards")
    assert not unknown


def test_result_can_be_cut_out_of_a_log(serve):
    """A pod's log has the summary first: docs/KUBERNETES.md takes the rest by `sed -n '/^{/,$p'`."""
    server = serve("static")
    script = f"{PROGRAM} load -q -n 100 --json - {server.url}/json 2>&1 | sed -n '/^{{/,$p'"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert json.loads(done.stdout)["targets"][0]["requests"]["ok"] == 100
