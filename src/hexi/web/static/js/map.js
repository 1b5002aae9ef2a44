// Maps: MapLibre where WebGL 2 is there, else outlines in SVG and dots on a canvas. Alarms never wait for this.
import { drawFlat } from "./flatmap.js";

/** @typedef {{id: string, lon: number, lat: number, severity: string, said: string}} Dot */

/** @param {HTMLElement} box @param {Dot[]} points @param {{zoom?: number, centre?: [number, number]}} view */
export async function draw(box, points, view) {
  const outlines = await fetch("/wall/map").then((response) => response.json());
  credit(box);
  if (hasWebGL2()) {
    try {
      const { drawGL } = await import("./glmap.js");
      return await drawGL(box, outlines, points, view);
    } catch (error) {
      console.warn("map without WebGL", error);
    }
  }
  return drawFlat(box, outlines, points, view);
}

function hasWebGL2() {
  if (new URLSearchParams(location.search).get("map") === "flat") return false;
  const context = document.createElement("canvas").getContext("webgl2");
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return Boolean(context);
}

/** @param {HTMLElement} box */
function credit(box) {
  if (!box.dataset.credit || box.querySelector(".credit")) return;
  const note = document.createElement("span");
  note.className = "credit";
  note.textContent = box.dataset.credit;
  box.append(note);
}

/** A colour of the tokens. @param {string} name */
export function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export const SEVERITIES = ["extreme", "severe", "moderate", "minor"];
