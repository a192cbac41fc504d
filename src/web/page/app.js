// Draws what the model knows. Text only: nothing from outside ever becomes markup.
import { EVENTS } from './words.js';
import * as model from './model.js';

const API = '/api/v1', $ = (id) => document.getElementById(id);
const body = document.body;
let store = model.empty(), dirty = false;

// --- the stream: one, with its own watch and its own way back -----------------------------------
const SILENCE_MS = 40_000, HIDDEN_MS = 30_000, FRESH_MS = 60_000, WAITS = [1, 2, 4, 8, 15];
const link = { source: null, state: 'off', heard: null, tries: 0, timer: 0, watch: 0, hidden: 0 };

function connect() {
  clearTimeout(link.timer);
  link.source?.close();
  // After a short break the missed events are enough; after a long one only a snapshot is the truth.
  const brief = store.known && store.seq !== null && link.heard !== null && Date.now() - link.heard < FRESH_MS;
  const source = new EventSource(brief ? `${API}/events?after=${store.seq}` : `${API}/events`);
  link.source = source;
  const hear = (name) => (message) => {
    if (source !== link.source) return;
    let json;
    try { json = JSON.parse(message.data); } catch { return; }
    heard();
    if (name === 'ping') return;
    if (name === 'gap') { link.heard = null; again(0); return; }
    const words = model.reduce(store, name, json, Date.now());
    if (words) say(words);
    if (name === 'snapshot') recall();
    draw();
  };
  for (const name of ['snapshot', 'gap', 'ping', ...EVENTS]) source.addEventListener(name, hear(name));
  // An open stream that replays nothing is alive too; its first ping comes within 15 s.
  source.onopen = () => { if (source === link.source && brief) heard(); };
  source.onerror = () => { if (source === link.source) broken(); };
  watch();
}

function heard() {
  link.heard = Date.now();
  link.tries = 0;
  if (link.state !== 'live') { link.state = 'live'; draw(); }
  watch();
}

function watch() {
  clearTimeout(link.watch);
  link.watch = setTimeout(broken, SILENCE_MS);
}

function broken() {
  const refused = link.source?.readyState === EventSource.CLOSED;
  link.source?.close();
  link.source = null;
  if (refused) why(); else again();
}

// A refused stream does not say why; an ordinary request does.
async function why() {
  const stop = new AbortController(), limit = setTimeout(() => stop.abort(), 5000);
  let full = false;
  try {
    const answer = await fetch(`${API}/events`, { signal: stop.signal });
    full = answer.status === 503;
  } catch { /* no answer: lost */ }
  clearTimeout(limit);
  stop.abort();
  if (full) { link.state = 'full'; draw(); again(15, 'full'); } else again();
}

function again(seconds, state = 'lost') {
  link.source?.close();
  link.source = null;
  clearTimeout(link.watch);
  clearTimeout(link.timer);
  const wait = seconds ?? WAITS[Math.min(link.tries++, WAITS.length - 1)];
  link.timer = setTimeout(connect, wait * 1000 * (0.85 + Math.random() * 0.3));
  // A break of two seconds is nobody's business.
  setTimeout(() => {
    if (!link.source || link.source.readyState !== EventSource.OPEN) { link.state = state; draw(); }
  }, link.heard === null ? 0 : 2000);
}

document.addEventListener('visibilitychange', () => {
  clearTimeout(link.hidden);
  if (document.hidden) {
    link.hidden = setTimeout(() => {
      clearTimeout(link.timer);
      clearTimeout(link.watch);
      link.source?.close();
      link.source = null;
      link.state = 'asleep';
    }, HIDDEN_MS);
  } else if (link.state === 'asleep' || !link.source) {
    link.state = store.known ? 'lost' : 'off';
    link.tries = 0;
    draw();
    connect();
  }
});

// What happened before this page was opened.
async function recall() {
  try {
    const answer = await fetch(`${API}/events/recent?limit=50`);
    if (!answer.ok) return;
    const { events } = await answer.json();
    const log = { ...model.empty(), log: store.log };
    for (const e of Array.isArray(events) ? events : []) {
      if (e && typeof e.event === 'string' && e.event !== 'snapshot') model.reduce(log, `past ${e.event}`, e, Date.now());
    }
    draw();
  } catch { /* the log then begins now */ }
}

// --- drawing ------------------------------------------------------------------------------------
function draw() {
  if (dirty) return;
  dirty = true;
  requestAnimationFrame(() => { dirty = false; render(); });
}

function make(tag, cls, words) {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  if (words !== undefined) node.textContent = words;
  return node;
}
function set(node, words) { const t = words ?? ''; if (node.textContent !== t) node.textContent = t; }
function show(node, on) { if (node.hidden === on) node.hidden = !on; }
function icon(name) {
  const ns = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(ns, 'svg'), use = document.createElementNS(ns, 'use');
  svg.setAttribute('aria-hidden', 'true');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}
// Children by key: nodes are moved and never made anew, so that focus and open forms stay.
function keyed(parent, items, key, create, update) {
  const old = parent.nodes ??= new Map(), kept = new Set();
  let at = parent.firstElementChild;
  for (const item of items) {
    const k = key(item);
    let node = old.get(k);
    if (!node) { node = create(item); old.set(k, node); }
    kept.add(k);
    update(node, item);
    if (node === at) at = at.nextElementSibling; else parent.insertBefore(node, at);
  }
  for (const [k, node] of old) if (!kept.has(k)) { node.remove(); old.delete(k); }
}
// Small parts are made anew only when what they show has changed.
function rebuild(node, value, fill) {
  const mark = JSON.stringify(value);
  if (node.mark === mark) return;
  node.mark = mark;
  node.replaceChildren(...fill());
}

let spoken = 0;
const queue = [];
function say(words) {
  if (queue.length < 5) queue.push(words);
  if (spoken) return;
  const next = () => {
    const text = queue.shift();
    if (!text) { spoken = 0; return; }
    $('said').textContent = '';
    setTimeout(() => { $('said').textContent = text; }, 50);
    spoken = setTimeout(next, 5000);
  };
  next();
}

function safely(part) { try { part(); } catch (error) { console.error(error); } }

function render() {
  const now = Date.now();
  const lost = link.state === 'lost' || link.state === 'full' || link.state === 'asleep';
  body.classList.toggle('live', link.state === 'live');
  body.classList.toggle('lost', lost);
  set($('link'), { live: 'Live', lost: 'Connection lost', full: 'Too many pages', asleep: 'Paused' }[link.state] ?? 'Connecting');
  const sentence = store.known ? model.summary(store, now) : '';
  set($('summary'), lost ? '' : sentence);
  const title = (lost ? 'Connection lost · ' : sentence ? `${sentence} · ` : '') + 'Printernizer';
  if (document.title !== title) document.title = title;
  safely(() => strip(now, lost));
  show($('waiting'), !store.known);
  keyed($('printers'), model.order(store, now), (p) => p.id, card, (node, p) => { for (const part of node.parts) safely(() => part(p, now)); });
  const none = store.known && store.printers.size === 0;
  if (none && !adding) open(true);
  show($('first'), none);
  show($('add'), adding && store.known);
  show($('add-close'), !none);
  show($('add-open'), store.known && !adding);
  const jobs = model.jobs(store);
  keyed($('jobs'), jobs, (j) => j.id, jobNode, (node, j) => safely(() => node.update(j, now)));
  show($('no-jobs'), jobs.length === 0);
  keyed($('events'), store.log, (e) => e.seq, logNode, (node, e) => safely(() => node.update(e, now)));
  show($('no-events'), store.log.length === 0);
}

function strip(now, lost) {
  let words = null;
  if (lost && link.state === 'full') words = 'Too many pages are open. Close one; this one tries again in 15 s.';
  else if (lost && !link.heard) words = 'The appliance does not answer. Trying again.';
  else if (lost) words = `Connection lost. Showing ${model.clock(link.heard, now)} (${model.duration((now - link.heard) / 1000)} ago). Trying again.`;
  else if (store.build && store.build !== body.dataset.build) words = 'Updated. Reload the page to see it.';
  else if (store.warnings.length) words = store.warnings.map((w) => (typeof w === 'string' ? w : w?.message ?? w?.kind)).filter(Boolean).join(' ');
  set($('strip'), words);
  show($('strip'), Boolean(words));
}

// A card is a list of parts; each draws itself alone, so that one odd field spoils nothing else.
function card() {
  const node = make('article', 'card'), band = make('div', 'band'), name = make('h3'), state = make('span', 'state');
  band.append(name, state);
  const inside = make('div', 'body');
  node.append(band, inside);
  const print = make('div', 'print'), shot = picture(), job = make('p', 'job'), figure = make('p', 'figure'), when = make('p', 'when');
  print.append(shot, job, figure, when);
  const bar = make('div', 'bar'), fill = make('i');
  bar.setAttribute('role', 'progressbar');
  bar.append(fill);
  const note = make('p', 'note'), errors = make('ul'), fix = make('div'), facts = make('dl', 'facts');
  const slots = make('ul', 'slots'), age = make('p', 'age'), result = make('p');
  result.setAttribute('role', 'alert');
  errors.className = 'note';
  const fetching = make('div', 'fetch'), told = make('p'), advice = make('small'), track = make('div', 'bar thin'), part = make('i'), again = make('button', 'second', 'Fetch it now');
  track.setAttribute('role', 'progressbar');
  track.append(part);
  again.type = 'button';
  fetching.append(told, track, advice, again);
  inside.append(print, bar, fetching, note, errors, fix, result, facts, slots, age);
  // Also of a printer that does not answer the last is shown, in grey and with its time.
  const busy = (p) => model.working(p) || ['finished', 'failed', 'cancelled', 'offline'].includes(p.status);
  node.parts = [
    (p, now) => {
      const l = model.look(p, now);
      const cls = `card b-${l.band}${l.colour ? ` c-${l.colour}` : ''}${l.stale ? ' stale' : ''}`;
      if (node.className !== cls) node.className = cls;
      rebuild(state, [l.icon, l.words], () => [icon(l.icon), make('span', '', l.words)]);
      set(note, l.note);
      show(note, Boolean(l.note));
    },
    (p) => set(name, p.name),
    (p) => { set(job, p.job); show(print, busy(p) && Boolean(p.job || model.percent(p) !== null)); },
    (p) => { const n = model.percent(p); set(figure, n === null ? '' : `${n} %`); },
    (p, now) => {
      const l = model.look(p, now), left = model.left(p, now);
      if (l.stale && (left || p.status === 'offline')) { set(when, p.heard ? `as of ${model.clock(p.heard, now)}` : ''); return; }
      const end = p.status === 'printing' && p.end && p.remaining ? `done ${model.clock(p.end, now)}` : '';
      rebuild(when, [left, end], () => [make('span', '', left ?? ''), ...(end ? [make('br'), make('span', '', end)] : [])]);
    },
    (p, now) => {
      const l = model.look(p, now), n = model.percent(p);
      show(bar, Boolean(l.bar) && busy(p) && (n !== null || l.bar === 'wait'));
      bar.className = `bar ${l.stale ? 'grey' : l.bar}`;
      fill.style.setProperty('--p', n ?? 0);
      bar.setAttribute('aria-label', `Progress of ${p.name}`);
      if (n === null || l.bar === 'wait') bar.removeAttribute('aria-valuenow'); else bar.setAttribute('aria-valuenow', n);
    },
    (p) => {
      const on = busy(p), url = on ? model.picture(store, p) : null;
      draws(shot, url, `Picture of ${p.job ?? 'the print'}`);
      print.classList.toggle('pic', !shot.hidden);
    },
    (p, now) => {
      const f = model.fetching(store, p, now);
      show(fetching, Boolean(f));
      if (!f) return;
      set(told, f.words);
      set(advice, f.help);
      show(advice, Boolean(f.help));
      show(track, f.percent !== null);
      part.style.setProperty('--p', f.percent ?? 0);
      track.setAttribute('aria-label', `Transfer from ${p.name}`);
      if (f.percent !== null) track.setAttribute('aria-valuenow', f.percent);
      show(again, f.retry);
      again.onclick = () => act(again, result, `${API}/printers/${encodeURIComponent(p.id)}/download-current-job`, 'POST', {}, 'Asked for.');
    },
    (p) => {
      const all = (p.errors ?? []).filter((e) => e && typeof e === 'object');
      rebuild(errors, all, () => all.map((e) => make('li', '', e.code ? `${e.message ?? e.kind ?? 'Error'} (${e.code})` : `${e.message ?? e.kind}`)));
      show(errors, all.length > 0);
    },
    (p) => { const kind = p.connection?.status === 'error' ? p.connection.kind : null; rebuild(fix, kind, () => cure(p.id, kind, result)); show(fix, fix.childElementCount > 0); },
    (p) => { const f = model.facts(p); rebuild(facts, f, () => f.map(fact)); show(facts, f.length > 0); },
    (p) => {
      const all = (p.filaments ?? []).filter((f) => f && typeof f === 'object');
      rebuild(slots, all, () => all.map(slot));
      show(slots, all.length > 0);
    },
    (p, now) => {
      const quiet = p.heard && now - p.heard > 60_000 ? `Last word from the printer ${model.duration((now - p.heard) / 1000)} ago` : '';
      set(age, quiet);
      show(age, Boolean(quiet));
    },
  ];
  return node;
}

// A picture that is not there yet, or not any more, takes no room.
function picture() {
  const node = make('img', 'shot');
  node.hidden = true;
  node.decoding = 'async';
  node.onload = () => { show(node, true); node.parentElement?.classList.add('pic'); };
  node.onerror = () => { show(node, false); node.parentElement?.classList.remove('pic'); };
  return node;
}
function draws(node, url, words) {
  if (node.alt !== words) node.alt = words;
  if ((node.getAttribute('src') ?? null) === url) return;
  if (url) { node.src = url; return; }
  node.removeAttribute('src');
  show(node, false);
}

function fact([label, value]) {
  const box = make('div');
  box.append(make('dt', '', label), make('dd', '', value));
  return box;
}

function slot(f) {
  const node = make('li', f.active ? 'on' : ''), dot = make('span', 'dot');
  if (typeof f.color === 'string' && /^#[0-9a-f]{6}$/i.test(f.color)) dot.style.setProperty('--f', f.color);
  const rest = typeof f.remaining_percentage === 'number' ? ` ${Math.floor(f.remaining_percentage)} %` : '';
  node.append(dot, make('span', '', `${f.type ?? 'empty'}${rest}`));
  node.setAttribute('aria-label', `Slot ${f.slot}: ${f.type ?? 'empty'}${rest}${f.active ? ', in use' : ''}`);
  return node;
}

// What helps against a trouble that needs a person.
function cure(id, kind, result) {
  if (kind === 'certificate_changed') {
    const button = make('button', '', 'I compared the serial: trust it');
    button.type = 'button';
    button.onclick = () => act(button, result, `${API}/printers/${encodeURIComponent(id)}/trust`, 'POST', {}, 'Trusted. Connecting.');
    return [button];
  }
  if (kind !== 'wrong_code') return [];
  const form = make('form', 'inline'), label = make('label', '', 'Access code'), input = make('input');
  input.autocomplete = 'off';
  input.maxLength = 64;
  label.append(input);
  const button = make('button', '', 'Save');
  form.append(label, button);
  form.onsubmit = (event) => {
    event.preventDefault();
    act(button, result, `${API}/printers/${encodeURIComponent(id)}`, 'PUT', { connection_config: { access_code: input.value.trim() } }, 'Saved. Connecting.');
  };
  return [form];
}

function jobNode() {
  const node = make('li'), shot = picture(), name = make('span'), state = make('span', 'r'), who = make('span', 's'), when = make('span', 'r s');
  node.append(shot, name, state, who, when);
  node.update = (j, now) => {
    // The name stands beside it: to a reader of the screen the picture says nothing more.
    draws(shot, model.small(j.picture), '');
    node.classList.toggle('pic', !shot.hidden);
    set(name, j.name ?? 'Unnamed print');
    const done = model.jobOver(j);
    set(state, model.jobWords(j) + (!done && j.progress !== null && j.status !== 'pending' ? ` ${Math.min(99, Math.floor(j.progress))} %` : ''));
    set(who, [store.printers.get(j.printer)?.name ?? j.printer, j.error].filter(Boolean).join(' · '));
    const from = j.started ? model.clock(j.started, now) : null;
    set(when, done
      ? [j.ended ? model.clock(j.ended, now) : null, j.duration !== null ? model.duration(j.duration) : null, j.grams !== null ? `${j.grams < 10 ? j.grams.toFixed(1) : Math.round(j.grams)} g` : null].filter(Boolean).join(' · ')
      : from ? `since ${from}` : '');
  };
  return node;
}

function logNode() {
  const node = make('li'), at = make('span', 's'), rest = make('span'), what = make('span'), about = make('span', 's');
  rest.append(what, make('br'), about);
  node.append(at, rest);
  node.update = (e, now) => {
    set(at, e.at ? model.clock(e.at, now) : '');
    const l = model.line(store, e);
    set(what, l.what);
    set(about, l.about);
  };
  return node;
}

// --- doing things -------------------------------------------------------------------------------
async function request(url, method, payload) {
  const stop = new AbortController(), limit = setTimeout(() => stop.abort(), 35_000);
  try {
    const answer = await fetch(url, {
      method, signal: stop.signal, headers: { 'Content-Type': 'application/json' },
      body: payload === undefined ? undefined : JSON.stringify(payload),
    });
    let json = null;
    try { json = await answer.json(); } catch { /* 204, or no JSON */ }
    return { ok: answer.ok, json, message: json?.message ?? `The appliance answered ${answer.status}.` };
  } catch {
    return { ok: false, json: null, message: 'The appliance did not answer. Is it still there? Try again.' };
  } finally { clearTimeout(limit); }
}

async function act(button, result, url, method, payload, done) {
  button.disabled = true;
  set(result, '');
  const answer = await request(url, method, payload);
  button.disabled = false;
  result.classList.toggle('fine', answer.ok);
  set(result, answer.ok ? done : answer.message);
}

let adding = false;
function open(on) { adding = on; draw(); }
$('add-open').onclick = () => { open(true); requestAnimationFrame(() => requestAnimationFrame(() => $('form').elements.name.focus())); };
$('add-close').onclick = () => { open(false); requestAnimationFrame(() => requestAnimationFrame(() => $('add-open').focus())); };

$('form').onsubmit = async (event) => {
  event.preventDefault();
  const form = event.target, result = $('form-result'), button = form.querySelector('button');
  const value = (name) => form.elements[name].value.trim();
  const mark = (name) => {
    for (const input of form.querySelectorAll('input')) input.setAttribute('aria-invalid', String(input.name === name));
    if (name) form.elements[name]?.focus();
  };
  result.classList.remove('fine');
  for (const [name, words] of [['name', 'Give it a name.'], ['ip_address', 'Enter its address.'], ['access_code', 'Enter its access code.']]) {
    if (!value(name)) { set(result, words); mark(name); return; }
  }
  mark(null);
  set(result, '');
  button.disabled = true;
  const connection_config = { ip_address: value('ip_address'), access_code: value('access_code') };
  if (value('serial_number')) connection_config.serial_number = value('serial_number');
  const answer = await request(`${API}/printers`, 'POST', { name: value('name'), printer_type: 'bambu_lab', connection_config });
  button.disabled = false;
  if (!answer.ok) {
    set(result, answer.message);
    const field = String(answer.json?.details?.field ?? '').split('.').pop();
    if (form.elements[field]) mark(field);
    return;
  }
  const way = answer.json?.connection ?? {}, trouble = way.status === 'error' || way.status === 'failed';
  form.reset();
  result.classList.toggle('fine', !trouble);
  set(result, trouble ? `Added, but: ${way.message ?? way.kind ?? 'no connection yet'}` : 'Added.');
  if (!trouble) open(false);
};

// Ages and times left move on by themselves.
setInterval(() => { if (!document.hidden) draw(); }, 5000);
$('about').textContent = `Page ${body.dataset.build}`;
draw();
connect();
