/* What stands above the panels and below them: what was measured, whether it may be believed, the
 * contestants beside one another, the machine, and the command that does it again. Texts of a
 * result are only ever set as text. */

const VERDICTS = {
    VALID: { sign: "✓", text: "Nothing was found that speaks against these numbers." },
    SUSPECT: { sign: "!", text: "Something must be known before these numbers are believed." },
    INVALID: { sign: "✕", text: "These numbers are wrong." },
};
const MODELS = {
    closed: "closed loop",
    constant: "constant rate",
    ramp: "ramp",
    stages: "stages",
    clients: "clients ramp",
};

function byId(id) {
    return document.getElementById(id);
}

function joined(parts) {
    return parts.filter(Boolean).join(" · ");
}

/* --- what was measured --- */

function pathOf(url) {
    return String(url ?? "").replace(/^[a-z]+:\/\/[^/]*/, "") || "/";
}

function loadText(target) {
    return joined([
        target.method && `${target.method} ${pathOf(target.url)}`,
        (MODELS[target.model] ?? target.model) + (target.arrivals === "poisson" ? ", poisson" : ""),
    ]);
}

function durationText(contestants) {
    const lengths = contestants
        .map((c) => c.target.duration_s)
        .filter(isKnown)
        .map(Math.round);
    const longest = highest(lengths);
    return longest && (new Set(lengths).size > 1 ? "up to " : "") + format.seconds(longest);
}

function showMeasured(documents, contestants) {
    const names = distinct(
        documents.map((d) => (isReproduction(d) ? "Published beside measured" : d.scenario?.name)),
    );
    const first = documents[0] ?? {},
        environment = first.environment ?? {};
    const title = names.join(", ") || "iubench";
    document.title = title + " · iubench";
    byId("measured").replaceChildren(
        element("p", {
            className: "brand",
            textContent: joined(
                distinct(documents.map((d) => d.iubench)).map((v) => "iubench " + v),
            ),
        }),
        element("h1", { textContent: title }),
        ...distinct(contestants.map((c) => loadText(c.target))).map((text) =>
            element("p", { textContent: text }),
        ),
        element("p", {
            className: "quiet",
            textContent: joined([
                documents.length > 1
                    ? documents.length + " results"
                    : first.started && format.time(first.started),
                environment.cpu_model,
                isKnown(environment.cores) &&
                    environment.cores + (environment.cores === 1 ? " core" : " cores"),
                environment.kernel && "Linux " + environment.kernel,
                first.client?.connections && first.client.connections + " connections",
                durationText(contestants),
            ]),
        }),
    );
}

/* --- may it be believed --- */

/* Loads are all called alike; what they ask for tells them apart better. */
function documentLabel(d) {
    const [target] = d.targets ?? [];
    const isLoad = d.scenario?.name === "load" && target?.url;
    const name = isLoad ? `${target.method} ${pathOf(target.url)}` : d.scenario?.name;
    return joined([d.label ?? name, format.time(d.started)]);
}

function failureText({ name, repeat, skipped, reason }) {
    const which = name + (repeat ? " #" + repeat : "");
    return `${which} ${skipped ? "was left out" : "failed"}: ${reason}`;
}

function verdictBlock(d, isOneOfMany) {
    const status = d.verdict?.status;
    if (!(status in VERDICTS)) return null;
    const reasons = [...(d.verdict.reasons ?? [])];
    for (const one of d.races?.failures ?? [])
        reasons.push(failureText(one));
    if (d.interrupted) reasons.push("The run was interrupted; this is what there was.");
    return element(
        "div",
        { className: "verdict " + status.toLowerCase() },
        element(
            "p",
            { className: "word" },
            element("span", {
                className: "sign",
                textContent: VERDICTS[status].sign,
                "aria-hidden": "true",
            }),
            status,
        ),
        element(
            "div",
            {},
            isOneOfMany
                ? element("p", { className: "quiet", textContent: documentLabel(d) })
                : null,
            reasons.length
                ? element(
                      "ul",
                      {},
                      ...reasons.map((reason) => element("li", { textContent: reason })),
                  )
                : element("p", { textContent: VERDICTS[status].text }),
        ),
    );
}

function showVerdict(documents) {
    byId("verdict").replaceChildren(
        ...documents.map((d) => verdictBlock(d, documents.length > 1)).filter(Boolean),
    );
}

/* --- the figures of one contestant --- */

function tile(value, label, note) {
    return element(
        "div",
        { className: "tile" },
        element("p", { className: "label", textContent: label }),
        element("p", { className: "value", textContent: value }),
        element("p", { className: "quiet", textContent: note || "\u00a0" }),
    );
}

function heldText(c) {
    const { target } = c;
    if (isKnown(target.find_max?.max_rps)) return "highest rate that holds the objective";
    if (!isKnown(target.held_rps))
        return isKnown(target.target_rps) ? `of ${format.rate(target.target_rps)} wanted` : "";
    return target.held_rps > 0 ? "the highest rate that was held" : "no rate was held";
}

function answeredText(requests) {
    if (!requests) return "";
    const due = requests.scheduled ?? requests.sent;
    return requests.sent === 0
        ? "no request was sent"
        : `${format.count(requests.ok)} of ${format.count(due)} requests`;
}

function tilesOf(c) {
    const { target } = c,
        latency = target.latency_us ?? {};
    const isMeasured = latency.count !== 0;
    return [
        tile(format.rate(target.rps), "requests per second", heldText(c)),
        tile(
            isMeasured ? format.latency(latency.p99) : DASH,
            "p99 latency",
            isMeasured
                ? `p50 ${format.latency(latency.p50)}, max ${format.latency(latency.max)}`
                : "nothing was measured",
        ),
        tile(
            target.requests?.sent === 0 ? DASH : format.share(target.availability),
            "availability",
            answeredText(target.requests),
        ),
        tile(
            format.latency(cpuOf(c)),
            "server CPU per request",
            isKnown(cpuOf(c)) ? "" : "the target's process is not known",
        ),
    ];
}

/* While a run goes on: its last second. */
function liveTilesOf(c) {
    const row = c.rows[c.rows.length - 1];
    if (!row) return [tile(DASH, "requests per second", "no second has passed yet")];
    const wanted = row.target_rps ?? row.equivalent_rps;
    return [
        tile(
            format.rate(row.rps),
            "requests per second, now",
            isKnown(wanted) ? `of ${format.rate(wanted)} wanted` : "",
        ),
        tile(format.latency(row.p99_us), "p99 latency, now", `p50 ${format.latency(row.p50_us)}`),
        tile(
            format.share(row.availability),
            "availability, now",
            failuresOf(row) ? format.count(failuresOf(row)) + " failed in this second" : "",
        ),
        tile(
            format.percent(partyOf(row, "target", "cpu_pct")),
            "target CPU, now",
            `client ${format.percent(partyOf(row, "client", "cpu_pct"))}`,
        ),
    ];
}

function showFigures(contestants, isLive) {
    const current = isLive
        ? contestants[contestants.length - 1]
        : contestants.length === 1
          ? contestants[0]
          : null;
    byId("figures").replaceChildren(
        ...(!current ? [] : isLive ? liveTilesOf(current) : tilesOf(current)),
    );
}

/* --- the contestants beside one another --- */

function failuresText(requests) {
    if (!requests) return DASH;
    const causes = Object.entries(ERRORS)
        .map(([cause, label]) => [errorsOf(requests, cause), label])
        .concat([[requests.unfinished, "unfinished"]])
        .filter(([count]) => count > 0);
    return causes.map(([count, label]) => `${format.count(count)} ${label}`).join(", ") || "none";
}

function lastSecond(c) {
    return c.rows.length ? c.rows[c.rows.length - 1].t : 0;
}

/* Without those in which a slower one was still waited for. */
function lastSecondDue({ rows }) {
    return rows.findLast((row) => row.target_rps !== 0)?.t ?? 0;
}

function faultText(fault) {
    if (!fault) return null;
    const { text, begin_s, end_s, availability, recovered_s } = fault;
    const after = isKnown(recovered_s)
        ? ` until all was as before, ${format.seconds(Math.ceil(recovered_s))} after it`
        : ", not as before by the end";
    return (
        `${text} from ${format.seconds(Math.round(begin_s))} to ${format.seconds(Math.round(end_s))}, ` +
        `availability ${format.share(availability)}${after}`
    );
}

/* What a reader of its line must know, "" if nothing. */
function noteOf(c, contestants) {
    const { requests } = c.target;
    const longest = Math.max(
        ...contestants.filter((o) => o.document === c.document).map(lastSecondDue),
    );
    return joined([
        faultText(c.target.fault),
        requests?.sent === 0 && "no request was sent",
        requests?.sent > 0 && requests.ok === 0 && "no request succeeded",
        requests &&
            !c.document.live &&
            lastSecond(c) < longest - 1 &&
            `ends after ${format.seconds(lastSecond(c))} of ${format.seconds(longest)}`,
        requests && c.rows.length === 0 && "no second was recorded",
    ]);
}

function verdictWord(c) {
    const status = c.target.verdict?.status;
    if (!(status in VERDICTS)) return DASH;
    return element("span", { className: "mark " + status.toLowerCase(), textContent: status });
}

function heldCell(c) {
    return c.target.held_rps === 0 && kneeOf(c) === null
        ? "none"
        : format.rate(kneeOf(c) ?? c.target.rps);
}

/* Columns {head, note, of: contestant => text or node, isText}. */
function columnsOf(contestants) {
    const equal = equalRate(contestants);
    const p99 = (c) =>
        equal
            ? equal.p99_us[contestants.indexOf(c)]
            : c.target.latency_us?.count === 0
              ? null
              : c.target.latency_us?.p99;
    const p99Note = equal
        ? `at ${format.rate(equal.rate)}/s`
        : contestants.length > 1
          ? "each at its own rate"
          : "";
    const isHeld = contestants.some((c) => kneeOf(c) !== null || isKnown(c.target.held_rps));
    return [
        { head: "Verdict", of: verdictWord, isText: true },
        { head: isHeld ? "Held rate" : "Rate", note: "requests/s", of: heldCell },
        { head: "p99", note: p99Note, of: (c) => format.latency(p99(c)) },
        { head: "CPU", note: "per request", of: (c) => format.latency(cpuOf(c)) },
        { head: "Memory", note: "at most", of: (c) => format.bytes(memoryOf(c)) },
        {
            head: "Availability",
            of: (c) => (c.target.requests?.sent === 0 ? DASH : format.share(c.target.availability)),
        },
        { head: "Failures", of: (c) => failuresText(c.target.requests), isText: true },
    ];
}

function swatchOf(colour) {
    const swatch = element("i", { className: "swatch" });
    swatch.style.setProperty("--line", `var(--${colour})`);
    return swatch;
}

/* Rows are {name, colour, caption, note, item}; a column makes its cell of the item. */
function dataTable(head, columns, rows) {
    const heads = columns.map((column) =>
        element(
            "th",
            { scope: "col", className: column.isText ? "text" : "" },
            column.head,
            column.note ? element("small", { textContent: column.note }) : null,
        ),
    );
    const lines = rows.map(({ name, colour, caption, note, item }) =>
        element(
            "tr",
            {},
            element(
                "th",
                { scope: "row" },
                element("span", { className: "name" }, colour ? swatchOf(colour) : null, name),
                caption ? element("small", { textContent: caption }) : null,
                note ? element("small", { className: "note", textContent: note }) : null,
            ),
            ...columns.map((column) => {
                const cell = element("td", {
                    className: column.isText ? "text" : "",
                    "data-head": joined([column.head, column.note]),
                });
                cell.append(column.of(item));
                return cell;
            }),
        ),
    );
    return element(
        "div",
        { className: "table" },
        element(
            "table",
            {},
            element(
                "thead",
                {},
                element("tr", {}, element("th", { scope: "col", textContent: head }), ...heads),
            ),
            element("tbody", {}, ...lines),
        ),
    );
}

/* --- races of the same, together --- */

/* The unit once. */
function intervalText([low, high], text) {
    const [from, to] = [text(low), text(high)].map((end) => end.split("\u202f"));
    const unit = to[to.length - 1];
    if (from.join() === to.join()) return to.join("\u202f");
    if (unit === from[from.length - 1] && !/\d/.test(unit)) from.pop();
    return from.join("\u202f") + " – " + to.join("\u202f");
}

/* The median, and below it what the races scatter over. */
function figureCell(figure, text) {
    const cell = document.createDocumentFragment();
    cell.append(text(figure?.median));
    if (figure?.interval)
        cell.append(
            element("small", {
                className: "interval",
                textContent: intervalText(figure.interval, text),
            }),
        );
    return cell;
}

function racesVerdict({ races, verdicts }) {
    const worst = ["INVALID", "SUSPECT", "VALID"].find((status) => verdicts?.[status] > 0);
    if (!worst) return DASH;
    const mark = element("span", { className: "mark " + worst.toLowerCase(), textContent: worst });
    const cell = document.createDocumentFragment();
    const share = `${verdicts[worst]} of ${races} races`;
    cell.append(mark, element("small", { className: "interval", textContent: share }));
    return cell;
}

function racesTable(contestants, isHeld) {
    const figure = (key, text) => (side) => figureCell(side[key], text);
    const columns = [
        { head: "Verdict", of: racesVerdict, isText: true },
        {
            head: isHeld ? "Held rate" : "Rate",
            note: "requests/s",
            of: (side) =>
                figureCell(isKnown(side.held_rps?.median) ? side.held_rps : side.rps, format.rate),
        },
        { head: "p99", of: figure("p99_us", format.latency) },
        { head: "CPU", note: "per request", of: figure("cpu_us_per_request", format.latency) },
        { head: "Memory", note: "at most", of: figure("memory_bytes", format.bytes) },
        { head: "Availability", of: figure("availability", format.share) },
    ];
    const rows = contestants[0].document.races.contestants.map((side) => ({
        name: side.name,
        colour: contestants.find((c) => c.target.name === side.name)?.colour,
        item: side,
    }));
    const table = dataTable("Medians of the races", columns, rows);
    table.classList.add("wide");
    return table;
}

/* Races of one result, of which some are of the same contestant. */
function hasRepeats(contestants) {
    const races = contestants[0]?.document.races;
    return (
        races?.repeats > 1 &&
        races.contestants?.length > 0 &&
        contestants.every((c) => c.document.races === races)
    );
}

/* What others have published of the same, in words and in numbers. */
const METRICS = {
    max_rps: { label: "requests/s at most", format: format.rate },
    rps: { label: "requests/s", format: format.rate },
    mean_us: { label: "mean latency", format: format.latency },
};

function figureRow({ contestant, metric, value, of }) {
    const { label, format: text } = METRICS[metric] ?? { label: metric, format: format.rate };
    return element(
        "tr",
        {},
        element(
            "th",
            { scope: "row" },
            contestant,
            of ? element("small", { textContent: of }) : null,
        ),
        element("td", {}, text(value), element("small", { textContent: " " + label })),
    );
}

function publishedBlock(documents) {
    const scenarios = documents
        .map((d) => d.scenario)
        .filter((scenario) => scenario?.published || scenario?.figures?.length);
    if (!scenarios.length) return null;
    const words = distinct(scenarios.map((scenario) => scenario.published));
    const isOne = new Set(scenarios.map((scenario) => scenario.name)).size === 1;
    const figures = distinct(
        scenarios.flatMap(({ name, figures: of }) =>
            (of ?? []).map((figure) => JSON.stringify({ ...figure, of: isOne ? "" : name })),
        ),
    );
    return element(
        "aside",
        { className: "published" },
        element("h3", { textContent: "Published" }),
        figures.length
            ? element("table", {}, ...figures.map((figure) => figureRow(JSON.parse(figure))))
            : null,
        ...words.map((text) =>
            element("p", { className: figures.length ? "quiet" : "", textContent: text }),
        ),
    );
}

function eachTable(contestants) {
    const isMany = contestants.length > 1;
    return dataTable(
        isMany ? "Contestant" : "Target",
        columnsOf(contestants),
        contestants.map((c) => ({
            name: c.label,
            colour: isMany ? c.colour : null,
            note: noteOf(c, contestants),
            item: c,
        })),
    );
}

function showContestants(documents, contestants, isLive) {
    const isTable = contestants.length > 0 && !(isLive && contestants.length === 1);
    const isHeld = contestants.some((c) => kneeOf(c) !== null || isKnown(c.target.held_rps));
    const each = isTable ? eachTable(contestants) : null;
    const parts = hasRepeats(contestants)
        ? [
              racesTable(contestants, isHeld),
              publishedBlock(documents),
              element(
                  "details",
                  {},
                  element("summary", { textContent: `Every race (${contestants.length})` }),
                  each,
              ),
          ]
        : [each, publishedBlock(documents)];
    byId("contestants").replaceChildren(...parts.filter(Boolean));
}

/* --- the machine, and once more --- */

function sameList(rows) {
    return element(
        "dl",
        { className: "environment" },
        ...rows.map((row) =>
            element(
                "div",
                {},
                element("dt", { textContent: row.key }),
                element("dd", { textContent: row.values[0] ?? DASH }),
            ),
        ),
    );
}

function differencesTable(documents, rows) {
    const heads = documents.map((d) =>
        element("th", { scope: "col", className: "text", textContent: documentLabel(d) }),
    );
    const lines = rows.map((row) =>
        element(
            "tr",
            { className: "differs" },
            element("th", { scope: "row", textContent: row.key }),
            ...row.values.map((v) => element("td", { className: "text", textContent: v ?? DASH })),
        ),
    );
    return element(
        "div",
        { className: "table" },
        element(
            "table",
            { className: "differences" },
            element("thead", {}, element("tr", {}, element("th"), ...heads)),
            element("tbody", {}, ...lines),
        ),
    );
}

function showEnvironment(documents) {
    const rows = environmentRows(documents);
    const others = rows.filter((row) => !row.isSame);
    const parts = [element("h2", { textContent: "Environment" })];
    if (others.length) {
        const names = others.map((row) => row.key).join(", ");
        const text = `These results were not made under the same conditions: ${names}.`;
        parts.push(element("p", { className: "differ", textContent: text }));
        parts.push(differencesTable(documents, others));
    }
    if (documents.length > 1)
        parts.push(element("p", { className: "quiet", textContent: "The same for all results:" }));
    parts.push(sameList(rows.filter((row) => row.isSame)));
    byId("environment").replaceChildren(...(rows.length ? parts : []));
}

function showCommand(documents) {
    const commands = distinct(documents.map((d) => (d.command ?? []).map(format.shell).join(" ")));
    byId("command").replaceChildren(
        ...(!commands.length
            ? []
            : [
                  element("h2", { textContent: "To do it again" }),
                  ...commands.map((command) =>
                      element("pre", { tabIndex: 0, textContent: command }),
                  ),
              ]),
    );
}
