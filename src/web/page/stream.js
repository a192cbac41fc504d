// The event stream: one, with its own watch and its own way back. Runs in a page or in a worker that pages share.

const API = '/api/v1';
// The appliance pings every 15 s; two and a half of them missed is a loss.
const SILENCE_MS = 40_000;
// After a short break the missed events are enough; after a long one only a snapshot is the truth.
const FRESH_MS = 60_000;
// A break of two seconds is nobody's business.
const PATIENCE_MS = 2000;
const WAITS_S = [1, 2, 4, 8, 15];
const FULL_WAIT_S = 15;

export class Stream {
  // `hear(name, text)` gets every event; `told(state, heard)` gets live, lost, full, locked, and since when.
  constructor(events, hear, told) {
    Object.assign(this, { events, hear, told, source: null, old: new Set(), state: 'off', heard: null, seq: null, tries: 0, timer: 0, watch: 0, delay: 0 });
  }

  // With `anew` everything is told from a snapshot; what is open goes on until that is there.
  open(anew = false) {
    clearTimeout(this.timer);
    const brief = !anew && this.seq !== null && this.heard !== null && Date.now() - this.heard < FRESH_MS;
    const source = new EventSource(brief ? `${API}/events?after=${this.seq}` : `${API}/events`);
    if (this.source) this.old.add(this.source);
    this.source = source;
    if (!anew) this.leave();
    const listen = (name) => source.addEventListener(name, (message) => {
      if (source !== this.source) return;
      this.leave();
      if (name === 'gap') { this.heard = null; this.again(0); return; }
      if (message.lastEventId) this.seq = Number(message.lastEventId);
      if (name === 'snapshot') { try { this.seq = JSON.parse(message.data).seq ?? this.seq; } catch { return; } }
      this.alive();
      this.hear(name, message.data);
    });
    for (const name of ['snapshot', 'gap', 'ping', ...this.events]) listen(name);
    // An open stream that replays nothing is alive too; its first ping comes within 15 s.
    source.onopen = () => { if (source === this.source && brief) this.alive(); };
    source.onerror = () => { if (source === this.source) { this.leave(); this.broken(); } };
    this.guard();
  }

  // Those that were open before: none may stay behind.
  leave() {
    for (const one of this.old) one.close();
    this.old.clear();
  }

  close() {
    this.leave();
    clearTimeout(this.timer);
    clearTimeout(this.watch);
    clearTimeout(this.delay);
    this.source?.close();
    this.source = null;
    this.state = 'asleep';
  }

  alive() {
    this.heard = Date.now();
    this.tries = 0;
    clearTimeout(this.delay);
    if (this.state !== 'live') this.become('live');
    this.guard();
  }

  become(state) { this.state = state; this.told(state, this.heard); }

  guard() {
    clearTimeout(this.watch);
    this.watch = setTimeout(() => this.broken(), SILENCE_MS);
  }

  broken() {
    const refused = this.source?.readyState === EventSource.CLOSED;
    this.source?.close();
    this.source = null;
    if (refused) this.why(); else this.again();
  }

  // A refused stream does not say why; an ordinary request does.
  async why() {
    const stop = new AbortController(), limit = setTimeout(() => stop.abort(), 5000);
    let status = 0;
    try { status = (await fetch(`${API}/events`, { signal: stop.signal })).status; } catch { /* no answer: lost */ }
    clearTimeout(limit);
    stop.abort();
    if (this.source) return;
    if (status === 503) { this.become('full'); this.again(FULL_WAIT_S, 'full'); } else if (status === 401) { this.seq = null; this.become('locked'); } else this.again();
  }

  again(seconds, state = 'lost') {
    this.leave();
    this.source?.close();
    this.source = null;
    clearTimeout(this.watch);
    clearTimeout(this.timer);
    clearTimeout(this.delay);
    const wait = seconds ?? WAITS_S[Math.min(this.tries++, WAITS_S.length - 1)];
    this.timer = setTimeout(() => this.open(), wait * 1000 * (0.85 + Math.random() * 0.3));
    this.delay = setTimeout(() => { if (this.state !== state) this.become(state); }, this.heard === null ? 0 : PATIENCE_MS);
  }
}

// --- the way of a page ----------------------------------------------------------------------------
// Through the worker that all tabs share, or, where there is none, through a stream of its own.
const HERE_MS = 20_000, HIDDEN_MS = 30_000;
// A worker that does not answer is not there.
const WELCOME_MS = 4000;

export function connect(events, hear, told) {
  const link = { retry() {}, shared: false };
  const visible = () => document.visibilityState === 'visible';
  const direct = () => {
    const stream = new Stream(events, hear, told);
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
