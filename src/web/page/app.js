// The page: language, stream, header, views. Everything that is not needed at once comes when it is asked for.
import { choose, learn, locale, speak, t, clock, duration, seconds } from './words.js';
import { $, h, icon, mark, safely, set, show } from './dom.js';
import { get, onLogin, request } from './api.js';
import * as model from './model.js';
import * as look from './look.js';
import { connect } from './stream.js';
import { askPassword, say, toast } from './sheet.js';

const body = document.body, kiosk = new URLSearchParams(location.search).has('kiosk');
const stored = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
// Events that are older than this are history, not news.
const NEWS_MS = 10 * 60_000, TICK_MS = 5000;

const { language, tag } = choose([stored('language'), ...navigator.languages].filter(Boolean));
speak((await (language === 'de' ? import('./de.js') : import('./en.js'))).default, tag);
document.documentElement.lang = language;
// The other words of the language, part by part; one that could not be had is asked for again the next time.
const learnt = new Map();
function words(part) {
  if (!learnt.has(part)) learnt.set(part, import(`./${language}-${part}.js`).then((table) => learn(table.default), (error) => { learnt.delete(part); throw error; }));
  return learnt.get(part);
}
if (stored('theme')) document.documentElement.dataset.theme = stored('theme');
body.classList.toggle('kiosk', kiosk);

const store = model.empty(), link = { state: 'off', heard: null };

// --- views --------------------------------------------------------------------------------------
const VIEWS = {
  now: () => import('./now.js'),
  jobs: () => import('./jobs.js'), job: () => import('./job.js'), files: () => import('./files.js'), file: () => import('./file.js'),
  library: () => import('./library.js'), entry: () => import('./entry.js'), materials: () => import('./materials.js'), events: () => import('./events.js'),
  trace: () => import('./trace.js'), settings: () => import('./settings.js'), add: () => import('./add.js'), printer: () => import('./printer.js'), more: () => import('./more.js'),
};
// What each view says beyond the first one.
const PARTS = { now: [], add: ['add'], printer: ['add', 'more'] };
const NAV = [['now', 'printing'], ['jobs', 'jobs'], ['files', 'file'], ['materials', 'spool'], ['library', 'library'], ['events', 'events'], ['settings', 'settings'], ['more', 'connecting']];

// The address after the # names a view and what it is about.
function route(hash) {
  const [first = 'now', ...rest] = hash.replace(/^#\/?/, '').split('/').filter(Boolean).map((part) => { try { return decodeURIComponent(part); } catch { return part; } });
  const [id] = rest;
  if (first === 'settings' && rest.join('/') === 'printers/add') return { view: 'add', nav: 'settings' };
  if (first === 'printers' && id) return { view: 'printer', nav: 'now', id };
  if (first === 'jobs' && id) return { view: 'job', nav: 'jobs', id };
  if (first === 'files' && id) return { view: 'file', nav: 'files', id };
  if (first === 'library' && id) return { view: 'entry', nav: 'library', id };
  if (first === 'events' && id) return { view: 'trace', nav: 'events', id };
  return Object.hasOwn(VIEWS, first) ? { view: first, nav: first, id } : { view: 'now', nav: 'now' };
}

// An empty appliance has no use for cards: the first snapshot tells. One that does not come is waited for briefly.
const KNOWN_MS = 1500;
let tellKnown = () => {};
const whenKnown = () => store.known || Promise.race([new Promise((tell) => { tellKnown = tell; }), new Promise((end) => { setTimeout(end, KNOWN_MS); })]);

let view = null, at = null, turn = 0;
function go(hash, replace = false) { if (replace) location.replace(hash); else location.hash = hash; }

async function enter(first = false) {
  const where = route(location.hash), mine = turn += 1;
  at = where;
  for (const a of document.querySelectorAll('nav a')) mark(a, 'aria-current', a.dataset.nav === where.nav ? 'page' : null);
  let made;
  if (where.view === 'now' || where.view === 'add') {
    await whenKnown();
    if (mine !== turn) return;
    if (where.view === 'now' && store.known && !store.printers.size && !kiosk) { go('#/settings/printers/add', true); return; }
  }
  try {
    const [module] = await Promise.all([VIEWS[where.view](), ...(PARTS[where.view] ?? ['more']).map(words)]);
    if (mine !== turn) return;
    view?.gone?.();
    made = module.default({ store, id: where.id, go, kiosk, draw, link, logout });
  } catch (error) {
    console.error(error);
    if (mine !== turn) return;
    made = { title: t('Error'), node: h('section', {}, h('h2', { id: 'view-title', tabindex: '-1' }, t('This part could not be loaded.')), h('p', {}, t('The appliance does not answer, or was updated. Reload the page.')), h('p', { class: 'row' }, h('button', { type: 'button', onclick: () => location.reload() }, t('Reload')))) };
  }
  view = made;
  $('view').replaceChildren(view.node);
  $('view').dataset.at = location.hash;
  draw();
  if (!first) { $('view-title')?.focus({ preventScroll: true }); scrollTo(0, 0); }
}

// --- events -------------------------------------------------------------------------------------
const told = new Set();
function hear(name, text) {
  let json;
  try { json = JSON.parse(text); } catch { return; }
  const before = look.summary(store, Date.now());
  const looks = name === 'printer_status_update' ? looksLike(json) : null;
  const e = model.reduce(store, name, json, Date.now());
  if (!e) return;
  if (name === 'snapshot') { tellKnown(); recall(); whoAmI(); if (!before) loadSpools(); }
  const tell = () => safely(() => announce(e, looks, json));
  // What printers complain of, and the steps of their preparations, have words of their own, which few need at once.
  if (!learnt.has('printer') && model.speaks(store)) words('printer').then(draw, () => {}).then(tell); else tell();
  safely(() => view?.event?.(name, e));
  draw();
}
function looksLike(json) { const p = store.printers.get(model.unwrap('', json).data.printer_id); return p ? look.look(p, Date.now()).words : null; }

function announce(e, before, json) {
  const p = store.printers.get(e.data.printer_id), after = before === null ? null : looksLike(json);
  if (before && after && before !== after && p) say(`${p.name}: ${after}`);
  const age = e.at === null ? 0 : Date.now() + (store.skew ?? 0) - e.at;
  const item = age < NEWS_MS ? look.news(store, e) : null;
  if (!item) { if (e.event === 'printer_status_update' && e.data.status !== 'attention') for (const key of told) if (key.startsWith(`${e.data.printer_id} `)) told.delete(key); return; }
  if (item.once) { if (told.has(item.once)) return; told.add(item.once); }
  if (!kiosk) toast(item);
}

// What happened before this page was opened.
async function recall() {
  const answer = await get('/events/recent?limit=100');
  for (const e of model.list(answer.json?.events)) if (model.text(e?.event)) model.remember(store, model.unwrap(e.event, e));
  safely(() => view?.event?.('snapshot', null));
  draw();
}

// Whether this browser may change things, where that needs the password.
async function whoAmI(anew = false) {
  if (store.auth === 'open' && !anew) return;
  const answer = await get('/login');
  store.auth = answer.json?.mode ?? store.auth;
  store.loggedIn = answer.json?.authenticated === true;
  draw();
}

// Spools stand beside the slots and say what runs low.
async function loadSpools() {
  const answer = await get('/materials?limit=200');
  for (const m of model.list(answer.json?.materials)) model.spool(store, m);
  draw();
}

// --- drawing ------------------------------------------------------------------------------------
let dirty = false;
function draw() {
  if (dirty) return;
  dirty = true;
  requestAnimationFrame(() => { dirty = false; render(); });
}

const LOST = ['lost', 'full', 'asleep', 'locked'];
function render() {
  const at = Date.now(), lost = LOST.includes(link.state);
  body.classList.toggle('live', link.state === 'live');
  body.classList.toggle('lost', lost);
  safely(() => header(at, lost));
  safely(() => strip(at, lost));
  safely(() => view?.draw?.(at));
  // Nothing can be ordered over a line that is gone; the strip says so.
  for (const acts of document.querySelectorAll('.card .acts')) if (acts.inert !== lost) acts.inert = lost;
}

function header(at, lost) {
  const state = { live: t('Live'), lost: t('No connection'), full: t('Too many pages'), asleep: t('Resting'), locked: t('Locked') }[link.state] ?? t('state.connecting');
  set($('link'), lost && link.heard && link.state !== 'locked' ? t('{state} since {t}', { state, t: clock(link.heard, at) }) : state);
  const sentence = store.known ? look.summary(store, at) : '';
  set($('summary'), lost ? '' : sentence);
  const hands = [...store.printers.values()].filter((p) => look.needsYou(p, at) || look.look(p, at).key === 'finished').length;
  const title = lost ? t('No connection') : view?.title && view.title !== t('nav.now') ? view.title : sentence;
  set($('title'), `${!lost && hands ? `(${hands}) ` : ''}${title ? `${title} · ` : ''}Printernizer`);
  if (kiosk) set($('clock'), seconds(at).replace(/^24/, '00'));
  show($('mode'), store.auth && store.auth !== 'open' && !kiosk);
  set($('mode'), store.loggedIn ? t('Managing') : t('Viewing'));
  mark($('mode'), 'title', store.loggedIn ? t('Log out') : t('Log in'));
}

// One strip at a time, the most urgent first.
function strip(at, lost) {
  const node = $('strip'), [kind, words] = urgent(at, lost);
  set($('strip-words'), words);
  show(node, words);
  show($('strip-act'), kind);
  set($('strip-act'), kind === 'locked' ? t('Log in') : t('Reload'));
  node.dataset.kind = kind ?? '';
}
function urgent(at, lost) {
  if (link.state === 'locked') return ['locked', t('This appliance shows nothing without the password.')];
  if (lost && link.state === 'full') return [null, t('Too many pages are open. Close one; this one tries again in 15 s.')];
  if (lost && !link.heard) return [null, t('The appliance does not answer. Trying again.')];
  if (lost) return [null, t('Connection lost. Showing {t} ({d} ago). Trying again.', { t: clock(link.heard, at), d: duration((at - link.heard) / 1000) })];
  if (store.build && body.dataset.build !== 'dev' && store.build !== body.dataset.build) return ['reload', t('Updated. Reload to see it.')];
  const warnings = store.warnings.map((w) => (typeof w === 'string' ? w : warning(model.object(w)))).filter(Boolean);
  return [null, warnings.join(' ')];
}
function warning(w) {
  if (w.kind === 'clock_not_synced') return t('The appliance does not know the time yet.');
  if (w.kind === 'storage_low') return t('Storage is nearly full. Delete kept files or raise the limit.');
  return model.text(w.message) ?? w.kind;
}

// --- the password -------------------------------------------------------------------------------
async function logout() {
  await request('/logout', 'POST', {});
  store.loggedIn = false;
  way.retry();
  draw();
}
onLogin(async (isUnset) => {
  if (!isUnset) return askPassword(link.state === 'locked');
  const [module] = await Promise.all([import('./password.js'), words('more')]);
  return module.firstPassword();
});
addEventListener('login', () => { store.loggedIn = true; whoAmI(true); if (link.state === 'locked') way.retry(); draw(); });

// --- the start ----------------------------------------------------------------------------------
for (const node of document.querySelectorAll('[data-t]')) node.textContent = t(node.dataset.t);
$('nav').setAttribute('aria-label', t('Views'));
$('notes').setAttribute('aria-label', t('Notes'));
$('skip').onclick = (event) => { event.preventDefault(); $('view').focus(); };
$('nav').append(...NAV.map(([name, picture]) => h('a', { href: `#/${name}`, 'data-nav': name }, icon(picture), h('span', {}, t(`nav.${name}`)))));
$('mode').onclick = () => { if (store.loggedIn) logout(); else askPassword(); };
$('strip-act').onclick = () => { if (link.state === 'locked') askPassword(true); else location.reload(); };
addEventListener('hashchange', () => enter());
addEventListener('language', () => location.reload());

if (kiosk) {
  let still = 0, shift = 0;
  addEventListener('pointermove', () => { body.classList.remove('still'); clearTimeout(still); still = setTimeout(() => body.classList.add('still'), 5000); });
  // Screens that show the same for months burn in.
  setInterval(() => { shift = (shift + 1) % 4; body.style.setProperty('--shift', `${[0, 2, 4, 2][shift]}px`); }, 10 * 60_000);
  setInterval(() => { if (store.build && body.dataset.build !== 'dev' && store.build !== body.dataset.build && link.state === 'live') location.reload(); draw(); }, 1000);
} else setInterval(() => { if (!document.hidden) draw(); }, TICK_MS); // Ages and times left move on by themselves.

const way = connect(model.EVENTS, hear, (state, heard) => {
  link.state = state;
  link.heard = heard;
  // What was known is somebody else's now.
  if (state === 'locked') store.known = false;
  if (state === 'locked' && !kiosk) askPassword(true);
  safely(() => view?.link?.(state));
  draw();
});
$('view').append(h('p', { class: 'quiet' }, t('Waiting for the first word from the appliance.')));
await enter(true);
body.dataset.locale = locale;
