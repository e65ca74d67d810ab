/* What was published beside what was measured here, as `iubench reproduce` has it: a line for each
 * scenario and metric, and below them why they differ. */

const OUTCOMES = { reproduced: "valid", larger: "suspect", smaller: "suspect", reversed: "invalid" };
const UNITS = {
    "/s": (value) => (isKnown(value) ? format.rate(value) + "/s" : DASH),
    us: format.latency,
    ms: format.milliseconds,
    B: format.bytes,
};

function isReproduction(document) {
    return String(document.schema).startsWith("iubench-reproduction/");
}

function ratioText(value) {
    return isKnown(value) ? digits(value, true) : DASH;
}

function publishedRatio({ ratio_published: range }) {
    return range ? distinct(range.map(ratioText)).join(" – ") : DASH;
}

function outcomeMark({ outcome }) {
    return element("span", { className: "mark " + (OUTCOMES[outcome] ?? ""), textContent: outcome });
}

/* Each with its median and interval, and what was published of it. */
function sidesCell({ contestants, unit }) {
    const text = UNITS[unit] ?? format.rate;
    const lines = contestants.map((side) => {
        const notes = joined([
            side.interval && intervalText(side.interval, text),
            isKnown(side.published) && "published " + text(side.published),
            side.invalid_runs > 0 && `${side.invalid_runs} of ${side.runs} runs INVALID`,
            side.lack,
        ]);
        return element(
            "div",
            {},
            `${side.name} ${text(side.median)}`,
            notes ? element("small", { textContent: " " + notes }) : null,
        );
    });
    return element("div", { className: "sides" }, ...lines);
}

function scenarioName({ scenario, report }) {
    return report ? element("a", { href: report, textContent: scenario }) : scenario;
}

const REPRODUCTION_COLUMNS = [
    { head: "Published", note: "ratio", of: publishedRatio },
    {
        head: "Measured",
        note: "ratio",
        of: (row) => figureCell({ median: row.ratio, interval: row.ratio_interval }, ratioText),
    },
    { head: "Outcome", of: outcomeMark, isText: true },
    { head: "Contestants", of: sidesCell, isText: true },
];

/* What is said of a scenario as a whole is said once. */
function reasonsOf(rows) {
    return distinct(
        rows.flatMap((row) => [
            row.cause && JSON.stringify([row.scenario, row.cause]),
            row.note && JSON.stringify([`${row.scenario}, ${row.heading}, ${row.outcome}`, row.note]),
        ]),
    ).map((reason) => {
        const [head, text] = JSON.parse(reason);
        return element("p", {}, element("b", { textContent: head + ": " }), text);
    });
}

function reproductionParts({ rows, definition }) {
    const lines = rows.map((row) => ({
        name: scenarioName(row),
        caption: row.heading ?? row.metric,
        item: row,
    }));
    return [
        dataTable("Scenario", REPRODUCTION_COLUMNS, lines),
        element(
            "div",
            { className: "reasons" },
            ...reasonsOf(rows),
            element("p", { className: "quiet", textContent: definition }),
        ),
    ];
}

function showReproductions(reproductions) {
    byId("reproduction").replaceChildren(...reproductions.flatMap(reproductionParts));
}
