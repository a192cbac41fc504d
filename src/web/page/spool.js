// The form of a spool, a booking by hand, and the bookings so far.
import { t, clock, grams, number } from './words.js';
import { button, field, h, select, set } from './dom.js';
import { act, request } from './api.js';
import { time } from './model.js';
import { confirm, formSheet } from './sheet.js';
import { pager } from './pager.js';

const USUAL_G = 1000, USUAL_MM = 1.75, USUAL_THRESHOLD = 20;
const numeric = { inputmode: 'decimal', autocomplete: 'off', maxlength: '12' };
// People write a comma where their language has one.
const value = (text) => { const plain = text.trim().replace(',', '.'); return plain === '' ? null : Number.isFinite(Number(plain)) ? Number(plain) : plain; };

// Adds or changes a spool; answers something true when that is done.
export async function spoolSheet(store, m) {
  const text = (name, label, help, about = {}) => field(label, h('input', { name, value: m?.[name] ?? '', autocomplete: 'off', maxlength: '64', ...about }), help);
  const figure = (name, label, start, help) => field(label, h('input', { name, value: start === null || start === undefined ? '' : number(start, 3).replace(/[^\d.,]/g, ''), ...numeric }), help);
  const colour = h('input', { type: 'color', name: 'color_hex', value: /^#[0-9a-f]{6}$/i.test(m?.color_hex ?? '') ? m.color_hex : '#888888' });
  const places = [['', t('in no printer')], ...[...store.printers.values()].map((p) => [p.id, p.name])];
  const plain = (n) => (n === null || n === undefined ? '' : String(n));
  const parts = [
    h('div', { class: 'grid2' }, text('material_type', t('Kind'), t('as PLA, PETG, ABS'), { required: true, list: 'kinds' }), text('brand', t('Maker'))),
    h('div', { class: 'grid2' }, text('color', t('Colour, in words')), field(t('Colour'), colour)),
    h('div', { class: 'grid2' }, field(t('Full, in g'), h('input', { name: 'weight_g', value: plain(m?.weight_g ?? USUAL_G), ...numeric })), field(t('Left, in g'), h('input', { name: 'remaining_weight_g', value: plain(m?.remaining_weight_g), ...numeric }), m ? null : t('empty means full'))),
    h('div', { class: 'grid2' }, field(t('Diameter, in mm'), h('input', { name: 'diameter', value: plain(m ? m.diameter : USUAL_MM), ...numeric })), field(t('Warn below, in %'), h('input', { name: 'threshold_percentage', value: plain(m?.threshold_percentage ?? USUAL_THRESHOLD), ...numeric }))),
    h('div', { class: 'grid2' }, field(t('Price of a kg'), h('input', { name: 'cost_per_kg', value: plain(m?.cost_per_kg), ...numeric })), text('vendor', t('Bought from'))),
    h('div', { class: 'grid2' }, field(t('Printer'), select(places, m?.printer_id ?? '', { name: 'printer_id' })), field(t('Slot'), h('input', { name: 'slot', value: plain(m?.slot), inputmode: 'numeric', maxlength: '3', autocomplete: 'off' }), t('as the card of the printer shows it'))),
    text('location', t('Place')), field(t('Note'), h('textarea', { name: 'notes', rows: '2', maxlength: '400' }, m?.notes ?? '')),
    h('datalist', { id: 'kinds' }, ['PLA', 'PETG', 'ABS', 'ASA', 'TPU', 'PC', 'PA', 'PVA'].map((one) => h('option', { value: one }))),
    m ? h('label', { class: 'check' }, h('input', { type: 'checkbox', name: 'is_active', checked: m.is_active }), t('in use')) : null,
    m ? button(t('Delete this spool'), async (e) => {
      const box = e.currentTarget.closest('dialog');
      if (!await confirm(t('Delete "{name}"?', { name: m.name }), t('Keep'), t('Delete'))) return;
      const gone = await request(`/materials/${encodeURIComponent(m.id)}`, 'DELETE');
      if (gone.ok) { store.spools.delete(m.id); box.shut(gone); }
    }) : null,
  ];
  return formSheet(m ? t('Edit the spool') : t('Add a spool'), parts, t('Save'), async (form) => {
    const el = form.elements, body = {};
    for (const name of ['material_type', 'brand', 'color', 'vendor', 'location', 'notes']) body[name] = el[name].value.trim() || (m ? null : undefined);
    body.color_hex = el.color_hex.value;
    for (const name of ['weight_g', 'remaining_weight_g', 'diameter', 'threshold_percentage', 'cost_per_kg']) { const n = value(el[name].value); if (typeof n === 'string') return { ok: false, message: t('Use a number.'), field: name }; if (n !== null) body[name] = n; }
    if (!body.material_type) return { ok: false, message: t('Say what it is made of, as PLA.'), field: 'material_type' };
    if (m) body.is_active = el.is_active.checked;
    const printer = el.printer_id.value, slot = el.slot.value.trim();
    if (!slot) body.printer_id = printer || null;
    const saved = m ? await request(`/materials/${encodeURIComponent(m.id)}`, 'PATCH', body) : await request('/materials', 'POST', body);
    if (!saved.ok || !printer || !slot || (m?.printer_id === printer && String(m?.slot) === slot)) return saved;
    // A slot is given by the printer's side, which takes out what was in it.
    const placed = await request(`/printers/${encodeURIComponent(printer)}/slots/${encodeURIComponent(slot)}`, 'PUT', { material_id: saved.json.id });
    return placed.ok ? saved : { ...placed, field: 'slot' };
  });
}

// Books filament by hand.
export function bookSheet(m) {
  return formSheet(t('Take from {name}', { name: m.name }), [field(t('Grams'), h('input', { name: 'weight_grams', required: true, ...numeric })), field(t('What for'), h('input', { name: 'file_name', maxlength: '200', autocomplete: 'off' }))], t('Book it'), (form) => {
    const n = value(form.elements.weight_grams.value);
    if (typeof n !== 'number') return { ok: false, message: t('Use a number.'), field: 'weight_grams' };
    return request('/materials/consumption', 'POST', { material_id: m.id, weight_grams: n, file_name: form.elements.file_name.value.trim() || undefined });
  });
}

// The bookings, newest first; each can be undone.
export function bookings(changed) {
  const rows = h('ol', { class: 'list' }), result = h('p', { role: 'alert' });
  const pages = pager({
    node: rows, path: () => '/materials/consumption/history', field: 'items',
    item: {
      key: (one) => one.id,
      make: () => {
        const name = h('span', { class: 'name' }), much = h('span', { class: 'r' }), about = h('span', { class: 's' }), acts = h('span', { class: 'r' });
        const node = h('li', {}, name, much, about, acts);
        node.update = (one, now) => {
          set(name, one.material_name);
          set(much, one.undone_at ? t('undone') : grams(one.weight_used_g));
          set(about, [one.file_name, one.auto ? t('by a print') : t('by hand'), time(one.timestamp) ? clock(time(one.timestamp), now) : null].filter(Boolean).join(' · '));
          if (one.undone_at) acts.replaceChildren();
          else if (!acts.firstChild) acts.append(button(t('Undo'), (e) => act(e.currentTarget, result, () => request(`/materials/consumption/${encodeURIComponent(one.id)}`, 'DELETE'), t('Undone.')).then((answer) => { if (answer.ok) { pages.load(); changed(); } }), 'plain', { 'aria-label': `${t('Undo')}: ${one.material_name}` }));
        };
        return node;
      },
      update: (node, one, now) => node.update(one, now),
    },
    empty: () => t('What prints use is booked here by itself.'),
  });
  return { node: h('section', { 'aria-labelledby': 'bookings' }, h('h3', { id: 'bookings' }, t('Bookings')), result, rows, pages.foot), load: pages.load, soon: pages.soon };
}
