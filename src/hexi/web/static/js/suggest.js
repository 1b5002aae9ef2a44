// A field that points to a record offers the records that fit what is typed.
export function startSuggestions() {
  for (const input of document.querySelectorAll("input[data-suggest]")) {
    let timer = 0;
    const field = /** @type {HTMLInputElement} */ (input);
    field.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => fill(field), 250);
    });
  }
}

/** @param {HTMLInputElement} field */
async function fill(field) {
  const list = field.list;
  const address = `/records/${field.dataset.suggest}/suggest?text=${encodeURIComponent(field.value)}`;
  const response = await fetch(address);
  if (!list || !response.ok) return;
  const parsed = new DOMParser().parseFromString(await response.text(), "text/html");
  list.replaceChildren(...parsed.querySelectorAll("option"));
}
