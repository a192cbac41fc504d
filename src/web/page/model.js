// What is known: a store, and how each event changes it. Pure: no page, no clock of its own, no words; runs under node.

const JOBS_MAX = 50, LOG_MAX = 300, SPOOLS_MAX = 500;

export function empty() {
  return {
    known: false, printers: new Map(), gone: new Set(), jobs: new Map(), fetches: new Map(), spools: new Map(), log: [], unknown: 0,
    seq: null, build: null, started: null, auth: null, warnings: [], skew: null, loggedIn: false,
  };
}

export const object = (x) => (x && typeof x === 'object' && !Array.isArray(x) ? x : {});
export const list = (x) => (Array.isArray(x) ? x : []);
export const number = (x) => (typeof x === 'number' && Number.isFinite(x) ? x : null);
export const text = (x) => (typeof x === 'string' && x !== '' ? x : null);
export const time = (x) => { const t = text(x) ? Date.parse(x) : NaN; return Number.isFinite(t) ? t : null; };
// Pictures come from the appliance and from nowhere else.
export const address = (x) => (text(x)?.startsWith('/api/v1/') ? x : null);

// An event comes as an envelope; a bare payload is understood too.
export function unwrap(name, json) {
  const o = object(json);
  return 'data' in o && ('event' in o || 'timestamp' in o)
    ? { event: text(o.event) ?? name, seq: number(o.seq), after: number(o.after), at: time(o.timestamp), flow: text(o.flow), cause: number(o.cause), data: object(o.data) }
    : { event: name, seq: number(o.seq), after: null, at: null, flow: null, cause: null, data: o };
}

// Takes an event in. `now` is the viewer's clock in milliseconds. Answers the event if it is new, else null.
export function reduce(store, name, json, now) {
  const e = unwrap(name, json), d = e.data;
  if (name === 'snapshot') { snapshot(store, d, now); return e; }
  if (name === 'ping') { const at = time(d.now); if (at !== null) store.skew = at - now; return null; }
  if (e.seq !== null && !remember(store, e)) return null;
  const newest = e.seq ?? e.after;
  if (newest !== null) store.seq = Math.max(store.seq ?? 0, newest);
  const id = text(d.printer_id), handle = HANDLERS[name];
  if (handle) handle(store, id, e, now); else store.unknown += 1;
  return e;
}

// The log: durable events, the newest first, each once.
export function remember(store, e) {
  if (store.log.some((old) => old.seq === e.seq)) return false;
  const at = store.log.findIndex((old) => old.seq < e.seq);
  store.log.splice(at < 0 ? store.log.length : at, 0, e);
  if (store.log.length > LOG_MAX) store.log.length = LOG_MAX;
  return true;
}

const nothing = () => {};
const fetching = (store, id, e, now) => { if (id) fetched(store, id, e, now); };
const ofJob = (store, id, e, now) => job(store, e.data, e.event, e.at ?? now);
const ofSpool = (store, id, e) => spool(store, e.data.material);
const HANDLERS = {
  printer_added: (store, id, e, now) => { store.gone.delete(id); if (id) printer(store, id, e.data, now, false); },
  printer_updated: (store, id, e, now) => { if (id) printer(store, id, e.data, now, false); },
  printer_removed: (store, id) => { store.gone.add(id); store.printers.delete(id); store.fetches.delete(id); },
  printer_status_update: (store, id, e, now) => { if (id) printer(store, id, e.data, now, true); },
  printer_status: (store, id, e, now) => { for (const p of list(e.data.printers)) fresh(store, object(p), e, now); },
  printer_connection_progress: (store, id, e) => progress(store, id, e.data),
  plate_cleared: (store, id) => { const p = store.printers.get(id); if (p) p.plate = 'clear'; },
  job_created: ofJob, job_started: ofJob, job_status_changed: ofJob, job_progress_updated: ofJob, job_completed: ofJob, job_updated: ofJob,
  job_update: (store, id, e, now) => { for (const j of list(e.data.jobs)) job(store, object(j), e.event, now); },
  job_deleted: (store, id, e) => { store.jobs.delete(text(e.data.job_id)); },
  auto_download_triggered: fetching, auto_download_failed: fetching, file_download_started: fetching, file_download_progress: fetching,
  file_preview_ready: fetching, file_download_complete: fetching, file_download_failed: fetching,
  file_thumbnails_processed: (store, id, e) => {
    const all = object(e.data.thumbnails);
    pictured(store, e, address(object(all.medium).url) ?? address(object(all.small).url) ?? address(object(all.large).url));
  },
  thumbnail_processing_failed: (store, id, e) => pictured(store, e, null),
  file_deleted: (store, id, e) => { for (const j of store.jobs.values()) if (j.file && j.file === text(e.data.file_id)) j.picture = null; },
  material_created: ofSpool, material_updated: ofSpool,
  material_deleted: (store, id, e) => { store.spools.delete(text(e.data.material_id)); },
  storage_low: (store, id, e) => {
    store.warnings = [...store.warnings.filter((w) => object(w).kind !== 'storage_low'), { kind: 'storage_low', free_bytes: number(e.data.free_bytes) }];
  },
};
// Known, and nothing that the page keeps.
for (const name of ['printer_connected', 'printer_disconnected', 'printer_monitoring_started', 'printer_monitoring_stopped', 'files_discovered',
  'new_files_found', 'file_sync_complete', 'file_needs_thumbnail_processing', 'file_verification_failed', 'file_metadata_extracted',
  'metadata_extraction_failed', 'material_low_stock', 'library_file_added', 'library_file_deleted', 'print_paused', 'print_resumed',
  'print_stopped', 'printer_control_failed', 'service_started', 'service_stopping', 'settings_changed']) HANDLERS[name] = nothing;
export const EVENTS = Object.keys(HANDLERS);

function snapshot(store, d, now) {
  Object.assign(store, { known: true, printers: new Map(), gone: new Set(), jobs: new Map(), fetches: new Map() });
  store.seq = number(d.seq) ?? store.seq;
  // A factory reset begins to count anew.
  if (store.log.some((e) => e.seq > store.seq)) store.log = [];
  store.build = text(d.build);
  store.started = text(d.started_at);
  store.auth = text(d.auth) ?? text(object(d.auth).mode);
  store.warnings = list(d.warnings);
  for (const p of list(d.printers)) { const id = text(object(p).printer_id); if (id) printer(store, id, p, now, true); }
  for (const j of list(d.jobs)) job(store, object(j), 'snapshot', now);
  for (const f of list(d.downloads)) resumed(store, object(f));
}

// --- files on their way -------------------------------------------------------------------------
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
    : { flow: e.flow, name: null, job: null, state: 'look', bytes: null, size: null, rate: null, kind: null, again: null, tried: [] };
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
    case 'auto_download_failed':
      f.state = d.retry === 'after_print' ? 'later' : 'failed';
      f.tried = list(d.tried).filter((name) => typeof name === 'string');
      break;
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
    tried: list(d.tried),
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

// --- printers -----------------------------------------------------------------------------------
function printer(store, id, d, now, heard) {
  // Its last word may come after its removal.
  if (store.gone.has(id)) return;
  const p = store.printers.get(id) ?? { id, name: id, type: null, enabled: true, status: 'unknown', connection: {}, heard: null, filaments: [], errors: [] };
  if (text(d.name)) p.name = d.name;
  if (text(d.type)) p.type = d.type;
  if (typeof d.is_enabled === 'boolean') p.enabled = d.is_enabled;
  store.printers.set(id, p);
  if (!heard || text(d.status) === null) return;
  const known = p.connection, was = p.status;
  Object.assign(p, {
    status: text(d.status) ?? 'unknown', stage: text(d.stage), temperature: object(d.temperature), nozzles: list(d.nozzles),
    progress: number(d.progress), job: text(d.current_job), remaining: number(d.remaining_s), layer: number(d.layer), started: time(d.started_at),
    layers: number(d.layers), filaments: list(d.filaments).filter((f) => f && typeof f === 'object'),
    errors: list(d.errors).filter((x) => x && typeof x === 'object'), plate: text(d.plate),
    picture: address(d.thumbnail_url), print: text(d.job_id), connection: { ...object(d.connection) },
  });
  if (known.kind === p.connection.kind && known.message) p.connection.message = known.message;
  if (was !== p.status || p.since === undefined) p.since = was === 'unknown' && p.since === undefined ? null : now;
  p.end = p.remaining === null ? null : now + p.remaining * 1000;
  // Ages instead of times: the appliance may not know the time.
  p.heard = number(d.silent_for_s) !== null ? now - d.silent_for_s * 1000 : time(d.last_seen) ?? null;
}

function fresh(store, d, e, now) {
  const id = text(d.printer_id), seen = time(d.last_seen);
  if (!id) return;
  printer(store, id, d, now, false);
  const p = store.printers.get(id);
  if (p && seen !== null && e.at !== null) p.heard = now - Math.max(0, e.at - seen);
}

function progress(store, id, d) {
  const p = store.printers.get(id);
  if (!p) return;
  p.connection = { status: text(d.status), kind: text(d.kind), message: text(d.message) };
  if (d.status === 'connecting' && (p.status === 'unknown' || p.status === 'offline')) p.status = 'connecting';
}

// --- prints -------------------------------------------------------------------------------------
function job(store, d, name, at) {
  const id = text(d.job_id) ?? text(d.id);
  if (!id) return;
  const j = store.jobs.get(id) ?? { id, name: null, printer: null, status: 'unknown', progress: null, started: null, ended: null, paused: null };
  const was = j.status;
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
  if (j.status === 'paused' && was !== 'paused' && name !== 'snapshot') j.paused = at;
  if (j.status !== 'paused') j.paused = null;
  store.jobs.set(id, j);
  if (store.jobs.size > JOBS_MAX) store.jobs.delete(jobs(store).at(-1).id);
}

// Whether a printer says something that needs more words than its state: a step of its preparation, or an error.
export const speaks = (store) => [...store.printers.values()].some((p) => p.stage || p.errors.length);

export const over = (j) => j.status === 'completed' || j.status === 'failed' || j.status === 'cancelled' || Boolean(j.status === 'unknown' && j.ended);
// Running ones first, then the newest.
export function jobs(store) {
  const key = (j) => j.ended ?? j.started ?? 0;
  return [...store.jobs.values()].sort((a, b) => Number(over(a)) - Number(over(b)) || key(b) - key(a) || (a.id < b.id ? 1 : -1));
}

// --- spools -------------------------------------------------------------------------------------
export function spool(store, d) {
  const m = object(d), id = text(m.id);
  if (!id || (store.spools.size >= SPOOLS_MAX && !store.spools.has(id))) return;
  store.spools.set(id, m);
}
