"""The histogram against HdrHistogram's own reader and writer (pip install hdrhistogram)."""

import base64
import ctypes
import random
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

reference = pytest.importorskip("hdrh.histogram", reason="pip install hdrhistogram to run this")

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ["src/metrics/hist.c", "src/metrics/hist_encoding.c", "src/base/check.c", "src/base/fail.c",
           "src/base/log.c", "src/base/mem.c", "src/base/text.c"]
HIGHEST_NS = 3_600_000_000_000
PERCENTS = [0.01, 1, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100]
COUNT = 100_000  # every percentile above is a whole rank: no choice of rounding is left


class Text(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("len", ctypes.c_size_t), ("room", ctypes.c_size_t),
                ("may_fail", ctypes.c_bool), ("is_cut", ctypes.c_bool)]


class Span(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("len", ctypes.c_size_t)]


@pytest.fixture(scope="module")
def hist(tmp_path_factory):
    """The modules under test as a shared library."""
    library = tmp_path_factory.mktemp("hist") / "hist.so"
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-shared", "-fPIC", "-Isrc", "-o",
                    library, *SOURCES, "-lz", "-lm"], cwd=ROOT, check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.hist_new.restype = ctypes.c_void_p
    loaded.hist_record.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
    loaded.hist_encode.argtypes = [ctypes.c_void_p, ctypes.POINTER(Text)]
    loaded.hist_decode.argtypes = [ctypes.c_void_p, Span]
    loaded.hist_decode.restype = ctypes.c_bool
    loaded.hist_percentile.argtypes = [ctypes.c_void_p, ctypes.c_double]
    loaded.hist_percentile.restype = ctypes.c_uint64
    loaded.hist_mean.argtypes = [ctypes.c_void_p]
    loaded.hist_mean.restype = ctypes.c_double
    return loaded


def samples(shape):
    rng = random.Random(20261120)
    draw = {
        "uniform": lambda: rng.randrange(10_000_000),
        "exponential": lambda: int(rng.expovariate(1 / 300_000)),
        "lognormal": lambda: int(rng.lognormvariate(13, 2)),
        "two peaks": lambda: 5_000_000_000 if rng.random() < 0.02 else int(rng.gauss(80_000, 900)),
        "whole range": lambda: min(int(2 ** rng.uniform(0, 42)), HIGHEST_NS),
        "small": lambda: rng.randrange(4),
        "constant": lambda: 123_456_789,
    }[shape]
    return [max(0, draw()) for _ in range(COUNT)]


def encoded(hist, handle):
    text = Text()
    hist.hist_encode(handle, ctypes.byref(text))
    return ctypes.string_at(text.data, text.len)


def counts_of(blob):
    """The counts of an encoding, by a few lines that know only the format's description."""
    outer = base64.b64decode(blob, validate=True)
    cookie, length = struct.unpack_from(">II", outer)
    assert cookie == 0x1C849314 and length == len(outer) - 8
    plain = zlib.decompress(outer[8:])
    head = struct.unpack_from(">IIIIqqd", plain)
    assert head == (0x1C849313, len(plain) - 40, 0, 3, 1, HIGHEST_NS, 1.0)
    counts, at = [], 40
    while at < len(plain):
        number = shift = 0
        while True:
            byte = plain[at]
            at += 1
            number |= (byte & (0x7F if shift < 56 else 0xFF)) << shift
            shift += 7
            if byte < 0x80 or shift > 56:
                break
        number = number >> 1 ^ -(number & 1)
        counts.extend([0] * -number if number < 0 else [number])
    return counts


SHAPES = ["uniform", "exponential", "lognormal", "two peaks", "whole range", "small", "constant"]


@pytest.mark.parametrize("shape", SHAPES)
def test_reference_reads_ours(hist, shape):
    """The reference decodes our text to the counts that it counts itself, and so to our figures."""
    values = samples(shape)
    ours, theirs = hist.hist_new(), reference.HdrHistogram(1, HIGHEST_NS, 3)
    for value in values:
        hist.hist_record(ours, value)
        theirs.record_value(value)
    blob = encoded(hist, ours)
    assert blob.startswith(b"HISTFAAA")
    assert counts_of(blob) == counts_of(theirs.encode())

    decoded = reference.HdrHistogram.decode(blob)
    assert decoded.get_total_count() == COUNT
    for percent in PERCENTS:
        expected = min(decoded.get_value_at_percentile(percent), max(values))
        assert hist.hist_percentile(ours, percent) == expected, percent
    assert hist.hist_mean(ours) == pytest.approx(sum(values) / COUNT, rel=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_we_read_the_reference(hist, shape):
    """We decode the reference's text to the same percentiles and mean."""
    theirs = reference.HdrHistogram(1, HIGHEST_NS, 3)
    for value in samples(shape):
        theirs.record_value(value)
    blob = theirs.encode()
    ours = hist.hist_new()
    assert hist.hist_decode(ours, Span(blob, len(blob)))
    for percent in PERCENTS:
        expected = min(theirs.get_value_at_percentile(percent), HIGHEST_NS)
        assert hist.hist_percentile(ours, percent) == expected, percent
    assert hist.hist_mean(ours) == pytest.approx(theirs.get_mean_value(), rel=1e-4, abs=0.6)


def test_empty(hist):
    """Nothing recorded is a text as well, on both sides."""
    ours = hist.hist_new()
    assert reference.HdrHistogram.decode(encoded(hist, ours)).get_total_count() == 0
    blob = reference.HdrHistogram(1, HIGHEST_NS, 3).encode()
    assert hist.hist_decode(ours, Span(blob, len(blob)))
    assert hist.hist_percentile(ours, 50) == 0
