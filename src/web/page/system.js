// The parts of the settings that are about the machine: password, backup, facts, power.
import { t, said, bytes, duration, moment, number } from './words.js';
import { bar, button, field, h, rebuild, select, set, show, term } from './dom.js';
import { API, absent, act, admitted, get, request, upload, why } from './api.js';
import { list, object, time } from './model.js';
import { confirm, formSheet, toast } from './sheet.js';
import { panel } from './settings.js';
import { choosePassword, secret } from './password.js';

const LEVELS = ['error', 'warn', 'info', 'debug', 'trace'];

export function password({ store, logout }) {
  const words = h('p', { class: 'text' }), acts = h('div', { class: 'row more' }), result = h('p', { role: 'alert' });
  const node = panel('s-password', t('Password'), words, acts, result);
  const put = (body) => request('/settings', 'PUT', body);
  const choose = () => choosePassword().then((done) => { if (done) load(); });
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

// Saves an answer of bytes as a file of this computer; `progress` hears how many have come.
async function save(path, method, body, name, progress = () => {}, again = true) {
  try {
    const answer = await fetch(API + path, { method, headers: body ? { 'Content-Type': 'application/json' } : {}, body: body ? JSON.stringify(body) : undefined });
    if (!answer.ok) {
      let json = null;
      try { json = await answer.json(); } catch { /* no JSON */ }
      if (again && await admitted(answer.status, json)) return save(path, method, body, name, progress, false);
      return { ok: false, status: answer.status, json, message: why(answer.status, json), code: json?.error_code ?? null };
    }
    let come = 0;
    const counted = answer.body.pipeThrough(new TransformStream({ transform(piece, out) { come += piece.length; progress(come); out.enqueue(piece); } }));
    const url = URL.createObjectURL(await new Response(counted).blob());
    const said = /filename="([^"]+)"/.exec(answer.headers.get('Content-Disposition') ?? '')?.[1];
    h('a', { href: url, download: said ?? name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    return { ok: true, json: { bytes: come } };
  } catch { return { ok: false, message: t('The transfer broke off. Try again.') }; }
}

export function backup() {
  const result = h('p', { role: 'alert' }), input = h('input', { type: 'file', class: 'seen', tabindex: '-1', 'aria-label': t('Backup file') });
  const day = () => new Date().toISOString().slice(0, 10);
  const tell = (words) => { result.classList.add('fine'); set(result, words); };
  const short = (words) => (words && [...words].length < 8 ? { ok: false, message: t('Use at least 8 characters.'), field: 'passphrase' } : null);
  const make = async () => {
    set(result, '');
    const come = h('p', { class: 'quiet', role: 'status' });
    const done = await formSheet(t('Make a backup'), [h('p', {}, t('backup.words')), field(t('Passphrase'), secret('passphrase', 'new-password'), t('backup.passphrase')),
      h('label', { class: 'check' }, h('input', { type: 'checkbox', name: 'files' }), t('With the print files and their pictures')), come], t('Make a backup'), async (form) => {
      const { passphrase, files } = form.elements, wish = { files: files.checked, pictures: files.checked };
      if (passphrase.value) wish.passphrase = passphrase.value;
      const answer = short(passphrase.value) ?? await save('/backup', 'POST', wish, `printernizer-${day()}.backup`, (n) => set(come, t('{size} so far', { size: bytes(n) })));
      set(come, '');
      return answer;
    });
    if (done) tell(t('Saved: {size}. Keep it away from this appliance.', { size: bytes(done.json.bytes) }));
  };
  input.onchange = async () => {
    const [file] = input.files;
    input.value = '';
    set(result, '');
    if (!file) return;
    const track = bar(t('Progress'), 'thin');
    const done = await formSheet(t('Restore'), [h('p', {}, t('restore.words', { name: file.name })), field(t('Passphrase'), secret('passphrase', 'off'), t('restore.passphrase')), track], t('Restore'), async (form) => {
      const words = form.elements.passphrase.value, wrong = short(words);
      if (wrong) return wrong;
      const answer = await upload(words ? '/restore' : '/restore?without_secrets=true', file, track.to, true, words ? { 'X-Passphrase': encodeURIComponent(words) } : {});
      if (!answer.ok) track.to(0);
      return answer;
    });
    if (done) tell(done.json?.secrets_restored === false ? t('Restored without the codes of the printers. The appliance starts anew; then enter them again.') : t('Restored. The appliance starts anew.'));
  };
  return { node: panel('s-backup', t('Backup'), h('p', { class: 'quiet' }, t('backup.about')), h('div', { class: 'row more' }, button(t('Make a backup'), make), button(t('Restore'), () => input.click()), input), result) };
}

export function facts() {
  const pairs = h('dl', { class: 'pairs' }), warnings = h('ul', { class: 'note', hidden: true }), trouble = h('p', { role: 'alert' }), result = h('p', { role: 'alert' });
  const level = select(LEVELS.map((one) => [one, one]), 'info', { class: 'short' }), logs = h('pre', { tabindex: '0', hidden: true });
  level.onchange = async () => { const answer = await request('/settings', 'PUT', { log_level: level.value }); result.classList.toggle('fine', answer.ok); set(result, answer.ok ? t('Saved.') : answer.message); };
  const bundle = button(t('Support bundle'), (e) => act(e.currentTarget, result, () => save('/system/support-bundle', 'GET', undefined, 'printernizer-support.json'), t('Saved. It holds no password and no code.')));
  const show_ = button(t('Show the log'), async (e) => {
    const answer = await act(e.currentTarget, result, () => get('/system/logs?limit=200'), '');
    if (!answer.ok) return;
    show(logs, true);
    set(logs, list(answer.json.lines).map((one) => `${one.timestamp} ${one.level} ${one.message}`).join('\n') || t('Nothing was logged yet.'));
    logs.scrollTop = logs.scrollHeight;
  });
  const node = panel('s-facts', t('The appliance'), warnings, trouble, pairs, h('div', { class: 'row more' }, button(t('Read again'), load), show_, bundle), h('label', { class: 'check' }, t('What is logged'), level), logs, result);
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

export function power({ go }) {
  const result = h('p', { role: 'alert' });
  const order = (words, question, path, done, body = {}, then = null) => button(words, async (e) => {
    const node = e.currentTarget;
    if (!await confirm(question, t('Cancel'), words)) return;
    const answer = await act(node, result, () => request(path, 'POST', body), done);
    if (answer.ok) then?.();
  });
  return {
    node: panel('s-power', t('Power and update'), h('p', { class: 'quiet' }, t('power.about')), h('div', { class: 'row more' },
      order(t('Restart'), t('Restart the appliance? The printers print on.'), '/system/reboot', t('It restarts now.')),
      order(t('Switch off'), t('Switch the appliance off? Prints go on, but nobody records them.'), '/system/shutdown', t('It switches off. Wait until its light is dark before pulling the plug.')),
      order(t('Update'), t('Look for an update and install it?'), '/system/update', t('The update is on its way.')),
      order(t('Erase everything'), t('Erase all printers, prints, files, spools and settings? This cannot be undone.'), '/system/factory-reset', t('Everything is erased; it starts anew.'), { confirm: 'factory-reset' }, () => { toast({ text: t('Everything is erased; it starts anew.'), tone: 'warn' }); go('#/now'); })), result),
  };
}
