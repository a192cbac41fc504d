// A page's way to the events: through the worker that all tabs share, or, where there is none, through a stream of its own.
import { EVENTS } from './model.js';
import { Stream } from './stream.js';

const HERE_MS = 20_000, HIDDEN_MS = 30_000;
// A worker that does not answer is not there.
const WELCOME_MS = 4000;

export function connect(hear, told) {
  const link = { retry() {}, shared: false };
  const visible = () => document.visibilityState === 'visible';
  const direct = () => {
    const stream = new Stream(EVENTS, hear, told);
    let hidden = 0;
    stream.open();
    document.addEventListener('visibilitychange', () => {
      clearTimeout(hidden);
      if (!visible()) hidden = setTimeout(() => { stream.close(); told('asleep', stream.heard); }, HIDDEN_MS);
      else if (stream.state === 'asleep') { stream.tries = 0; stream.open(); }
    });
    link.retry = () => { stream.tries = 0; stream.open(true); };
  };
  const worker = share();
  if (!worker) { direct(); return link; }
  const port = worker.port;
  const give = () => { if (!link.shared) { port.close(); direct(); link.shared = null; } };
  const timer = setTimeout(give, WELCOME_MS);
  worker.onerror = () => { clearTimeout(timer); if (link.shared === false) give(); };
  port.onmessage = ({ data }) => {
    if (link.shared === null) return;
    if (data.welcome) { link.shared = true; clearTimeout(timer); } else if (data.refused) { clearTimeout(timer); give(); } else if (data.state) told(data.state, data.heard); else hear(data.name, data.text);
  };
  const here = () => port.postMessage({ seen: visible() });
  port.postMessage({ hello: true, seen: visible() });
  setInterval(here, HERE_MS);
  document.addEventListener('visibilitychange', here);
  addEventListener('pagehide', () => port.postMessage({ bye: true }));
  addEventListener('pageshow', (event) => { if (event.persisted) port.postMessage({ hello: true, seen: visible() }); });
  link.retry = () => port.postMessage({ retry: true });
  return link;
}

function share() {
  if (typeof SharedWorker === 'undefined') return null;
  const url = new URL('worker.js', import.meta.url).href;
  try {
    // The only script address that this page ever makes; the policy knows no other.
    const script = globalThis.trustedTypes ? trustedTypes.createPolicy('worker', { createScriptURL: () => url }).createScriptURL('') : url;
    return new SharedWorker(script, { type: 'module', name: url });
  } catch { return null; }
}
