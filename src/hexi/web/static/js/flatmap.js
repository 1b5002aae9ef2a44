// The map without WebGL: outlines as SVG, cases as dots on a canvas.
import { SEVERITIES, token } from "./map.js";

const NS = "http://www.w3.org/2000/svg";

/** @param {any} geometry @returns {number[][][]} */
const rings = (geometry) => (geometry.type === "Polygon" ? geometry.coordinates : geometry.coordinates.flat());

/** @param {any} outlines @param {any} view */
function projection(outlines, view) {
  const all = outlines.features.flatMap((/** @type {any} */ f) => rings(f.geometry).flat());
  const squeeze = Math.cos((39.09 * Math.PI) / 180);
  const lons = all.map((/** @type {number[]} */ p) => p[0]);
  const lats = all.map((/** @type {number[]} */ p) => p[1]);
  const reach = 0.012;
  const box = view.centre
    ? [view.centre[0] - reach, view.centre[1] - reach, view.centre[0] + reach, view.centre[1] + reach]
    : [Math.min(...lons), Math.min(...lats), Math.max(...lons), Math.max(...lats)];
  const size = 1000 / Math.max((box[2] - box[0]) * squeeze, box[3] - box[1], 1e-6);
  const width = (box[2] - box[0]) * squeeze * size;
  const height = (box[3] - box[1]) * size;
  return { width, height, at: (/** @type {number[]} */ p) => [(p[0] - box[0]) * squeeze * size, (box[3] - p[1]) * size] };
}

/** @param {string} name @param {Record<string, string>} attributes */
function svg(name, attributes) {
  const el = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) el.setAttribute(key, value);
  return el;
}

/** @param {any} outlines @param {any} flat */
function land(outlines, flat) {
  const pad = 20;
  const root = svg("svg", { viewBox: `${-pad} ${-pad} ${flat.width + 2 * pad} ${flat.height + 2 * pad}`, "aria-hidden": "true" });
  for (const feature of outlines.features) {
    const drawn = rings(feature.geometry).map((ring) => ring.map((p) => flat.at(p).map((n) => n.toFixed(1)).join(",")));
    root.append(svg("path", { class: "land", d: drawn.map((ring) => `M${ring.join("L")}Z`).join("") }));
  }
  for (const feature of outlines.features) {
    const ring = rings(feature.geometry)[0];
    const middle = [0, 1].map((i) => ring.reduce((sum, p) => sum + p[i], 0) / ring.length);
    const [x, y] = flat.at(middle);
    const name = svg("text", { x: x.toFixed(0), y: y.toFixed(0), "font-size": "20" });
    name.textContent = feature.properties.name;
    root.append(name);
  }
  return root;
}

/** @param {HTMLElement} box @param {any} outlines @param {any[]} points @param {any} view */
export function drawFlat(box, outlines, points, view) {
  const flat = projection(outlines, view);
  const root = land(outlines, flat);
  const canvas = document.createElement("canvas");
  canvas.className = "dots";
  box.prepend(root, canvas);
  let shown = points;
  const paint = () => dots(canvas, root, shown.map((p) => ({ ...p, xy: flat.at([p.lon, p.lat]) })));
  new ResizeObserver(paint).observe(box);
  paint();
  return { move: (/** @type {any[]} */ fresh) => { shown = fresh; paint(); } };
}

/** @param {HTMLCanvasElement} canvas @param {any} root @param {any[]} points */
function dots(canvas, root, points) {
  const ratio = devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * ratio;
  canvas.height = canvas.clientHeight * ratio;
  const [brush, matrix] = [canvas.getContext("2d"), root.getCTM()];
  if (!brush || !matrix) return;
  brush.scale(ratio, ratio);
  const colours = Object.fromEntries(SEVERITIES.map((s) => [s, token(s)]));
  for (const p of points) {
    const { x, y } = new DOMPoint(p.xy[0], p.xy[1]).matrixTransform(matrix);
    brush.fillStyle = colours[p.severity];
    brush.strokeStyle = token("sheet");
    brush.lineWidth = 2;
    brush.beginPath();
    const r = p.severity === "extreme" ? 9 : p.severity === "severe" ? 7 : 5;
    if (p.severity === "extreme") { brush.moveTo(x, y - r); brush.lineTo(x + r, y); brush.lineTo(x, y + r); brush.lineTo(x - r, y); brush.closePath(); }
    else brush.arc(x, y, r, 0, 7);
    brush.fill();
    brush.stroke();
  }
}
