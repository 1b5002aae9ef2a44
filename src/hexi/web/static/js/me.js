// My tasks: the position goes with an arrival when the telephone gives it.
import { watch } from "./changes.js";

for (const form of document.querySelectorAll("form[data-locate]")) {
  form.closest("details")?.addEventListener("toggle", () => locate(/** @type {HTMLFormElement} */ (form)), { once: true });
  if (form.closest("details")?.open) locate(/** @type {HTMLFormElement} */ (form));
}

/** @param {HTMLFormElement} form */
function locate(form) {
  const said = /** @type {HTMLElement} */ (form.querySelector("[data-located]"));
  const none = () => { said.textContent = said.dataset.none || ""; };
  if (!navigator.geolocation) return none();
  navigator.geolocation.getCurrentPosition(({ coords }) => {
    form.elements.namedItem("lon").value = String(coords.longitude);
    form.elements.namedItem("lat").value = String(coords.latitude);
    said.textContent = said.dataset.found || "";
  }, none, { enableHighAccuracy: true, timeout: 10_000 });
}

const known = new Set([...document.querySelectorAll('a[href^="/cases/"]')].map((a) => a.getAttribute("href")?.slice(7)));
watch((change) => {
  const busy = document.activeElement?.closest("form");
  if (!busy && !known.has(change.case)) setTimeout(() => location.reload(), 1500);
}, () => {});
