/* Latency over time with every request in it: a column for each second, a cell for each bucket of
 * latency, as dark as it is full. A chart like the others, so that axes, zoom and crosshair are
 * theirs; the cells are painted below its line, which is the p99. */

const HEAT_STEPS = 16;

function bucketsOf(row) {
    return Array.isArray(row.latency_buckets) ? row.latency_buckets : [];
}

/* Four buckets a doubling: where one begins follows from where it ends. */
function lowerEdge(upper) {
    return upper / Math.SQRT2 ** 0.5;
}

function heatStyle(panel) {
    return {
        format: format.latency,
        isLog: true,
        range: () => panel.edges,
        below: (context, area, graph) => paintCells(context, graph, panel.heat),
    };
}

/* Of several contestants one is shown; the others by its switch. */
function heatMaker(panel, contestants) {
    const known = contestants.filter((c) => c.rows.some((row) => bucketsOf(row).length));
    if (!known.length) return null;
    panel.offer(known.map((c) => ({ id: c.label, label: c.label })));
    return () => {
        const axis = axisOf(contestants, false);
        panel.heat = known.find((c) => c.label === panel.chosen) ?? known[0];
        panel.edges = edgesOf(panel.heat.rows);
        const values = axis.pointsOf.get(panel.heat).map((row) => row?.p99_us ?? null);
        return { ...axis, lines: [{ label: "p99", colour: "heat-line", isFaint: true, values }] };
    };
}

function edgesOf(rows) {
    let low = Infinity,
        high = 0;
    for (const row of rows)
        for (const [upper] of bucketsOf(row)) {
            low = Math.min(low, upper);
            high = Math.max(high, upper);
        }
    return [lowerEdge(low), high];
}

/* HEAT_STEPS colours from the faintest to the fullest, by way of one between. */
function heatPalette() {
    const stops = ["heat-low", "heat-middle", "heat-high"].map((name) =>
        colour(name).match(/[\d.]+/g).map(Number),
    );
    return Array.from({ length: HEAT_STEPS }, (_, step) => {
        const at = (step / (HEAT_STEPS - 1)) * (stops.length - 1);
        const before = Math.min(Math.floor(at), stops.length - 2);
        const mixed = stops[before].map((from, i) =>
            Math.round(from + (stops[before + 1][i] - from) * (at - before)),
        );
        return `rgb(${mixed.slice(0, 3).join(" ")})`;
    });
}

/* Few of many must still be seen: the eye is given a root, not the share. */
function paintCells(context, graph, contestant) {
    const palette = heatPalette();
    const most = contestant.rows.reduce(
        (m, row) => bucketsOf(row).reduce((n, [, count]) => Math.max(n, count), m),
        1,
    );
    const tops = new Map();
    const pixel = (us) => {
        if (!tops.has(us)) tops.set(us, graph.toDomYCoord(us));
        return tops.get(us);
    };
    for (const row of contestant.rows) {
        const left = graph.toDomXCoord(row.t - 0.5),
            width = graph.toDomXCoord(row.t + 0.5) - left;
        for (const [upper, count] of bucketsOf(row)) {
            if (!(count > 0)) continue;
            const top = pixel(upper);
            context.fillStyle = palette[Math.round((count / most) ** 0.4 * (HEAT_STEPS - 1))];
            context.fillRect(
                left,
                top,
                Math.max(width, 1) + 0.3,
                pixel(lowerEdge(upper)) - top + 0.3,
            );
        }
    }
}
