// Adding a printer: what was found on the network, where its codes stand, a test in steps. Also the first run.
import { t, said } from './words.js';
import { button, field, h, icon, rebuild, set, show } from './dom.js';
import { absent, act, get, request } from './api.js';
import { list, object, text } from './model.js';
import { wrong, toast } from './sheet.js';

const plain = { autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' };
const AGAIN_MS = [4000, 5000];
// Somebody else's test takes a few seconds; it is waited for.
const BUSY_MS = 2000, BUSY_TIMES = 5;
const GUIDES = ['x1', 'a1', 'buddy', 'pi'];

export default function add({ store, go }) {
  const first = store.known && store.printers.size === 0;
  const title = h('h2', { id: 'view-title', tabindex: '-1' }, first ? t('Add your first printer') : t('Add a printer'));
  const found = h('div', { class: 'found' }), looked = h('p', { class: 'quiet', role: 'status' }), look = button(t('Look again'), search);
  const { node: form, fill } = printerForm(null, async (answer) => {
    const way = object(answer.json?.connection), trouble = way.status === 'error' || way.status === 'failed';
    toast({ text: trouble ? t('{name} is added, but: {why}', { name: answer.json?.name ?? '', why: said('trouble', way.kind, way.message) }) : t('{name} is added.', { name: answer.json?.name ?? '' }), tone: trouble ? 'warn' : 'good' });
    go('#/now');
  });
  const node = h('section', { 'aria-labelledby': 'view-title' }, h('div', { class: 'head' }, title, first ? null : h('a', { class: 'button second', href: '#/settings' }, t('Back'))),
    first ? h('p', { class: 'text quiet' }, t('first.words')) : null,
    h('div', { class: 'adding' }, h('section', { class: 'panel', 'aria-labelledby': 'found' }, h('h3', { id: 'found' }, t('On your network')), looked, found, h('div', { class: 'row' }, look)),
      h('section', { class: 'panel form', 'aria-labelledby': 'by-hand' }, h('h3', { id: 'by-hand' }, t('Its data')), form),
      h('section', { class: 'panel', 'aria-labelledby': 'where' }, h('h3', { id: 'where' }, t('Where the codes stand')), GUIDES.map((one) => h('details', {}, h('summary', {}, t(`guide.${one}.name`)), h('ol', { class: 'guide' }, t(`guide.${one}`).split(' / ').map((step) => h('li', {}, step))))))));
  let left = false, timer = 0;

  // Some printers call every ten seconds only: what was heard since the first look is asked for twice more, without waiting, for
  // the appliance waits for one at a time.
  async function search() {
    clearTimeout(timer);
    look.disabled = true;
    set(looked, t('Looking for printers'));
    const goes = await listen('', true);
    look.disabled = false;
    if (goes && !left) again(0);
  }
  function again(n) { timer = setTimeout(async () => { const more = n + 1 < AGAIN_MS.length; if (await listen('?timeout=0', more) && more && !left) again(n + 1); }, AGAIN_MS[n]); }
  // Answers whether looking on makes sense.
  async function listen(how, more) {
    const answer = await get(`/printers/discover${how}`);
    if (left) return false;
    if (!answer.ok) { set(looked, absent(answer) ? t('This version cannot look for printers. Enter the data by hand.') : answer.message); show(look, !absent(answer)); return false; }
    const all = list(answer.json?.discovered ?? answer.json?.printers).map(object);
    const fresh = all.filter((one) => !one.already_added);
    const hindered = [...new Set(list(answer.json?.errors).map((one) => said('discovery', object(one).kind, object(one).message)))];
    set(looked, more && !hindered.length && !fresh.length ? t('Looking for printers') : hindered.length && !fresh.length ? hindered.join(' ') : fresh.length ? t('These answered. Choose one, or enter the data by hand.') : all.length ? t('All that answered are in the list already.') : t('None found. Is it on and in the same network? It can also be entered by hand.'));
    // Only what is shown counts: a list that is made anew loses the focus.
    rebuild(found, fresh.map((one) => [one.name, one.hostname, one.model, one.ip_address, one.serial_number]), () => fresh.map((one) => button([h('span', {}, h('b', {}, text(one.name) ?? text(one.hostname) ?? text(one.model) ?? text(one.ip_address) ?? text(one.ip) ?? '?'), h('br'), h('small', {}, [one.model, one.ip_address ?? one.ip, one.serial_number ?? one.serial].filter(Boolean).join(' · '))), h('span', { class: 'choose' }, t('Choose'))], () => fill(one))));
    return !hindered.length;
  }
  search();
  return {
    title: t('Add a printer'), node,
    // A backup was restored meanwhile.
    event(name) { if (first && name === 'snapshot' && store.printers.size) go('#/now', true); },
    gone() { left = true; clearTimeout(timer); },
  };
}

// The form for a new printer, or for changes to one. Codes are never shown; empty means unchanged.
export function printerForm(known, done) {
  const way = known?.connection_config ?? {}, prusa = () => form.elements.printer_type.value === 'prusa_link';
  const kind = (value, words) => h('label', { class: 'check' }, h('input', { type: 'radio', name: 'printer_type', value, checked: (known?.printer_type ?? 'bambu_lab') === value, disabled: Boolean(known), onchange: offer }), words);
  const input = (name, about = {}) => h('input', { name, ...plain, maxlength: '128', ...about });
  const unchanged = (has) => (has ? t('Empty means: as before.') : null);
  const bambu = h('div', { class: 'fields' },
    field(t('Access code'), input('access_code'), [unchanged(way.has_access_code), t('where.access_code')].filter(Boolean).join(' ')),
    field(t('Serial number'), input('serial_number', { autocapitalize: 'characters', value: way.serial_number ?? '' }), t('where.serial_number')));
  const link = h('div', { class: 'fields' },
    field(t('Password'), input('password', { type: 'password', autocomplete: 'new-password' }), [unchanged(way.has_password), t('where.password')].filter(Boolean).join(' ')),
    field(t('User'), input('username', { value: way.username ?? '', placeholder: 'maker' }), t('where.username')),
    field(t('API key, instead of both'), input('api_key'), unchanged(way.has_api_key)));
  const port = (name, label, usual) => field(label, input(name, { inputmode: 'numeric', maxlength: '5', value: way[name] && way[name] !== usual ? String(way[name]) : '', placeholder: String(usual) }));
  const bambuPorts = h('div', { class: 'grid2' }, port('mqtt_port', t('MQTT port'), 8883), port('ftps_port', t('FTPS port'), 990)), linkPorts = h('div', {}, port('http_port', t('HTTP port'), 80));
  const steps = h('ol', { class: 'steps' }), result = h('p', { role: 'alert' }), send = h('button', {}, known ? t('Save') : t('Add printer')), test = button(t('Test the connection'), tryIt);
  const form = h('form', { novalidate: true },
    h('fieldset', {}, h('legend', { class: 'seen' }, t('Kind')), h('div', { class: 'tabs' }, kind('bambu_lab', 'Bambu Lab'), kind('prusa_link', 'Prusa'))),
    field(t('Name'), input('name', { maxlength: '64', value: known?.name ?? '', required: true })),
    field(t('Address'), input('ip_address', { maxlength: '253', value: way.ip_address ?? '', required: true, inputmode: 'url' }), t('where.ip_address')),
    bambu, link,
    h('details', {}, h('summary', {}, t('More')), h('div', { class: 'fields' }, field(t('Place'), input('location', { value: known?.location ?? '' })), bambuPorts, linkPorts,
      h('label', { class: 'check' }, h('input', { type: 'checkbox', name: 'is_enabled', checked: known?.is_enabled ?? true }), t('Watch this printer')))),
    steps, result, h('div', { class: 'row' }, send, test));
  function offer() { show(bambu, !prusa()); show(bambuPorts, !prusa()); show(link, prusa()); show(linkPorts, prusa()); rebuild(steps, null, () => []); set(result, ''); }
  offer();

  function body() {
    const el = form.elements, value = (name) => el[name].value.trim(), config = { ip_address: value('ip_address') };
    for (const name of prusa() ? ['password', 'username', 'api_key'] : ['access_code', 'serial_number']) if (value(name)) config[name] = value(name);
    for (const name of prusa() ? ['http_port'] : ['mqtt_port', 'ftps_port']) if (value(name)) config[name] = Number(value(name)) || 0;
    return { name: value('name'), printer_type: prusa() ? 'prusa_link' : 'bambu_lab', connection_config: config, location: value('location'), is_enabled: el.is_enabled.checked };
  }
  // What is missing is said before anybody is asked.
  function missing() {
    const wanted = body(), way = wanted.connection_config;
    if (!wanted.name) return ['name', t('Give it a name.')];
    if (!way.ip_address) return ['ip_address', t('Enter its address.')];
    if (!known && !prusa() && !way.access_code) return ['access_code', t('Enter its access code.')];
    if (!known && prusa() && !way.password && !way.api_key) return ['password', t('Enter its PrusaLink password.')];
    return null;
  }
  function refuse() {
    for (const one of form.querySelectorAll('[aria-invalid]')) one.removeAttribute('aria-invalid');
    result.classList.remove('fine');
    const lack = missing();
    set(result, lack?.[1]);
    if (lack) wrong(form, { field: lack[0] });
    return lack;
  }
  async function tested() {
    for (let n = 0; ; n += 1) {
      const answer = await request('/printers/test-connection', 'POST', body());
      if (answer.status !== 503 || n >= BUSY_TIMES) return answer;
      await new Promise((end) => { setTimeout(end, BUSY_MS); });
    }
  }
  async function tryIt() {
    if (refuse()) return;
    rebuild(steps, 'wait', () => h('li', {}, icon('preparing'), t('Testing; this takes up to 20 s.')));
    const answer = await act(test, result, tested, '');
    const all = list(answer.json?.steps).map(object);
    rebuild(steps, [all, Date.now()], () => all.map((one) => h('li', { class: { ok: 'c-good', failed: 'c-bad' }[one.result], 'data-result': one.result },
      icon({ ok: 'finished', failed: 'failed' }[one.result] ?? 'connecting'), h('span', {}, h('b', {}, said('step', one.step)), one.result === 'failed' ? [' – ', said('trouble', one.kind, one.message)] : one.result === 'skipped' ? h('small', {}, ` ${t('not tried')}`) : ''))));
    if (answer.ok) { result.classList.toggle('fine', answer.json?.success === true); set(result, answer.json?.success ? t('The printer answers.') : t('It does not work yet; see the step that failed.')); } else wrong(form, answer);
  }
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (refuse()) return;
    const answer = await act(send, result, () => (known ? request(`/printers/${encodeURIComponent(known.id)}`, 'PUT', body()) : request('/printers', 'POST', body())), known ? t('Saved.') : '');
    if (answer.ok) done(answer); else wrong(form, answer);
  };
  const fill = (one) => {
    const type = text(one.printer_type) ?? text(one.type), el = form.elements;
    if (type) el.printer_type.value = /prusa/.test(type) ? 'prusa_link' : 'bambu_lab';
    el.name.value = (text(one.name) ?? text(one.model) ?? text(one.hostname) ?? '').slice(0, 64);
    el.ip_address.value = text(one.ip_address) ?? text(one.ip) ?? '';
    el.serial_number.value = text(one.serial_number) ?? text(one.serial) ?? '';
    if (one.port && prusa()) el.http_port.value = String(one.port);
    offer();
    (prusa() ? el.password : el.access_code).focus();
  };
  return { node: form, fill };
}
