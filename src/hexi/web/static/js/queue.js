// The queue: rows change in place at once; their order changes only when neither pointer nor focus is on them.
import { drawCountdowns } from "./time.js";

const body = () => /** @type {HTMLElement} */ (document.getElementById("queue-body"));
const list = () => /** @type {HTMLElement} */ (document.getElementById("queue-list"));
let waiting = /** @type {HTMLElement | null} */ (null);
let pointed = false;

const held = () => pointed || body().contains(document.activeElement);

/** Fetches the queue as it now stands and fits it in. */
export async function refreshQueue() {
  const response = await fetch("/desk/queue");
  if (!response.ok) throw new Error(String(response.status));
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = /** @type {HTMLElement} */ (page.getElementById("queue-list"));
  const news = newRows(fresh);
  if (held()) keepOrder(fresh); else replace(fresh);
  drawCountdowns(body());
  const count = document.getElementById("queue-count");
  if (count) count.textContent = fresh.dataset.count || "";
  return news;
}

/** @param {HTMLElement} fresh */
function newRows(fresh) {
  return [...fresh.querySelectorAll("li[id]")].filter((row) => !document.getElementById(row.id));
}

/** Same rows, same places: what is known changes, what is new goes below, what is gone fades. @param {HTMLElement} fresh */
function keepOrder(fresh) {
  for (const row of fresh.querySelectorAll("li[id]")) {
    const known = document.getElementById(row.id);
    if (!known) list().append(arrived(row)); else update(known, row);
  }
  for (const row of list().querySelectorAll("li[id]"))
    if (!fresh.querySelector(`#${CSS.escape(row.id)}`)) row.classList.add("gone");
  waiting = fresh;
  say(true);
}

/** @param {Element} row */
function arrived(row) {
  const copy = /** @type {HTMLElement} */ (document.importNode(row, true));
  copy.querySelector(".queue-row")?.classList.add("arrived-new");
  return copy;
}

/** @param {Element} known @param {Element} row */
function update(known, row) {
  const [link, fresh] = [known.querySelector("a"), row.querySelector("a")];
  if (!link || !fresh) return;
  link.classList.toggle("unopened", fresh.classList.contains("unopened"));
  link.toggleAttribute("data-siren", fresh.hasAttribute("data-siren"));
  if (link.innerHTML !== fresh.innerHTML) link.innerHTML = fresh.innerHTML;
}

/** @param {HTMLElement} fresh */
function replace(fresh) {
  const copy = document.importNode(fresh, true);
  list().replaceWith(copy);
  waiting = null;
  markOpen();
  say(false);
}

/** @param {boolean} waits */
function say(waits) {
  const [desk, news] = [document.getElementById("desk"), document.getElementById("news")];
  if (!desk || !news) return;
  const differs = waits && waiting !== null && order(waiting) !== order(list());
  news.classList.toggle("waiting", differs);
  news.textContent = (differs ? (desk.dataset.news || "").replace("{count}", String(moved())) : desk.dataset.quiet) || "";
}

const order = (/** @type {HTMLElement} */ el) => [...el.querySelectorAll("li[id]")].map((row) => row.id).join();

function moved() {
  const [now, then] = [order(list()).split(","), order(/** @type {HTMLElement} */ (waiting)).split(",")];
  return then.filter((id, i) => now[i] !== id).length;
}

/** Marks the row whose case is open on the desk. */
export function markOpen() {
  const open = document.getElementById("case-head")?.dataset.case;
  for (const link of list().querySelectorAll("a[data-case]"))
    link.setAttribute("aria-current", String(/** @type {HTMLElement} */ (link).dataset.case === open));
}

/** The next or previous row from the focused or open one. @param {number} by */
export function step(by) {
  const rows = [...list().querySelectorAll("a[data-case]")];
  const at = rows.findIndex((row) => row === document.activeElement);
  const open = rows.findIndex((row) => row.getAttribute("aria-current") === "true");
  const from = at >= 0 ? at : open;
  const next = /** @type {HTMLElement | undefined} */ (rows[Math.max(0, Math.min(rows.length - 1, from + by))]);
  next?.focus();
}

export function startQueue() {
  const settle = () => { if (!held() && waiting) { replace(waiting); drawCountdowns(body()); } };
  body().addEventListener("pointerenter", () => { pointed = true; });
  body().addEventListener("pointerleave", () => { pointed = false; settle(); });
  body().addEventListener("focusout", () => setTimeout(settle));
  markOpen();
}
