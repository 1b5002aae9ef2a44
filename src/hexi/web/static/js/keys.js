// One key per act. A key works only while nothing is being typed and no dialog is open.

/** Whether a press belongs to the page, not to a field. @param {KeyboardEvent} event */
export function isFree(event) {
  const target = /** @type {Element} */ (event.target);
  const typing = target.closest?.("input, textarea, select, [contenteditable]");
  return !typing && !event.ctrlKey && !event.metaKey && !event.altKey && !document.querySelector("dialog[open]");
}

/** @param {string} id */
function open(id) {
  const dialog = /** @type {HTMLDialogElement | null} */ (document.getElementById(id));
  dialog?.showModal();
  /** @type {HTMLElement | null} */ (dialog?.querySelector("input"))?.focus();
  return Boolean(dialog);
}

export function startKeys() {
  document.addEventListener("keydown", (event) => {
    if (!isFree(event) || event.repeat) return;
    if (event.key === "?" && open("keys")) return event.preventDefault();
    if (event.key === "/" && open("find")) return event.preventDefault();
    const button = /^[a-z]$/.test(event.key) && document.querySelector(`[data-key="${event.key}"]:not([disabled])`);
    if (button) {
      event.preventDefault();
      /** @type {HTMLElement} */ (button).click();
    }
  });
}
