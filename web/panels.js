/* What the panels are, as a table. A panel has kinds (percentiles, causes, parties): with one
 * contestant each kind is a line, with several one kind is chosen and each contestant is a line in
 * its own colour. What no second knows is no panel but one sentence at the end. */

const PARTY_COLOURS = { target: "c0", postgres: "c1", memcached: "c2", upstream: "c3", client: "c4" };

function kind(id, label, colour, of, more = {}) {
    return { id, label, colour, of, ...more };
}

/* A kind for each party of which `of` knows something. */
function partyKinds(contestants, of) {
    return PARTIES.filter((party) => contestants.some((c) => c.rows.some((row) => isKnown(of(row, party)))))
        .map((party) => kind(party, party, PARTY_COLOURS[party], (row) => of(row, party)));
}

function memoryKinds(contestants) {
    const keys = Object.fromEntries(PARTIES.map((party) => [party, memoryKey(contestants, party)]));
    return partyKinds(contestants, (row, party) => partyOf(row, party, keys[party]));
}

function errorKinds(contestants) {
    const colours = ["c1", "c3", "c4", "c2", "c5", "c6", "c7", "c0", "c1", "c3"];
    return Object.entries(ERRORS)
        .map(([cause, label], i) => kind(cause, label, colours[i], (row) => errorsOf(row, cause) ?? null))
        .filter((k) => contestants.some((c) => c.rows.some((row) => k.of(row) > 0)));
}

/* Those of which any second knows something. */
const knownKinds = (kinds) => (contestants) => kinds.filter((k) =>
    contestants.some((c) => c.rows.some((row) => isKnown(k.of(row)))));

/* Availability near its top must be seen, and its top is not the panel's edge. */
function shareRange(lines) {
    const lowest = Math.min(1, ...lines.flatMap((line) => line.values.filter(isKnown)));
    const low = lowest > 0.999 ? 0.99 : Math.max(0, lowest - (1 - lowest) * 0.1);
    return [low, 1 + (1 - low) * 0.05];
}

const TIME_PANELS = [
    {
        id: "rate",
        title: "Requests per second",
        format: format.rate,
        axis: format.short,
        kinds: knownKinds([
            kind("achieved", "achieved", "c0", (row) => row.rps),
            kind("target", "target", "muted", (row) => row.target_rps ?? row.equivalent_rps, { isTarget: true }),
        ]),
        absent: "Requests per second: no second was recorded.",
    },
    {
        id: "latency",
        title: "Latency",
        format: format.latency,
        hasLog: true,
        chosen: "p99",
        kinds: knownKinds([
            kind("p50", "p50", "c2", (row) => row.p50_us),
            kind("p90", "p90", "c0", (row) => row.p90_us),
            kind("p99", "p99", "c1", (row) => row.p99_us),
            kind("max", "max", "muted", (row) => row.max_us, { isFaint: true }),
        ]),
        absent: "Latency: no second was recorded.",
    },
    {
        id: "heat",
        title: "Latency, all of it",
        isHeat: true,
        absent: "Latency heat map: the seconds of this result have no buckets of latency.",
    },
    {
        id: "availability",
        title: "Availability",
        format: format.share,
        axis: (share) => (share > 1 ? "" : format.percent(share * 100, true)),
        range: shareRange,
        kinds: knownKinds([kind("availability", "availability", "c0", (row) => row.availability)]),
        absent: "Availability: no second was recorded.",
    },
    {
        id: "errors",
        title: "Errors by cause, each second",
        format: format.count,
        axis: format.short,
        kinds: errorKinds,
        absent: "Errors: none, in any second.",
    },
    {
        id: "cpu",
        title: "CPU by party, of one core",
        format: format.percent,
        kinds: (contestants) => partyKinds(contestants, (row, party) => partyOf(row, party, "cpu_pct")),
        absent: "CPU: not known of any party; a target that runs elsewhere is not seen.",
    },
    {
        id: "memory",
        title: "Memory by party",
        format: format.bytes,
        kinds: memoryKinds,
        absent: "Memory: not known of any party; a target that runs elsewhere is not seen.",
    },
    {
        id: "throttling",
        title: "CPU throttling, each second",
        format: format.milliseconds,
        kinds: (contestants) =>
            partyKinds(contestants, (row, party) => partyOf(row, party, "throttled_ms"))
                .filter((k) => contestants.some((c) => c.rows.some((row) => k.of(row) > 0))),
        absent: "CPU throttling: none, in any second.",
    },
    {
        id: "database",
        title: "Database latency",
        format: format.latency,
        kinds: knownKinds([kind("p99", "p99 of an insert", "c1", (row) => row.db_p99_us)]),
        absent: "Database latency: no database that this program could see was asked.",
    },
    {
        id: "cache",
        title: "Cache latency",
        format: format.latency,
        kinds: knownKinds([kind("p99", "p99 of a set", "c2", (row) => row.cache_p99_us)]),
        absent: "Cache latency: no cache that this program could see was asked.",
    },
    {
        id: "pool",
        title: "Database pool",
        format: format.count,
        axis: format.short,
        kinds: knownKinds([
            kind("size", "connections", "muted", (row) => row.pool),
            kind("in_flight", "inserts in flight", "c1", (row) => row.pool_in_flight),
        ]),
        absent: "Database pool: no pool that this program could see.",
    },
    {
        id: "in-flight",
        title: "Requests under way",
        format: format.count,
        axis: format.short,
        kinds: knownKinds([
            kind("in_flight", "in flight", "c0", (row) => row.in_flight),
            kind("backlog", "waiting for a connection", "c1", (row) => row.backlog),
            kind("connections", "connections", "muted", (row) => row.connections, { isFaint: true }),
        ]),
        absent: "Requests under way: not recorded.",
    },
    {
        id: "lag",
        title: "Send lag of the client",
        format: format.latency,
        kinds: knownKinds([kind("p99", "p99", "c4", (row) => row.send_lag_p99_us)]),
        absent: "Send lag: not recorded.",
    },
];

const RATE_PANELS = [
    {
        id: "rate-latency",
        title: "p99 latency",
        format: format.latency,
        hasLog: true,
        kinds: [kind("p99", "p99", "c1", (point) => point.p99_us)],
    },
    {
        id: "rate-achieved",
        title: "Achieved requests per second",
        format: format.rate,
        axis: format.short,
        kinds: [
            kind("achieved", "achieved", "c0", (point) => point.rps),
            kind("target", "offered", "muted", (point) => point.offered, { isTarget: true }),
        ],
    },
    {
        id: "rate-availability",
        title: "Availability",
        format: format.share,
        axis: (share) => (share > 1 ? "" : format.percent(share * 100, true)),
        range: shareRange,
        kinds: [kind("availability", "availability", "c0", (point) => point.availability)],
    },
];

/* --- a panel on the page --- */

const timeGroup = new Group(), rateGroup = new Group();

class Panel {
    constructor(definition, isRate) {
        this.definition = definition;
        this.isRate = isRate;
        this.chosen = definition.chosen ?? null;
        this.style = {
            format: definition.format,
            axis: definition.axis,
            range: definition.range,
            isLog: false,
            cursor: isRate ? (rate) => format.short(rate) : undefined,
            below: isRate ? drawKnees : undefined,
        };
        if (definition.isHeat) Object.assign(this.style, heatStyle(this));
        this.chart = new Chart(isRate ? rateGroup : timeGroup, this.style);
        this.switches = element("div", { className: "switches" });
        this.root = element("figure", { className: "panel", id: "panel-" + definition.id },
            element("figcaption", {}, element("h3", { textContent: definition.title }), this.switches),
            this.chart.legend, this.chart.plot);
        if (definition.hasLog) this.addLog();
    }

    addLog() {
        const box = element("input", { type: "checkbox" });
        box.addEventListener("change", () => {
            this.style.isLog = box.checked;
            this.chart.draw();
        });
        this.log = element("label", { className: "log" }, box, "log");
    }

    /* One of `choices` [{id, label}] by radio buttons; redrawn only when they have changed. */
    offer(choices) {
        if (!choices.some((choice) => choice.id === this.chosen)) this.chosen = choices[0]?.id ?? null;
        const offered = choices.length > 1 ? choices : [];
        const key = JSON.stringify(offered);
        if (key === this.offered) return;
        this.offered = key;
        this.switches.replaceChildren(
            ...offered.map((choice) => {
                const radio = element("input", { type: "radio", name: this.root.id, checked: choice.id === this.chosen });
                radio.addEventListener("change", () => {
                    this.chosen = choice.id;
                    this.update(this.contestants);
                });
                return element("label", { className: "choice" }, radio, element("span", { textContent: choice.label }));
            }),
            ...(this.log ? [this.log] : [])
        );
    }

    /* Takes the contestants as they are now; false: it has nothing to draw. */
    update(contestants) {
        this.contestants = contestants;
        const drawn = this.definition.isHeat ? heatLines(this, contestants)
            : this.isRate ? this.rateLines(contestants) : this.timeLines(contestants);
        this.root.hidden = !drawn;
        if (!drawn) return false;
        this.chart.plot.setAttribute("aria-label", this.definition.title + ": " +
            drawn.lines.map((line) => line.label).join(", ") + ". Arrow keys move the crosshair.");
        this.chart.setLines(drawn.x, drawn.lines, drawn.extent);
        return true;
    }

    timeLines(contestants) {
        const kinds = this.definition.kinds(contestants);
        if (!kinds.length) return null;
        const x = secondsOf(contestants);
        return { x, lines: this.linesOf(contestants, kinds, (c) => byX(c.rows, x, (row) => row.t)), extent: extentOf(x, true) };
    }

    rateLines(contestants) {
        const curves = new Map(contestants.map((c) => [c, curveOf(c)]));
        const x = [...new Set([...curves.values()].flatMap((curve) => curve.map((point) => point.offered)))]
            .sort((a, b) => a - b);
        if (x.length < 2) return null;
        const lines = this.linesOf(contestants, this.definition.kinds, (c) => byX(curves.get(c), x, (point) => point.offered));
        for (const line of lines) line.hasPoints = !line.dash && x.length < 200;
        return { x, lines: lines.filter((line) => line.values.some(isKnown)), extent: extentOf(x, false) };
    }

    linesOf(contestants, kinds, pointsOf) {
        const line = (c, k, label, colour) => ({
            label, colour,
            dash: k.isTarget,
            isFaint: k.isFaint || k.isTarget,
            values: pointsOf(c).map((point) => (point ? k.of(point) ?? null : null)),
        });
        if (contestants.length === 1) {
            this.offer([]);
            return kinds.map((k) => line(contestants[0], k, k.label, k.colour));
        }
        const choices = kinds.filter((k) => !k.isTarget);
        this.offer(choices);
        const chosen = choices.find((k) => k.id === this.chosen);
        const lines = contestants.map((c) => line(c, chosen, c.label, "c" + (c.index % 8)));
        for (const k of kinds.filter((one) => one.isTarget)) lines.push(...targetsOf(contestants, k, line));
        return lines;
    }
}

/* What was wanted of each; of contestants that were given the same, once. */
function targetsOf(contestants, k, line) {
    const wanted = contestants.map((c) => line(c, k, `${k.label}, ${c.label}`, "c" + (c.index % 8)));
    const longest = wanted.reduce((a, b) =>
        b.values.filter(isKnown).length > a.values.filter(isKnown).length ? b : a);
    const isSame = wanted.every((one) => one.values.every((v, i) => !isKnown(v) || v === longest.values[i]));
    return isSame ? [{ ...longest, label: k.label, colour: "muted" }] : wanted;
}

/* Every second that any has; a second that nobody has breaks the lines. */
function secondsOf(contestants) {
    const all = [...new Set(contestants.flatMap((c) => c.rows.map((row) => row.t)))].sort((a, b) => a - b);
    return all.flatMap((t, i) => (i && t - all[i - 1] > 1 ? [all[i - 1] + 1, t] : [t]));
}

function byX(points, x, xOf) {
    const known = new Map(points.map((point) => [xOf(point), point]));
    return x.map((at) => known.get(at));
}

/* All panels of a group begin and end alike. */
function extentOf(x, isTime) {
    const first = x[0], last = x[x.length - 1], margin = (last - first || 1) * 0.02;
    return isTime ? [Math.min(first, 1) - 0.5, last + 0.5] : [first - margin, last + margin];
}

/* The rate that was held, as an upright line with its number. */
function drawKnees(context, area, graph, chart) {
    chart.knees?.forEach(({ rate, colour: name, label }, i) => {
        const x = Math.round(graph.toDomXCoord(rate)) + 0.5;
        if (x < area.x || x > area.x + area.w) return;
        context.save();
        context.strokeStyle = context.fillStyle = colour(name);
        context.setLineDash([2, 3]);
        context.beginPath();
        context.moveTo(x, area.y);
        context.lineTo(x, area.y + area.h);
        context.stroke();
        const isLeft = x > area.x + area.w / 2;
        context.font = "12px system-ui, sans-serif";
        context.textAlign = isLeft ? "right" : "left";
        context.fillText(label, x + (isLeft ? -6 : 6), area.y + 14 + 16 * i);
        context.restore();
    });
}
