// The causal tree of a print, drawn as a line in time. What belongs together is one step; long waits are shown as breaks.
import { t, has, said, seconds, span } from './words.js';
import { h, icon } from './dom.js';
import { list, number, object, text, time } from './model.js';

const KINDS = [[/^thumbnail/, 'picture'], [/^(file|auto_download)/, 'fetch'], [/^printer_connection/, 'trouble'], [/^printer_control/, 'control']];
// One line of the log: what, and about whom.
export function line(store, e) {
  const d = e.data, p = store.printers.get(d.printer_id), material = object(d.material);
  const who = p?.name ?? text(d.name) ?? text(d.printer_id);
  const job = store.jobs.get(d.job_id);
  const status = text(d.new_status) ?? text(d.status);
  const state = status ? said(e.event.startsWith('job') ? 'job' : 'state', status) : null;
  // What went wrong has words of its own, better than those of the log.
  const prefix = KINDS.find(([pattern]) => pattern.test(e.event))?.[1], known = prefix && has(`${prefix}.${d.kind}`) ? t(`${prefix}.${d.kind}`) : null;
  const what = text(d.job_name) ?? text(d.filename) ?? text(d.current_job) ?? text(d.material_name) ?? text(material.name) ?? job?.name;
  return { what: said('event', e.event), about: [who, what, state, known ?? text(d.kind)?.replaceAll('_', ' '), text(d.reason), known ? null : text(d.message) ?? text(d.error)].filter(Boolean).join(' · ') };
}

const BREAK_MS = 60_000;
// Causes of causes are moved to the right, up to here.
const DEPTH_MAX = 5;
const LANES = [[/^job/, 'lane.job'], [/thumb|metadata|preview/, 'lane.pictures'], [/^(file|auto_download|new_files)/, 'lane.file'], [/^material/, 'lane.filament'], [/^printer|^plate|^print_/, 'lane.printer']];
export const laneOf = (event) => LANES.find(([pattern]) => pattern.test(event))?.[1] ?? 'lane.other';
const BAD = /fail|low_stock|lost/;
const GOOD = /completed?$|processed$|extracted$/;

// Pure: the steps of a trace in the order of time, equal ones in a row folded into one with a count.
export function steps(trace) {
  const out = [];
  let before = null;
  for (const e of list(object(trace).events)) {
    const o = object(e), data = object(o.data), event = text(o.event);
    if (!event) continue;
    const at = number(o.since_root_ms) ?? 0, gap = before === null ? 0 : at - before;
    before = at;
    const last = out.at(-1), same = last && last.event === event && event === 'printer_status_update' && last.data.status === data.status;
    if (same) { last.count += 1; last.raw.push(o); continue; }
    out.push({ event, data, at, gap, depth: number(o.depth) ?? 0, since: number(o.since_cause_ms), when: time(o.timestamp), count: 1, raw: [o], handled: list(o.handled_by).map(object) });
  }
  return out;
}

const tone = (s) => (BAD.test(s.event) || ['failed', 'error', 'attention'].includes(s.data.status) ? 'bad' : s.data.status === 'cancelled' ? '' : GOOD.test(s.event) ? 'good' : 'run');
const picture = (s) => ({ bad: 'failed', good: 'finished' })[tone(s)] ?? 'idle';

export function timeline(store, trace) {
  const all = steps(trace), items = [], told = new Set();
  for (const s of all) {
    if (s.gap >= BREAK_MS) items.push(h('li', { class: 'gap' }, h('span', { class: 'since' }, t('{d} later', { d: span(s.gap) }))));
    const { what, about } = line(store, { event: s.event, data: s.data }), colour = tone(s);
    const handlers = s.handled.filter((one) => text(one.subscriber)).map((one) => h('p', { class: 'since' }, t('{who}: {result} after {wait}, took {took}', {
      who: one.subscriber, result: said('handled', text(one.result)) || '', wait: span(number(one.waited_ms) ?? 0), took: span(number(one.took_ms) ?? 0) }), text(one.note) ? ` · ${one.note}` : ''));
    // Whose print it is stands at the first step; the others need not repeat it.
    const more = about.split(' · ').filter((part) => !told.has(part)).join(' · ');
    if (!told.size) for (const part of [store.printers.get(s.data.printer_id)?.name, text(s.data.current_job), text(s.data.job_name)]) if (part) told.add(part);
    const step = h('li', { class: colour ? `c-${colour}` : undefined, 'data-event': s.event }, icon(picture(s)), h('details', {},
      h('summary', {}, h('b', {}, what), s.count > 1 ? ` ×${s.count}` : '', h('span', { class: 'since' }, [s.when ? seconds(s.when) : null, s.since === null ? null : `+${span(s.since)}`].filter(Boolean).join(' · ')), h('span', { class: 'lane' }, t(laneOf(s.event))), more ? h('span', { class: 'about' }, more) : null),
      handlers, h('pre', { tabindex: '0' }, s.raw.map((o) => JSON.stringify(o, null, 1)).join('\n'))));
    step.style.setProperty('--d', Math.min(DEPTH_MAX, s.depth));
    items.push(step);
  }
  return h('div', {}, object(trace).cut_off ? h('p', { class: 'quiet' }, t('What came before is no longer kept.')) : null,
    h('ol', { class: 'rail' }, items), object(trace).truncated ? h('p', { class: 'quiet' }, t('There is more; it was left out.')) : null);
}
