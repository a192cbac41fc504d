// One file: pictures, figures, where it came from, what can be done with it.
import { t, said, bytes, moment } from './words.js';
import { h, icon, rebuild, set, term } from './dom.js';
import { API, get } from './api.js';
import { time } from './model.js';
import { fileActs, fileState, kept, reason } from './files.js';
import { figures, plates } from './figures.js';

export default function file({ store, id, go }) {
  const path = `/files/${encodeURIComponent(id)}`;
  const title = h('h2', { id: 'view-title', tabindex: '-1' }, t('File')), shots = h('div'), state = h('p'), facts = h('dl', { class: 'pairs' }), why = h('p', { class: 'note', hidden: true }), acts = h('div', { class: 'row' }), result = h('p', { role: 'alert' }), read = h('div', { class: 'fields' }, t('Loading'));
  const node = h('section', { 'aria-labelledby': 'view-title' }, h('div', { class: 'head' }, title, h('a', { class: 'button second', href: '#/files' }, t('All files'))),
    h('div', { class: 'two' }, h('div', { class: 'panel' }, shots, state, facts, why, acts, result), h('section', { class: 'panel', 'aria-labelledby': 'read' }, h('h3', { id: 'read' }, t('What the file says')), read)));
  let left = false, timer = 0;
  async function load() {
    const answer = await get(path);
    if (left) return;
    if (!answer.ok) { set(result, answer.message); set(read, ''); return; }
    const f = answer.json, [picture, colour] = fileState[f.status] ?? ['unknown', ''];
    set(title, f.filename);
    rebuild(state, f.status, () => h('span', { class: `tag c-${colour}` }, icon(picture), said('file', f.status)));
    const words = reason(f) ?? (f.thumbnail_error ? said('picture', f.thumbnail_error.kind, f.thumbnail_error.message) : null);
    set(why, words);
    why.hidden = !words;
    const when = (x) => (time(x) === null ? null : moment(time(x)));
    const pairs = [[t('Printer'), f.printer_id ? store.printers.get(f.printer_id)?.name ?? f.printer_name : said('source', f.source)], [t('On the printer'), f.path], [t('Size'), f.file_size === null ? null : bytes(f.file_size)],
      [t('Seen'), when(f.created_at)], [t('Fetched'), when(f.downloaded_at)], [t('Checked'), f.verified === null ? null : f.verified ? t('whole and right') : t('damaged')], [t('Kept for good'), f.is_pinned ? t('yes') : null], ['SHA-256', f.checksum]].filter(([, value]) => value);
    rebuild(facts, pairs, () => pairs.map(([label, value]) => term(label, value)));
    rebuild(acts, f, () => fileActs(f, result, (done, gone) => { if (gone && !kept(f)) go('#/files'); else load(); }, true));
    const found = kept(f) ? await get(`${path}/metadata`) : null;
    if (left) return;
    rebuild(read, [found?.json, found?.message], () => (found?.ok ? figures(found.json) : h('p', { class: 'quiet' }, found ? found.message : t('The file is not here yet. Fetch it to see what it says.'))));
    rebuild(shots, [f.has_thumbnail, f.checksum, found?.json?.plate_count], () => (f.has_thumbnail ? plates(`${API}${path}`, found?.json, f.checksum?.slice(0, 8)) : []));
  }
  load();
  return {
    title: t('File'), node, gone() { left = true; clearTimeout(timer); },
    event(name, e) { if (name === 'snapshot' || e?.data.file_id === id || (name === 'file_download_progress' && e?.data.file_id === id)) { clearTimeout(timer); timer = setTimeout(load, 500); } },
  };
}
