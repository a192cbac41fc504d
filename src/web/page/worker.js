// One stream for all tabs of a browser: a shared worker holds it and hands every event to every tab.
import { EVENTS } from './model.js';
import { Stream } from './stream.js';

// Tabs that nobody looks at let the stream rest after this long; it also spares the appliance.
const HIDDEN_MS = 30_000;
// A tab says every 20 s that it is there, hidden ones once a minute; one that is silent for three of them has crashed.
const GONE_MS = 180_000;
const TABS_MAX = 64;

const tabs = new Map();
let rest = 0;

const stream = new Stream(EVENTS,
  (name, text) => tell({ name, text }),
  (state, heard) => tell({ state, heard }));

function tell(message) {
  for (const [port, tab] of tabs) {
    if (Date.now() - tab.at > GONE_MS && tabs.size > 1) { tabs.delete(port); continue; }
    port.postMessage(message);
  }
}

function attend() {
  clearTimeout(rest);
  if ([...tabs.values()].some((tab) => tab.seen)) {
    if (stream.state === 'asleep') { stream.tries = 0; stream.open(); }
  } else rest = setTimeout(() => { if (stream.state !== 'locked') stream.close(); }, tabs.size ? HIDDEN_MS : 0);
}

self.onconnect = (event) => {
  const port = event.ports[0];
  port.onmessage = ({ data }) => {
    if (data.bye) tabs.delete(port);
    else if (data.retry) { stream.tries = 0; stream.open(true); } else if (tabs.has(port) && !data.hello) tabs.set(port, { seen: data.seen, at: Date.now() });
    else if (tabs.size >= TABS_MAX) port.postMessage({ refused: true });
    else {
      tabs.set(port, { seen: data.seen, at: Date.now() });
      port.postMessage({ welcome: true });
      port.postMessage({ state: stream.state, heard: stream.heard });
      // A new tab, or one that was thought gone, knows nothing: all begin anew with a snapshot.
      stream.open(true);
    }
    attend();
  };
};
