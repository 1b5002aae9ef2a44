// The case page: keeps itself fresh, and shows where it is.
import { paced, watch } from "./changes.js";

const head = () => /** @type {HTMLElement} */ (document.getElementById("case-head"));
const refresh = paced(
  () => window.htmx.ajax("GET", `/cases/${head().dataset.case}/live`, { target: "#case-live", swap: "outerMorph" }),
  250,
);
watch((change) => { if (change.case === head().dataset.case) refresh(); }, refresh);

const box = document.getElementById("map");
if (box) {
  const point = {
    id: head().dataset.case || "", lon: Number(box.dataset.lon), lat: Number(box.dataset.lat),
    severity: box.dataset.severity || "minor", said: "",
  };
  import("./map.js").then((map) => map.draw(box, [point], { zoom: 14, centre: [point.lon, point.lat] }));
}
