/* One chart: lines over a common x, a legend that tells the values at the crosshair, and the
 * crosshair, which all charts of a group share. What is drawn is the library's; its own legend is
 * not used, since it would need inline styles. */

Dygraph.PLUGINS = [Dygraph.Plugins.Grid, Dygraph.Plugins.Axes];

function element(tag, properties = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties))
        if (name in made) made[name] = value;
        else made.setAttribute(name, value);
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
}

/* A colour of page.css as a canvas takes it. */
const probe = document.head.appendChild(element("meta"));
function colour(name) {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
}

/* The nearest index to `x` in an ascending list. */
function nearest(list, x) {
    let low = 0,
        high = list.length - 1;
    while (low < high) {
        const middle = (low + high) >> 1;
        if (list[middle] < x) low = middle + 1;
        else high = middle;
    }
    return low > 0 && x - list[low - 1] < list[low] - x ? low - 1 : low;
}

/* A chart is drawn when it comes into sight, or near it. */
const inSight = new IntersectionObserver(
    (entries) => {
        for (const entry of entries) {
            const chart = entry.target.chart;
            chart.isInSight = entry.isIntersecting;
            if (chart.isInSight && chart.isStale) chart.draw();
        }
    },
    { rootMargin: "200px" },
);

/* Charts that share a crosshair and a zoom. */
class Group {
    charts = new Set();
    range = null; /* [from, to] while zoomed */
    at = null; /* x of the crosshair */

    point(x) {
        this.at = x;
        for (const chart of this.charts) chart.showAt(x);
    }

    zoom(range) {
        this.range = range;
        for (const chart of this.charts) chart.draw();
    }
}

class Chart {
    /* `style`: {format, axis: formats of values and of their axis; cursor: format of x;
     * range(lines); isLog; isJoined: over points that a line has not; below(context, area, graph,
     * chart): painted below the lines}. */
    constructor(group, style) {
        this.group = group;
        this.style = style;
        this.plot = element("div", { className: "plot" });
        this.hair = element("div", { className: "hair", hidden: true });
        this.legend = element("ul", { className: "legend" });
        this.canvas = element("div", { className: "canvas" });
        this.plot.append(this.canvas, this.hair);
        this.plot.tabIndex = 0;
        this.plot.setAttribute("role", "img");
        this.plot.addEventListener("keydown", (event) => this.keyed(event));
        this.plot.addEventListener("pointermove", (event) => this.pointed(event));
        this.plot.addEventListener("pointerdown", (event) => this.pointed(event));
        this.plot.addEventListener("pointerleave", () => group.point(null));
        this.plot.addEventListener("blur", () => group.point(null));
        group.charts.add(this);
        this.plot.chart = this;
        inSight.observe(this.plot);
    }

    /* `make` gives {x, lines, extent}: x ascends; each line has {label, colour, values in the order
     * of x, dash, isFaint, hasPoints}. It is called when the chart is in sight. */
    take(make) {
        this.make = make;
        this.draw();
    }

    fill() {
        const { x, lines, extent } = this.make();
        Object.assign(this, { x, lines, extent, make: null });
        this.values = lines.map(() => element("output"));
        this.legend.replaceChildren(...this.legendItems());
        this.plot.setAttribute(
            "aria-label",
            lines.map((line) => line.label).join(", ") + "; arrow keys move the crosshair",
        );
    }

    /* Races of one contestant share a colour, and a place. */
    legendItems() {
        const items = new Map();
        this.lines.forEach(({ label, colour, dash }, i) => {
            const name = label.replace(/ #\d+$/, "");
            const key = [name, colour, dash].join();
            if (!items.has(key)) {
                const swatch = element("i", { className: dash ? "swatch dashed" : "swatch" });
                swatch.style.setProperty("--line", `var(--${colour})`);
                const text = element("span", { textContent: name });
                items.set(key, element("li", {}, swatch, text));
            }
            items.get(key).append(this.values[i]);
        });
        return items.values();
    }

    rows() {
        const value = this.style.isLog ? (v) => (v > 0 ? v : null) : (v) => (isKnown(v) ? v : null);
        return this.x.map((x, i) => [x, ...this.lines.map((line) => value(line.values[i]))]);
    }

    options() {
        const grid = colour("grid");
        const series = {};
        this.lines.forEach((line, i) => {
            series["s" + i] = {
                strokePattern: line.dash ? [5, 4] : null,
                strokeWidth: line.isFaint ? 1 : 1.75,
                drawPoints: line.hasPoints,
            };
        });
        return {
            file: this.rows(),
            labels: ["x", ...this.lines.map((_, i) => "s" + i)],
            colors: this.lines.map((line) => colour(line.colour)),
            series,
            logscale: this.style.isLog,
            valueRange: this.style.range?.(this.lines) ?? null,
            dateWindow: this.group.range ?? this.extent,
            gridLineColor: grid,
            axisLineColor: grid,
        };
    }

    draw(isForced = false) {
        this.isStale = !this.isInSight && !isForced;
        if (this.isStale) return;
        if (this.make) this.fill();
        if (!this.lines) return;
        const options = this.options();
        if (this.graph) this.graph.updateOptions(options);
        else this.graph = this.build(options);
        this.showAt(this.group.at);
    }

    build({ file, ...options }) {
        const { format: text, axis = text, below } = this.style;
        const mousedown = Dygraph.defaultInteractionModel.mousedown;
        return new Dygraph(this.canvas, file, {
            ...options,
            includeZero: true,
            connectSeparatedPoints: this.style.isJoined,
            pointSize: 2.5,
            highlightCircleSize: 3.5,
            axisLabelFontSize: 12,
            interactionModel: { mousedown, dblclick: () => this.group.zoom(null) },
            zoomCallback: (from, to) => this.zoomed(from, to),
            underlayCallback: (context, area, graph) => below?.(context, area, graph, this),
            axes: {
                x: {
                    axisLabelFormatter: (x) => (this.style.cursor ?? format.seconds)(x),
                    drawGrid: false,
                    pixelsPerLabel: 50,
                },
                y: {
                    axisLabelFormatter: (y) => axis(y, true),
                    axisLabelWidth: 58,
                    pixelsPerLabel: 34,
                },
            },
        });
    }

    /* A drag upwards changes nothing; the whole width is no zoom. */
    zoomed(from, to) {
        const isWhole = from <= this.extent[0] && to >= this.extent[1];
        this.group.zoom(isWhole ? null : [from, to]);
    }

    resize() {
        this.graph?.resize();
    }

    /* --- the crosshair --- */

    pointed(event) {
        if (!this.graph || (event.buttons === 1 && event.pointerType === "mouse")) return;
        const left = event.clientX - this.canvas.getBoundingClientRect().left;
        this.group.point(this.x[nearest(this.x, this.graph.toDataXCoord(left))]);
    }

    keyed(event) {
        const steps = {
            ArrowLeft: -1,
            ArrowRight: 1,
            PageUp: -10,
            PageDown: 10,
            Home: -Infinity,
            End: Infinity,
        };
        if (event.key === "Escape") {
            this.group.point(null);
            if (this.group.range) this.group.zoom(null);
        } else if (event.key in steps) {
            const last = this.x.length - 1;
            const from =
                this.group.at === null
                    ? steps[event.key] < 0
                        ? last + 1
                        : -1
                    : nearest(this.x, this.group.at);
            this.group.point(this.x[Math.min(Math.max(from + steps[event.key], 0), last)]);
            event.preventDefault();
        }
    }

    showAt(x) {
        if (!this.graph || this.isStale) return;
        const at = x === null ? -1 : nearest(this.x, x);
        const isHere = at >= 0 && Math.abs(this.x[at] - x) < 1e-9;
        this.hair.hidden = !isHere;
        if (isHere) {
            this.hair.style.left = this.graph.toDomXCoord(x) + "px";
            this.hair.dataset.at = (this.style.cursor ?? format.seconds)(x);
            this.graph.setSelection(at);
        } else {
            this.graph.clearSelection();
        }
        this.values.forEach((output, i) => {
            const value = isHere ? this.lines[i].values[at] : null;
            output.textContent = isHere ? this.style.format(value) : "";
        });
    }
}
