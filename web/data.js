/* Result documents as the page needs them: one flat list of contestants, each with a label of its
 * own and a colour that it keeps, which repeats of one share; and what can be said of them
 * together. Any key may be missing: a run that goes on does not know it yet, a run that failed
 * never did. */

const PARTIES = ["target", "postgres", "memcached", "upstream", "client"];
const ERRORS = {
    timeouts: "timeouts",
    unsent: "never sent",
    dns: "DNS",
    connect: "refused or unreachable",
    reset: "reset",
    bad_response: "bad response",
    unexpected: "unexpected",
    status_3xx: "status 3xx",
    status_4xx: "status 4xx",
    status_5xx: "status 5xx",
};

function contestantsOf(documents) {
    const all = documents.flatMap((document) =>
        (document.targets ?? []).map((target) => ({
            document,
            target,
            rows: (target.series ?? []).map(secondOf),
            label: target.name ?? target.url ?? "target",
        })),
    );
    const add = (what) => {
        const times = new Map();
        for (const c of all) times.set(c.label, (times.get(c.label) ?? 0) + 1);
        const same = all.filter((c) => times.get(c.label) > 1);
        if (new Set(same.map(what)).size > 1) for (const c of same) c.label += " · " + what(c);
    };
    add((c) => c.document.label ?? "");
    add((c) => c.document.scenario?.name ?? "");
    add((c) => format.time(c.document.started));
    const names = distinct(all.map((c) => c.label));
    for (const c of all) {
        c.colour = "c" + (names.indexOf(c.label) % 8);
        if (c.target.repeat && c.document.races?.repeats > 1) c.label += " #" + c.target.repeat;
        c.curve = curveOf(c);
    }
    return all;
}

function distinct(values) {
    return [
        ...new Set(values.filter((value) => value !== null && value !== undefined && value !== "")),
    ];
}

/* --- what a second says --- */

/* One in which nothing ended has neither times nor a share, whatever numbers stand for them. */
function secondOf(row) {
    if (row.ok !== 0 || failuresOf(row) > 0) return row;
    const none = { availability: null, max_us: null };
    for (const quantile of ["p50_us", "p90_us", "p99_us", "p999_us"]) none[quantile] = null;
    return { ...row, ...none };
}

function errorsOf(row, cause) {
    return cause === "timeouts" || cause === "unsent" ? row[cause] : row.errors?.[cause];
}

function failuresOf(counts) {
    return Object.keys(ERRORS).reduce((sum, cause) => sum + (errorsOf(counts, cause) ?? 0), 0);
}

/* Older results have the target's figures in the row itself. */
function partyOf(row, party, key) {
    const value = row.parties?.[party]?.[key];
    if (value !== undefined && value !== null) return value;
    if (party === "target" && key !== "pss_bytes") return row[key] ?? null;
    return party === "client" && key === "cpu_pct" ? (row.client_cpu_pct ?? null) : null;
}

/* The share of shared pages where the kernel tells it, else all that is resident. */
function memoryKey(contestants, party) {
    const hasShare = contestants.some((c) =>
        c.rows.some((row) => isKnown(partyOf(row, party, "pss_bytes"))),
    );
    return hasShare ? "pss_bytes" : "rss_bytes";
}

function highest(values) {
    return values.reduce((most, value) => (isKnown(value) && !(value < most) ? value : most), null);
}

function memoryOf(c) {
    const party = c.target.parties?.target;
    return (
        party?.pss_bytes_max ??
        party?.rss_bytes_max ??
        highest(c.rows.map((row) => partyOf(row, "target", memoryKey([c], "target"))))
    );
}

function cpuOf(c) {
    return (
        c.target.parties?.target?.cpu_us_per_request ?? c.target.server_cpu_us_per_request ?? null
    );
}

/* --- against the offered rate --- */

function median(values) {
    const known = values.filter(isKnown).sort((a, b) => a - b);
    if (!known.length) return null;
    const half = known.length >> 1;
    return known.length % 2 ? known[half] : (known[half - 1] + known[half]) / 2;
}

function offeredIn(point) {
    return point.rate ?? (point.length_s < 0.5 ? null : (point.target_rps ?? point.equivalent_rps));
}

/* Where a target falls behind, what ends well is a small part of what is due, though all that ends
 * does so well; the rest will time out. */
function availabilityAt({ rate, target_rps, rps, availability }) {
    const due = rate ?? target_rps;
    return rps < 0.95 * due ? Math.min(availability ?? 1, rps / due) : availability;
}

/* What came of each rate that was offered: [{offered, rps, p99_us, availability}], by rate. Of the
 * seconds at one rate it is the median; the short second at the end of a run tells nothing. A
 * search has its runs instead, and a run of one rate its own p99. */
function curveOf(c) {
    const byRate = new Map();
    for (const point of c.target.find_max?.probes ?? c.rows) {
        const offered = offeredIn(point);
        if (!isKnown(offered) || offered <= 0) continue;
        const same = byRate.get(offered);
        if (same) same.push(point);
        else byRate.set(offered, [point]);
    }
    const middle = (same, key) =>
        same.length === 1 ? same[0][key] : median(same.map((point) => point[key]));
    const { find_max, latency_us } = c.target;
    const whole = byRate.size === 1 && !find_max && latency_us?.count > 0 ? latency_us.p99 : null;
    return [...byRate.keys()]
        .sort((a, b) => a - b)
        .map((offered) => {
            const same = byRate.get(offered);
            return {
                offered,
                rps: middle(same, "rps"),
                p99_us: whole ?? middle(same, "p99_us"),
                availability: median(same.map(availabilityAt)),
            };
        });
}

/* The rate up to which it kept up: as the result says, else null. */
function kneeOf(c) {
    const knee = c.target.find_max?.max_rps ?? c.target.held_rps;
    return isKnown(knee) && knee > 0 ? knee : null;
}

/* The highest rate that all were offered and held, as far as that is known, and the p99 of each at
 * it; null when there is none. */
function equalRate(contestants) {
    if (contestants.length < 2) return null;
    const near = (c, rate) => {
        const point = c.curve[firstFrom(c.curve, 0.99 * rate)];
        const isHeld =
            point && point.offered <= Math.min(1.01 * rate, (kneeOf(c) ?? Infinity) * 1.001);
        return isHeld ? point.p99_us : null;
    };
    for (const { offered: rate } of contestants[0].curve.slice().reverse()) {
        const p99_us = contestants.map((c) => near(c, rate));
        if (p99_us.every(isKnown)) return { rate, p99_us };
    }
    return null;
}

/* The index of the first point at `rate` or above it. */
function firstFrom(curve, rate) {
    let low = 0,
        high = curve.length;
    while (low < high) {
        const middle = (low + high) >> 1;
        if (curve[middle].offered < rate) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* --- the machine --- */

/* "limits.nofile" and so on with their values; lists as JSON. */
function flattened(value, path = "", into = new Map()) {
    if (value !== null && typeof value === "object" && !Array.isArray(value))
        for (const [key, inner] of Object.entries(value))
            flattened(inner, path ? path + "." + key : key, into);
    else if (value !== null && value !== undefined && value !== "")
        into.set(
            path,
            typeof value === "string" ? value.replace(/\s+/g, " ") : JSON.stringify(value),
        );
    return into;
}

/* Rows {key, values by document, isSame}; what a CPU is not affected by is left out. */
function environmentRows(documents) {
    const each = documents.map((document) => flattened(document.environment ?? {}));
    const keys = [...new Set(each.flatMap((known) => [...known.keys()]))];
    return keys.map((key) => {
        const values = each.map((known) => known.get(key) ?? null);
        return { key, values, isSame: values.every((value) => value === values[0]) };
    }).filter(({ values }) => values.some((value) => value !== "Not affected"));
}
