// How what is known is shown: words, icons, order, figures. Pure; the caller brings the time.
import { t, said, has, bytes, clock, degrees, duration } from './words.js';
import { object, over, text } from './model.js';

// A printer that is connected but told nothing for this long is shown as such.
export const SILENT_MS = 90_000;

// Of each state: icon, colour, band, pattern of the bar.
const STATES = {
  connecting: ['connecting', '', 'dashed', ''],
  idle: ['idle', '', 'plain', ''],
  preparing: ['preparing', 'run', 'tint', 'wait'],
  printing: ['printing', 'run', 'tint', 'solid'],
  paused: ['paused', 'hold', 'tint', 'seg'],
  attention: ['attention', 'bad', 'solid', 'seg'],
  finished: ['finished', 'good', 'plain', ''],
  done: ['finished', 'good', 'plain', ''],
  failed: ['failed', 'bad', 'solid', 'grey'],
  over: ['failed', '', 'plain', 'grey'],
  cancelled: ['cancelled', '', 'plain', 'grey'],
  offline: ['offline', '', 'dashed', 'grey'],
  disabled: ['offline', '', 'dashed', ''],
  unknown: ['unknown', '', 'dashed', 'grey'],
  fix: ['key', 'bad', 'solid', 'grey'],
};
const ORDER = ['fix', 'attention', 'failed', 'paused', 'finished', 'printing', 'preparing', 'connecting', 'cancelled', 'over', 'done', 'idle', 'unknown', 'offline', 'disabled'];
// Troubles for which "No answer" says enough in the band; the note says more.
const PLAIN_TROUBLE = ['unreachable', 'refused', 'tls', 'silent', 'protocol'];

function keyOf(p) {
  const way = p.connection ?? {};
  if (p.enabled === false) return 'disabled';
  if (way.status === 'error') return 'fix';
  if (way.status === 'failed' || way.status === 'disconnected' || p.status === 'offline') return 'offline';
  if (!Object.hasOwn(STATES, p.status)) return 'unknown';
  if (p.status === 'finished' && p.plate === 'clear') return 'done';
  if (p.status === 'failed' && p.plate === 'clear') return 'over';
  return p.status;
}

// How a printer looks: words, icon, colour, band, bar, and what to do.
export function look(p, now) {
  const way = p.connection ?? {}, key = keyOf(p), out = key === 'paused' && ranOut(p), [icon, colour, band, bar] = STATES[out ? 'attention' : key];
  const trouble = way.kind ? said('trouble', way.kind, way.message) : way.message;
  let note = null, words = t(`state.${key}`);
  if (key === 'fix') { words = has(`trouble.${way.kind}.short`) ? t(`trouble.${way.kind}.short`) : t('state.attention'); note = trouble ?? t('The connection needs a hand.'); }
  if (key === 'offline') {
    if (way.kind && !PLAIN_TROUBLE.includes(way.kind) && has(`trouble.${way.kind}.short`)) words = t(`trouble.${way.kind}.short`);
    else if (p.heard) words = t('No answer since {t}', { t: clock(p.heard, now) });
    note = way.status === 'disconnected' ? t('offline.asked') : trouble ?? t('offline.note');
  }
  if (key === 'disabled') note = t('disabled.note');
  if (key === 'unknown') note = t('No word from the printer yet.');
  if (way.status === 'connecting' && key !== 'connecting' && key !== 'disabled') note ??= t('Connecting again. What is shown may be old.');
  const stage = p.stage ? sentence(said('stage', p.stage, p.stage)) : null;
  // Errors say it better where their code is known; they have their own place.
  const told = (p.errors ?? []).some((e) => has(`fault.${faultOf(e).key}`));
  if (out) { words = t('Filament ran out'); if (!told) note = t('Load filament, then press Resume.'); }
  if ((key === 'paused' && !out) || key === 'preparing') note ??= stage;
  if (key === 'attention' && !(p.errors ?? []).length) note ??= stage;
  if (takeOff(p) && !['offline', 'fix', 'disabled'].includes(key)) note ??= t(key === 'idle' ? 'A print may still lie on it. Take it off, then press "It is off".' : 'Take it off the plate, then press "It is off".');
  const cut = key === 'offline' || key === 'fix' || (way.status === 'connecting' && key !== 'disabled');
  const silent = !cut && key !== 'disabled' && p.heard !== null && p.heard !== undefined && now - p.heard > SILENT_MS;
  if (silent) note = t('Connected, but no news since {t}.', { t: clock(p.heard, now) });
  return { key, words, icon, colour, band, bar, note, stale: cut || silent, kind: way.kind ?? null };
}

// A printer's own words begin small.
const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1);

// An error that a printer shows, in words: those for its code, else what is said of its kind. In codes of a feeder (07, and 12
// of the small one) the unit and the slot are numbers: `0701-2200-0002-0001` is the third slot of the second.
function faultOf(e) {
  const code = text(e?.code) ?? '', feeder = /^(07|12)(0[0-7])-(([126])([0-7])00)?/.exec(code);
  const key = feeder ? `0700-${feeder[3] ? `${feeder[4]}000${code.slice(9)}` : code.slice(5)}` : code;
  return { key, unit: feeder ? Number(feeder[2]) + 1 : '', slot: feeder?.[5] ? Number(feeder[5]) + 1 : '' };
}
export function fault(e) {
  const { key, ...where } = faultOf(e);
  if (has(`fault.${key}`)) return t(`fault.${key}`, where);
  const words = text(e.message) ?? said('error', e.kind), part = /^(\w+): look the code up/.exec(words)?.[1];
  return part && has('fault.part') ? t('fault.part', { part: said('part', part) }) : sentence(said('fault', words, words));
}

// Filament that is out waits for a hand as much as an error does.
const ranOut = (p) => p.stage === 'filament ran out';
const WORKING = ['preparing', 'printing', 'paused', 'attention'];
export const working = (p) => WORKING.includes(p.status);
export const needsYou = (p, now) => { const { key } = look(p, now); return ['fix', 'attention', 'failed'].includes(key) || (key === 'paused' && ranOut(p)); };
export const takeOff = (p) => (p.plate === 'occupied' && ['finished', 'failed', 'cancelled', 'idle'].includes(p.status)) || (p.status === 'finished' && p.plate !== 'clear');

export function summary(store, now) {
  const all = [...store.printers.values()].filter((p) => p.enabled !== false);
  const count = (key, n) => (n ? t(key, { n }) : null);
  const live = all.filter((p) => !look(p, now).stale);
  const ends = live.filter((p) => p.status === 'printing' && p.end).map((p) => p.end);
  return [
    count('{n} printing|{n} printing', live.filter((p) => p.status === 'printing').length),
    count('{n} needs you|{n} need you', all.filter((p) => needsYou(p, now)).length),
    count('{n} to take off|{n} to take off', all.filter((p) => look(p, now).key === 'finished').length),
    count('{n} without answer|{n} without answer', all.filter((p) => look(p, now).key === 'offline').length),
    ends.length ? t('next done {t}', { t: clock(Math.min(...ends), now) }) : null,
  ].filter(Boolean).join(' · ') || (all.length ? t('Nothing is printing') : '');
}

// What needs a hand comes first. On a phone the others follow by need too, and by name within a class, so that cards do not
// wander; with room for all (`calm`) they keep their places by name. On a wall (`still`) place means printer: by name only.
export function order(store, now, way = '') {
  const rank = (p) => (needsYou(p, now) ? 0 : 20) + (way === 'calm' && !needsYou(p, now) ? 0 : ORDER.indexOf(look(p, now).key));
  return [...store.printers.values()].sort((a, b) => (way === 'still' ? 0 : rank(a) - rank(b)) || a.name.localeCompare(b.name) || (a.id < b.id ? -1 : 1));
}

// Whole percent, rounded down; 100 only at the end.
export function progress(p) {
  if (p.progress === null || p.progress === undefined) return null;
  const whole = Math.max(0, Math.min(100, Math.floor(p.progress)));
  return p.status === 'finished' ? whole : Math.min(99, whole);
}

export function left(p, now) {
  if (!working(p) || p.status === 'paused' || p.status === 'attention') return null;
  if (p.remaining === null || p.remaining === undefined) return t('time not known yet');
  if (p.status === 'printing' && p.remaining === 0) return t('finishing');
  return t('{d} left', { d: duration(Math.max(0, (p.end - now) / 1000)) });
}

// The picture of what a printer shows: its print's, never that of an earlier one.
export function picture(store, p) { return store.jobs.get(p.print)?.picture ?? (p.print ? p.picture : null) ?? null; }
export function sized(url, size) { return url?.replace(/size=(small|medium|large)/, `size=${size}`) ?? null; }

// What is said of a file that is being fetched, for a card: words, what to do, percent, and whether asking again helps.
export function fetching(store, p, now) {
  const f = store.fetches.get(p.id);
  if (!f) return null;
  const short = f.kind ? said('fetch', f.kind) : t('The file is not here');
  const help = f.kind && has(`fetch.${f.kind}.help`) ? t(`fetch.${f.kind}.help`) : null;
  const percent = f.size && f.bytes !== null ? Math.max(0, Math.min(99, Math.floor((f.bytes / f.size) * 100))) : null;
  switch (f.state) {
    case 'look': return { words: t('Looking for the file'), help: null, percent: null, bad: false, retry: false };
    case 'run': {
      const much = f.size ? t('{p} % of {size}', { p: percent ?? 0, size: bytes(f.size) }) : f.bytes ? bytes(f.bytes) : null;
      return { words: [t('Fetching the file'), much, f.rate ? `${bytes(f.rate)}/s` : null].filter(Boolean).join(' · '), help: null, percent, bad: false, retry: false };
    }
    case 'wait': {
      const s = f.again === null ? null : (f.again - now) / 1000;
      return { words: `${short}. ${s !== null && s >= 60 ? t('Trying again in {d}.', { d: duration(s) }) : t('Trying again.')}`, help, percent: null, bad: false, retry: false };
    }
    case 'later': return { words: `${short}. ${t('Trying again after the print.')}`, help, percent: null, bad: false, retry: true };
    default: return { words: `${short}.`, help: help ?? (f.tried.length ? t('Tried: {names}', { names: f.tried.join(', ') }) : null), percent: null, bad: true, retry: Boolean(f.job) && f.job === p.print && working(p) };
  }
}

// The short facts of a card as [label, value, in use]; what is unknown is left out.
export function facts(p, all = false) {
  const heat = p.temperature ?? {}, out = [];
  if (working(p) && p.layer !== null && p.layer !== undefined) out.push([t('Layer'), p.layers ? `${p.layer}/${p.layers}` : `${p.layer}`]);
  const nozzles = (p.nozzles ?? []).filter((n) => n && typeof n === 'object');
  if (nozzles.length > 1) {
    for (const n of nozzles) { const v = degrees(n.current, n.target); if (v) out.push([t('Nozzle {n}', { n: n.id }), v, n.active === true]); }
  } else {
    const v = degrees(heat.nozzle ?? nozzles[0]?.current, heat.nozzle_target ?? nozzles[0]?.target);
    if (v) out.push([t('Nozzle'), v]);
  }
  const bed = degrees(heat.bed, heat.bed_target), chamber = all ? degrees(heat.chamber) : null;
  if (bed) out.push([t('Bed'), bed]);
  if (chamber) out.push([t('Chamber'), chamber]);
  return out;
}

// A colour of the outside world, if it is one.
export const color = (x) => (typeof x === 'string' && /^#[0-9a-f]{6}([0-9a-f]{2})?$/i.test(x) ? x.slice(0, 7) : null);

// A slot of filament with what is known of the spool in it.
export function slot(store, f) {
  const spool = f.material_id ? store.spools.get(f.material_id) : null;
  const kind = text(f.type) ?? text(spool?.material_type);
  const share = typeof f.remaining_percentage === 'number' ? f.remaining_percentage : typeof spool?.remaining_percentage === 'number' ? spool.remaining_percentage : null;
  const low = Boolean(spool?.low_stock);
  return { slot: f.slot, kind, share: share === null ? null : Math.max(0, Math.floor(share)), low, active: f.active === true, color: color(f.color) ?? color(spool?.color_hex), grams: low ? spool.remaining_weight_g : null };
}

export const jobWords = (j) => said('job', j.status);
export const jobIcon = (status) => ({ pending: 'connecting', preparing: 'preparing', running: 'printing', paused: 'paused', completed: 'finished', failed: 'failed', cancelled: 'cancelled' })[status] ?? 'unknown';
export const jobColor = (status) => ({ preparing: 'run', running: 'run', paused: 'hold', completed: 'good', failed: 'bad' })[status] ?? '';
export { over };

// --- what deserves a word by itself -------------------------------------------------------------
// Answers {text, tone, href} for a toast, or null. `before` is how the printer looked before the event.
export function news(store, e) {
  const d = e.data, printer = store.printers.get(d.printer_id)?.name ?? '';
  switch (e.event) {
    case 'job_completed': {
      const name = text(d.job_name) ?? t('Unnamed print'), href = `#/jobs/${encodeURIComponent(d.job_id)}`;
      if (d.status === 'completed') return { text: t('{job} is finished on {printer}.', { job: name, printer }), tone: 'good', href };
      if (d.status === 'failed') return { text: t('{job} failed on {printer}.', { job: name, printer }), tone: 'bad', href };
      return null;
    }
    case 'material_low_stock':
      return { text: t('{name}: {g} g left.', { name: text(d.material_name) ?? '', g: Math.round(d.remaining_g) }), tone: 'warn', href: '#/materials' };
    case 'storage_low': return { text: t('Storage is nearly full: {free} left.', { free: bytes(Number(d.free_bytes) || 0) }), tone: 'warn', href: '#/settings' };
    case 'printer_status_update': {
      if (d.status !== 'attention') return null;
      const first = object((d.errors ?? [])[0]);
      return { text: `${printer}: ${first.code || first.message ? fault(first) : t('state.attention')}`, tone: 'bad', href: '#/now', once: `${d.printer_id} ${first.code}` };
    }
    case 'printer_connection_progress':
      return d.status === 'error' ? { text: `${printer}: ${has(`trouble.${d.kind}.short`) ? t(`trouble.${d.kind}.short`) : said('trouble', d.kind, d.message)}`, tone: 'bad', href: '#/now', once: `${d.printer_id} ${d.kind}` } : null;
    case 'printer_control_failed':
      return { text: `${printer}: ${said('control', d.kind, d.error)}`, tone: 'bad', href: '#/now' };
    case 'file_verification_failed': return { text: t('{name} is damaged. It is fetched again.', { name: text(d.filename) ?? '' }), tone: 'bad', href: '#/files' };
    default: return null;
  }
}
