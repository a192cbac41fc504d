// Now: every printer as a card, what needs a hand first. A card is a list of parts; each draws itself alone, so that one odd
// field spoils nothing else.
import { t, said, clock, duration, grams } from './words.js';
import { bar, button, draws, field, h, icon, keyed, mark, picture, rebuild, safely, set, show, term } from './dom.js';
import { act, request } from './api.js';
import { confirm, formSheet } from './sheet.js';
import * as look from './look.js';

export default function now({ store, go, kiosk, draw: soon }) {
  const list = h('div', { class: 'cards' }), waiting = h('p', { class: 'quiet' }, t('Waiting for the first word from the appliance.'));
  const node = h('section', { 'aria-labelledby': 'view-title' }, h('h2', { id: 'view-title', class: 'seen', tabindex: '-1' }, t('Printers')), list, waiting);
  let touched = 0, shown = '';
  // Nothing moves under a finger.
  for (const name of ['pointerdown', 'keydown']) list.addEventListener(name, () => { touched = Date.now(); });
  const wide = matchMedia('(min-width: 900px)');
  wide.onchange = soon;
  const draw = (at) => {
    show(waiting, !store.known);
    show(list, store.known);
    if (!store.known) return;
    if (!store.printers.size && !kiosk) { go('#/settings/printers/add', true); return; }
    let printers = look.order(store, at, kiosk ? 'still' : wide.matches ? 'calm' : '');
    const held = Date.now() - touched < 3000 || list.contains(document.activeElement);
    const ids = printers.map((p) => p.id).join(' ');
    if (held && shown.split(' ').sort().join(' ') === ids.split(' ').sort().join(' ')) {
      const places = shown.split(' ');
      printers = [...printers].sort((a, b) => places.indexOf(a.id) - places.indexOf(b.id));
    } else shown = ids;
    list.dataset.count = printers.length;
    cards(list, store, printers, at);
  };
  return { title: t('nav.now'), node, draw, gone() { wide.onchange = null; } };
}

const OLD_MS = 60_000;
const path = (p, what) => `/printers/${encodeURIComponent(p.id)}${what}`;

export function card(store) {
  const name = h('a', {}), state = h('span', { class: 'state' });
  const shot = picture('shot', false), job = h('p', { class: 'job' }), figure = h('p', { class: 'figure' }), when = h('p', { class: 'when' });
  const ghost = h('div', { class: 'ghost', 'aria-hidden': 'true' }), print = h('div', { class: 'print' }, h('div', { class: 'plate' }, ghost, shot), h('div', { class: 'told' }, job, figure, when));
  const track = bar(''), note = h('p', { class: 'note' }), errors = h('ul', { class: 'note' }), fix = h('div', { class: 'fix' });
  const files = h('div', { class: 'fetch' }), facts = h('dl', { class: 'facts' }), slots = h('ul', { class: 'slots', 'aria-label': t('Filament') });
  const age = h('p', { class: 'age' }), actions = h('div', { class: 'row acts' }), result = h('p', { role: 'alert' });
  const node = h('article', { class: 'card' }, h('div', { class: 'band' }, h('h3', {}, name), state),
    h('div', { class: 'body' }, print, track, note, errors, fix, files, facts, slots, age, actions, result));
  const fetch = fetchPart(files, result);
  // Also of a printer that does not answer the last is shown, in grey and with its time.
  const busy = (p) => look.working(p) || ['finished', 'failed', 'cancelled', 'offline'].includes(p.status);
  const parts = [
    (p, l) => mark(node, 'class', `card b-${l.band}${l.colour ? ` c-${l.colour}` : ''}${l.stale ? ' stale' : ''} k-${l.key}${busy(p) && p.job ? '' : ' folded'}`),
    (p, l) => rebuild(state, [l.icon, l.words], () => [icon(l.icon), h('span', {}, l.words)]),
    (p, l) => { set(note, l.note); show(note, l.note); },
    (p) => { set(name, p.name); mark(name, 'href', `#/printers/${encodeURIComponent(p.id)}`); },
    (p) => { set(job, p.job); show(print, busy(p) && (p.job || look.progress(p) !== null)); },
    (p, l, now) => headline(store, p, l, now, figure, when),
    (p, l) => {
      const n = look.progress(p), wait = l.bar === 'wait';
      show(track, l.bar && busy(p) && (n !== null || wait));
      mark(track, 'class', `bar ${l.stale ? 'grey' : l.bar}`);
      mark(track, 'aria-label', t('Progress of {name}', { name: p.name }));
      track.to(wait ? null : n);
      mark(node, 'data-progress', n);
      node.style.setProperty('--done', `${n ?? 0}%`);
    },
    (p) => {
      const url = busy(p) ? look.sized(look.picture(store, p), 'medium') : null;
      draws(shot, url, url ? t('Plate picture of {name}', { name: p.job ?? t('the print') }) : '');
      const back = url && look.working(p) && !shot.hidden ? url : null;
      if (ghost.url !== back) { ghost.url = back; ghost.style.setProperty('background-image', back ? `url("${back.replace(/["\\]/g, '')}")` : 'none'); }
    },
    (p, l, now) => fetch(store, p, now),
    (p) => { rebuild(errors, p.errors.map((e) => [look.fault(e), e.code]), () => p.errors.map((e) => h('li', {}, look.fault(e), e.code ? h('small', {}, ` ${e.code}`) : ''))); show(errors, p.errors.length); },
    (p) => { const kind = p.connection?.status === 'error' ? p.connection.kind : null; rebuild(fix, kind, () => cure(p, kind, result)); show(fix, fix.childElementCount); },
    (p) => { const f = look.facts(p); rebuild(facts, f, () => f.map(([label, value, on]) => term(label, on ? h('b', {}, value, h('span', { class: 'seen' }, t('in use'))) : value))); show(facts, f.length); },
    (p) => { const all = p.filaments.map((f) => look.slot(store, f)); rebuild(slots, all, () => all.map(slot)); show(slots, all.length); },
    (p, l, now) => {
      const quiet = p.heard && now - p.heard > OLD_MS && l.key !== 'offline' ? t('Last word {d} ago', { d: duration((now - p.heard) / 1000) }) : null;
      set(age, quiet);
      show(age, quiet);
    },
    (p, l) => { const wanted = wishes(p, l); rebuild(actions, wanted, () => wanted.map((wish) => control(p, wish, result))); show(actions, wanted.length); },
  ];
  let key = null;
  node.update = (p, now) => {
    const l = look.look(p, now);
    // What was said about the last order is over when the state is another one.
    if (key !== l.key) { key = l.key; set(result, ''); }
    for (const part of parts) safely(() => part(p, l, now));
  };
  return node;
}

// The big figure and the line under it change their meaning with the state, so they never contradict it.
function headline(store, p, l, now, figure, when) {
  const n = look.progress(p), j = store.jobs.get(p.print);
  if (p.status === 'finished' && !l.stale) {
    const facts = [j?.duration ? t('took {d}', { d: duration(j.duration) }) : null, j?.grams ? grams(j.grams) : null].filter(Boolean).join(' · ');
    rebuild(figure, j?.ended ? clock(j.ended, now) : null, () => (j?.ended ? [clock(j.ended, now), h('small', {}, t('done'))] : []));
    set(when, facts);
    return;
  }
  rebuild(figure, n, () => (n === null ? [] : [String(n), h('small', {}, '%')]));
  if (l.stale) { set(when, p.heard ? t('as of {t}', { t: clock(p.heard, now) }) : ''); return; }
  if (p.status === 'paused' || p.status === 'attention') {
    const since = j?.paused ?? p.since;
    set(when, since ? t('since {t}', { t: clock(since, now) }) : '');
    return;
  }
  const left = look.left(p, now), end = p.status === 'printing' && p.end && p.remaining ? clock(p.end, now) : null;
  rebuild(when, [left, end], () => [left ?? '', end ? [' · ', t('done'), ' ', h('b', {}, end)] : '']);
}

function fetchPart(box, result) {
  const told = h('p'), advice = h('small'), track = bar('', 'thin');
  let printer = null;
  const again = button(t('Fetch it now'), () => act(again, result, () => request(path(printer, '/download-current-job'), 'POST', {}), t('Asked for.')));
  box.append(told, track, advice, again);
  return (store, p, now) => {
    printer = p;
    const f = look.fetching(store, p, now);
    show(box, f);
    if (!f) return;
    box.classList.toggle('bad', f.bad);
    set(told, f.words);
    set(advice, f.help);
    show(advice, f.help);
    show(track, f.percent !== null);
    mark(track, 'aria-label', t('Transfer from {name}', { name: p.name }));
    track.to(f.percent);
    show(again, f.retry);
  };
}

export function slot(f) {
  const dot = h('span', { class: f.kind ? 'dot' : 'dot none' });
  if (f.color) dot.style.setProperty('--f', f.color);
  const rest = f.share === null ? '' : `${f.share} %`;
  const words = [t('Slot {n}: {kind}', { n: f.slot, kind: f.kind ?? t('empty') }), rest, f.active ? t('in use') : '', f.low ? t('nearly empty') : ''].filter(Boolean).join(', ');
  return h('li', { class: [f.active ? 'on' : '', f.low ? 'low' : ''].join(' ').trim() || undefined }, dot,
    h('span', { class: 'of', 'aria-hidden': 'true' }, h('span', {}, f.kind ?? '—'), h('small', {}, f.low && f.grams !== null ? ['▲ ', grams(f.grams)] : f.kind ? rest : '')), h('span', { class: 'seen' }, words));
}

// Which orders make sense now; only the one that is most likely wanted is filled.
function wishes(p, l) {
  if (l.stale) return [];
  if (look.takeOff(p)) return ['off'];
  if (p.status === 'printing' || p.status === 'preparing') return ['pause', 'stop'];
  if (p.status === 'paused' || p.status === 'attention') return ['resume', 'stop'];
  return [];
}

function control(p, wish, result) {
  const send = (node, order) => act(node, result, async () => {
    const answer = await request(path(p, `/${order}`), 'POST', {});
    if (answer.json?.details?.kind) answer.message = said('control', answer.json.details.kind, answer.message);
    return answer;
  }, order === 'plate-cleared' ? '' : t('Sent. Waiting for the printer.'));
  if (wish === 'off') return button(t('It is off'), (e) => send(e.currentTarget, 'plate-cleared'), '', { 'aria-label': t('It is off: the plate of {name} is clear', { name: p.name }) });
  if (wish === 'pause') return button(t('Pause'), (e) => send(e.currentTarget, 'pause'), 'second', { 'aria-label': t('Pause {name}', { name: p.name }) });
  if (wish === 'resume') return button(t('Resume'), (e) => send(e.currentTarget, 'resume'), '', { 'aria-label': t('Resume {name}', { name: p.name }) });
  return button(t('Stop…'), async (e) => {
    const node = e.currentTarget, n = look.progress(p);
    const sure = await confirm(n === null ? t('Stop "{job}"? This cannot be undone.', { job: p.job ?? p.name }) : t('Stop "{job}" at {p} %? This cannot be undone.', { job: p.job ?? p.name, p: n }), t('Keep printing'), t('Stop the print'));
    if (sure) send(node, 'stop');
  }, 'second', { 'aria-label': t('Stop {name}', { name: p.name }) });
}

// What helps against a trouble that needs a person.
export function cure(p, kind, result) {
  if (kind === 'certificate_changed') {
    const trust = button(t('I compared the serial: trust it'), () => act(trust, result, () => request(path(p, '/trust'), 'POST', {}), t('Trusted. Connecting.')), '');
    return [trust];
  }
  const wanted = { wrong_code: ['access_code', t('Access code')], auth: ['password', t('Password')], wrong_serial: ['serial_number', t('Serial number')] }[kind];
  if (!wanted) return [];
  const [name, label] = wanted;
  return [button(t('Fix it'), () => formSheet(label, [
    field(label, h('input', { name, autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', maxlength: '128', required: true }), t(`where.${name}`)),
  ], t('Save'), (form) => request(path(p, ''), 'PUT', { connection_config: { [name]: form.elements[name].value.trim() } })), '')];
}

export function cards(parent, store, printers, now) {
  keyed(parent, printers, (p) => p.id, () => card(store), (node, p) => node.update(p, now));
}
