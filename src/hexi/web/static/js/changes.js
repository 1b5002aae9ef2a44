// Live changes: through the shared worker, or straight from the server where there is none.
const QUIET_AFTER = 5_000;
let lostAt = 0;
let caughtUp = false;

/**
 * Calls back for every changed case; `onBack` when the line opens or returns, for whatever was missed
 * since the page was drawn or while the line was down.
 * @param {(change: {case: string, version: number}) => void} onChange
 * @param {() => void} onBack
 */
export function watch(onChange, onBack) {
  const hear = (/** @type {any} */ message) => {
    if (message.change) onChange(message.change);
    if ("live" in message) noteLive(message.live, onBack);
  };
  if ("SharedWorker" in window) {
    const worker = new SharedWorker(new URL("./worker.js", import.meta.url), { name: "hexi-changes" });
    worker.port.onmessage = (event) => hear(event.data);
    addEventListener("pagehide", () => worker.port.postMessage("bye"));
  } else {
    const source = new EventSource("/api/v1/changes");
    source.onopen = () => hear({ live: true });
    source.onerror = () => hear({ live: false });
    source.addEventListener("change", (event) => hear({ change: JSON.parse(event.data) }));
  }
  setInterval(showAge, 1000);
}

/** @param {boolean} live @param {() => void} onBack */
function noteLive(live, onBack) {
  if (!live) lostAt ||= Date.now();
  if (live && (lostAt || !caughtUp)) {
    lostAt = 0;
    caughtUp = true;
    onBack();
  }
  showAge();
}

/** How long the page has been without news; 0 while the line is up. */
export function age() {
  return lostAt ? Date.now() - lostAt : 0;
}

function showAge() {
  const bar = document.getElementById("stale");
  if (!bar) return;
  bar.hidden = age() < QUIET_AFTER;
  const said = (document.body.dataset.stale || "").replace("{age}", `${Math.round(age() / 1000)} s`);
  if (!bar.hidden && bar.textContent !== said) bar.textContent = said;
  document.getElementById("wall")?.classList.toggle("stale", !bar.hidden);
}

/**
 * At most one run per pause; the last wish is never lost.
 * @param {() => Promise<void> | void} work @param {number} pause
 */
export function paced(work, pause) {
  let timer = 0;
  let again = false;
  const run = async () => {
    again = false;
    try { await work(); } catch { /* the line is down; the next change or its return tries again */ }
    timer = setTimeout(() => { timer = 0; if (again) run(); }, pause);
  };
  return () => {
    again = true;
    if (!timer) { timer = -1; run(); }
  };
}
