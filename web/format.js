"use strict";

/* Numbers as people read them. What is not known is a dash, never a zero; all units of one quantity
 * are chosen in one place, so that a tile, a table and an axis cannot differ. */

const DASH = "–";
const THIN = "\u202f"; /* between thousands, and before a unit: narrow, and never broken */

function isKnown(value) {
    return typeof value === "number" && Number.isFinite(value);
}

/* Three digits that count: 1.23, 12.3, 123; as an axis writes it, without zeros at the end. */
function digits(value, onAxis = false) {
    const size = Math.abs(value);
    const text = value.toFixed(size >= 99.95 || size === 0 ? 0 : size >= 9.995 ? 1 : 2);
    return onAxis ? String(Number(value.toPrecision(3))) : text;
}

function grouped(value) {
    return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, THIN);
}

/* The value in the largest of the units in which it is not below 1. */
function scaled(value, units, step, onAxis) {
    let unit = 0;
    while (unit + 1 < units.length && Math.abs(value) >= 0.9995 * step) {
        value /= step;
        unit++;
    }
    return digits(value, onAxis) + (units[unit] ? THIN + units[unit] : "");
}

const format = {
    count: (value) => (isKnown(value) ? grouped(value) : DASH),
    rate: (value) => (!isKnown(value) ? DASH : value >= 100 ? grouped(value) : digits(value)),
    latency: (us, onAxis) => (isKnown(us) ? scaled(us, ["µs", "ms", "s"], 1000, onAxis) : DASH),
    milliseconds: (ms, onAxis) => (isKnown(ms) ? format.latency(ms * 1000, onAxis) : DASH),
    bytes: (value, onAxis) =>
        isKnown(value) ? scaled(value, ["B", "kB", "MB", "GB", "TB"], 1000, onAxis) : DASH,
    percent: (value, onAxis) => (isKnown(value) ? digits(value, onAxis) + THIN + "%" : DASH),
    short: (value) => (isKnown(value) ? scaled(value, ["", "k", "M", "G"], 1000, true) : DASH),
    seconds: (s) =>
        s < 120
            ? Number(s.toFixed(1)) + THIN + "s"
            : Math.floor(Math.round(s) / 60) + ":" + String(Math.round(s) % 60).padStart(2, "0"),

    /* A share; never 100 % while something failed. */
    share(value) {
        if (!isKnown(value)) return DASH;
        const pct = value * 100;
        const text = value < 1 && pct > 99.999 ? "99.999" : pct.toFixed(3).replace(/\.?0+$/, "");
        return text + THIN + "%";
    },

    time(iso) {
        const date = new Date(iso);
        return Number.isNaN(date.getTime())
            ? String(iso ?? DASH)
            : date.toISOString().slice(0, 19).replace("T", " ") + " UTC";
    },

    /* A word of a command line, as a shell takes it. */
    shell: (word) =>
        /^[\w@%+=:,./-]+$/.test(word) ? word : "'" + word.replace(/'/g, "'\\''") + "'",
};
