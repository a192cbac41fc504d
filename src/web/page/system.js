// The parts of the settings that are about the machine: password, backup, facts, power.
import { t, said } from './i18n.js';
import { bytes, duration, moment, number } from './format.js';
import { bar, button, field, h, rebuild, select, set, show, term } from './dom.js';
import { API, absent, act, get, request, upload } from './api.js';
import { list, object, time } from './model.js';
import { confirm, formSheet } from './sheet.js';
import { panel } from './settings.js';

const LEVELS = ['error', 'warn', 'info', 'debug', 'trace'];
const secret = (name, auto) => h('input', { type: 'password', name, autocomplete: auto, maxlength: '256', required: true });

export function password({ store, logout }) {
  const words = h('p', { class: 'text' }), acts = h('div', { class: 'row more' }), result = h('p', { role: 'alert' });
  const node = panel('s-password', t('Password'), words, acts, result);
  const put = (body) => request('/settings', 'PUT', body);
  const choose = () => formSheet(t('Password'), [
    h('p', {}, t('password.words')), field(t('New password'), secret('password', 'new-password'), t('At least 8 characters; a short sentence is good.')), field(t('Once more'), secret('again', 'new-password')),
  ], t('Save'), async (form) => {
    const { password: one, again } = form.elements;
    if (one.value !== again.value) return { ok: false, message: t('The two are not the same.'), field: 'again' };
    const answer = await put({ password: one.value });
    return answer.ok ? request('/login', 'POST', { password: one.value }) : answer;
  }).then((answer) => { if (answer) { dispatchEvent(new CustomEvent('login')); load(); } });
  async function load() {
    const answer = await get('/login');
    const mode = answer.json?.mode ?? store.auth ?? 'open', known = answer.json?.authenticated === true && mode !== 'open';
    store.auth = mode;
    store.loggedIn = known;
    set(words, absent(answer) && !answer.ok ? t('This version takes its password from the configuration only.') : t(`auth.${mode}`));
    rebuild(acts, [mode, known, answer.ok], () => (answer.ok ? [
      mode === 'open' ? button(t('Set a password'), choose, '') : button(t('Change it'), choose),
      mode === 'open' ? null : button(t('Remove it'), async () => {
        if (await confirm(t('Let everybody in the network change things?'), t('Keep it'), t('Remove it'))) { const done = await put({ password: null }); set(result, done.ok ? '' : done.message); load(); }
      }),
      mode === 'open' ? null : button(mode === 'private' ? t('Looking without it') : t('Looking needs it too'), async (e) => { await act(e.currentTarget, result, () => put({ private: mode !== 'private' }), ''); load(); }),
      known ? button(t('Log out'), async () => { await logout(); load(); }) : null,
    ] : []));
  }
  addEventListener('login', load);
  return { node, load, gone() { removeEventListener('login', load); } };
}

// Saves an answer of bytes as a file of this computer.
async function save(path, method, body, name) {
  try {
    const answer = await fetch(API + path, { method, headers: body ? { 'Content-Type': 'application/json' } : {}, body: body ? JSON.stringify(body) : undefined });
    if (!answer.ok) {
      // The ordinary way knows what to say, and asks for the password.
      const again = await request(path, method, body);
      return again.ok ? { ok: true, message: '' } : again;
    }
    const url = URL.createObjectURL(await answer.blob());
    const said = /filename="([^"]+)"/.exec(answer.headers.get('Content-Disposition') ?? '')?.[1];
    h('a', { href: url, download: said ?? name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    return { ok: true };
  } catch { return { ok: false, message: t('The appliance did not answer. Try again.') }; }
}

export function backup() {
  const result = h('p', { role: 'alert' }), input = h('input', { type: 'file', class: 'seen', tabindex: '-1', 'aria-label': t('Backup file') });
  const day = () => new Date().toISOString().slice(0, 10);
  const make = () => formSheet(t('Make a backup'), [h('p', {}, t('backup.words')), field(t('Passphrase'), secret('passphrase', 'new-password'), t('backup.passphrase')),
    h('label', { class: 'check' }, h('input', { type: 'checkbox', name: 'files' }), t('With the print files and their pictures'))], t('Make a backup'), (form) => {
    const { passphrase, files } = form.elements, wish = { files: files.checked, pictures: files.checked };
    if (passphrase.value) wish.passphrase = passphrase.value;
    return save('/backup', 'POST', wish, `printernizer-${day()}.backup`);
  });
  input.onchange = async () => {
    const [file] = input.files;
    input.value = '';
    if (!file) return;
    const track = bar(t('Progress'), 'thin');
    const done = await formSheet(t('Restore'), [h('p', {}, t('restore.words', { name: file.name })), field(t('Passphrase'), secret('passphrase', 'off'), t('restore.passphrase')), track], t('Restore'), (form) => {
      const words = form.elements.passphrase.value;
      return upload(words ? '/restore' : '/restore?without_secrets=true', file, track.to, true, words ? { 'X-Passphrase': encodeURIComponent(words) } : {});
    });
    if (done?.ok) { result.classList.add('fine'); set(result, t('Restored. The appliance starts anew.')); }
  };
  return { node: panel('s-backup', t('Backup'), h('p', { class: 'quiet' }, t('backup.about')), h('div', { class: 'row more' }, button(t('Make a backup'), make), button(t('Restore'), () => input.click()), input), result) };
}

export function facts() {
  const pairs = h('dl', { class: 'pairs' }), warnings = h('ul', { class: 'note', hidden: true }), trouble = h('p', { role: 'alert' }), result = h('p', { role: 'alert' });
  const level = select(LEVELS.map((one) => [one, one]), 'info', { class: 'short', 'aria-label': t('What is logged') }), logs = h('pre', { tabindex: '0', hidden: true });
  level.onchange = async () => { const answer = await request('/settings', 'PUT', { log_level: level.value }); result.classList.toggle('fine', answer.ok); set(result, answer.ok ? t('Saved.') : answer.message); };
  const bundle = button(t('Support bundle'), (e) => act(e.currentTarget, result, () => save('/system/support-bundle', 'GET', undefined, 'printernizer-support.json'), t('Saved. It holds no password and no code.')));
  const show_ = button(t('Show the log'), async (e) => {
    const answer = await act(e.currentTarget, result, () => get('/system/logs?limit=200'), '');
    if (!answer.ok) return;
    show(logs, true);
    set(logs, list(answer.json.lines).map((one) => `${one.timestamp} ${one.level} ${one.message}`).join('\n') || t('Nothing was logged yet.'));
    logs.scrollTop = logs.scrollHeight;
  });
  const node = panel('s-facts', t('The appliance'), warnings, trouble, pairs, h('div', { class: 'row more' }, button(t('Read again'), load), show_, bundle, level), logs, result);
  async function load() {
    const [answer, chosen] = await Promise.all([get('/health'), get('/settings')]);
    set(trouble, answer.ok ? '' : answer.message);
    if (chosen.ok && chosen.json?.log_level) level.value = chosen.json.log_level;
    if (!answer.ok) return;
    const s = answer.json, board = object(s.board), memory = object(s.memory), room = object(s.storage), n = (value, make) => (typeof value === 'number' ? make(value) : null);
    const low = list(s.warnings).map((w) => (typeof w === 'string' ? w : object(w).message)).filter(Boolean);
    show(warnings, low.length);
    rebuild(warnings, low, () => low.map((one) => h('li', {}, one)));
    const all = [[t('State'), said('health', s.status)], [t('Version'), s.version], [t('Running for'), n(s.uptime_seconds, duration)], [t('Memory'), n(memory.rss_bytes ?? memory.rss, bytes)],
      [t('Written since the start'), n(room.written_since_start ?? room.written_bytes, bytes)], [t('Card free'), n(room.free ?? room.free_bytes, bytes)], [t('Temperature'), n(board.temperature_c, (c) => `${number(c, 0)} °C`)], [t('Power supply'), board.undervoltage === true ? t('too weak') : board.undervoltage === false ? t('good') : null],
      [t('Machine'), board.model], [t('Machine is up for'), n(board.uptime_s, duration)], [t('Clock'), s.clock_synced === false ? t('not set yet') : time(s.timestamp) ? moment(time(s.timestamp)) : null], [t('Address'), list(board.addresses).map((one) => object(one).address).filter(Boolean).join(', ')], [t('Events'), n(object(s.events).newest_seq, number)]].filter(([, value]) => value);
    rebuild(pairs, all, () => all.map(([label, value]) => term(label, value)));
  }
  return { node, load };
}

export function power() {
  const result = h('p', { role: 'alert' });
  const order = (words, question, path, done, body = {}) => button(words, async (e) => {
    const node = e.currentTarget;
    if (!await confirm(question, t('Cancel'), words)) return;
    const answer = await act(node, result, () => request(path, 'POST', body), done);
    if (!answer.ok && absent(answer) && answer.code !== 'NOT_SUPPORTED') set(result, answer.json?.message ?? t('This version cannot do that.'));
  });
  return {
    node: panel('s-power', t('Power and update'), h('p', { class: 'quiet' }, t('power.about')), h('div', { class: 'row more' },
      order(t('Restart'), t('Restart the appliance? The printers print on.'), '/system/reboot', t('It restarts now.')),
      order(t('Switch off'), t('Switch the appliance off? Prints go on, but nobody records them.'), '/system/shutdown', t('It switches off. Wait until its light is dark before pulling the plug.')),
      order(t('Update'), t('Look for an update and install it?'), '/system/update', t('The update is on its way.')),
      order(t('Erase everything'), t('Erase all printers, prints, files, spools and settings? This cannot be undone.'), '/system/factory-reset', t('Everything is erased; it starts anew.'), { confirm: 'factory-reset' })), result),
  };
}
