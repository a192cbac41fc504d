// Materials: spools with what is left of them, bookings, and what has to be ordered.
import { t, grams, number } from './words.js';
import { bar, button, field, h, mark, rebuild, select, set, show } from './dom.js';
import { API, get } from './api.js';
import { list } from './model.js';
import { color } from './look.js';
import { filters, pager, query } from './pager.js';
import { bookings, bookSheet, spoolSheet } from './spool.js';

export default function materials({ store }) {
  const kind = select([['', t('All')]], ''), which = select([['', t('All')], ['low_stock', t('Nearly empty')], ['is_active', t('In use')]], '');
  const wanted = () => query({ material_type: kind.value, ...(which.value ? { [which.value]: 'true' } : {}) });
  const spools = h('ol', { class: 'spools' }), sums = h('dl', { class: 'figures' }), order = h('section', { class: 'panel', hidden: true, 'aria-labelledby': 'order' });
  const history = bookings(() => { pages.soon(); figures(); });
  const pages = pager({
    node: spools, path: () => `/materials${wanted()}`, field: 'materials',
    item: { key: (m) => m.id, make: () => card(store, (again) => { if (again) { pages.load(); history.load(); figures(); } }), update: (node, m) => node.update(store.spools.get(m.id) ?? m) },
    empty: () => (wanted() ? t('No spool fits these filters.') : t('Add a spool to see what is left.')),
  });
  const add = async () => { if (await spoolSheet(store, null)) { pages.load(); figures(); } };
  const node = h('section', { 'aria-labelledby': 'view-title' },
    h('div', { class: 'head' }, h('h2', { id: 'view-title', tabindex: '-1' }, t('nav.materials')), h('div', { class: 'row' }, h('a', { class: 'button second', href: `${API}/materials/export?format=csv`, download: 'materials.csv' }, t('Save as CSV')), button(t('Add a spool'), add, ''))),
    order, filters([field(t('Kind'), kind), field(t('Which'), which)], () => pages.load()), spools, pages.foot,
    h('section', { class: 'panel', 'aria-label': t('Statistics') }, sums), history.node);

  async function figures() {
    const [answer, types, low] = await Promise.all([get('/materials/stats'), get('/materials/types'), get('/materials?low_stock=true&is_active=true&limit=200')]);
    if (types.ok) { const all = list(types.json.types); rebuild(kind, all, () => [['', t('All')], ...all.map((one) => [one, one])].map(([key, words]) => h('option', { value: key, selected: key === kind.value }, words))); }
    if (answer.ok) {
      const s = answer.json, rate = s.consumption_per_day_g;
      rebuild(sums, s, () => [[t('Spools'), number(s.total_spools)], [t('Left'), grams(s.total_remaining_g ?? 0)], [t('Used in 30 days'), grams(s.consumption_30d_g ?? 0)], [t('Lasts about'), rate >= 1 ? t('{n} day|{n} days', { n: Math.round(s.total_remaining_g / rate) }) : '–'], [t('Worth'), s.remaining_value ? number(s.remaining_value, 2) : '–']].map(([label, value]) => h('div', {}, h('dt', {}, label), h('dd', {}, value))));
    }
    const short = list(low.json?.materials);
    show(order, short.length);
    rebuild(order, short, () => orderList(short));
  }
  pages.load();
  history.load();
  figures();
  return {
    title: t('nav.materials'), node, gone: pages.gone, draw: pages.draw,
    event(name) { if (name.startsWith('material_') || name === 'snapshot') { pages.soon(); history.soon(); figures(); } },
  };
}

// What is low, as a text to take along; equal spools are one line.
function orderList(short) {
  const lines = new Map();
  for (const m of short) {
    const key = [m.brand, m.material_type, m.color, m.diameter ? `${number(m.diameter, 2)} mm` : null].filter(Boolean).join(' ');
    const known = lines.get(key) ?? { n: 0, left: 0, vendor: m.vendor };
    lines.set(key, { n: known.n + 1, left: known.left + (m.remaining_weight_g ?? 0), vendor: known.vendor ?? m.vendor });
  }
  return [h('h3', { id: 'order' }, t('To order')), h('ul', { class: 'orders' }, [...lines].map(([key, one]) => h('li', {}, h('b', {}, key), ` · ${t('{n} spool|{n} spools', { n: one.n })} · ${t('{g} left', { g: grams(one.left) })}`, one.vendor ? ` · ${one.vendor}` : '')))];
}

function card(store, changed) {
  const reel = h('span', { class: 'reel', 'aria-hidden': 'true' }), name = h('b', {}), about = h('small', {}), track = bar('', ''), rest = h('p', {}), low = h('p', { class: 'badge' }, '▲ ', t('nearly empty')), place = h('small', {}), acts = h('div', { class: 'row' });
  const node = h('li', { class: 'spool' }, reel, h('div', { class: 'what' }, name, h('br'), about), track, rest, low, place, acts);
  let now = null;
  acts.append(button(t('Edit'), async () => changed(await spoolSheet(store, now))), button(t('Take from it'), async () => changed(await bookSheet(now))));
  node.update = (m) => {
    now = m;
    mark(node, 'class', m.low_stock ? 'spool low' : 'spool');
    set(name, m.name);
    reel.style.setProperty('--f', color(m.color_hex) ?? 'var(--sunk)');
    set(about, [m.material_type, m.color, m.diameter ? `${number(m.diameter, 2)} mm` : null].filter(Boolean).join(' · '));
    track.setAttribute('aria-label', t('Left of {name}', { name: m.name }));
    track.to(m.remaining_percentage);
    set(rest, t('{g} of {all} left', { g: grams(m.remaining_weight_g ?? 0), all: grams(m.weight_g ?? 0) }));
    show(low, m.low_stock);
    const where = [m.printer_id ? `${store.printers.get(m.printer_id)?.name ?? m.printer_id}${m.slot === null ? '' : ` · ${t('Slot {n}', { n: m.slot })}`}` : null, m.location, m.is_active ? null : t('not in use')].filter(Boolean).join(' · ');
    set(place, where);
    show(place, where);
    for (const one of acts.children) mark(one, 'aria-label', `${one.textContent}: ${m.name}`);
  };
  return node;
}
