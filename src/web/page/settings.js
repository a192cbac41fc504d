// Settings: printers, storage, password, backup, the machine, and what this browser alone remembers.
import { t, LANGUAGES, bytes } from './words.js';
import { bar, button, field, h, icon, keyed, mark, rebuild, select, set, show } from './dom.js';
import { act, get, request } from './api.js';
import { look, order } from './look.js';
import { beep, soundOn } from './sheet.js';
import { backup, facts, password, power } from './system.js';

const GB = 1e9;
const remember = (key, value) => { try { if (value) localStorage.setItem(key, value); else localStorage.removeItem(key); } catch { /* then for this visit only */ } };
export const panel = (id, title, ...parts) => h('section', { class: 'panel', 'aria-labelledby': id }, h('h3', { id }, title), parts);

export default function settings(about) {
  const parts = [printers(about), storage(), password(about), backup(), facts(), power(about), here()];
  const column = (from) => h('div', { class: 'column' }, from.map((part) => part.node));
  const node = h('section', { 'aria-labelledby': 'view-title' }, h('div', { class: 'head' }, h('h2', { id: 'view-title', tabindex: '-1' }, t('nav.settings'))),
    h('div', { class: 'two' }, column([parts[0], parts[1], parts[6]]), column([parts[2], parts[3], parts[4], parts[5]])));
  for (const part of parts) part.load?.();
  return {
    title: t('nav.settings'), node,
    draw(now) { for (const part of parts) part.draw?.(now); },
    event(name) { if (name === 'settings_changed' || name === 'snapshot') for (const part of parts) part.load?.(); },
    gone() { for (const part of parts) part.gone?.(); },
  };
}

function printers({ store }) {
  const rows = h('ul', { class: 'list' }), none = h('p', { class: 'quiet' }, t('No printer yet.'));
  const node = panel('s-printers', t('Printers'), rows, none, h('p', { class: 'row more' }, h('a', { class: 'button', href: '#/settings/printers/add' }, t('Add a printer'))));
  return {
    node,
    draw(now) {
      const all = order(store, now, 'still');
      show(none, !all.length);
      keyed(rows, all, (p) => p.id, () => {
        const name = h('a', {}), state = h('span', { class: 'tag' });
        const row = h('li', {}, h('span', { class: 'name' }, name), state);
        row.update = (p) => { const l = look(p, now); set(name, p.name); mark(name, 'href', `#/printers/${encodeURIComponent(p.id)}`); mark(state, 'class', `tag c-${l.colour}`); rebuild(state, [l.icon, l.words], () => [icon(l.icon), l.words]); };
        return row;
      }, (row, p) => row.update(p));
    },
  };
}

function storage() {
  const track = bar(t('Used storage'), ''), words = h('p'), result = h('p', { role: 'alert' });
  const quota = h('input', { name: 'library_quota', inputmode: 'decimal', autocomplete: 'off', maxlength: '8' }), free = h('input', { name: 'library_min_free', inputmode: 'decimal', autocomplete: 'off', maxlength: '8' });
  const auto = h('input', { type: 'checkbox', name: 'auto_download' }), keep = h('input', { type: 'checkbox', name: 'library_auto_add' }), low = h('input', { name: 'low_stock_percentage', inputmode: 'numeric', autocomplete: 'off', maxlength: '3' }), zone = h('input', { name: 'time_zone', autocomplete: 'off', maxlength: '64' });
  const send = h('button', {}, t('Save')), later = h('p', { class: 'quiet' });
  const boxes = { library_quota: quota, library_min_free: free, auto_download: auto, library_auto_add: keep, low_stock_percentage: low, time_zone: zone };
  const wrap = { library_quota: field(t('Print files may take, in GB'), quota, t('0 means: the whole card')), library_min_free: field(t('Leave free, in GB'), free), auto_download: h('label', { class: 'check' }, auto, t('Fetch the file of every print')), library_auto_add: h('label', { class: 'check' }, keep, t('Keep every fetched file in the library')), low_stock_percentage: field(t('Warn of a spool below, in %'), low), time_zone: field(t('Time zone for days'), zone, t('as Europe/Berlin; for statistics only, times are shown in yours')) };
  const form = h('form', { novalidate: true, hidden: true }, h('div', { class: 'grid2' }, wrap.library_quota, wrap.library_min_free), wrap.auto_download, wrap.library_auto_add, h('div', { class: 'grid2' }, wrap.low_stock_percentage, wrap.time_zone), result, h('div', { class: 'row' }, send), later);
  const node = panel('s-storage', t('Storage and records'), track, words, form);
  let known = {};
  // What stands in a field is rounded; only what somebody has changed is sent.
  const shown = {};
  const number = (input) => Number(input.value.trim().replace(',', '.'));
  form.onsubmit = async (event) => {
    event.preventDefault();
    const wanted = {};
    for (const [name, input] of Object.entries(boxes)) {
      if (!(name in known) || (input.type !== 'checkbox' && input.value === shown[name])) continue;
      const value = input.type === 'checkbox' ? input.checked : name === 'time_zone' ? input.value.trim() : name === 'low_stock_percentage' ? number(input) : Math.round(number(input) * GB);
      if (Number.isNaN(value)) { set(result, t('Use a number.')); input.focus(); return; }
      if (value !== known[name]) wanted[name] = value;
    }
    const answer = await act(send, result, () => request('/settings', 'PUT', wanted), t('Saved.'));
    if (answer.ok) { known = answer.json; draw(); }
  };
  function draw() {
    show(form, Object.keys(boxes).some((name) => name in known));
    for (const [name, input] of Object.entries(boxes)) {
      show(wrap[name], name in known);
      if (!(name in known) || document.activeElement === input) continue;
      if (input.type === 'checkbox') input.checked = known[name]; else input.value = shown[name] = name.startsWith('library') ? String(Math.round(known[name] / GB * 1000) / 1000) : String(known[name]);
    }
    set(later, known.restart_needed?.length ? t('Counts from the next start on: {names}', { names: known.restart_needed.join(', ') }) : '');
  }
  return {
    node,
    async load() {
      const [sums, found] = await Promise.all([get('/library/statistics'), get('/settings')]);
      const room = sums.json?.storage;
      if (room) {
        const all = room.quota || (room.files ?? 0) + (room.free ?? 0);
        track.to(all ? ((room.files ?? 0) / all) * 100 : 0);
        set(words, [t('{size} of print files', { size: bytes(room.files ?? 0) }), room.quota ? t('at most {size}', { size: bytes(room.quota) }) : null, room.free === null ? null : t('{free} free', { free: bytes(room.free) })].filter(Boolean).join(' · '));
      } else set(words, sums.message);
      if (found.ok) { known = found.json; draw(); }
    },
  };
}

// What this browser remembers; nobody else sees it.
function here() {
  const language = select([['', t('as the browser wants')], ...LANGUAGES.map((one) => [one, { en: 'English', de: 'Deutsch' }[one]])], local('language')), theme = select([['', t('as the system wants')], ['light', t('light')], ['dark', t('dark')]], local('theme'));
  const sound = h('input', { type: 'checkbox', checked: soundOn(), onchange: () => { remember('sound', sound.checked ? 'on' : ''); beep('good'); } });
  language.onchange = () => { remember('language', language.value); dispatchEvent(new CustomEvent('language')); };
  theme.onchange = () => { remember('theme', theme.value); if (theme.value) document.documentElement.dataset.theme = theme.value; else delete document.documentElement.dataset.theme; };
  return { node: panel('s-here', t('This browser'), h('div', { class: 'fields' }, h('div', { class: 'grid2' }, field(t('Language'), language), field(t('Colours'), theme)), h('label', { class: 'check' }, sound, t('Sound when a print ends or something is wrong')), h('p', {}, h('a', { href: '/?kiosk' }, t('Large view for a screen on the wall'))), h('p', { class: 'quiet' }, t('kiosk.help')))) };
}
function local(key) { try { return localStorage.getItem(key) ?? ''; } catch { return ''; } }
