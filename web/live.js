/* A run that goes on: every connection begins with all there is so far, so that one that was lost
 * needs nothing but to be made again. The browser does that by itself unless the server has
 * refused. */

const RETRY_MS = 1000;

/* `take(document, isEnd)` is called with the document whenever it has changed, `say(state)` with
 * "live", "lost" or "ended". */
function followRun(take, say) {
    let known = null;
    const source = new EventSource("events");
    const on = (name, change) =>
        source.addEventListener(name, (event) => {
            change(JSON.parse(event.data));
            take(known, name === "end");
        });
    on("start", (document) => {
        known = document;
        say("live");
    });
    on("target", ({ index, target }) => {
        (known.targets ??= [])[index] = { series: known.targets[index]?.series ?? [], ...target };
    });
    on("second", ({ target, row }) => {
        const series = (known.targets[target].series ??= []);
        const at = series.findIndex((other) => other.t >= row.t);
        if (at < 0) series.push(row);
        else series.splice(at, series[at].t === row.t ? 1 : 0, row);
    });
    on("end", (document) => {
        known = document;
        source.close();
        say("ended");
    });
    source.addEventListener("error", () => {
        say("lost");
        if (source.readyState === EventSource.CLOSED)
            setTimeout(() => followRun(take, say), RETRY_MS);
    });
}
