// Dialogs open by a button, close by a button, and close by themselves when their form was accepted.

/** Says something to everyone, also to a screen reader. @param {string} text */
export function announce(text) {
  const status = document.getElementById("status");
  if (!status || !text) return;
  status.textContent = text;
  status.className = "flash";
  clearTimeout(Number(status.dataset.timer));
  status.dataset.timer = String(setTimeout(() => { status.className = "spoken"; }, 6000));
}

/** @param {Event} event */
function onClick(event) {
  const target = /** @type {Element} */ (event.target);
  const opener = /** @type {HTMLElement | null} */ (target.closest?.("[data-open]"));
  if (opener) {
    const dialog = /** @type {HTMLDialogElement | null} */ (document.getElementById(opener.dataset.open || ""));
    dialog?.showModal();
    /** @type {HTMLElement | null} */ (dialog?.querySelector("textarea, select, input:not([type=hidden])"))?.focus();
  }
  if (target.closest?.("[data-close]")) target.closest("dialog")?.close();
}

/** A press sent twice is one act; the next press of the same form is another. */
function newPress() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(36)).join("");
}

/** @param {any} event */
function onAnswer(event) {
  const ctx = event.detail?.ctx;
  const form = ctx?.sourceElement;
  const fate = ctx?.response?.headers?.get("hexi-fate");
  if (!fate) return;
  const press = form?.elements?.namedItem?.("press");
  if (press) press.value = newPress();
  if (fate === "done") {
    const dialog = form?.closest?.("dialog");
    dialog?.close();
    if (dialog) form.reset();
  }
  setTimeout(() => announce(document.getElementById("status")?.textContent || ""), 60);
}

export function startDialogs() {
  document.addEventListener("click", onClick);
  document.addEventListener("htmx:finally:request", onAnswer);
}
