// The demo's pages follow the case they are about.
import { paced, watch } from "./changes.js";

const live = document.getElementById("live");
const refresh = paced(async () => {
  await window.htmx.ajax("GET", live?.dataset.live || "", { target: "#live", swap: "innerMorph" });
}, 400);
watch(refresh, refresh);
