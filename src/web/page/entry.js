// One file of the library: every figure, every picture, where it came from.
import { t, said, bytes, moment } from './words.js';
import { button, h, rebuild, set, term } from './dom.js';
import { API, act, get, request } from './api.js';
import { list, time } from './model.js';
import { confirm } from './sheet.js';
import { figures, plates } from './figures.js';

export default function entry({ id, go }) {
  const path = `/library/files/${encodeURIComponent(id)}`;
  const title = h('h2', { id: 'view-title', tabindex: '-1' }, t('File')), shots = h('div'), facts = h('dl', { class: 'pairs' }), sources = h('ul', {}), acts = h('div', { class: 'row' }), result = h('p', { role: 'alert' }), read = h('div', { class: 'fields' }, t('Loading'));
  const node = h('section', { 'aria-labelledby': 'view-title' }, h('div', { class: 'head' }, title, h('a', { class: 'button second', href: '#/library' }, t('The library'))),
    h('div', { class: 'two' }, h('div', { class: 'panel' }, shots, facts, sources, acts, result), h('section', { class: 'panel', 'aria-labelledby': 'read' }, h('h3', { id: 'read' }, t('What the file says')), read)));
  let left = false, timer = 0;
  async function load() {
    const answer = await get(path);
    if (left) return;
    if (!answer.ok) { set(result, answer.message); set(read, ''); return; }
    const f = answer.json;
    set(title, f.filename);
    const pairs = [[t('Size'), bytes(f.file_size)], [t('Added'), time(f.added_at) ? moment(time(f.added_at)) : null], ['SHA-256', f.checksum]].filter(([, value]) => value);
    rebuild(facts, pairs, () => pairs.map(([label, value]) => term(label, value)));
    rebuild(sources, f.sources, () => list(f.sources).map((one) => h('li', { class: 'quiet' }, [said('source', one.type), one.printer_name, one.filename].filter(Boolean).join(' · '))));
    rebuild(acts, f.checksum, () => [
      h('a', { class: 'button second', href: `${API}${path}/download`, download: f.filename }, t('Save')),
      button(t('Delete'), async (e) => {
        const node = e.currentTarget;
        if (!await confirm(t('Delete "{name}" from the library?', { name: f.filename }), t('Keep'), t('Delete'))) return;
        const gone = await act(node, result, () => request(path, 'DELETE'), t('Deleted.'));
        if (gone.ok) go('#/library');
      }),
    ]);
    const found = await get(`${path}/metadata`);
    if (left) return;
    rebuild(read, [found.json, found.message], () => (found.ok ? figures(found.json) : h('p', { class: 'quiet' }, found.message)));
    rebuild(shots, [f.has_thumbnail, found.json?.plate_count], () => (f.has_thumbnail ? plates(`${API}${path}`, found.json, id.slice(0, 8)) : []));
  }
  load();
  return {
    title: t('File'), node, gone() { left = true; clearTimeout(timer); },
    event(name) { if (['file_thumbnails_processed', 'file_metadata_extracted', 'library_file_added', 'snapshot'].includes(name)) { clearTimeout(timer); timer = setTimeout(load, 500); } },
  };
}
