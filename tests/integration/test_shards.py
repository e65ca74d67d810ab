"""Several clients that share one schedule, and `iubench merge`, which makes one result of theirs."""

import base64
import datetime
import json
import re
import signal
import subprocess
import time
import zlib

import pytest

from iubench import Process, wait_for
from test_load import IUBENCH, OK, answer, load, read, serve  # noqa: F401

SHARDS = 4
AS_A_WHOLE = (0, 5)  # 5: a busy machine made a client late; what is counted is the same


def soon(seconds=3):
    """A time to begin at; by default late enough for clients of a busy machine."""
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return at.isoformat().replace("+00:00", "Z")


def start(folder, url, *words, shards=range(SHARDS), start_at=None, count=SHARDS, prefixes=None):
    """`prefixes`: words before each shard's, which run it elsewhere."""
    start_at = start_at or soon()
    return [subprocess.Popen([*(prefixes[i] if prefixes else []), IUBENCH, "load", "-q",
                              "--shard", f"{i}/{count}", "--start-at", start_at,
                              "--json", folder / f"{i}.json", *words, url],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for i in shards]


def finish(clients):
    for client in clients:
        _, errors = client.communicate(timeout=45)
        assert client.returncode in AS_A_WHOLE, errors


def run(folder, url, *words, **options):
    finish(start(folder, url, *words, **options))
    return [json.loads((folder / f"{i}.json").read_text()) for i in range(SHARDS)]


def merge(folder, *words):
    """The exit code, the document (checked by the schema and its sums), and what was said."""
    done = subprocess.run([IUBENCH, "merge", "-o", folder / "merged.json", *map(str, words)],
                          capture_output=True, text=True, timeout=30)
    whole = None
    if (folder / "merged.json").exists():
        whole = read(folder / "merged.json", done.returncode, done.stdout)["whole"]
        (folder / "merged.json").unlink()
    return done.returncode, whole, done.stderr


def files(folder, shards=range(SHARDS)):
    return [folder / f"{i}.json" for i in shards]


def counts_of(encoded):
    """The counts of a histogram by their bucket: HdrHistogram's V2 encoding, read by itself."""
    packed = base64.b64decode(encoded)
    plain = zlib.decompress(packed[8:])[40:]
    counts, bucket, at = {}, 0, 0
    while at < len(plain):
        bits = shift = 0
        while True:
            byte = plain[at]
            at += 1
            bits |= (byte & (0xff if shift == 56 else 0x7f)) << shift
            shift += 7
            if byte < 0x80 or shift == 63:
                break
        number = (bits >> 1) ^ -(bits & 1)
        if number > 0:
            counts[bucket] = number
            bucket += 1
        else:
            bucket += -number or 1
    return counts


def added(histograms):
    sums = {}
    for counts in map(counts_of, histograms):
        for bucket, count in counts.items():
            sums[bucket] = sums.get(bucket, 0) + count
    return sums


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Four shards of one run, for the tests that only read them."""
    folder = tmp_path_factory.mktemp("shards")
    server = subprocess.Popen([IUBENCH, "serve", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE,
                              text=True)
    url = re.search(r"http://[0-9.:]+", server.stdout.readline())[0] + "/json"
    run(folder, url, "--rate", "1000", "-d", "1500ms", "-c", "10", "--expect", "availability>=99%")
    server.send_signal(signal.SIGTERM)
    assert server.wait(10) == 0
    server.stdout.close()
    return folder


# --- the union is one client's run ---

MODELS = {
    "constant": ["--rate", "301", "-d", "2s"],
    "poisson": ["--rate", "301", "-d", "2s", "--arrivals", "poisson", "--seed", "5", "-t", "2"],
    "ramp": ["--rps-ramp", "50:500/2s"],
    "stages": ["--stages", "1s:100,1s:303"],
}


@pytest.mark.parametrize("model", MODELS)
def test_union_is_the_whole(serve, load, tmp_path, model):
    """Four shards send what one client sends, second by second and in sum, each number once."""
    words = [*MODELS[model], "-c", "13", "-T", "1s"]
    server = serve(answer)
    alone = load(*words, server.url)
    parts = run(tmp_path, server.url, *words)
    code, whole, _ = merge(tmp_path, *files(tmp_path))
    target = whole["targets"][0]
    assert code in AS_A_WHOLE
    assert target["requests"]["scheduled"] == alone["requests"]["scheduled"] == target["requests"]["ok"]
    # rows are cut where the collecting thread came by: what fell to which second is within that
    for row, one in zip(target["series"], alone["series"]):
        assert abs(row["scheduled"] - one["scheduled"]) <= 12
    assert target["target_rps"] == (pytest.approx(alone["target_rps"]) if alone["target_rps"] else None)
    assert sorted(p["client"]["connections"] for p in parts) == [3, 3, 3, 4]
    assert whole["client"]["connections"] == 13
    assert (target["held_rps"] is None) == (alone["held_rps"] is None)


def test_numbers_are_disjoint(tmp_path, serve):
    """{seq} counts on over all shards: each number from 1 to the last is sent once."""
    numbers = []

    async def behave(server, number, reader, writer):
        numbers.append(int(server.last.split(b"n=")[1].split()[0]))
        writer.write(OK)
    server = serve(behave)
    run(tmp_path, server.url + "?n={seq}", "--rate", "301", "-d", "1s", "-c", "8", "-t", "2")
    assert sorted(numbers) == list(range(1, 302))


def test_closed_loop(serve, tmp_path):
    """Connections and requests are dealt with their remainder; all together are exact."""
    parts = run(tmp_path, serve(answer).url, "-n", "1003", "-c", "10", "-t", "2")
    assert sorted(p["targets"][0]["requests"]["ok"] for p in parts) == [250, 251, 251, 251]
    code, whole, _ = merge(tmp_path, *files(tmp_path))
    target = whole["targets"][0]
    assert code == 0 and target["requests"]["ok"] == target["latency_us"]["count"] == 1003
    assert whole["client"]["connections"] == 10 and target["connections_made"] == 10


def test_clients_ramp(serve, tmp_path):
    """Clients of each stage are dealt; all together there are as many as the ramp says."""
    run(tmp_path, serve(answer).url, "--clients-ramp", "3x2/1s,think=5ms", "-T", "1s")
    code, whole, _ = merge(tmp_path, *files(tmp_path))
    assert code in AS_A_WHOLE
    assert [row["clients"] for row in whole["targets"][0]["series"]][:2] == [3, 6]


# --- what is added, and how ---

def test_histograms_are_the_union(shards, tmp_path):
    """Every bucket of the sum is the sum of the buckets; percentiles are those of the union; the
    shards' own stand beside."""
    parts = [json.loads(path.read_text()) for path in files(shards)]
    code, whole, _ = merge(tmp_path, *files(shards))
    target = whole["targets"][0]
    assert code in AS_A_WHOLE and target["requests"]["ok"] == 1500
    for name in ("latency", "service_time", "send_lag"):
        own = [p["targets"][0]["histograms"][name] for p in parts]
        assert counts_of(target["histograms"][name]) == added(own)
    for key in ("latency_us", "service_time_us"):
        own = [p["targets"][0][key] for p in parts]
        assert target[key]["count"] == sum(o["count"] for o in own) == 1500
        assert target[key]["min"] == min(o["min"] for o in own)
        assert target[key]["max"] == max(o["max"] for o in own)
        mean = sum(o["mean"] * o["count"] for o in own) / 1500
        assert target[key]["mean"] == pytest.approx(mean, rel=1e-9)
        for name in ("p50", "p99"):
            assert min(o[name] for o in own) <= target[key][name] <= max(o[name] for o in own)
    beside = whole["shards"]
    assert beside["count"] == SHARDS and beside["missing"] == []
    assert [p["latency_us"] for p in beside["parts"]] == [p["targets"][0]["latency_us"] for p in parts]
    assert [p["shard"]["index"] for p in beside["parts"]] == list(range(SHARDS))
    assert len({p["shard"]["id"] for p in beside["parts"]}) == 1
    assert [e["met"] for e in target["expectations"]] == [True]
    assert "shard" not in whole


def test_rows_are_added(shards, tmp_path):
    """Counts by their second; percentiles from the added buckets."""
    parts = [json.loads(path.read_text())["targets"][0]["series"] for path in files(shards)]
    _, whole, _ = merge(tmp_path, *files(shards))
    for row, *own in zip(whole["targets"][0]["series"], *parts):
        for key in ("ok", "scheduled", "connections"):
            assert row[key] == sum(o[key] for o in own)
        assert row["percentiles_from"] == "latency_buckets"
        sums = {}
        for upper, count in (pair for o in own for pair in o["latency_buckets"]):
            sums[upper] = sums.get(upper, 0) + count
        assert {upper: count for upper, count in row["latency_buckets"]} == sums
        rank, seen = -(-sum(sums.values()) * 99 // 100), 0
        for upper in sorted(sums):
            seen += sums[upper]
            if seen >= rank:
                break
        assert row["p99_us"] == pytest.approx(min(upper, row["max_us"]), abs=0.002)
        assert row["max_us"] == max(o["max_us"] for o in own)


def test_without_buckets(shards, tmp_path):
    """Rows that have none: the greatest of the shards, and said to be that."""
    paths = rewritten(shards, tmp_path, lambda i, d: [
        row.pop("latency_buckets") for row in d["targets"][0]["series"]])
    parts = [json.loads(path.read_text())["targets"][0]["series"] for path in paths]
    done = subprocess.run([IUBENCH, "merge", *paths], capture_output=True, text=True, timeout=10)
    series = json.loads(done.stdout)["targets"][0]["series"]
    for row, *own in zip(series, *parts):
        assert row["percentiles_from"] == "max of shards"
        assert row["p99_us"] == pytest.approx(max(o["p99_us"] for o in own))


def test_held_step_is_quoted(serve, tmp_path):
    """On stages that all shards held, rate and percentiles are of that step of all of them."""
    parts = run(tmp_path, serve(answer).url, "--stages", "1s:100,1s:400", "-c", "8", "-T", "1s")
    if not all(p["targets"][0]["held_rps"] == 100 for p in parts):
        pytest.skip("this machine did not hold 400/s")
    _, whole, _ = merge(tmp_path, *files(tmp_path))
    target = whole["targets"][0]
    assert target["held_rps"] == 400 and target["rps"] == pytest.approx(400, rel=0.02)
    assert target["latency_us"]["count"] == 400 and target["requests"]["ok"] == 500
    held = [p["targets"][0]["histograms"]["held_latency"] for p in parts]
    assert counts_of(target["histograms"]["held_latency"]) == added(held)


# --- the agreed time ---

@pytest.mark.timing
def test_all_begin_together(serve, tmp_path):
    """Nothing is sent before the agreed time, and the first request is sent then."""
    times = []

    async def behave(server, number, reader, writer):
        times.append(time.time())
        writer.write(OK)
    start_at = soon()
    agreed = datetime.datetime.fromisoformat(start_at.replace("Z", "+00:00")).timestamp()
    parts = run(tmp_path, serve(behave).url, "--rate", "100", "-d", "500ms", "-c", "4",
                start_at=start_at)
    assert agreed - 0.001 <= min(times) < agreed + 0.1
    for part in parts:
        assert part["started"] == part["shard"]["start_at"] == start_at
        assert set(part["shard"]["clock"]) == {"source", "synchronised", "error_us", "error_max_us",
                                               "reference", "reference_ahead_us"}


@pytest.mark.parametrize("words, said", [
    (["--start-at", "2001-01-01T00:00:00Z"], "is past: it is"),
    (["--start-at", "tomorrow"], "is no time"),
    (["--shard", "4/4"], "expected INDEX/COUNT, from 0/4"),
    (["--shard", "0/65"], "65 clients cannot share 64 connections"),
    (["--shard", "0/4", "--find-max", "p99<1s"], "a schedule that is known before"),
    (["--clock-from", "http://127.0.0.1:1/"], "give that as well"),
    (["--start-at", "+9s", "--clock-from", "https://a/"], "--clock-from"),
    (["--shard", "0/4", "--rps-ramp"], "a schedule that is known before"),
])
def test_bad_words(serve, words, said):
    server = serve(answer)
    done = subprocess.run([IUBENCH, "load", server.url, *words], capture_output=True, text=True,
                          timeout=10)
    assert done.returncode == 2 and said in done.stderr and server.connections == 0


def test_interrupted_before_the_start(serve, tmp_path):
    """Ctrl-C while it waits for its time ends it at once, with a result of next to nothing."""
    client, = start(tmp_path, serve(answer).url, "--rate", "10", shards=[0], start_at=soon(60))
    time.sleep(0.7)
    client.send_signal(signal.SIGINT)
    client.communicate(timeout=5)
    assert client.returncode == 130
    assert json.loads((tmp_path / "0.json").read_text())["targets"][0]["requests"]["sent"] <= 1


def test_clock_from(tmp_path):
    """Clients of one machine find the same offset of a server that is on it too: none, to a few
    milliseconds; the merged result says how far they may be apart."""
    server = Process("serve", "--listen", "127.0.0.1:0")
    url = server.url + "/json"
    parts = run(tmp_path, url, "--rate", "100", "-d", "500ms", "-c", "4", "--clock-from",
                server.url + "/healthz", start_at=soon(19))
    server.stop()
    for part in parts:
        low, high = part["shard"]["clock"]["reference_ahead_us"]
        assert low - 2000 <= 0 <= high + 2000 and high - low < 100_000  # widened by a busy machine
    _, whole, errors = merge(tmp_path, *files(tmp_path))
    shards = whole["shards"]
    assert shards["clocks_by"] == parts[0]["shard"]["clock"]["reference"]
    offsets = [p["shard"]["clock"]["reference_ahead_us"] for p in parts]
    assert shards["clocks_apart_us_max"] == max(o[1] for o in offsets) - min(o[0] for o in offsets)
    assert "by the reference that they asked" in errors


# --- lost shards ---

def test_killed_shard_is_named(serve, tmp_path):
    """One is killed midway and leaves nothing: the others are a result that says so."""
    server = serve(answer)
    clients = start(tmp_path, server.url, "--rate", "200", "-d", "2s", "-c", "8")
    wait_for(lambda: server.requests > 100)
    clients[2].kill()
    clients[2].communicate(timeout=10)
    finish([c for c in clients if c is not clients[2]])
    assert not (tmp_path / "2.json").exists()
    rest = files(tmp_path, [0, 1, 3])
    code, whole, errors = merge(tmp_path, *rest)
    assert code == 1 and "1 of 4 shards are missing: 2;" in errors
    assert whole["shards"]["missing"] == [2] and whole["shards"]["count"] == 4
    assert whole["verdict"]["status"] in ("SUSPECT", "INVALID")
    assert any("missing (2)" in reason for reason in whole["verdict"]["reasons"])
    assert whole["targets"][0]["requests"]["scheduled"] == 300
    code, whole, _ = merge(tmp_path, "--partial", *rest)
    assert code in AS_A_WHOLE and whole["shards"]["missing"] == [2]


def test_ended_shard_is_marked(serve, tmp_path):
    """One is ended by a signal midway: what it had counts, and the whole is said to be interrupted."""
    server = serve(answer)
    clients = start(tmp_path, server.url, "--rate", "200", "-d", "2s", "-c", "8")
    wait_for(lambda: server.requests > 100)
    clients[1].send_signal(signal.SIGTERM)
    clients[1].communicate(timeout=10)
    finish([c for c in clients if c is not clients[1]])
    code, whole, _ = merge(tmp_path, *files(tmp_path))
    assert code in AS_A_WHOLE and whole["interrupted"] is True
    assert any("shard 1 was interrupted" in reason for reason in whole["verdict"]["reasons"])
    assert 300 < whole["targets"][0]["requests"]["scheduled"] < 400


def test_empty_file_is_a_lost_shard(shards, tmp_path):
    """What a shell leaves of `--json - >1.json` when the client is lost."""
    empty = tmp_path / "1.json"
    empty.touch()
    code, whole, errors = merge(tmp_path, files(shards)[0], empty, *files(shards)[2:])
    assert code == 1 and "1 of 4 shards are missing: 1;" in errors and whole["shards"]["missing"] == [1]
    done = subprocess.run([IUBENCH, "merge", empty], capture_output=True, text=True, timeout=10)
    assert done.returncode == 1 and "no shard has left a result" in done.stderr


# --- what does not belong together ---

def rewritten(shards, tmp_path, change):
    """Copies of the shards, each changed by change(index, document)."""
    paths = []
    for i, path in enumerate(files(shards)):
        document = json.loads(path.read_text())
        change(i, document)
        paths.append(tmp_path / f"{i}.json")
        paths[-1].write_text(json.dumps(document))
    return paths


def test_the_whole_is_said_first(shards, tmp_path):
    """There are fewer places for reasons than these shards have: what is missing and who was
    interrupted stand there all the same, then what is worst."""
    paths = rewritten(shards, tmp_path, lambda i, document: (
        document.update(interrupted=i == 3), document["targets"][0].update(verdict={
            "status": "INVALID" if i == 2 else "SUSPECT", "reasons": [f"reason {n}" for n in range(4)]})))
    _, whole, _ = merge(tmp_path, *paths[1:])
    reasons = whole["verdict"]["reasons"]
    assert "missing (0)" in reasons[0] and reasons[1] == "shard 3 was interrupted"
    assert reasons[2] == "shard 2: reason 0" and reasons[6] == "shard 1: reason 0"
    assert "more reasons than are shown" in reasons[7] and len(reasons) == 8
    assert whole["verdict"]["status"] == "INVALID" and whole["targets"][0]["exit"] == 1


def only(index, change):
    return lambda i, document: change(document) if i == index else None


def delay(document):
    document["started"] = "2026-11-20T17:00:00.000000Z"


@pytest.mark.parametrize("change, said", [
    (lambda d: d["shard"]["agrees_on"].update(rate=2000.0), "rate: 1000.0 in"),
    (lambda d: d["shard"]["agrees_on"].update(url="http://b/"), "url: "),
    (lambda d: d["shard"].update(id="0" * 16), "shard.id: "),
    (lambda d: d["shard"].update(count=5), "shard.count: expected 4 as in the others, found 5"),
    (lambda d: d["shard"].update(index=1), "shard.index: shard 1 is there already, as "),
    (lambda d: d["shard"].update(index=4), "shard.index: expected less than the count of 4"),
    (lambda d: d["shard"].update(index="2"), "shard.index: expected a whole number from 0, found a text"),
    (lambda d: d.pop("shard"), "it is no shard's result"),
    (delay, "shards load the target together"),
    (lambda d: d.update(started="now"), "started: expected a time"),
    (lambda d: d.update(targets=d["targets"] * 2), "targets: expected one target, found 2"),
    (lambda d: d["targets"][0]["requests"].update(ok=7), "targets[0].requests: it does not add up"),
    (lambda d: d["targets"][0]["requests"]["errors"].pop("dns"),
     "targets[0].requests.errors.dns: expected a whole number from 0, found nothing"),
    (lambda d: d["targets"][0]["histograms"].update(latency="HISTFAAAAAAA"),
     "targets[0].histograms.latency: expected a histogram"),
    (lambda d: d["targets"][0]["series"].pop(0), "targets[0].series[0].t: expected 1"),
    (lambda d: d["targets"][0]["series"][0].update(latency_buckets=[[3, 1]]),
     "targets[0].series[0].latency_buckets: expected [upper end in us, count]"),
    (lambda d: d["targets"][0].update(series=[1]), "targets[0].series[0]: expected an object, found a number"),
    (lambda d: d["client"].update(cpu_pct=None), "client.cpu_pct: expected a number, found null"),
    (lambda d: d.update(schema="other/1"), "no result of iubench"),
    (lambda d: d["targets"][0]["series"][0].update(length_s=0), "targets[0].series[0].length_s: expected more than 0 s"),
    (lambda d: d["targets"][0]["series"][0].update(client_cpu_pct=None),
     "targets[0].series[0].client_cpu_pct: expected a number, found null"),
    (lambda d: d.pop("command"), "command: expected an array, found nothing"),
    (lambda d: d["targets"][0].pop("availability"), "targets[0].availability: expected a number, found nothing"),
    (lambda d: d["client"].update(cpu_pct=1e308), "client.cpu_pct: expected a number that was measured, found 1e+308"),
    (lambda d: d["shard"].update(id="\x1b[2J"), "shard.id: expected a text without control characters"),
])
def test_refused(shards, tmp_path, change, said):
    """Exit 2, nothing written, and the file and the key are named."""
    paths = rewritten(shards, tmp_path, only(2, change))
    done = subprocess.run([IUBENCH, "merge", *paths, "-o", tmp_path / "out.json"],
                          capture_output=True, text=True, timeout=10)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert str(paths[2]) in done.stderr or str(paths[1]) in done.stderr
    assert not (tmp_path / "out.json").exists()


def distort(document):
    target = document["targets"][0]
    for key in ("latency_us", "service_time_us", "send_lag_us"):
        target[key]["mean"] = 1e18
    target["rps"] = target["duration_s"] = document["client"]["cpu_pct"] = 1e18
    target["series"][0].update(client_cpu_pct=1e18, length_s=1e-18)
    target["verdict"] = {"status": "INVALID", "reasons": ["\x1b[2J" + "\xe9" * 300]}
    del target["held_rps"]


def test_senseless_numbers(shards, tmp_path):
    """Whatever a document says beside its counts and histograms, a result comes of it that does no harm."""
    code, whole, errors = merge(tmp_path, *rewritten(shards, tmp_path, lambda i, d: distort(d)))
    latency = whole["targets"][0]["latency_us"]
    assert code == 5 and latency["min"] < latency["mean"] < latency["max"]
    assert whole["targets"][0]["duration_s"] == 1e18
    assert whole["shards"]["parts"][0]["held_rps"] is None
    assert "\x1b" not in errors


def test_no_file(tmp_path):
    (tmp_path / "bad.json").write_text("{")
    for path, code, said in (("/no/such", 1, "cannot be read"), (tmp_path / "bad.json", 2, "is no JSON")):
        done = subprocess.run([IUBENCH, "merge", path], capture_output=True, text=True, timeout=10)
        assert done.returncode == code and said in done.stderr


def test_merged_is_compared(shards, tmp_path):
    """A merged result is a result: it can be compared with another."""
    merged = tmp_path / "m.json"
    subprocess.run([IUBENCH, "merge", *files(shards), "-o", merged], capture_output=True, timeout=10)
    done = subprocess.run([IUBENCH, "compare", f"all={merged}", f"one={shards / '0.json'}"],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode in AS_A_WHOLE and "too few repeats" in done.stdout
