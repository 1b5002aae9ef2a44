// Read-aloud, where the browser has a voice. Without one the button stays away.
export function startSpeech() {
  if (!("speechSynthesis" in window)) return;
  for (const button of document.querySelectorAll("[data-speak]")) {
    const el = /** @type {HTMLElement} */ (button);
    el.hidden = false;
    el.addEventListener("click", () => speak(document.getElementById(el.dataset.speak || "")?.textContent || ""));
  }
}

/** @param {string} text */
export function speak(text) {
  if (!("speechSynthesis" in window) || !text.trim()) return;
  const said = new SpeechSynthesisUtterance(text.trim());
  said.lang = document.documentElement.lang;
  said.rate = 0.9;
  speechSynthesis.cancel();
  speechSynthesis.speak(said);
}
