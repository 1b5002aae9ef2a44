// The wall: lists and figures are redrawn by the server, the map by its own module.
import { paced, watch } from "./changes.js";

const box = document.getElementById("map");
let map = /** @type {{ move: (points: any[]) => void } | null} */ (null);

async function refreshMap() {
  if (!box || !map) return;
  const response = await fetch("/wall/points");
  if (response.ok) map.move(await response.json());
}

const refresh = paced(async () => {
  await window.htmx.ajax("GET", document.getElementById("wall")?.dataset.live || "", { target: "#wall", swap: "innerMorph" });
  await refreshMap();
}, 1500);

watch(refresh, refresh);
setInterval(refresh, 60_000);
if (box) {
  Promise.all([import("./map.js"), fetch("/wall/points").then((response) => response.json())])
    .then(async ([module, points]) => { map = await module.draw(box, points, {}); });
}
