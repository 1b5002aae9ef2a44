// The map with MapLibre: outlines and dots from our own data, names as plain labels, no tiles, no outside request.
import { Map as GLMap, Marker, setWorkerUrl } from "../vendor/maplibre-gl.mjs";
import { SEVERITIES, token } from "./map.js";

/** @param {any[]} points */
const asFeatures = (points) => ({
  type: "FeatureCollection",
  features: points.map((p) => ({
    type: "Feature", properties: { id: p.id, severity: p.severity },
    geometry: { type: "Point", coordinates: [p.lon, p.lat] },
  })),
});

/** @param {any} outlines @returns {[number, number, number, number]} */
export function bounds(outlines) {
  const flat = outlines.features.flatMap((/** @type {any} */ f) => f.geometry.coordinates.flat(Infinity));
  const lon = flat.filter((/** @type {number} */ _, /** @type {number} */ i) => i % 2 === 0);
  const lat = flat.filter((/** @type {number} */ _, /** @type {number} */ i) => i % 2 === 1);
  const least = (/** @type {number[]} */ a) => a.reduce((x, y) => Math.min(x, y), Infinity);
  const most = (/** @type {number[]} */ a) => a.reduce((x, y) => Math.max(x, y), -Infinity);
  return [least(lon), least(lat), most(lon), most(lat)];
}

/** @param {any} outlines @param {any[]} points */
function style(outlines, points) {
  const colour = ["match", ["get", "severity"], ...SEVERITIES.flatMap((s) => [s, token(s)]), token("minor")];
  const size = ["match", ["get", "severity"], "extreme", 7, "severe", 6, 5];
  return {
    version: 8,
    sources: { land: { type: "geojson", data: outlines }, cases: { type: "geojson", data: asFeatures(points) } },
    layers: [
      { id: "land", type: "fill", source: "land", paint: { "fill-color": token("map-land") } },
      { id: "line", type: "line", source: "land", paint: { "line-color": token("map-line"), "line-width": 1.2 } },
      { id: "halo", type: "circle", source: "cases", filter: ["==", ["get", "severity"], "extreme"],
        paint: { "circle-radius": 14, "circle-color": token("extreme"), "circle-opacity": 0.18 } },
      { id: "cases", type: "circle", source: "cases",
        paint: { "circle-radius": size, "circle-color": colour, "circle-stroke-width": 1.5, "circle-stroke-color": token("sheet") } },
    ],
  };
}

/** @param {any} map @param {any} outlines */
function label(map, outlines) {
  for (const feature of outlines.features) {
    const [w, s, e, n] = bounds({ features: [feature] });
    const name = document.createElement("span");
    name.className = "tiny map-name";
    name.textContent = feature.properties.name;
    new Marker({ element: name }).setLngLat([(w + e) / 2, (s + n) / 2]).addTo(map);
  }
}

/** @param {HTMLElement} box @param {any} outlines @param {any[]} points @param {any} view */
export async function drawGL(box, outlines, points, view) {
  setWorkerUrl(new URL("../vendor/maplibre-gl-worker.mjs", import.meta.url).href);
  const room = document.createElement("div");
  room.className = "gl";
  box.prepend(room);
  const where = view.centre ? { center: view.centre, zoom: view.zoom } : { bounds: bounds(outlines), fitBoundsOptions: { padding: 24 } };
  const map = new GLMap({ container: room, style: style(outlines, points), attributionControl: false, ...where });
  room.querySelector("canvas")?.setAttribute("aria-label", box.dataset.label || box.getAttribute("aria-label") || "");
  map.on("load", () => label(map, outlines));
  map.on("click", "cases", (/** @type {any} */ event) => { location.href = `/cases/${event.features[0].properties.id}`; });
  return { move: (/** @type {any[]} */ fresh) => map.getSource("cases")?.setData(asFeatures(fresh)) };
}
