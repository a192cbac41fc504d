// One printer: everything about it, and its data to change.
import { t, said, duration, moment } from './words.js';
import { button, h, rebuild, set, term } from './dom.js';
import { act, get, request } from './api.js';
import { time } from './model.js';
import { facts, jobWords, over } from './look.js';
import { cards } from './now.js';
import { confirm } from './sheet.js';
import { printerForm } from './add.js';

export default function printer({ store, id, go }) {
  const path = `/printers/${encodeURIComponent(id)}`;
  const title = h('h2', { id: 'view-title', tabindex: '-1' }, store.printers.get(id)?.name ?? t('Printer')), card = h('div', { class: 'cards one' }), more = h('dl', { class: 'pairs' }), about = h('dl', { class: 'pairs' });
  const prints = h('ol', { class: 'list' }), acts = h('div', { class: 'row' }), result = h('p', { role: 'alert' }), edit = h('div');
  const node = h('section', { 'aria-labelledby': 'view-title' }, h('div', { class: 'head' }, title, h('a', { class: 'button second', href: '#/now' }, t('All printers'))),
    h('div', { class: 'two' }, h('div', { class: 'column' }, card, h('section', { class: 'panel', 'aria-labelledby': 'more' }, h('h3', { id: 'more' }, t('Everything it says')), more), h('section', { 'aria-labelledby': 'prints' }, h('h3', { id: 'prints' }, t('Last prints')), prints)),
      h('div', { class: 'column' }, h('section', { class: 'panel', 'aria-labelledby': 'data' }, h('h3', { id: 'data' }, t('Its data')), about, edit), h('section', { class: 'panel', 'aria-labelledby': 'acts' }, h('h3', { id: 'acts' }, t('Connection')), acts, result))));
  let left = false, timer = 0;
  async function load() {
    const answer = await get(path);
    if (left) return;
    if (!answer.ok) { set(result, answer.message); return; }
    const p = answer.json, way = p.connection_config ?? {};
    set(title, p.name);
    const pairs = [[t('Kind'), p.printer_type === 'prusa_link' ? 'Prusa (PrusaLink)' : 'Bambu Lab'], [t('Address'), way.ip_address], [t('Serial number'), way.serial_number], [t('Place'), p.location], [t('Added'), time(p.created_at) ? moment(time(p.created_at)) : null], [t('Key (SHA-256)'), p.certificate_sha256]].filter(([, value]) => value);
    rebuild(about, pairs, () => pairs.map(([label, value]) => term(label, value)));
    const open = edit.querySelector('details')?.open;
    if (!open) rebuild(edit, [p.name, way, p.location, p.is_enabled], () => h('details', {}, h('summary', {}, t('Change')), printerForm(p, () => { edit.querySelector('details').open = false; load(); }).node));
    const order = (words, what, done) => button(words, (e) => act(e.currentTarget, result, () => request(`${path}/${what}`, 'POST', {}), done).then(load));
    rebuild(acts, p.id, () => [order(t('Connect anew'), 'connect', t('Connected.')), order(t('Disconnect'), 'disconnect', t('Disconnected. It is not watched until it is connected again.')), button(t('Remove this printer'), remove)]);
  }
  async function remove() {
    const name = store.printers.get(id)?.name ?? id;
    if (!await confirm(t('Remove {name}? Its prints and files stay.', { name }), t('Keep'), t('Remove'))) return;
    let answer = await request(path, 'DELETE');
    if (answer.code === 'PRINTER_HAS_ACTIVE_JOB' && await confirm(t('It is printing. Remove it all the same? The print goes on unwatched.'), t('Keep'), t('Remove'))) answer = await request(`${path}?force=true`, 'DELETE');
    if (answer.ok) go('#/now'); else set(result, answer.message);
  }
  load();
  return {
    title: t('Printer'), node, gone() { left = true; clearTimeout(timer); },
    draw(now) {
      const p = store.printers.get(id);
      cards(card, store, p ? [p] : [], now);
      if (!p) return;
      const pairs = [...facts(p, true), [t('Stage'), p.stage ? said('stage', p.stage, p.stage) : null], [t('Plate'), p.plate ? t(`plate.${p.plate}`) : null], [t('Print began'), p.started ? moment(p.started) : null], [t('Last word'), p.heard ? t('{d} ago', { d: duration((now - p.heard) / 1000) }) : null]].filter(([, value]) => value);
      rebuild(more, pairs, () => pairs.map(([label, value]) => term(label, value)));
      const last = [...store.jobs.values()].filter((j) => j.printer === id).sort((a, b) => (b.started ?? 0) - (a.started ?? 0)).slice(0, 8);
      rebuild(prints, last.map((j) => [j.id, j.status, j.name]), () => last.map((j) => h('li', {}, h('span', { class: 'name' }, h('a', { href: `#/jobs/${encodeURIComponent(j.id)}` }, j.name ?? t('Unnamed print'))), h('span', { class: 'r' }, jobWords(j)), h('span', { class: 's wide' }, j.started ? moment(j.started) : over(j) ? '' : t('not begun')))));
    },
    event(name, e) { if (name === 'snapshot' || (e?.data.printer_id === id && /^printer_(updated|connected|disconnected|connection)/.test(name))) { clearTimeout(timer); timer = setTimeout(load, 500); } if (name === 'printer_removed' && e.data.printer_id === id) go('#/now'); },
  };
}
