"""What `iubench load` leaves behind beside its table: thresholds and their exit code, the series as
CSV, and the interval log, which HdrHistogram's own reader must read to the same figures."""

import csv
import io
import json
import os
import subprocess

import pytest

from test_load import IUBENCH, answer, load, serve, slow, sometimes, status  # noqa: F401


def iubench(*words):
    return subprocess.run([IUBENCH, *words], timeout=30, capture_output=True, text=True)


# --- --expect ---

def test_expectations_met(serve, load):
    result = load("-n", "400", "-c", "4", "--expect", "p99<5s, availability>=99.9%,rps>=10",
                  serve(answer).url)
    assert result["exit"] == 0
    assert [e["met"] for e in result["expectations"]] == [True] * 3
    assert result["expectations"][1] == {"text": "availability >= 99.9 %", "metric": "availability",
                                         "bound": 0.999, "measured": 1, "met": True}
    assert "p99 < 5s" in result["output"]


def test_expectation_not_met(serve, load):
    """Exit 3; each expectation is printed with what was measured, met or not."""
    result = load("-n", "1000", "-c", "4", "--expect", "errors<=100,errors<100,p50<1m",
                  serve(sometimes(10, status(b"503 Busy"))).url)
    assert result["exit"] == 3
    assert [e["met"] for e in result["expectations"]] == [True, False, True]
    assert result["expectations"][1]["measured"] == 100
    assert "NOT MET, 100" in result["output"]


def test_invalid_goes_before(serve, load):
    """A verdict of INVALID is exit 5 although an expectation was not met as well."""
    result = load("--rate", "40", "-d", "1s", "-c", "1", "--expect", "p99<1ms",
                  serve(slow(0.05)).url)
    assert not result["expectations"][0]["met"]
    assert result["whole"]["verdict"]["status"] == "INVALID"
    assert result["exit"] == 5


@pytest.mark.parametrize("words", ["p98<1ms", "p99<10", "availability>99.9", "p99"])
def test_bad_expectation(serve, words):
    """Exit 2 before the first request."""
    server = serve(answer)
    done = subprocess.run([IUBENCH, "load", "--expect", words, server.url], timeout=10,
                          capture_output=True, text=True)
    assert done.returncode == 2 and "--expect" in done.stderr
    assert server.connections == 0


# --- --csv ---

def test_csv_is_the_series(serve, load, tmp_path):
    """A row a second, the same figures as in the JSON; what is null there is empty here."""
    path = tmp_path / "series.csv"
    result = load("--rate", "100", "-d", "2s", "--csv", path,
                  serve(sometimes(10, status(b"404 No"))).url)
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(result["series"])
    for row, second in zip(rows, result["series"]):
        flat = {key: value for key, value in second.items()
                if key not in ("errors", "parties", "host", "latency_buckets")}
        flat |= second["errors"]
        flat |= {f"{name}_{key}": value for name, party in second["parties"].items()
                 for key, value in party.items() if key != "cpu_pct_by_core"}
        flat |= {f"host_{key}": value for key, value in (second["host"] or {}).items()
                 if key != "cpu_pct_by_core"}
        assert set(row) == set(flat)
        for key, value in flat.items():
            assert (row[key] == "") if value is None else (float(row[key]) == value), key
    assert sum(int(row["status_4xx"]) for row in rows) == 20


@pytest.mark.parametrize("option", ["--csv", "--hdr"])
def test_files_that_cannot_be_written(serve, option):
    server = serve(answer)
    done = subprocess.run([IUBENCH, "load", option, "/no/such/folder/x", server.url], timeout=10,
                          capture_output=True, text=True)
    assert done.returncode == 2 and option in done.stderr
    assert server.connections == 0


@pytest.mark.parametrize("option", ["--json", "--csv", "--hdr"])
def test_folder_is_no_file(serve, tmp_path, option):
    """Said before the load, as all that cannot be written."""
    server = serve(answer)
    done = subprocess.run([IUBENCH, "load", option, tmp_path, server.url], timeout=30,
                          capture_output=True, text=True)
    assert done.returncode == 2 and f'{option} "{tmp_path}" cannot be written' in done.stderr
    assert server.connections == 0


def test_devices_are_written_to_by_anyone(serve):
    """Whoever may not put files into /dev may still write to what is there."""
    other = {"user": 65534} if os.geteuid() == 0 else {}
    try:
        done = subprocess.run([IUBENCH, "load", "-n", "5", "-c", "1", "--json", "/dev/null", "--csv", "/dev/null",
                               serve(answer).url], timeout=30, capture_output=True, text=True, **other)
    except PermissionError:
        pytest.skip("the program is where others may not go")
    assert done.returncode == 0, done.stderr


def test_link_stays_one(serve, load, tmp_path):
    """What is written goes where a link leads, as it does for /dev/stdout."""
    (tmp_path / "there").write_text("old")
    for link, to in (("series.csv", "there"), ("new.csv", "not yet there")):
        os.symlink(to, tmp_path / link)
        load("-n", "5", "-c", "1", "--csv", tmp_path / link, serve(answer).url)
        assert os.readlink(tmp_path / link) == to
        assert (tmp_path / to).read_text().startswith("t,length_s,")


def test_standard_output_is_for_one(serve):
    """A file that goes there is alone there; two cannot."""
    server = serve(answer)
    words = [IUBENCH, "load", "-q", "-n", "5", "-c", "1", server.url]
    done = subprocess.run([*words, "--csv", "-"], timeout=30, capture_output=True, text=True)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert done.returncode == 0 and sum(int(row["ok"]) for row in rows) == 5
    assert "5 sent, 5 ok" in done.stderr
    for one, other in (("--json", "--csv"), ("--csv", "--hdr"), ("--json", "--hdr")):
        done = subprocess.run([*words, one, "-", other, "-"], timeout=30, capture_output=True, text=True)
        assert done.returncode == 2 and "one can go to the standard output" in done.stderr
    assert server.requests == 5


@pytest.mark.parametrize("first,second", [("--json", "--csv"), ("--csv", "--hdr"), ("--hdr", "--json")])
def test_a_file_is_for_one(serve, tmp_path, first, second):
    """Two documents in one file would be one of them; a device takes both."""
    path = tmp_path / "out"
    done = iubench("load", first, path, second, path, "-n", "1", "-c", "1", serve(answer).url)
    assert done.returncode == 2 and not path.exists()
    assert f'two name the file "{path}"' in done.stderr
    done = iubench("load", first, "/dev/null", second, "/dev/null", "-n", "1", "-c", "1", serve(answer).url)
    assert done.returncode == 0


def test_log_on_a_full_device(serve):
    """What could not be written is said with the system's word for it, also when later seconds could."""
    done = iubench("load", "--hdr", "/dev/full", "-d", "1200ms", "-c", "1", serve(answer).url)
    assert done.returncode == 1
    assert "/dev/full could not be written: No space left on device" in done.stderr


@pytest.mark.parametrize("option", ["--json", "--csv", "--hdr"])
def test_standard_output_is_added_to(serve, tmp_path, option):
    """A shell's >> keeps what there was."""
    path = tmp_path / "all"
    path.write_text("before\n")
    with open(path, "a", encoding="utf-8") as file:
        subprocess.run([IUBENCH, "load", "-q", "-n", "5", "-c", "1", option, "-", serve(answer).url], timeout=30,
                       stdout=file, check=True)
    assert path.read_text().startswith("before\n") and len(path.read_text()) > 100


def test_path_that_is_no_text(tmp_path):
    """A path need not be UTF-8, which JSON must be: what is not stands there as \\xNN."""
    url = f"unix:{tmp_path}/a" + os.fsdecode(b"\xff.sock:/x")
    done = subprocess.run([IUBENCH, "load", "-q", "-n", "1", "-c", "1", "--json", "-", url], timeout=30,
                          capture_output=True, check=False)
    result = json.loads(done.stdout)
    assert done.returncode == 1 and result["targets"][0]["requests"]["errors"]["connect"] == 1
    assert result["targets"][0]["url"] == result["command"][-1] == f"unix:{tmp_path}/a\\xff.sock:/x"


# --- --hdr ---

@pytest.mark.parametrize("words", [["--rate", "500", "-d", "3s"], ["-d", "2s", "-c", "4"]])
def test_interval_log_is_read_by_the_reference(serve, load, tmp_path, words):
    """Two tagged lines a second, one after the other in time; their sum is the run."""
    histogram = pytest.importorskip("hdrh.histogram", reason="run tools/setup test")
    reader_of = pytest.importorskip("hdrh.log").HistogramLogReader
    path = tmp_path / "load.hlog"
    result = load("--hdr", path, *words, serve(slow(0.002)).url)
    sums = {tag: histogram.HdrHistogram(1, 3_600_000_000_000, 3)
            for tag in ("latency", "service_time")}
    ends, lines = {}, 0
    reader = reader_of(str(path), sums["latency"])
    while (interval := reader.get_next_interval_histogram()) is not None:
        tag, begin, end = (interval.get_tag(), interval.get_start_time_stamp(),
                           interval.get_end_time_stamp())
        assert begin >= ends.get(tag, begin) - 2  # ms, as printed
        ends[tag] = end
        sums[tag].add(interval)
        lines += 1
    assert lines == 2 * len(result["series"])
    assert reader.get_start_time_sec() > 1_600_000_000
    for tag, key in (("latency", "latency_us"), ("service_time", "service_time_us")):
        whole = histogram.HdrHistogram.decode(
            result["histograms"]["latency" if tag == "latency" else "service_time"])
        assert sums[tag].get_total_count() == result[key]["count"] == whole.get_total_count()
        for name, percent in (("p50", 50), ("p90", 90), ("p99", 99), ("p999", 99.9)):
            theirs = sums[tag].get_value_at_percentile(percent)
            assert theirs == whole.get_value_at_percentile(percent)
            # it rounds a rank that is not whole to the nearest, we round it up: the next sample
            one = 100 / whole.get_total_count()
            above = sums[tag].get_value_at_percentile(min(100, percent + one))
            least = whole.get_lowest_equivalent_value(theirs)  # theirs is the end of a bucket
            assert least - 1 <= result[key][name] * 1000 <= above + 1, (tag, name)


def test_interrupted_log_is_whole(serve, tmp_path):
    """The log holds each second that was, also when the load was ended by a signal."""
    path = tmp_path / "load.hlog"
    done = subprocess.run(["timeout", "-s", "INT", "2.5", IUBENCH, "load", "-d", "30s", "-c", "2",
                           "--hdr", path, "--json", tmp_path / "r.json", serve(slow(0.01)).url],
                          capture_output=True, timeout=20)
    seconds = len(json.loads((tmp_path / "r.json").read_text())["targets"][0]["series"])
    lines = [line for line in path.read_text().splitlines() if line.startswith("Tag=")]
    assert done.returncode in (124, 130) and seconds >= 2
    assert len(lines) == 2 * seconds


def test_compare_tells_shared_commits(serve, load, tmp_path):
    """Runs whose inserts shared commits are not compared with others without a word."""
    load("-n", "100", "-c", "2", serve(answer).url)
    document = json.loads((tmp_path / "result.json").read_text())
    for started, batch in (("2026-11-20T17:00:00Z", 1), ("2026-11-20T18:00:00Z", 16)):
        document["started"], document["scenario"]["pg_batch"] = started, batch
        (tmp_path / f"{batch}.json").write_text(json.dumps(document))
    done = subprocess.run([IUBENCH, "compare", "1.json", "16.json"], cwd=tmp_path, text=True,
                          stdout=subprocess.PIPE, check=False)
    assert "inserts that may share a commit: 1 in 1.json, 16 in 16.json" in done.stdout
