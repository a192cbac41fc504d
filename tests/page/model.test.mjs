// The page's model: what it makes of events, without a page. Run by `cargo test --test page`.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import * as model from '../../src/web/page/model.js';

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
  const words = () => model.fetching(store, one(store), NOW)?.words;
  assert.equal(words(), undefined);
  event(store, 'auto_download_triggered', { printer_id: 'p1', filename: 'Boat', job_id: 'j1' }, flow);
  assert.equal(words(), 'Looking for the file');
  event(store, 'file_download_started', { printer_id: 'p1', filename: 'Boat', job_id: 'j1', file_id: null, file_size: null, resumed_from: 0 }, flow);
  assert.equal(words(), 'Fetching the file');
  event(store, 'file_download_progress', { printer_id: 'p1', filename: 'Boat', file_id: null, bytes: 5_000_000, file_size: 20_000_000, rate_bytes_s: 75_400 });
  assert.equal(words(), 'Fetching the file · 25 % of 20 MB · 75 KB/s');
  assert.equal(model.fetching(store, one(store), NOW).percent, 25);
  event(store, 'file_preview_ready', { printer_id: 'p1', filename: 'Boat', job_id: 'j1', thumbnail_url: '/api/v1/files/downloads/d1/preview', metadata: {} }, flow);
  assert.equal(model.picture(store, one(store)), '/api/v1/files/downloads/d1/preview');
  event(store, 'file_download_complete', { printer_id: 'p1', filename: 'Boat.gcode.3mf', file_id: 'f1' }, flow);
  assert.equal(words(), undefined);
  done(store, 1, flow);
  assert.equal(model.picture(store, one(store)), '/api/v1/files/downloads/d1/preview', 'another plate is another picture');
  done(store, 2, flow);
  assert.equal(model.picture(store, one(store)), url('f1', 'medium'));
  assert.equal(model.small(model.picture(store, one(store))), url('f1', 'small'));
  event(store, 'file_deleted', { file_id: 'f1', filename: 'x', printer_id: 'p1' });
  assert.equal(model.picture(store, one(store)), null);
});

test('why a fetch failed is said with what to do', () => {
  const store = known(), flow = 'print-j1';
  const started = () => event(store, 'file_download_started', { printer_id: 'p1', filename: 'Boat', job_id: 'j1', resumed_from: 0 }, flow);
  const failed = (kind, retry) => event(store, 'file_download_failed', { printer_id: 'p1', filename: 'Boat', file_id: null, error: 'x', kind, attempts: 1, retry_in_s: retry }, flow);
  const shown = () => model.fetching(store, one(store), NOW);
  started();
  failed('not_found', 300);
  assert.equal(shown().words, 'The printed file was not found on the printer. Trying again in 5 min.');
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
  assert.equal(model.fetching(store, one(store), NOW).percent, 10);
  assert.equal(model.picture(store, one(store)), '/api/v1/files/downloads/d4/preview');
  event(store, 'file_download_complete', { printer_id: 'p1', filename: 'Boat', file_id: 'f1' }, 'print-j1');
  assert.equal(model.fetching(store, one(store), NOW), null);
});

test('pictures come from the appliance only, and odd events spoil nothing', () => {
  const store = known({ printers: [status({ thumbnail_url: 'https://example.org/x.png' })] });
  assert.equal(model.picture(store, one(store)), null);
  for (const data of [{}, { printer_id: 'p1', bytes: 'many' }, { printer_id: 'p9', filename: 7 }, { thumbnails: null, file_id: null }, { thumbnails: { medium: { url: 'javascript:1' } }, file_id: 'f1' }]) {
    for (const name of ['file_download_started', 'file_download_progress', 'file_preview_ready', 'file_download_complete', 'file_download_failed', 'auto_download_failed', 'file_thumbnails_processed', 'thumbnail_processing_failed', 'file_deleted']) {
      event(store, name, data, 'print-j1');
    }
  }
  assert.equal(model.picture(store, one(store)), null);
  model.fetching(store, one(store), NOW);
});

test('sizes in words', () => {
  assert.deepEqual([0, 999, 1500, 75_400, 20_000_000, 1_500_000_000].map(model.bytes), ['0 B', '999 B', '1.5 KB', '75 KB', '20 MB', '1.5 GB']);
});
