/* The page put together: its data, inside it or from a run that goes on, go to the head, the panels
 * and the foot; and the switch between light and dark. */

const panels = new Map(
    [...RATE_PANELS.map((d) => [d, true]), ...TIME_PANELS.map((d) => [d, false])].map(
        ([definition, isRate]) => [definition.id, new Panel(definition, isRate)],
    ),
);

function place() {
    for (const panel of panels.values())
        byId(panel.isRate ? "against-rate" : "against-time")
            .querySelector(".panels")
            .append(panel.root);
}

/* --- shown --- */

function show(all) {
    const documents = all.filter((document) => !isReproduction(document));
    const contestants = contestantsOf(documents);
    const isLive = documents.some((document) => document.live);
    document.documentElement.classList.toggle("live", isLive);
    showMeasured(all, contestants);
    showVerdict(documents);
    showFigures(contestants, isLive);
    showContestants(documents, contestants, isLive);
    showReproductions(all.filter(isReproduction));
    showPanels(contestants, isLive);
    showEnvironment(all);
    showCommand(all);
}

function showPanels(contestants, isLive) {
    const absent = [];
    const isDrawn = { true: false, false: false };
    for (const section of ["against-rate", "against-time"])
        byId(section).hidden = false; /* to be measured */
    for (const panel of panels.values()) {
        const has = panel.update(contestants);
        isDrawn[panel.isRate] ||= has;
        if (!has && !isLive && contestants.length && panel.definition.absent) absent.push(panel.definition.absent);
    }
    byId("against-rate").hidden = !isDrawn.true;
    if (!isDrawn.true && !isLive && contestants.length)
        absent.unshift("Against the offered rate: only one rate, or none, was offered.");
    byId("against-time").hidden = !isDrawn.false && !absent.length;
    byId("against-time")
        .querySelector(".absent")
        .replaceChildren(...absent.map((text) => element("li", { textContent: text })));
}

/* --- light and dark --- */

const root = document.documentElement;
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : systemIsDark.matches;
}

function redraw(isForced) {
    for (const { chart, root: shown } of panels.values()) {
        if (!shown.hidden) chart.draw(isForced);
        chart.resize();
    }
}

function labelTheme() {
    byId("theme").textContent = isDark() ? "Light" : "Dark";
    byId("theme").setAttribute("aria-label", isDark() ? "Light colours" : "Dark colours");
    redraw();
}

function startTheme() {
    byId("theme").addEventListener("click", () => {
        root.dataset.theme = isDark() ? "light" : "dark";
        labelTheme();
    });
    systemIsDark.addEventListener("change", labelTheme);
    labelTheme();
}

/* Paper is light and has its own width. Pictures stand for the canvases, whose lines Chromium hides on
 * paper behind a mask. */
function startPrinting() {
    let before, pictures;
    addEventListener("beforeprint", () => {
        before = root.dataset.theme;
        root.dataset.theme = "light";
        root.classList.add("printing");
        redraw(true);
        pictures = [...document.querySelectorAll("canvas")].map((canvas) => {
            const { style } = canvas;
            const picture = element("img", { src: canvas.toDataURL() });
            picture.style.cssText = style.cssText;
            style.visibility = "hidden";
            canvas.after(picture);
            return () => {
                picture.remove();
                style.visibility = "";
            };
        });
    });
    addEventListener("afterprint", () => {
        for (const remove of pictures) remove();
        if (before) root.dataset.theme = before;
        else delete root.dataset.theme;
        root.classList.remove("printing");
        redraw();
    });
}

/* --- the run --- */

const STATES = {
    connecting: "connecting",
    live: "live",
    lost: "connection lost, trying again",
    ended: "the run has ended",
};

function sayState(state) {
    const said = byId("state");
    said.hidden = false;
    said.className = state;
    said.textContent = STATES[state];
}

function startLive() {
    let latest = null;
    sayState("connecting");
    followRun((document) => {
        if (latest === null)
            requestAnimationFrame(() => {
                const now = latest;
                latest = null;
                show([now]);
            });
        latest = document;
    }, sayState);
}

place();
startTheme();
startPrinting();
const documents = JSON.parse(byId("data").textContent);
if (documents) show(documents);
else startLive();
performance.mark("shown");
