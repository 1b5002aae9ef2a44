// Countdowns: the server says when, the browser counts. The two clocks are compared once per page.
const meta = document.querySelector('meta[name="hexi-now"]');
const skew = meta ? Number(meta.content) - Date.now() : 0;
const SOON = 120_000;

/** The present by the server's clock, in milliseconds. */
export function now() {
  return Date.now() + skew;
}

/** `mm:ss`, or `h:mm:ss`. @param {number} ms */
export function span(ms) {
  const all = Math.floor(Math.abs(ms) / 1000);
  const [h, m, s] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${two(m)}:${two(s)}`;
}

/** Draws every countdown inside a part of the page. @param {ParentNode} root */
export function drawCountdowns(root = document) {
  const at = now();
  const late = document.body.dataset.late || "";
  for (const el of root.querySelectorAll("[data-due]")) {
    const left = Number(/** @type {HTMLElement} */ (el).dataset.due) - at;
    const text = left < 0 ? `${late} ${span(left)}` : span(left + 999);
    if (el.textContent !== text) el.textContent = text;
    el.classList.toggle("late", left < 0);
    el.classList.toggle("soon", left >= 0 && left < SOON);
  }
}

function drawClock() {
  const clock = document.getElementById("clock");
  if (clock) clock.textContent = new Date(now()).toLocaleTimeString("en-GB", { timeZone: "Asia/Shanghai" });
}

/** Starts counting; new parts of the page are drawn as soon as they are there. */
export function startClock() {
  const tick = () => {
    drawCountdowns();
    drawClock();
    setTimeout(tick, 1000 - (now() % 1000));
  };
  tick();
  document.addEventListener("htmx:after:swap", () => drawCountdowns());
}
