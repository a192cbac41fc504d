// Library: what is kept for good; files dropped here are sent to the appliance.
import { t, said, bytes, clock } from './words.js';
import { bar, button, draws, field, h, keyed, mark, picture, select, set } from './dom.js';
import { absent, get, upload } from './api.js';
import { time } from './model.js';
import { sized } from './look.js';
import { filters, pager, query } from './pager.js';

const KINDS = '.gcode,.bgcode,.3mf,.gco,.g,.gc,.bgc';

export default function library({ store }) {
  const search = h('input', { type: 'search', autocomplete: 'off', maxlength: '200' }), source = select([['', t('All')], ...['upload', 'printer', 'local'].map((one) => [one, t(`source.${one}`)])], '');
  const tiles = h('ol', { class: 'tiles' }), sums = h('p', { class: 'quiet' });
  const pages = pager({
    node: tiles, path: () => `/library/files${query({ search: search.value.trim(), source_type: source.value })}`, field: 'files',
    item: { key: (f) => f.checksum, make: () => tile(), update: (node, f, now) => node.update(f, now) },
    empty: () => (search.value || source.value ? t('No file fits these filters.') : t('Nothing here yet. Drop print files above, or keep them from the printers.')),
  });
  const node = h('section', { 'aria-labelledby': 'view-title' }, h('div', { class: 'head' }, h('h2', { id: 'view-title', tabindex: '-1' }, t('nav.library')), sums),
    dropZone(() => { pages.soon(); figures(); }), filters([field(t('Search'), search), field(t('Came from'), source)], () => pages.load()), tiles, pages.foot);
  async function figures() {
    const { ok, json } = await get('/library/statistics');
    if (!ok) return;
    const room = json.storage ?? {};
    set(sums, [t('{n} file|{n} files', { n: json.total_files }), bytes(json.total_size), room.free !== null && room.free !== undefined ? t('{free} free', { free: bytes(room.free) }) : null].filter(Boolean).join(' · '));
  }
  pages.load();
  figures();
  return {
    title: t('nav.library'), node, gone: pages.gone, draw: pages.draw,
    event(name) { if (['library_file_added', 'library_file_deleted', 'file_thumbnails_processed', 'file_metadata_extracted', 'snapshot'].includes(name)) { pages.soon(); figures(); } },
  };
}

function tile() {
  const shot = picture(''), name = h('a', {}), about = h('small', {});
  const node = h('li', { class: 'tile' }, h('span', { class: 'thumb' }, shot), name, about);
  node.update = (f, now) => {
    draws(shot, f.thumbnail_url ? `${sized(f.thumbnail_url, 'medium')}` : null, '');
    set(name, f.filename);
    mark(name, 'href', `#/library/${encodeURIComponent(f.checksum)}`);
    set(about, [bytes(f.file_size), said('source', f.source_type), f.status === 'processing' ? t('is being read') : time(f.added_at) ? clock(time(f.added_at), now) : null].filter(Boolean).join(' · '));
  };
  return node;
}

// Files go one after the other: the appliance is small, and so the progress means something.
function dropZone(done) {
  const input = h('input', { type: 'file', multiple: true, accept: KINDS, class: 'seen', tabindex: '-1', 'aria-label': t('Files to send'), onchange: () => { take(input.files); input.value = ''; } });
  const list = h('ul', { class: 'uploads' }), zone = h('div', { class: 'drop' }, h('p', {}, t('Drop print files here')), button(t('Choose files'), () => input.click()), input, list);
  const queue = [];
  let busy = false, number = 0;
  function take(files) {
    for (const file of files) queue.push({ id: number += 1, file, part: 0, state: 'wait', words: t('waits') });
    draw();
    work();
  }
  async function work() {
    if (busy) return;
    busy = true;
    for (let next = queue.find((one) => one.state === 'wait'); next; next = queue.find((one) => one.state === 'wait')) {
      next.state = 'run';
      const answer = await upload('/library', next.file, (part) => { next.part = part; next.words = part < 100 ? `${part} %` : t('is being checked'); draw(); });
      next.state = answer.ok ? 'done' : 'bad';
      next.part = answer.ok ? 100 : null;
      next.words = answer.ok ? (answer.json?.duplicate ? t('was here already') : t('kept')) : absent(answer) ? t('This version takes no files.') : answer.message;
      draw();
      if (answer.ok) done();
    }
    busy = false;
    while (queue.length > 8) queue.splice(queue.findIndex((one) => one.state !== 'wait'), 1);
    draw();
  }
  function draw() {
    keyed(list, queue, (one) => one.id, (one) => {
      const words = h('span', { role: 'status' }), track = bar(one.file.name, 'thin');
      const node = h('li', {}, h('span', {}, one.file.name, ' '), words, track);
      node.update = () => { set(words, one.words); mark(words, 'class', one.state === 'bad' ? 'tag c-bad' : 'quiet'); track.hidden = one.state === 'bad'; track.to(one.part); mark(node, 'data-state', one.state); };
      return node;
    }, (node) => node.update());
  }
  zone.addEventListener('dragover', (event) => { event.preventDefault(); zone.classList.add('over'); });
  zone.addEventListener('dragleave', () => zone.classList.remove('over'));
  zone.addEventListener('drop', (event) => { event.preventDefault(); zone.classList.remove('over'); take(event.dataTransfer.files); });
  return zone;
}
