/* What the panels are, as a table. A panel has kinds (percentiles, causes, parties): with one
 * contestant each kind is a line, with several one kind is chosen and each contestant is a line in
 * its own colour. What no second knows is no panel but one sentence at the end. */

const PARTY_COLOURS = {
    target: "c0",
    postgres: "c1",
    memcached: "c2",
    upstream: "c3",
    client: "c4",
};

function kind(id, label, colour, of, more = {}) {
    return { id, label, colour, of, ...more };
}

/* The second in which a run ends is seldom a whole one, and its rate is none. */
function targetOf(row) {
    return row.length_s < 0.5 ? null : (row.target_rps ?? row.equivalent_rps);
}

/* A kind for each party of which `of` knows something. */
function partyKinds(contestants, of) {
    return PARTIES.filter((party) =>
        contestants.some((c) => c.rows.some((row) => isKnown(of(row, party)))),
    ).map((party) => kind(party, party, PARTY_COLOURS[party], (row) => of(row, party)));
}

function memoryKinds(contestants) {
    const keys = Object.fromEntries(PARTIES.map((party) => [party, memoryKey(contestants, party)]));
    return partyKinds(contestants, (row, party) => partyOf(row, party, keys[party]));
}

function errorKinds(contestants) {
    const colours = ["c1", "c3", "c4", "c2", "c5", "c6", "c7", "c0", "c1", "c3"];
    return Object.entries(ERRORS)
        .map(([cause, label], i) =>
            kind(cause, label, colours[i], (row) => errorsOf(row, cause) ?? null),
        )
        .filter((k) => contestants.some((c) => c.rows.some((row) => k.of(row) > 0)));
}

/* Those of which any second knows something. */
const knownKinds = (kinds) => (contestants) =>
    kinds.filter((k) => contestants.some((c) => c.rows.some((row) => isKnown(k.of(row)))));

/* Availability near its top must be seen, and its top is not the panel's edge. */
function shareRange(lines) {
    const lowest = lines
        .flatMap((line) => line.values)
        .reduce((least, value) => (isKnown(value) && value < least ? value : least), 1);
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
            kind("target", "due", "muted", targetOf, { isTarget: true }),
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
        title: "Latency heat map",
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
        kinds: (contestants) =>
            partyKinds(contestants, (row, party) => partyOf(row, party, "cpu_pct")),
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
            partyKinds(contestants, (row, party) => partyOf(row, party, "throttled_ms")).filter(
                (k) => contestants.some((c) => c.rows.some((row) => k.of(row) > 0)),
            ),
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
            kind("connections", "connections", "muted", (row) => row.connections, {
                isFaint: true,
            }),
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
        kinds: () => [kind("p99", "p99", "c1", (point) => point.p99_us)],
    },
    {
        id: "rate-achieved",
        title: "Achieved requests per second",
        format: format.rate,
        axis: format.short,
        kinds: () => [
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
        kinds: () => [kind("availability", "availability", "c0", (point) => point.availability)],
    },
];

/* --- a panel on the page --- */

const timeGroup = new Group(),
    rateGroup = new Group();

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
            isJoined: isRate,
            cursor: isRate ? (rate) => format.short(rate) + "/s" : undefined,
            below: isRate ? drawKnees : drawFaults,
        };
        if (definition.isHeat) Object.assign(this.style, heatStyle(this));
        this.chart = new Chart(isRate ? rateGroup : timeGroup, this.style);
        this.switches = element("div", { className: "switches" });
        this.root = element(
            "figure",
            { className: "panel", id: "panel-" + definition.id },
            element(
                "figcaption",
                {},
                element("h3", { textContent: definition.title }),
                this.switches,
            ),
            this.chart.legend,
            this.chart.plot,
        );
        if (definition.hasLog) this.addLog();
    }

    addLog() {
        this.logBox = element("input", { type: "checkbox" });
        this.logBox.addEventListener("change", () => {
            this.style.isLog = this.logBox.checked;
            this.isLogChosen = true;
            this.chart.draw();
        });
        this.log = element("label", { className: "log" }, this.logBox, "log");
    }

    /* One of `choices` [{id, label}] by radio buttons; redrawn only when they have changed. */
    offer(choices) {
        if (!choices.some((choice) => choice.id === this.chosen))
            this.chosen = choices[0]?.id ?? null;
        const offered = choices.length > 1 ? choices : [];
        const key = JSON.stringify(offered);
        if (key === this.offered) return;
        this.offered = key;
        this.switches.replaceChildren(
            ...offered.map((choice) => {
                const radio = element("input", {
                    type: "radio",
                    name: this.root.id,
                    checked: choice.id === this.chosen,
                });
                radio.addEventListener("change", () => {
                    this.chosen = choice.id;
                    this.update(this.contestants);
                });
                return element(
                    "label",
                    { className: "choice" },
                    radio,
                    element("span", { textContent: choice.label }),
                );
            }),
            ...(this.log ? [this.log] : []),
        );
    }

    /* Takes the contestants as they are now; false: it has nothing to draw. */
    update(contestants) {
        this.contestants = this.chart.contestants = contestants;
        if (this.log && !this.isLogChosen)
            /* contestants are often decades apart */
            this.style.isLog = this.logBox.checked = contestants.length > 1;
        const make = this.definition.isHeat
            ? heatMaker(this, contestants)
            : this.maker(contestants);
        this.root.hidden = !make;
        if (make) this.chart.take(make);
        return make !== null;
    }

    /* How to make what the chart draws, once it is in sight; null if there is nothing. */
    maker(contestants) {
        const kinds = this.definition.kinds(contestants),
            axis = axisOf(contestants, this.isRate);
        if (!kinds.length || (this.isRate && axis.x.length < 2)) return null;
        const isOne = contestants.length === 1;
        this.offer(isOne ? [] : kinds.filter((k) => !k.isTarget));
        return () => ({
            ...axis,
            lines: isOne
                ? this.linesByKind(contestants[0], kinds, axis)
                : this.linesByContestant(contestants, kinds, axis),
        });
    }

    line(c, k, axis, label, colour) {
        return {
            label,
            colour,
            dash: k.isTarget,
            isFaint: k.isFaint || k.isTarget,
            hasPoints: this.isRate && !k.isTarget && axis.x.length < 200,
            values: axis.pointsOf.get(c).map((point) => (point ? (k.of(point) ?? null) : null)),
        };
    }

    linesByKind(c, kinds, axis) {
        return kinds.map((k) => this.line(c, k, axis, k.label, k.colour));
    }

    linesByContestant(contestants, kinds, axis) {
        const chosen = kinds.find((k) => k.id === this.chosen);
        const lines = contestants.map((c) => this.line(c, chosen, axis, c.label, c.colour));
        for (const k of kinds.filter((one) => one.isTarget)) {
            const wanted = contestants.map((c) =>
                this.line(c, k, axis, `${k.label}, ${c.label}`, c.colour),
            );
            lines.push(...(sharedLine(wanted, k.label) ?? wanted));
        }
        return lines;
    }
}

/* What was wanted of contestants that were given the same, once; null if it differs. */
function sharedLine(lines, label) {
    const length = (line) => line.values.filter(isKnown).length;
    const longest = lines.reduce((a, b) => (length(b) > length(a) ? b : a));
    const isSame = lines.every((line) =>
        line.values.every((v, i) => !isKnown(v) || v === longest.values[i]),
    );
    return isSame ? [{ ...longest, label, colour: "muted" }] : null;
}

/* --- one x for all --- */

const axes = new WeakMap();

/* {x, extent, pointsOf: contestant => its points in the order of x}, made once for all panels. */
function axisOf(contestants, isRate) {
    const made = axes.get(contestants) ?? {};
    axes.set(contestants, made);
    return (made[isRate] ??= isRate
        ? axisOver(
              contestants,
              (c) => c.curve,
              (point) => point.offered,
              false,
          )
        : axisOver(
              contestants,
              (c) => c.rows,
              (row) => row.t,
              true,
          ));
}

/* Of seconds that nobody has there is one, so that the lines break; all panels end alike. */
function axisOver(contestants, pointsOf, xOf, isTime) {
    let x = [...new Set(contestants.flatMap((c) => pointsOf(c).map(xOf)))].sort((a, b) => a - b);
    const first = x[0],
        last = x[x.length - 1];
    if (isTime) x = x.flatMap((t, i) => (i && t - x[i - 1] > 1 ? [x[i - 1] + 1, t] : [t]));
    const margin = (last - first || 1) * 0.02;
    const places = new Map(x.map((at, i) => [at, i]));
    const aligned = (points) => {
        const placed = new Array(x.length);
        for (const point of points) placed[places.get(xOf(point))] = point;
        return Array.from(placed);
    };
    return {
        x,
        extent: isTime ? [Math.min(first, 1) - 0.5, last + 0.5] : [first - margin, last + margin],
        pointsOf: new Map(contestants.map((c) => [c, aligned(pointsOf(c))])),
    };
}

/* --- the knee --- */

/* The rate that was held, as an upright line; with one contestant its number stands beside it, of
 * several the table has it. */
function drawKnees(context, area, graph, chart) {
    for (const c of chart.contestants) {
        const x = Math.round(graph.toDomXCoord(kneeOf(c) ?? NaN)) + 0.5;
        if (!(x >= area.x && x <= area.x + area.w)) continue;
        const isOne = chart.contestants.length === 1,
            isLeft = x > area.x + area.w / 2;
        context.save();
        context.strokeStyle = context.fillStyle = colour(isOne ? "ink" : c.colour);
        context.setLineDash([2, 3]);
        context.beginPath();
        context.moveTo(x, area.y);
        context.lineTo(x, area.y + area.h);
        context.stroke();
        context.font = "12px system-ui, sans-serif";
        context.textAlign = isLeft ? "right" : "left";
        if (isOne)
            context.fillText(
                `held ${format.short(kneeOf(c))}/s`,
                x + (isLeft ? -6 : 6),
                area.y + area.h * 0.35,
            );
        context.restore();
    }
}

/* --- a fault on demand --- */

/* The seconds that it touched, shaded; what it was stands in its first panel. */
function drawFaults(context, area, graph, chart) {
    const faults = distinct(
        chart.contestants.map(({ target }) => target.fault && JSON.stringify(target.fault)),
    ).map((text) => JSON.parse(text));
    const edge = (s) =>
        Math.min(Math.max(graph.toDomXCoord(s + 0.5), area.x), area.x + area.w);
    context.save();
    context.fillStyle = colour("fault");
    for (const { begin_s, end_s } of faults)
        context.fillRect(edge(begin_s), area.y, edge(end_s) - edge(begin_s), area.h);
    context.restore();
}
