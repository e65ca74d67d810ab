"""Result documents by hand, for whatever reads them: complete, plausible, and with one knob for each
thing that can go wrong. The same call gives the same document."""

import json
import math
import random

ERRORS = ("dns", "connect", "reset", "bad_response", "unexpected", "status_3xx", "status_4xx", "status_5xx")
PARTIES = {"target": 60, "postgres": 140, "memcached": 20, "client": 35}  # CPU at the full rate


def distribution(p50_us, count):
    factors = {"min": 0.4, "mean": 1.2, "p50": 1, "p75": 1.6, "p90": 2.4, "p95": 3, "p99": 5, "p999": 8, "max": 12}
    return {**{name: p50_us * factor if count else 0 for name, factor in factors.items()}, "count": count}


def buckets(p50_us, count, chance):
    """Four a doubling from 1 us: [[upper edge, count], ...]."""
    counts = {}
    for _ in range(60):
        at = max(0, round(4 * math.log2(p50_us * math.exp(chance.gauss(0, 0.7)))))
        counts[at] = counts.get(at, 0) + max(1, count // 60)
    return [[round(2 ** (at / 4), 3), n] for at, n in sorted(counts.items())]


def party(cpu_pct, rss_bytes, throttled_ms=0.0):
    return {"cpu_pct": cpu_pct, "cpu_pct_by_core": {"0": cpu_pct}, "rss_bytes": rss_bytes,
            "pss_bytes": rss_bytes - 1_000_000, "threads": 2, "fds": 300, "voluntary_switches": 1000,
            "involuntary_switches": 10, "quota_cpus": None, "periods": None, "throttled_periods": None,
            "throttled_ms": throttled_ms}


def second(t, target_rps, capacity_rps, chance, has_storage=True, parties=PARTIES):
    """One row: past the capacity latency rises steeply and some requests time out."""
    load = target_rps / capacity_rps
    rps = min(target_rps, capacity_rps) * chance.uniform(0.99, 1)
    p50_us = 200 * (1 + 3 * load ** 4) * (1 + 40 * max(0, load - 1)) * chance.uniform(0.9, 1.1)
    timeouts = int(max(0, target_rps - capacity_rps) * 0.02)
    row = {"t": t, "length_s": 1.0, "target_rps": float(target_rps), "rps": rps, "p50_us": p50_us,
           "p90_us": 2.4 * p50_us, "p99_us": 5 * p50_us, "p999_us": 8 * p50_us, "max_us": 12 * p50_us,
           "availability": 1 - timeouts / target_rps, "scheduled": int(target_rps), "unsent": 0,
           "sent": int(target_rps), "ok": int(target_rps) - timeouts, "timeouts": timeouts,
           "errors": dict.fromkeys(ERRORS, 0), "in_flight": int(64 * load), "backlog": timeouts,
           "connections": 64, "clients": None, "equivalent_rps": None,
           "send_lag_p99_us": 20 * chance.uniform(0.8, 1.3), "client_cpu_pct": 35 * load,
           "cpu_pct": 60 * load, "rss_bytes": 24_000_000 + 200_000 * t, "throttled_ms": 0.0,
           "db_p99_us": 2.5 * p50_us if has_storage else None,
           "cache_p99_us": 0.8 * p50_us if has_storage else None,
           "pool": 3 if has_storage else None, "pool_in_flight": int(30 * load) if has_storage else None,
           "db_errors": 0, "cache_errors": 0,
           "latency_buckets": buckets(p50_us, int(rps), chance),
           "host": {"cpu_pct_by_core": [50.0, 30.0], "steal_pct": 0.0, "mhz": None},
           "parties": {name: party(pct * load, 20_000_000 + 300_000 * t) for name, pct in parties.items()}}
    return row


def target(name="iubench", seconds=20, top_rps=40_000, capacity_rps=30_000, **options):
    chance = random.Random(f"{name} {seconds} {top_rps}")
    series = [second(t, top_rps * t // seconds, capacity_rps, chance, **options)
              for t in range(1, seconds + 1)]
    held = max((row["target_rps"] for row in series if row["rps"] >= 0.98 * row["target_rps"]), default=0)
    total = {key: sum(row[key] for row in series) for key in ("scheduled", "unsent", "sent", "ok", "timeouts")}
    p50_us = next((row["p50_us"] for row in series if row["target_rps"] == held), 0)
    return {"name": name, "url": "http://127.0.0.1:8080/api/devices", "method": "POST", "model": "ramp",
            "arrivals": "uniform", "seed": 1, "clients_ramp": None, "timeout_s": 5.0, "keepalive": True,
            "pipeline": 1, "connections_made": 64,
            "requests": {**total, "unfinished": 0, "errors": dict.fromkeys(ERRORS, 0)},
            "received_bytes": 1_000_000, "duration_s": float(seconds), "rps": held, "target_rps": None,
            "held_rps": held, "availability": total["ok"] / max(1, total["scheduled"]),
            "latency_us": distribution(p50_us, total["ok"]), "service_time_us": distribution(p50_us, total["ok"]),
            "send_lag_us": distribution(5, total["ok"]),
            "histograms": {"unit": "ns", "latency": "HISTFAAAA", "service_time": "HISTFAAAA"},
            "server_cpu_us_per_request": 1e6 * 0.6 / capacity_rps,
            "parties": {name: {"cpu_us_per_request": 1e4 * pct / capacity_rps, "cpu_pct_mean": pct / 2,
                               "cpu_pct_max": pct, "rss_bytes_max": 30_000_000, "pss_bytes_max": 29_000_000}
                        for name, pct in PARTIES.items()},
            "published": None, "verdict": {"status": "VALID", "reasons": []}, "expectations": [],
            "find_max": None, "series": series}


def environment():
    unknown = dict.fromkeys(("smt", "frequency_driver", "frequency_max_khz", "boost", "no_turbo", "idle_driver",
                             "isolated", "nohz_full", "microcode"))
    return {"kernel": "6.1.0", "kernel_build": None, "architecture": "x86_64", "system": "Debian", "hardware": None,
            "cpu_model": "Some CPU", "cores": 8, "governor": None,
            "cpu": {"topology": {"sockets": 1, "cores": 4, "threads": 8}, **unknown, "allowed": "0-7"},
            "mitigations": {"meltdown": "Not affected", "spectre_v1": "Mitigation"}, "numa_nodes": None,
            "memory_bytes": 8 * 2 ** 30, "huge_pages": None, "clocksource": "tsc",
            "limits": {"nofile": 20000, "nofile_hard": 20000, "memlock_bytes": None, "nproc": None},
            "sysctls": {"net.core.somaxconn": "4096"},
            "cgroup": {"version": 2, "cpu_limit": None, "memory_limit_bytes": None},
            "versions": {"iubench": "0.1.0", "revision": None, "date": "2026-11-20", "compiler": "12", "jansson": "2.14",
                         "libraries": "", "postgres": "15", "memcached": "1.6"},
            "pinning": {"cores": "target 0-1, client 2-3"}}


def result(*targets, scenario="test2", status="VALID", reasons=(), **more):
    document = {"schema": "iubench-result/1", "iubench": "0.1.0", "started": "2026-11-20T17:00:00.000000Z",
            "command": ["iubench", "run", scenario], "interrupted": False,
            "environment": environment(),
            "scenario": {"name": scenario, "load_model": "open", "services": "managed", "store": "postgres 15",
                         "cache": "memcached 1.6",
                         "published": None, "figures": []},
            "targets": list(targets or [target()]),
            "client": {"threads": 1, "connections": 64, "cpu_pct": 30.0, "cpu_pct_worst_thread": 30.0,
                       "steal_pct": 0.0, "send_lag_p99_us": 20.0},
            "verdict": {"status": status, "reasons": list(reasons)}, **more}
    # as many digits as result files have
    return json.loads(json.dumps(document), parse_float=lambda text: float(f"{float(text):.12g}"))
