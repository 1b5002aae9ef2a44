// The siren: two tones made here, no file. It sounds while a cry has not been opened by anybody.
let context = /** @type {AudioContext | null} */ (null);
let timer = 0;
const muted = new Set(JSON.parse(sessionStorage.getItem("muted") || "[]"));

/** Sound needs one gesture per shift: this has to be called from a press. */
export async function allow() {
  context ||= new AudioContext();
  await context.resume();
  localStorage.setItem("siren", "on");
  show();
}

export function forbid() {
  localStorage.setItem("siren", "off");
  context?.suspend();
  show();
}

export function isOn() {
  return localStorage.getItem("siren") === "on" && context?.state === "running";
}

/** @param {string} id */
export function mute(id) {
  muted.add(id);
  sessionStorage.setItem("muted", JSON.stringify([...muted]));
  follow();
}

/** Two seconds of the real sound. */
export async function test() {
  await allow();
  wail(2);
}

/** @param {number} seconds */
function wail(seconds) {
  if (!context) return;
  const tone = context.createOscillator();
  const volume = context.createGain();
  const start = context.currentTime;
  tone.type = "square";
  for (let t = 0; t < seconds; t += 0.5) {
    tone.frequency.setValueAtTime(880, start + t);
    tone.frequency.setValueAtTime(660, start + t + 0.25);
  }
  volume.gain.setValueAtTime(0.18, start);
  volume.gain.linearRampToValueAtTime(0, start + seconds);
  tone.connect(volume).connect(context.destination);
  tone.start(start);
  tone.stop(start + seconds);
}

/** The cries on this desk that nobody has opened and nobody here has muted. */
export function ringing() {
  const rows = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-siren]"));
  return [...rows].filter((row) => !muted.has(row.dataset.case || ""));
}

/** Sounds as long as something rings; only one tab of a browser at a time. */
export function follow() {
  const on = ringing().length > 0;
  document.documentElement.toggleAttribute("data-ringing", on);
  if (!on) { clearInterval(timer); timer = 0; return; }
  if (timer) return;
  const sound = () => {
    if (!isOn()) return;
    if (navigator.locks) navigator.locks.request("hexi-siren", { ifAvailable: true }, (lock) => lock && holdFor(1900));
    else wail(1.5);
  };
  timer = setInterval(sound, 2000);
  sound();
}

/** @param {number} ms */
function holdFor(ms) {
  wail(1.5);
  return new Promise((done) => setTimeout(done, ms));
}

export function show() {
  const button = document.getElementById("siren");
  if (!button) return;
  button.setAttribute("aria-pressed", String(isOn()));
  button.textContent = (isOn() ? button.dataset.on : button.dataset.off) || "";
}
