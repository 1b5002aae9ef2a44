// The one event stream of all tabs of a browser: each tab is a port, the source is opened once.
const ADDRESS = "/api/v1/changes";
const ports = new Set();
let source = null;
let live = false;

function tell(message) {
  for (const port of ports) port.postMessage(message);
}

function listen() {
  source = new EventSource(ADDRESS);
  source.addEventListener("open", () => { live = true; tell({ live }); });
  source.addEventListener("change", (event) => tell({ change: JSON.parse(event.data) }));
  source.addEventListener("error", () => {
    live = false;
    tell({ live });
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
  });
}

self.onconnect = (event) => {
  const port = event.ports[0];
  ports.add(port);
  port.onmessage = (message) => { if (message.data === "bye") ports.delete(port); };
  port.postMessage({ live });
  if (!source) listen();
};
