// The alarm desk: opens cases, keeps them fresh, rings.
import { paced, watch } from "./changes.js";
import { announce } from "./dialogs.js";
import { isFree } from "./keys.js";
import { markOpen, refreshQueue, startQueue, step } from "./queue.js";
import * as siren from "./siren.js";

const csrf = /** @type {HTMLMetaElement} */ (document.querySelector('meta[name="csrf"]')).content;
const desk = /** @type {HTMLElement} */ (document.getElementById("desk"));
const openCase = () => document.getElementById("case-head")?.dataset.case || "";

/** @param {string} id @param {boolean} push */
async function show(id, push = true) {
  await window.htmx.ajax("GET", `/desk/case/${id}`, { target: "#case-panel", swap: "innerHTML" });
  if (push) history.pushState({ case: id }, "", `/desk?case=${id}`);
  markOpen();
  const row = document.querySelector(`a[data-case="${CSS.escape(id)}"]`);
  if (row?.hasAttribute("data-siren")) await noteOpened(id);
  if (matchMedia("(max-width: 860px)").matches) document.getElementById("case")?.scrollIntoView();
}

/** @param {string} id */
async function noteOpened(id) {
  document.querySelector(`a[data-case="${CSS.escape(id)}"]`)?.removeAttribute("data-siren");
  siren.follow();
  await fetch(`/desk/open/${id}`, { method: "POST", headers: { "x-csrftoken": csrf } });
}

const refreshAll = paced(async () => {
  const news = await refreshQueue();
  siren.follow();
  const said = news.map((row) => row.querySelector("a")?.getAttribute("data-said")).filter(Boolean);
  if (said.length) announce(`${desk.dataset.new}：${said.join("；")}`);
}, 300);

const refreshCase = paced(async () => {
  const id = openCase();
  if (id) await window.htmx.ajax("GET", `/cases/${id}/live`, { target: "#case-live", swap: "outerMorph" });
}, 250);

function onClick(/** @type {MouseEvent} */ event) {
  const row = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("a[data-case]"));
  if (!row || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  show(row.dataset.case || "");
}

function onKey(/** @type {KeyboardEvent} */ event) {
  if (!isFree(event)) return;
  if (event.key === "j") step(1);
  if (event.key === "k") step(-1);
  if (event.key === "x" && openCase()) siren.mute(openCase());
}

function startSiren() {
  const button = document.getElementById("siren");
  button?.addEventListener("click", () => (siren.isOn() ? siren.forbid() : siren.test()));
  document.getElementById("test-tone")?.addEventListener("click", () => siren.test());
  document.getElementById("take-over")?.addEventListener("submit", onTakeOver);
  siren.show();
  siren.follow();
}

/** The press that takes over a desk is also the one that lets it sound. */
async function onTakeOver(/** @type {SubmitEvent} */ event) {
  const button = /** @type {HTMLButtonElement | null} */ (event.submitter);
  if (button?.value !== "take") return;
  event.preventDefault();
  await siren.test();
  const form = /** @type {HTMLFormElement} */ (event.target);
  const body = new URLSearchParams(/** @type {any} */ (new FormData(form, button)));
  const response = await fetch(form.action, { method: "POST", body, headers: { "x-csrftoken": csrf } });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  if (!response.ok) return announce(page.querySelector("h1")?.textContent || String(response.status));
  const [table, fresh] = [document.querySelector("#shift table"), page.querySelector("#shift table")];
  if (table && fresh) table.replaceWith(document.importNode(fresh, true));
  form.closest("dialog")?.close();
  announce(button.textContent || "");
}

startQueue();
startSiren();
watch((change) => { refreshAll(); if (change.case === openCase()) refreshCase(); }, () => { refreshAll(); refreshCase(); });
document.getElementById("queue-body")?.addEventListener("click", onClick);
document.addEventListener("keydown", onKey);
addEventListener("popstate", (event) => event.state?.case && show(event.state.case, false));
const first = openCase();
if (first && document.querySelector(`a[data-case="${CSS.escape(first)}"][data-siren]`)) noteOpened(first);
