// The page's model: what it makes of events, without a page. Run by `cargo test --test page`.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import * as model from '../../src/web/page/model.js';
import * as look from '../../src/web/page/look.js';
import * as format from '../../src/web/page/words.js';
import { choose, speak, t } from '../../src/web/page/words.js';
import { lastDays, lastWeeks } from '../../src/web/page/charts.js';
import { steps } from '../../src/web/page/timeline.js';

// The words come in parts: those of the first view, and those that other views bring along.
const PARTS = ['', '-add', '-more', '-printer'];
const table = async (language, part) => (await import(`../../src/web/page/${language}${part}.js`)).default;
const parts = new Map();
for (const part of PARTS) parts.set(part, { en: await table('en', part), de: await table('de', part) });
const all = (language) => Object.assign({}, ...[...parts.values()].map((one) => one[language]));
const en = all('en'), de = all('de');
// Numbers and their units stay on one line.
const plain = (words) => words?.replaceAll('\u00a0', ' ');

speak(en, 'en-GB');

const NOW = Date.UTC(2026, 10, 26, 12);
let seq = 0;
const event = (store, name, data, flow = null) =>
  model.reduce(store, name, { seq: ++seq, after: seq, event: name, timestamp: new Date(NOW).toISOString(), flow, cause: null, data }, NOW);
const status = (extra = {}) => ({
  printer_id: 'p1', name: 'One', status: 'printing', current_job: 'Boat', job_id: 'j1', progress: 3,
  connection: { status: 'monitoring', kind: null }, thumbnail_url: null, file_id: null, ...extra,
});
const known = (extra = {}) => {
  const store = model.empty();
  model.reduce(store, 'snapshot', {
    seq: ++seq, printers: [status()], downloads: [], warnings: [],
    jobs: [{ id: 'j1', job_name: 'Boat', printer_id: 'p1', status: 'running', plate: 2, file_id: null, thumbnail_url: null }], ...extra,
  }, NOW);
  return store;
};
const one = (store) => store.printers.get('p1');
const url = (file, size) => `/api/v1/files/${file}/thumbnail?size=${size}&plate=2&v=ab`;
const done = (store, plate, flow) => event(store, 'file_thumbnails_processed',
  { file_id: 'f1', file_path: 'x', plate, thumbnails: { small: { url: url('f1', 'small') }, medium: { url: url('f1', 'medium') }, large: null }, source: 'embedded' }, flow);

test('a print\'s file is followed from the first look to its picture', () => {
  const store = known(), flow = 'print-j1';
  const words = () => plain(look.fetching(store, one(store), NOW)?.words);
  assert.equal(words(), undefined);
  event(store, 'auto_download_triggered', { printer_id: 'p1', filename: 'Boat', job_id: 'j1' }, flow);
  assert.equal(words(), 'Looking for the file');
  event(store, 'file_download_started', { printer_id: 'p1', filename: 'Boat', job_id: 'j1', file_id: null, file_size: null, resumed_from: 0 }, flow);
  assert.equal(words(), 'Fetching the file');
  event(store, 'file_download_progress', { printer_id: 'p1', filename: 'Boat', file_id: null, bytes: 5_000_000, file_size: 20_000_000, rate_bytes_s: 75_400 });
  assert.equal(words(), 'Fetching the file · 25 % of 20 MB · 75 kB/s');
  assert.equal(look.fetching(store, one(store), NOW).percent, 25);
  event(store, 'file_preview_ready', { printer_id: 'p1', filename: 'Boat', job_id: 'j1', thumbnail_url: '/api/v1/files/downloads/d1/preview', metadata: {} }, flow);
  assert.equal(look.picture(store, one(store)), '/api/v1/files/downloads/d1/preview');
  event(store, 'file_download_complete', { printer_id: 'p1', filename: 'Boat.gcode.3mf', file_id: 'f1' }, flow);
  assert.equal(words(), undefined);
  done(store, 1, flow);
  assert.equal(look.picture(store, one(store)), '/api/v1/files/downloads/d1/preview', 'another plate is another picture');
  done(store, 2, flow);
  assert.equal(look.picture(store, one(store)), url('f1', 'medium'));
  assert.equal(look.sized(look.picture(store, one(store)), 'small'), url('f1', 'small'));
  event(store, 'file_deleted', { file_id: 'f1', filename: 'x', printer_id: 'p1' });
  assert.equal(look.picture(store, one(store)), null);
});

test('why a fetch failed is said with what to do', () => {
  const store = known(), flow = 'print-j1';
  const started = () => event(store, 'file_download_started', { printer_id: 'p1', filename: 'Boat', job_id: 'j1', resumed_from: 0 }, flow);
  const failed = (kind, retry) => event(store, 'file_download_failed', { printer_id: 'p1', filename: 'Boat', file_id: null, error: 'x', kind, attempts: 1, retry_in_s: retry }, flow);
  const shown = () => look.fetching(store, one(store), NOW);
  started();
  failed('not_found', 300);
  assert.equal(plain(shown().words), 'The printed file was not found on the printer. Trying again in 5 min.');
  started();
  failed('not_on_storage', null);
  event(store, 'auto_download_failed', { printer_id: 'p1', filename: 'Boat', job_id: 'j1', kind: 'not_on_storage', retry: 'after_print', tried: [] }, flow);
  assert.match(shown().words, /after the print/);
  assert.match(shown().help, /external storage/);
  event(store, 'auto_download_failed', { printer_id: 'p1', filename: 'Boat', job_id: 'j1', kind: 'a_new_kind', retry: 'none', tried: [] }, flow);
  assert.deepEqual([shown().words, shown().bad, shown().retry], ['a new kind.', true, true]);
  started();
  failed('cancelled', null);
  assert.equal(shown(), null);
  started();
  failed('stalled', null);
  event(store, 'job_created', { job_id: 'j2', printer_id: 'p1', job_name: 'Next' });
  assert.equal(shown(), null, 'the next print does not inherit it');
});

test('a page that comes late sees the running transfer', () => {
  const download = { download_id: 'd4', printer_id: 'p1', filename: 'Boat', job_id: 'j1', status: 'downloading', auto: true, bytes_downloaded: 10, total_bytes: 100, rate_bytes_s: null, error: null, thumbnail_url: '/api/v1/files/downloads/d4/preview' };
  const store = known({ downloads: [download] });
  assert.equal(look.fetching(store, one(store), NOW).percent, 10);
  assert.equal(look.picture(store, one(store)), '/api/v1/files/downloads/d4/preview');
  event(store, 'file_download_complete', { printer_id: 'p1', filename: 'Boat', file_id: 'f1' }, 'print-j1');
  assert.equal(look.fetching(store, one(store), NOW), null);
});

test('pictures come from the appliance only, and odd events spoil nothing', () => {
  const store = known({ printers: [status({ thumbnail_url: 'https://example.org/x.png' })] });
  assert.equal(look.picture(store, one(store)), null);
  for (const data of [{}, { printer_id: 'p1', bytes: 'many' }, { printer_id: 'p9', filename: 7 }, { thumbnails: null, file_id: null }, { thumbnails: { medium: { url: 'javascript:1' } }, file_id: 'f1' }]) {
    for (const name of ['file_download_started', 'file_download_progress', 'file_preview_ready', 'file_download_complete', 'file_download_failed', 'auto_download_failed', 'file_thumbnails_processed', 'thumbnail_processing_failed', 'file_deleted']) {
      event(store, name, data, 'print-j1');
    }
  }
  assert.equal(look.picture(store, one(store)), null);
  look.fetching(store, one(store), NOW);
});

test('a snapshot replaces everything, an event is taken once, unknown ones are counted', () => {
  const store = known();
  const first = model.reduce(store, 'job_started', { seq: 900, after: 900, event: 'job_started', timestamp: '2026-11-26T12:00:00.000Z', data: { job_id: 'j7', printer_id: 'p1', job_name: 'Box' } }, NOW);
  assert.equal(first.data.job_id, 'j7');
  assert.equal(model.reduce(store, 'job_started', { seq: 900, after: 900, event: 'job_started', timestamp: 'x', data: {} }, NOW), null);
  assert.equal(store.seq, 900);
  model.reduce(store, 'a_new_event', { seq: 901, after: 901, event: 'a_new_event', timestamp: 'x', data: {} }, NOW);
  assert.equal(store.unknown, 1);
  model.reduce(store, 'snapshot', { seq: 950, printers: [], jobs: [], downloads: [], warnings: [] }, NOW);
  assert.deepEqual([store.printers.size, store.jobs.size, store.seq, store.log.length], [0, 0, 950, 2]);
  // A factory reset counts anew, and the log of the old life goes.
  model.reduce(store, 'snapshot', { seq: 3, printers: [], jobs: [], downloads: [], warnings: [] }, NOW);
  assert.equal(store.log.length, 0);
});

test('a removed printer does not come back with its last word', () => {
  const store = known();
  event(store, 'printer_removed', { printer_id: 'p1' });
  event(store, 'printer_status_update', status());
  event(store, 'printer_status', { printers: [status({ id: 'p1' })] });
  assert.equal(store.printers.size, 0);
  event(store, 'printer_added', { printer_id: 'p1', name: 'One', type: 'bambu_lab' });
  event(store, 'printer_status_update', status());
  assert.equal(one(store).status, 'printing');
});

test('the log keeps the newest events in order, however they come', () => {
  const store = model.empty();
  for (const n of [5, 1, 3, 3, 2, 4]) model.remember(store, model.unwrap('x', { seq: n, event: 'x', data: {} }));
  assert.deepEqual(store.log.map((e) => e.seq), [5, 4, 3, 2, 1]);
  for (let n = 10; n < 1000; n += 1) model.remember(store, model.unwrap('x', { seq: n, event: 'x', data: {} }));
  assert.deepEqual([store.log.length, store.log[0].seq, store.log.at(-1).seq], [300, 999, 700]);
});

test('every state has its own word and shape, and colour never tells alone', () => {
  const seen = new Set();
  for (const state of ['connecting', 'idle', 'preparing', 'printing', 'paused', 'attention', 'finished', 'failed', 'cancelled', 'offline', 'unknown']) {
    const l = look.look({ id: 'p', name: 'P', status: state, connection: { status: 'monitoring' }, errors: [], plate: 'occupied', heard: NOW }, NOW);
    assert.ok(l.words && l.icon, state);
    seen.add(`${l.words}/${l.icon}`);
  }
  assert.equal(seen.size, 11);
});

test('trouble with a printer is said with what to do', () => {
  const at = (connection, status = 'printing', more = {}) => look.look({ id: 'p', name: 'P', status, connection, errors: [], heard: NOW - 600_000, ...more }, NOW);
  const code = at({ status: 'error', kind: 'wrong_code' });
  assert.deepEqual([code.key, code.words, code.stale, code.band], ['fix', 'Wrong access code', true, 'solid']);
  assert.match(at({ status: 'failed', kind: 'unreachable' }).words, /^No answer since /);
  assert.match(at({ status: 'monitoring' }).note, /no news since/);
  assert.equal(at({ status: 'monitoring' }, 'printing', { heard: NOW }).stale, false);
  assert.equal(at({ status: 'error', kind: 'a_new_kind', message: 'The server says so.' }).note, 'The server says so.');
  assert.equal(at({ status: 'monitoring' }, 'weird', { heard: NOW }).key, 'unknown');
  assert.equal(at({ status: 'monitoring' }, 'idle', { enabled: false }).key, 'disabled');
});

test('what a card says of time and progress never contradicts itself', () => {
  const p = { status: 'printing', progress: 100, remaining: 0, end: NOW };
  assert.deepEqual([look.progress(p), look.left(p, NOW)], [99, 'finishing']);
  assert.equal(look.progress({ status: 'finished', progress: 100 }), 100);
  assert.equal(look.left({ status: 'printing', remaining: null }, NOW), 'time not known yet');
  assert.equal(plain(look.left({ status: 'printing', remaining: 4320, end: NOW + 4_320_000 }, NOW)), '1 h 12 min left');
  assert.equal(look.left({ status: 'paused', remaining: 60, end: NOW }, NOW), null);
});

test('the order is by need on a phone, by place on a wall, and by both between', () => {
  const store = model.empty();
  model.reduce(store, 'snapshot', { seq: 1, printers: [['a', 'idle'], ['b', 'printing'], ['c', 'attention'], ['d', 'finished']].map(([id, state]) => ({ ...status({ printer_id: id, name: id, status: state, plate: 'occupied' }) })), jobs: [], downloads: [], warnings: [] }, NOW);
  assert.deepEqual(look.order(store, NOW).map((p) => p.id), ['c', 'd', 'b', 'a']);
  assert.deepEqual(look.order(store, NOW, 'still').map((p) => p.id), ['a', 'b', 'c', 'd']);
  // With room for all, only who needs a hand leaves its place.
  assert.deepEqual(look.order(store, NOW, 'calm').map((p) => p.id), ['c', 'a', 'b', 'd']);
  assert.equal(look.summary(store, NOW), '1 printing · 1 needs you · 1 to take off');
});

test('what deserves a word by itself', () => {
  const store = known(), news = (event, data) => look.news(store, { event, data });
  assert.deepEqual(news('job_completed', { job_id: 'j1', printer_id: 'p1', job_name: '<b>Boat</b>', status: 'completed' }), { text: '<b>Boat</b> is finished on One.', tone: 'good', href: '#/jobs/j1' });
  assert.equal(news('job_completed', { job_id: 'j1', printer_id: 'p1', job_name: 'Boat', status: 'failed' }).tone, 'bad');
  assert.equal(news('job_completed', { job_id: 'j1', printer_id: 'p1', job_name: 'Boat', status: 'cancelled' }), null);
  assert.equal(news('material_low_stock', { material_name: 'PLA', remaining_g: 149.6 }).text, 'PLA: 150 g left.');
  assert.equal(news('printer_status', {}), null);
});

test('slots know the spool that is in them', () => {
  const store = model.empty();
  model.spool(store, { id: 'm1', material_type: 'PETG', color_hex: '#112233', remaining_percentage: 12.9, low_stock: true, remaining_weight_g: 120 });
  assert.deepEqual(look.slot(store, { slot: 2, type: null, color: null, remaining_percentage: null, active: true, material_id: 'm1' }), { slot: 2, kind: 'PETG', share: 12, low: true, active: true, color: '#112233', grams: 120 });
  assert.equal(look.slot(store, { slot: 0, type: 'PLA', color: 'url(x)', material_id: null }).color, null);
});

test('charts count days and weeks from the appliance\'s today', () => {
  const days = [{ day: '2026-11-26', completed: 2, failed: 1, cancelled: 1, unknown: 0, material_used_g: 10 }, { day: '2026-11-19', completed: 1, failed: 0, cancelled: 0, unknown: 0, material_used_g: 5 }];
  const last = lastDays(days, '2026-11-26', 28);
  assert.deepEqual([last.length, last.at(-1).completed, last.at(-1).other, last.at(-8).completed], [28, 2, 1, 1]);
  assert.deepEqual(lastWeeks(days, '2026-11-26', 2).map((week) => week.grams), [5, 10]);
});

test('a trace becomes steps, repeated states are folded', () => {
  const event = (name, at, data = {}) => ({ seq: at, event: name, timestamp: '2026-11-26T12:00:00Z', data, since_root_ms: at, since_cause_ms: 5, depth: 0, handled_by: [] });
  const found = steps({ events: [event('job_created', 0), event('printer_status_update', 10, { status: 'printing' }), event('printer_status_update', 20, { status: 'printing' }), event('job_completed', 90_000, { status: 'completed' }), null, { odd: true }] });
  assert.deepEqual(found.map((s) => [s.event, s.count]), [['job_created', 1], ['printer_status_update', 2], ['job_completed', 1]]);
  assert.equal(found[2].gap, 89_980);
});

test('both languages have the same keys and places', () => {
  const places = (text) => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort().filter((name, at, all) => all.indexOf(name) === at).join();
  for (const [part, { en, de }] of parts) for (const [key, text] of Object.entries(en)) { assert.ok(key in de, `German lacks ${key} in${part}`); assert.equal(places(text), places(de[key]), key); }
  const keys = [...parts.values()].flatMap((one) => Object.keys(one.de));
  assert.equal(new Set(keys).size, keys.length, 'no text is in two parts');
  for (const [key, text] of Object.entries(de)) {
    assert.equal(places(text), places(en[key] ?? key), key);
    assert.equal(text.includes('|'), (en[key] ?? key).includes('|'), key);
  }
});

const FIRST = new Set(['app', 'api', 'look', 'model', 'now', 'sheet', 'words', 'stream', 'dom'].map((name) => `${name}.js`));

test('errors of printers are said in words where their code is known', () => {
  const said = (code, message = 'the print needs a look') => look.fault({ code, message, kind: 'print' });
  assert.equal(said('0300-8004'), 'Filament ran out. Load new filament, then press Resume.');
  assert.equal(said('0701-8011'), 'AMS 2 is out of filament. Put a new spool into the same slot, then press Resume.');
  assert.equal(said('0702-2300-0002-0001'), 'AMS 3, slot 4: the filament ran out.');
  assert.equal(said('1200-2100-0002-0002'), 'AMS 1, slot 2 is empty.');
  assert.equal(said('07FF-8011'), 'The filament of the spool holder ran out. Load new filament, then press Resume.');
  assert.equal(said('0999-1234'), 'The print needs a look.');
  assert.equal(said('0300-1234-0002-0001', "motion: look the code up on the printer's screen"), "Motion: look the code up on the printer's screen.");
  assert.equal(look.fault({ code: 'ERROR', message: 'heater fault <b>' }), 'Heater fault <b>');
  assert.equal(look.fault({}), '');
});

test('every text that the page uses is there in German', async () => {
  const { readdir, readFile } = await import('node:fs/promises');
  const dir = new URL('../../src/web/page/', import.meta.url);
  let found = 0;
  for (const name of await readdir(dir)) {
    if (!/\.(js|html)$/.test(name) || name === 'words.js') continue;
    // The first view and what it is made of speak before any other part is there.
    const first = name === 'index.html' || FIRST.has(name), spoken = { ...parts.get('').de, ...(first ? {} : { ...parts.get(name === 'add.js' ? '-add' : '-more').de, ...(name === 'printer.js' ? parts.get('-add').de : {}) }) };
    const text = await readFile(new URL(name, dir), 'utf8');
    const keys = [...text.matchAll(/\bt\('((?:[^'\\]|\\.)*)'/g), ...text.matchAll(/data-t="([^"]*)"/g), ...text.matchAll(/count\('([^']*)'/g)];
    for (const [, key] of keys) { found += 1; assert.ok(key in spoken || (key.startsWith('fault.') && key in parts.get('-printer').de), `${name}: German lacks ${key}`); }
  }
  assert.ok(found > 200, `${found} texts`);
});

test('every event of the catalogue is known and has a name', async () => {
  const { readFile } = await import('node:fs/promises');
  const text = await readFile(new URL('../../docs/events.md', import.meta.url), 'utf8');
  const names = new Set([...text.matchAll(/^\| `([a-z_]+)`/gm)].map((m) => m[1]));
  for (const name of ['job_created', 'storage_low']) assert.ok(names.has(name) || text.includes(name), name);
  for (const name of names) if (model.EVENTS.some((one) => one.split('_')[0] === name.split('_')[0])) assert.ok(model.EVENTS.includes(name), `${name} is unknown to the page`);
  for (const name of model.EVENTS) { assert.ok(text.includes(name), `${name} is no event`); assert.ok(`event.${name}` in en, name); }
});

test('languages are chosen and spoken', () => {
  assert.deepEqual(choose(['fr-CH', 'de-CH', 'en']), { language: 'de', tag: 'de-CH' });
  assert.deepEqual(choose([]), { language: 'en', tag: 'en' });
  speak(de, 'de-DE');
  assert.equal(t('{n} needs you|{n} need you', { n: 1 }), '1 braucht Hilfe');
  assert.equal(t('{n} needs you|{n} need you', { n: 2 }), '2 brauchen Hilfe');
  assert.equal(plain(format.grams(1234.5)), '1,23 kg');
  speak(en, 'en-GB');
  assert.equal(t('{n} needs you|{n} need you', { n: 2 }), '2 need you');
});

test('sizes and times in words', () => {
  assert.deepEqual([0, 999, 1500, 75_400, 20_000_000, 1_500_000_000].map((n) => plain(format.bytes(n))), ['0 B', '999 B', '1.5 kB', '75 kB', '20 MB', '1.5 GB']);
  assert.deepEqual([30, 60, 61, 4320, 97_200].map((n) => plain(format.duration(n))), ['less than a minute', '1 min', '2 min', '1 h 12 min', '1 d 3 h']);
  assert.deepEqual([format.degrees(219.4, 220), format.degrees(41, 0), format.degrees(null, null), format.degrees('x', 60)].map((one) => one && plain(one)), ['219→220 °C', '41 °C', null, '?→60 °C']);
});
