// What was read from a print file: every figure, the filaments, and the pictures of every plate.
import { t, has, bytes, duration, grams, moment, number } from './words.js';
import { h, term } from './dom.js';
import { list, object, time } from './model.js';
import { color } from './look.js';

const PLATES_MAX = 36;
const with_ = (unit, digits = 2) => (value) => `${number(value, digits)} ${unit}`;
const SHOWN = {
  print_time_s: duration, print_time_silent_s: duration, first_layer_time_s: duration, layer_count: (n) => number(n), layer_height_mm: with_('mm'), first_layer_height_mm: with_('mm'),
  max_z_mm: with_('mm', 1), nozzle_diameter_mm: (all) => list(all).map((n) => `${number(n, 2)} mm`).join(', '), nozzle_temperature_c: with_('°C', 0), bed_temperature_c: with_('°C', 0),
  infill_percent: with_('%', 0), supports: (on) => (on ? t('yes') : t('no')), filament_used_g: grams, filament_used_mm: (n) => `${number(n / 1000, 2)} m`, filament_used_cm3: with_('cm³', 1),
  filament_cost: (n) => number(n, 2), objects: (n) => number(n), object_names: (all) => list(all).join(', '), tool_changes: (n) => number(n), gcode_md5_ok: (ok) => (ok ? t('fits') : t('does not fit')),
  created_at: (text) => (time(text) === null ? String(text) : moment(time(text))),
};

export function figures(found) {
  const data = object(found.metadata), pairs = [];
  for (const [name, value] of Object.entries(data)) {
    if (value === null || name === 'filaments' || (Array.isArray(value) && !value.length)) continue;
    const label = has(`meta.${name}`) ? t(`meta.${name}`) : name.replaceAll('_', ' ');
    let words;
    try { words = SHOWN[name] ? SHOWN[name](value) : String(value); } catch { words = String(value); }
    pairs.push(term(label, words));
  }
  const reels = list(data.filaments).map((one) => object(one)).map((one) => {
    const dot = h('span', { class: 'dot' });
    if (color(one.color)) dot.style.setProperty('--f', one.color);
    return h('li', {}, h('span', { class: 'name' }, dot, ' ', [one.type, one.name].filter(Boolean).join(' · ') || t('Filament')), h('span', { class: 'r' }, typeof one.used_g === 'number' ? grams(one.used_g) : ''));
  });
  const embedded = list(found.thumbnails).map(object);
  return [
    found.error ? h('p', { role: 'alert' }, object(found.error).message ?? object(found.error).kind) : null,
    list(found.warnings).map((w) => h('p', { class: 'note' }, object(w).message ?? object(w).kind)),
    h('dl', { class: 'pairs' }, pairs),
    reels.length ? [h('h3', {}, t('Filament')), h('ul', { class: 'list' }, reels)] : null,
    embedded.length ? h('details', {}, h('summary', {}, t('{n} picture in the file|{n} pictures in the file', { n: embedded.length })), h('table', {}, h('tbody', {}, embedded.map((one) => h('tr', {}, h('td', {}, `${one.width}×${one.height}`), h('td', {}, one.format), h('td', {}, bytes(one.bytes ?? 0)), h('td', {}, one.source)))))) : null,
  ];
}

// One picture of each plate. A plate that nobody has asked for has none yet and is left out.
export function plates(base, found, version) {
  const count = Math.min(PLATES_MAX, Math.max(1, found?.plate_count ?? 1));
  return h('div', { class: 'shots' }, Array.from({ length: count }, (_, at) => {
    const plate = count > 1 ? at + 1 : null, words = plate ? t('Plate {n}', { n: plate }) : t('Picture of the file');
    const box = h('figure', { hidden: true });
    const shot = h('img', { alt: words, decoding: 'async', onload: () => { box.hidden = false; }, onerror: () => box.remove() });
    shot.src = `${base}/thumbnail?size=large${plate ? `&plate=${plate}` : ''}${version ? `&r=${version}` : ''}`;
    box.append(shot, plate ? h('figcaption', { class: 'quiet' }, words) : '');
    return box;
  }));
}
