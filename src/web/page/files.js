// Files: what lies on the printers, what is kept here, and why something could not be fetched.
import { t, said, has, bytes, clock } from './words.js';
import { button, draws, field, h, icon, mark, picture, rebuild, select, set, show } from './dom.js';
import { API, act, request } from './api.js';
import { time } from './model.js';
import { sized } from './look.js';
import { confirm } from './sheet.js';
import { filters, pager, query } from './pager.js';

const STATUSES = ['downloaded', 'available', 'downloading', 'local', 'error', 'unavailable', 'deleted'];
const ORDERS = { new: ['created_at', 'desc'], old: ['created_at', 'asc'], name: ['filename', 'asc'], big: ['file_size', 'desc'], kept: ['downloaded_at', 'desc'] };
export const fileState = { downloaded: ['finished', 'good'], local: ['finished', 'good'], available: ['idle', ''], downloading: ['preparing', 'run'], error: ['failed', 'bad'], unavailable: ['offline', ''], deleted: ['cancelled', ''] };
export const kept = (file) => Boolean(file.checksum);

// Why it is not here, with what to do.
export function reason(file) {
  if (!file.error) return file.damage ? `${t('The file is damaged.')} ${file.damage}` : null;
  const help = has(`fetch.${file.error.kind}.help`) ? ` ${t(`fetch.${file.error.kind}.help`)}` : '';
  return said('fetch', file.error.kind, file.error.message) + (help ? `.${help}` : '');
}

export default function files({ store }) {
  const search = h('input', { type: 'search', autocomplete: 'off', maxlength: '200' }), printer = select([['', t('All')]], '');
  const status = select([['', t('All')], ...STATUSES.map((one) => [one, t(`file.${one}`)])], ''), sort = select(Object.keys(ORDERS).map((one) => [one, t(`order.${one}`)]), 'new');
  const path = () => `/files${query({ search: search.value.trim(), printer_id: printer.value, status: status.value, order_by: ORDERS[sort.value][0], order_dir: ORDERS[sort.value][1] })}`;
  const rows = h('ol', { class: 'list files' }), looks = h('div', { class: 'row' }), result = h('p', { role: 'alert' });
  const pages = pager({
    node: rows, path, field: 'files', item: { key: (f) => f.id, make: () => row(store, () => pages.soon()), update: (node, f, now) => node.update(f, now) },
    empty: () => (search.value || status.value || printer.value ? t('No file fits these filters.') : t('Files are fetched when a print starts.')),
  });
  const node = h('section', { 'aria-labelledby': 'view-title' },
    h('div', { class: 'head' }, h('h2', { id: 'view-title', tabindex: '-1' }, t('nav.files')), looks), result,
    filters([field(t('Search'), search), field(t('Printer'), printer), field(t('State'), status), field(t('Sorted by'), sort)], () => pages.load()),
    rows, pages.foot);
  const offer = () => {
    const all = [...store.printers.values()].map((p) => [p.id, p.name]);
    rebuild(printer, all, () => [['', t('All')], ...all].map(([key, words]) => h('option', { value: key, selected: key === printer.value }, words)));
    rebuild(looks, all.length > 0, () => (all.length ? [button(t('Look at the printers again'), (e) => act(e.currentTarget, result, async () => {
      let last = { ok: true };
      for (const p of store.printers.values()) { const answer = await request(`/printers/${encodeURIComponent(p.id)}/sync`, 'POST', {}); if (!answer.ok && answer.status !== 409) last = answer; }
      return last;
    }, t('Asked for. New files appear here by themselves.')))] : []));
  };
  pages.load();
  return {
    title: t('nav.files'), node, gone: pages.gone,
    draw(now) { offer(); pages.draw(now); },
    event(name) {
      if (['new_files_found', 'file_sync_complete', 'file_download_started', 'file_download_complete', 'file_download_failed', 'file_deleted', 'file_thumbnails_processed', 'file_verification_failed', 'library_file_added', 'snapshot'].includes(name)) pages.soon();
    },
  };
}

function row(store, changed) {
  const shot = picture(''), name = h('a', {}), state = h('span', { class: 'tag' }), about = h('span', { class: 's about' }), when = h('span', { class: 'r s' });
  const why = h('span', { class: 's wide' }), acts = h('div', { class: 'row acts' }), result = h('p', { role: 'alert' });
  const node = h('li', {}, h('span', { class: 'thumb' }, shot), h('span', { class: 'name' }, name), state, about, when, why, h('div', { class: 'acts' }, acts, result));
  node.update = (f, now) => {
    draws(shot, sized(f.thumbnail_url, 'small'), '');
    set(name, f.filename);
    mark(name, 'href', `#/files/${encodeURIComponent(f.id)}`);
    const [picture, colour] = fileState[f.status] ?? ['unknown', ''];
    mark(state, 'class', `tag c-${colour}`);
    const run = f.status === 'downloading' ? [...store.fetches.values()].find((one) => one.state === 'run' && one.name && (one.name === f.filename || f.path.endsWith(one.name))) : null;
    const part = run?.size && run.bytes !== null ? Math.floor((run.bytes / run.size) * 100) : null;
    rebuild(state, [f.status, part], () => [icon(picture), said('file', f.status) + (part === null ? '' : ` ${part} %`)]);
    const at = time(f.downloaded_at) ?? time(f.created_at), moment = at ? clock(at, now) : '';
    // On a phone the time stands beside the size; where there is room it has its own place.
    rebuild(about, [f.printer_id, f.printer_name, f.source, f.file_size, moment, store.printers.get(f.printer_id)?.name], () => [[f.printer_id ? store.printers.get(f.printer_id)?.name ?? f.printer_name : said('source', f.source), f.file_size === null ? null : bytes(f.file_size)].filter(Boolean).join(' · '), moment ? h('span', { class: 'narrow' }, ` · ${moment}`) : null]);
    set(when, moment);
    const words = reason(f);
    set(why, words);
    show(why, words);
    rebuild(acts, [f.id, kept(f), f.status, f.source], () => fileActs(f, result, changed));
  };
  return node;
}

// What can be done with a file.
export function fileActs(f, result, changed, all = false) {
  const id = encodeURIComponent(f.id), name = f.filename;
  const does = (words, method, what, done) => button(words, (e) => act(e.currentTarget, result, () => request(`/files/${id}${what}`, method, method === 'DELETE' ? undefined : {}), done).then((answer) => { if (answer.ok) changed(answer); }), 'second', { 'aria-label': `${words}: ${name}` });
  return [
    kept(f) ? h('a', { class: 'button second', href: `${API}/files/${id}/content`, download: f.filename, 'aria-label': `${t('Save')}: ${name}` }, t('Save')) : null,
    !kept(f) && f.source === 'printer' && f.status !== 'downloading' && f.status !== 'unavailable' ? does(t('Fetch it now'), 'POST', '/download', t('Asked for.')) : null,
    all && kept(f) ? does(f.is_pinned ? t('May be removed for room') : t('Keep for good'), f.is_pinned ? 'DELETE' : 'PUT', '/pin', t('Saved.')) : null,
    all && kept(f) ? does(t('Read again'), 'POST', '/process-thumbnails', t('Asked for.')) : null,
    all ? button(t('Delete'), async (e) => {
      const node = e.currentTarget;
      if (!await confirm(kept(f) ? t('Delete the kept copy of "{name}"?', { name }) : t('Forget "{name}"?', { name }), t('Keep'), t('Delete'))) return;
      const answer = await act(node, result, () => request(`/files/${id}`, 'DELETE'), t('Deleted.'));
      if (answer.ok) changed(answer, true);
    }) : null,
  ];
}
