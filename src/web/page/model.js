// What is known, and how it is said. Pure: no page, no clock of its own; runs under node as well.
import { STATES, TROUBLE, JOB_STATES, FETCH } from './words.js';

const JOBS_MAX = 50, LOG_MAX = 50;
// A printer that is connected but told nothing for this long is shown as such.
export const SILENT_MS = 90_000;

export function empty() {
  return { known: false, printers: new Map(), jobs: new Map(), fetches: new Map(), log: [], seq: null, build: null, started: null, warnings: [] };
}

const object = (x) => (x && typeof x === 'object' && !Array.isArray(x) ? x : {});
const list = (x) => (Array.isArray(x) ? x : []);
const number = (x) => (typeof x === 'number' && Number.isFinite(x) ? x : null);
const text = (x) => (typeof x === 'string' && x !== '' ? x : null);
const time = (x) => { const t = text(x) ? Date.parse(x) : NaN; return Number.isFinite(t) ? t : null; };

// An event comes as an envelope; a bare payload is understood too.
export function unwrap(name, json) {
  const o = object(json);
  return 'data' in o && ('event' in o || 'timestamp' in o)
    ? { event: text(o.event) ?? name, seq: number(o.seq), after: number(o.after), at: time(o.timestamp), flow: text(o.flow), synced: o.clock_synced !== false, data: object(o.data) }
    : { event: name, seq: number(o.seq), after: null, at: null, flow: null, synced: true, data: o };
}

// Takes an event in. `now` is the viewer's clock in milliseconds. Answers what to say aloud, or nothing.
export function reduce(store, name, json, now) {
  const e = unwrap(name, json), d = e.data;
  if (name === 'snapshot') return snapshot(store, d, now);
  const newest = e.seq ?? e.after;
  if (newest !== null) store.seq = Math.max(store.seq ?? 0, newest);
  if (e.seq !== null) {
    if (store.log.some((old) => old.seq === e.seq)) return null;
    store.log.unshift({ seq: e.seq, event: e.event, at: e.at, data: d });
    store.log.sort((a, b) => b.seq - a.seq);
    store.log.length = Math.min(store.log.length, LOG_MAX);
  }
  const id = text(d.printer_id);
  switch (name) {
    case 'printer_added':
    case 'printer_updated': if (id) printer(store, id, d, now, false); break;
    case 'printer_removed': store.printers.delete(id); break;
    case 'printer_status_update': return id ? printer(store, id, d, now, true) : null;
    case 'printer_status': for (const p of list(d.printers)) fresh(store, object(p), e, now); break;
    case 'printer_connection_progress': progress(store, id, d); break;
    case 'job_created': case 'job_started': case 'job_status_changed': case 'job_progress_updated':
    case 'job_completed': case 'job_updated': job(store, d, name, e.at ?? now); break;
    case 'job_update': for (const j of list(d.jobs)) job(store, object(j), name, now); break;
    case 'job_deleted': store.jobs.delete(text(d.job_id)); break;
    case 'auto_download_triggered': case 'auto_download_failed': case 'file_download_started': case 'file_download_progress':
    case 'file_preview_ready': case 'file_download_complete': case 'file_download_failed': if (id) fetched(store, id, e, now); break;
    case 'file_thumbnails_processed': pictured(store, e, address(object(object(d.thumbnails).medium).url) ?? address(object(object(d.thumbnails).small).url)); break;
    case 'thumbnail_processing_failed': pictured(store, e, null); break;
    case 'file_deleted': for (const j of store.jobs.values()) if (j.file && j.file === text(d.file_id)) j.picture = null; break;
  }
  return null;
}

function snapshot(store, d, now) {
  Object.assign(store, { known: true, printers: new Map(), jobs: new Map(), fetches: new Map() });
  store.seq = number(d.seq) ?? store.seq;
  // A factory reset begins to count anew.
  if (store.log.some((e) => e.seq > store.seq)) store.log = [];
  store.build = text(d.build);
  store.started = text(d.started_at);
  store.warnings = list(d.warnings);
  for (const p of list(d.printers)) { const id = text(object(p).printer_id); if (id) printer(store, id, p, now, true); }
  for (const j of list(d.jobs)) job(store, object(j), 'snapshot', now);
  for (const f of list(d.downloads)) resumed(store, object(f));
  return null;
}

// Pictures come from the appliance and from nowhere else.
const address = (x) => (text(x)?.startsWith('/api/v1/') ? x : null);

// The print that an event is about: named, or in its flow, or that of the transfer it belongs to.
function printOf(store, e) {
  const named = text(e.data.job_id) ?? /^print-(j\d+)$/.exec(e.flow ?? '')?.[1];
  if (named) return store.jobs.get(named) ?? null;
  for (const j of store.jobs.values()) if (j.file && j.file === text(e.data.file_id)) return j;
  for (const f of store.fetches.values()) if (f.flow && f.flow === e.flow) return store.jobs.get(f.job) ?? null;
  return null;
}

// One transfer runs at a printer at a time; what is shown is the latest word of it.
function fetched(store, id, e, now) {
  const d = e.data, old = store.fetches.get(id), j = printOf(store, e);
  const f = old && (old.flow === e.flow || e.event === 'file_download_progress') ? old
    : { flow: e.flow, name: null, job: null, state: 'look', bytes: null, size: null, rate: null, kind: null, again: null };
  f.name = text(d.filename) ?? f.name;
  f.job = j?.id ?? text(d.job_id) ?? f.job;
  f.kind = text(d.kind);
  f.again = null;
  switch (e.event) {
    case 'file_download_started': Object.assign(f, { state: 'run', bytes: number(d.resumed_from) || null, size: number(d.file_size), rate: null }); break;
    case 'file_download_progress': Object.assign(f, { state: 'run', bytes: number(d.bytes), size: number(d.file_size) ?? f.size, rate: number(d.rate_bytes_s) }); break;
    case 'file_preview_ready': if (j && address(d.thumbnail_url)) j.picture = d.thumbnail_url; break;
    case 'file_download_complete': if (j && text(d.file_id)) j.file = d.file_id; store.fetches.delete(id); return;
    case 'file_download_failed':
      if (d.kind === 'cancelled') { store.fetches.delete(id); return; }
      f.state = number(d.retry_in_s) === null ? 'failed' : 'wait';
      if (f.state === 'wait') f.again = now + d.retry_in_s * 1000;
      break;
    case 'auto_download_failed': f.state = d.retry === 'after_print' ? 'later' : 'failed'; break;
  }
  store.fetches.set(id, f);
}

// A transfer as the snapshot shows it.
function resumed(store, d) {
  const id = text(d.printer_id), state = { queued: 'look', downloading: 'run', waiting: 'wait', after_print: 'later' }[d.status];
  if (!id || !state || (store.fetches.has(id) && state !== 'run')) return;
  const job = text(d.job_id), j = store.jobs.get(job);
  store.fetches.set(id, {
    flow: d.auto === true && job ? `print-${job}` : `download-${text(d.download_id)}`, name: text(d.filename), job, state,
    bytes: number(d.bytes_downloaded), size: number(d.total_bytes), rate: number(d.rate_bytes_s), kind: text(object(d.error).kind), again: null,
  });
  if (j && !j.picture) j.picture = address(d.thumbnail_url);
}

function pictured(store, e, url) {
  const j = printOf(store, e), plate = number(e.data.plate);
  // Of several plates of one file the print has one.
  if (!j || (j.plate && plate && j.plate !== plate)) return;
  j.picture = url;
  j.file ??= text(e.data.file_id);
}

// The picture of what a printer shows: its print's, never that of an earlier one.
export function picture(store, p) { return store.jobs.get(p.print)?.picture ?? (p.print ? p.picture : null) ?? null; }
export function small(url) { return url?.replace('size=medium', 'size=small') ?? null; }

// What is said of a file that is being fetched, for a card: words, what to do, percent, and whether asking again helps.
export function fetching(store, p, now) {
  const f = store.fetches.get(p.id);
  if (!f) return null;
  const [short, help] = FETCH[f.kind] ?? (f.kind ? [f.kind.replaceAll('_', ' '), null] : ['The file is not here', null]);
  const percent = f.size && f.bytes !== null ? Math.max(0, Math.min(99, Math.floor((f.bytes / f.size) * 100))) : null;
  switch (f.state) {
    case 'look': return { words: 'Looking for the file', help: null, percent: null, bad: false, retry: false };
    case 'run': {
      const much = f.size ? `${percent ?? 0} % of ${bytes(f.size)}` : f.bytes ? bytes(f.bytes) : null;
      return { words: ['Fetching the file', much, f.rate ? `${bytes(f.rate)}/s` : null].filter(Boolean).join(' · '), help: null, percent, bad: false, retry: false };
    }
    case 'wait': {
      const s = f.again === null ? null : (f.again - now) / 1000;
      return { words: `${short}. ${s !== null && s >= 60 ? `Trying again in ${duration(s)}.` : 'Trying again.'}`, help, percent: null, bad: false, retry: false };
    }
    case 'later': return { words: `${short}. Trying again after the print.`, help, percent: null, bad: false, retry: true };
    default: return { words: `${short}.`, help, percent: null, bad: true, retry: Boolean(f.job) && f.job === p.print && working(p) };
  }
}

export function bytes(n) {
  if (n < 1000) return `${n} B`;
  const [value, unit] = n < 1e6 ? [n / 1e3, 'KB'] : n < 1e9 ? [n / 1e6, 'MB'] : [n / 1e9, 'GB'];
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

function printer(store, id, d, now, heard) {
  const p = store.printers.get(id) ?? { id, name: id, status: 'unknown', connection: {}, heard: null };
  const before = look(p, now).words;
  if (text(d.name)) p.name = d.name;
  if (text(d.type)) p.type = d.type;
  store.printers.set(id, p);
  if (!heard || text(d.status) === null) return null;
  const known = p.connection;
  Object.assign(p, {
    status: text(d.status) ?? 'unknown', stage: text(d.stage), temperature: object(d.temperature), nozzles: list(d.nozzles),
    progress: number(d.progress), job: text(d.current_job), remaining: number(d.remaining_s), layer: number(d.layer),
    layers: number(d.layers), filaments: list(d.filaments), errors: list(d.errors), plate: text(d.plate),
    picture: address(d.thumbnail_url), print: text(d.job_id), connection: { ...object(d.connection) },
  });
  if (known.kind === p.connection.kind && known.message) p.connection.message = known.message;
  p.end = p.remaining === null ? null : now + p.remaining * 1000;
  // Ages instead of times: the appliance may not know the time.
  p.heard = number(d.silent_for_s) !== null ? now - d.silent_for_s * 1000 : time(d.last_seen) ?? null;
  const after = look(p, now).words;
  return before !== after && before !== 'Unknown' ? `${p.name}: ${after}` : null;
}

function fresh(store, d, e, now) {
  const id = text(d.printer_id), seen = time(d.last_seen);
  if (!id) return;
  printer(store, id, d, now, false);
  const p = store.printers.get(id);
  if (seen !== null && e.at !== null) p.heard = now - Math.max(0, e.at - seen);
}

function progress(store, id, d) {
  const p = store.printers.get(id);
  if (!p) return;
  p.connection = { status: text(d.status), kind: text(d.kind), message: text(d.message) };
  if (d.status === 'connecting' && (p.status === 'unknown' || p.status === 'offline')) p.status = 'connecting';
}

function job(store, d, name, at) {
  const id = text(d.job_id) ?? text(d.id);
  if (!id) return;
  const j = store.jobs.get(id) ?? { id, name: null, printer: null, status: 'unknown', progress: null, started: null, ended: null };
  j.name = text(d.job_name) ?? text(d.name) ?? j.name;
  j.printer = text(d.printer_id) ?? j.printer;
  j.status = text(d.status) ?? j.status;
  j.progress = number(d.progress) ?? j.progress;
  j.started = time(d.started_at) ?? (name === 'job_started' ? at : j.started);
  j.ended = time(d.ended_at) ?? time(d.completed_at) ?? (name === 'job_completed' ? at : j.ended);
  j.duration = number(d.duration_s) ?? j.duration ?? null;
  j.grams = number(d.material_used_g) ?? j.grams ?? null;
  j.error = text(d.error) ?? j.error ?? null;
  j.plate = number(d.plate) ?? j.plate ?? null;
  j.file = text(d.file_id) ?? j.file ?? null;
  j.picture = address(d.thumbnail_url) ?? j.picture ?? null;
  // What went wrong with the last print's file is nobody's business at the next one.
  const f = store.fetches.get(j.printer);
  if (name === 'job_created' && f && f.job !== id && f.state === 'failed') store.fetches.delete(j.printer);
  if (name === 'job_started') j.status = 'running';
  if (name === 'job_created' && d.status === undefined) j.status = 'pending';
  store.jobs.set(id, j);
  if (store.jobs.size > JOBS_MAX) store.jobs.delete(jobs(store).at(-1).id);
}

const over = (j) => j.status === 'completed' || j.status === 'failed' || j.status === 'cancelled' || (j.status === 'unknown' && j.ended);
// Running ones first, then the newest.
export function jobs(store) {
  const key = (j) => j.ended ?? j.started ?? 0;
  return [...store.jobs.values()].sort((a, b) => Boolean(over(a)) - Boolean(over(b)) || key(b) - key(a) || (a.id < b.id ? 1 : -1));
}
export function jobWords(j) { return JOB_STATES[j.status] ?? j.status; }
export { over as jobOver };

// How a printer looks: words, icon, colour, band, bar, and what to do.
export function look(p, now) {
  const way = p.connection ?? {}, trouble = TROUBLE[way.kind];
  const since = p.heard ? ` since ${clock(p.heard, now)}` : '';
  let key = STATES[p.status] ? p.status : 'unknown', note = null;
  if (key === 'finished' && p.plate === 'clear') key = 'done';
  if (way.status === 'error') {
    key = 'fix';
    note = trouble?.[1] ?? way.message ?? 'The connection needs a hand.';
  } else if (way.status === 'failed' || key === 'offline') {
    key = 'offline';
    note = trouble?.[1] ?? way.message ?? 'Is it switched on? Trying again by itself.';
  } else if (way.status === 'connecting' && key !== 'connecting') {
    note = 'Connecting again. What is shown may be old.';
  }
  const [word, icon, colour, band, bar] = STATES[key];
  let words = word;
  if (key === 'fix') words = trouble?.[0] ?? word;
  if (key === 'offline') words = (trouble && trouble[0] !== 'No answer' ? trouble[0] : word) + since;
  if (key === 'unknown' && !STATES[p.status]) words = p.status;
  if (key === 'preparing' && p.stage) note ??= p.stage;
  if (key === 'paused' && p.stage) note ??= p.stage;
  // Errors say it better where there are some; they have their own place.
  if (key === 'attention' && !(p.errors ?? []).length) note ??= p.stage;
  if (key === 'unknown') note ??= 'No word from the printer yet.';
  const cut = key === 'offline' || key === 'fix' || way.status === 'connecting';
  const silent = !cut && p.heard !== null && p.heard !== undefined && now - p.heard > SILENT_MS;
  if (silent) note ??= `Connected, but no news since ${clock(p.heard, now)}.`;
  return { key, words, icon, colour, band, bar, note, stale: cut || silent, kind: way.kind ?? null };
}

const WORKING = ['preparing', 'printing', 'paused', 'attention'];
export function working(p) { return WORKING.includes(p.status); }
export function needsYou(p, now) { return ['fix', 'attention', 'failed'].includes(look(p, now).key); }

export function summary(store, now) {
  const all = [...store.printers.values()];
  const count = (n, one, many) => (n ? `${n} ${n === 1 ? one : many ?? one}` : null);
  const live = all.filter((p) => !look(p, now).stale);
  const ends = live.filter((p) => p.status === 'printing' && p.end).map((p) => p.end);
  return [
    count(live.filter((p) => p.status === 'printing').length, 'printing'),
    count(all.filter((p) => needsYou(p, now)).length, 'needs you', 'need you'),
    count(all.filter((p) => look(p, now).key === 'offline').length, 'without answer'),
    ends.length ? `next done ${clock(Math.min(...ends), now)}` : null,
  ].filter(Boolean).join(' · ') || (all.length ? 'Nothing is printing' : '');
}

// Order by need; within a class by name, so that cards do not wander.
export function order(store, now) {
  const rank = (p) => {
    const key = look(p, now).key;
    return ['fix', 'attention', 'failed', 'paused', 'finished', 'printing', 'preparing', 'connecting', 'cancelled', 'done', 'idle', 'unknown', 'offline'].indexOf(key);
  };
  return [...store.printers.values()].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name) || (a.id < b.id ? -1 : 1));
}

export function percent(p) {
  if (p.progress === null || p.progress === undefined) return null;
  const whole = Math.max(0, Math.min(100, Math.floor(p.progress)));
  return p.status === 'finished' ? whole : Math.min(99, whole);
}

export function left(p, now) {
  if (p.status === 'finished' || !working(p)) return null;
  if (p.remaining === null || p.remaining === undefined) return 'time not known yet';
  if (p.status !== 'printing') return `${duration(p.remaining)} left`;
  if (p.remaining === 0) return 'finishing';
  const s = Math.max(0, (p.end - now) / 1000);
  return `${duration(s)} left`;
}

export function duration(s) {
  const m = Math.ceil(s / 60);
  if (s < 60) return 'less than a minute';
  if (m < 60) return `${m} min`;
  const h = Math.floor(m / 60);
  if (h < 24) return m % 60 ? `${h} h ${m % 60} min` : `${h} h`;
  return h % 24 ? `${Math.floor(h / 24)} d ${h % 24} h` : `${Math.floor(h / 24)} d`;
}

// A moment as the viewer's clock shows it: today the time, else the weekday, far away the date.
export function clock(ms, now) {
  const when = new Date(ms), today = new Date(now);
  const far = Math.abs(ms - now) > 6 * 86_400_000;
  const options = far ? { dateStyle: 'medium' }
    : { ...(when.toDateString() === today.toDateString() ? {} : { weekday: 'short' }), hour: '2-digit', minute: '2-digit' };
  return new Intl.DateTimeFormat(undefined, options).format(when);
}

export function degrees(current, target) {
  const c = number(current), t = number(target);
  if (c === null && t === null) return null;
  const now = c === null ? '?' : Math.round(c);
  return t === null || t === 0 ? `${now} °C` : `${now} → ${Math.round(t)} °C`;
}

// The short facts of a card as [label, value]; what is unknown is left out.
export function facts(p) {
  const t = p.temperature ?? {}, out = [];
  if (working(p) && p.layer !== null && p.layer !== undefined) out.push(['Layer', p.layers ? `${p.layer}/${p.layers}` : `${p.layer}`]);
  const nozzles = (p.nozzles ?? []).filter((n) => n && typeof n === 'object');
  if (nozzles.length > 1) {
    for (const n of nozzles) { const v = degrees(n.current, n.target); if (v) out.push([`Nozzle ${n.id}${n.active ? ' (in use)' : ''}`, v]); }
  } else {
    const v = degrees(t.nozzle ?? nozzles[0]?.current, t.nozzle_target ?? nozzles[0]?.target);
    if (v) out.push(['Nozzle', v]);
  }
  for (const [label, v] of [['Bed', degrees(t.bed, t.bed_target)], ['Chamber', degrees(t.chamber)]]) if (v) out.push([label, v]);
  return out;
}

// One line of the log: what, and about whom.
export function line(store, entry) {
  const d = entry.data, p = store.printers.get(d.printer_id);
  const who = p?.name ?? text(d.name) ?? text(d.printer_id);
  const status = text(d.new_status) ?? text(d.status);
  const more = [text(d.job_name) ?? text(d.filename) ?? text(d.current_job), status, text(d.kind), text(d.reason), text(d.message) ?? text(d.error)];
  return { what: entry.event.replaceAll('_', ' '), about: [who, ...more].filter(Boolean).join(' · ') };
}
