// A walk through the page in a real browser, from the first run to a lost connection. Started by `cargo test --test browser`.
import { mkdir } from 'node:fs/promises';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as care from './care.mjs';
import { DESKTOP, PHONE, Meter, Wire, api, axe, check, entry, fits, gcodeState, launch, live, open, order, same, setup, tab, troubles, until, visit } from './harness.mjs';

const SAMPLES = Number(process.env.SAMPLES ?? 20);
// 45 KB is the target; with room for a sentence more.
const FIRST_LOAD_MAX = 48_000;
const EVIL = '<img src=x onerror="window.evil=1">"\'`${window.evil=1}</script><svg onload=window.evil=1>';
const evil = (name) => `${name} ${EVIL}`.slice(0, 60);
const shots = path.join(setup.out, 'shots');
// For people who work on the page its files come from their directory; otherwise the wire goes straight to the service.
const workshop = process.env.PAGE_FROM ? new Meter() : null;
const wire = new Wire(await workshop?.start()), url = await wire.start();
await mkdir(shots, { recursive: true });
const browser = await launch();
const { context, page } = await open(browser, url);
const figures = {};
let others = 0;
const [mine, ...fleet] = setup.printers;

// Blanks that do not break are blanks.
const text = async (selector) => (await page.locator(selector).first().innerText()).replaceAll('\u00a0', ' ');
const sees = (what, selector, words) => until(what, async () => (await text(selector)).includes(words));
const card = (name) => page.locator('.card', { has: page.getByRole('heading', { name }) });
// Where there is room the statistics are open.
const wide = (name, kind) => (name === 'jobs' ? page.evaluate((open) => { document.querySelector('details.panel').open = open; }, kind === 'desktop') : null);
async function picture(name, themes = ['light', 'dark'], sizes = { phone: PHONE, desktop: DESKTOP }) {
  await page.mouse.move(0, 0);
  for (const [kind, size] of Object.entries(sizes)) {
    await page.setViewportSize(size);
    for (const colorScheme of themes) {
      await page.emulateMedia({ colorScheme });
      await wide(name, kind);
      await page.screenshot({ path: path.join(shots, `${name}-${kind}-${colorScheme}.png`) });
      await fits(page, `${name} ${kind}`);
      others += (await axe(page, `${name} ${kind} ${colorScheme}`)).others.length;
    }
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await readme(name);
  await page.setViewportSize(PHONE);
}

// Closes every note.
const quiet = () => until('notes are gone', async () => { for (const close of await page.locator('#toasts .close').all()) await close.click({ timeout: 1000 }).catch(() => {}); return !await page.locator('#toasts li').count(); });
const here = { page, text, sees, card, quiet, shots, figures };

const streams = async () => (await api('GET', '/events/stats')).json.subscribers.filter((one) => one.name === 'event-stream').length;

// With DOCS=directory the pictures of the README are taken anew.
const README = { now: 'now', jobs: 'jobs', job: 'timeline', 'first-run': 'first' };
async function readme(name) {
  if (!process.env.DOCS || !README[name]) return;
  for (const [kind, size] of [['phone', { width: 390, height: 780 }], ['desktop', { width: 1080, height: 680 }]]) {
    await page.setViewportSize(size);
    await wide(name, kind);
    if (kind === 'phone' && name === 'job') await page.locator('#how').evaluate((node) => node.scrollIntoView());
    await until('pictures are there', () => page.evaluate(() => [...document.querySelectorAll('img[src]')].every((one) => one.complete)));
    await page.screenshot({ path: path.join(process.env.DOCS, `page-${README[name]}-${kind}.png`) });
    await page.evaluate(() => scrollTo(0, 0));
  }
}

const FILE_STATES = ['downloaded', 'available', 'downloading', 'local', 'error', 'unavailable', 'deleted'];
const NOT_FETCHED = ['auth', 'bad_name', 'cancelled', 'corrupt', 'interrupted', 'no_space', 'not_found', 'not_on_storage', 'printer_offline', 'refused', 'size_mismatch', 'stalled', 'too_large'];

// What a browser that was never here fetches until the view stands and the line is quiet: every file of the page, with the
// heads of the answers; pictures and the interface are counted apart.
async function weigh(name, locale, sign) {
  const meter = new Meter(null), other = await browser.newContext({ viewport: PHONE, locale, timezoneId: 'Europe/Berlin' });
  const cold = await tab(other, await meter.start(setup.house));
  await live(cold);
  await cold.locator(sign).first().waitFor();
  await until('the line is quiet', () => meter.quiet());
  const files = meter.answers.filter((one) => !one.path.startsWith('/api/'));
  const bytes = files.reduce((sum, one) => sum + one.bytes, 0), asked = meter.answers.length - files.length;
  figures[`firstLoad${name}`] = { bytes, requests: files.length, interface: asked };
  if (process.env.FILES) console.log(files.map((one) => `${one.path} ${one.bytes}`).join('\n'));
  check(bytes > 5000 && bytes <= FIRST_LOAD_MAX, `the first load (${name}) takes ${bytes} bytes`);
  check(new Set(files.map((one) => one.path)).size === files.length, 'nothing is fetched twice');
  await other.close();
  meter.stop();
}

let step = '';
async function walk(name, work) {
  step = name;
  const from = Date.now();
  await work();
  console.log(`${name}: ${Date.now() - from} ms`);
}

const WALK = {
  async 'an empty appliance leads to its first printer'() {
    await live(page);
    await sees('the first run', '#view-title', 'Add your first printer');
    // Who calls on the network is there by itself.
    await until('two printers are found', async () => (await page.locator('.found button').count()) === 2);
    const found = await page.locator('.found').innerText();
    check(/Workbench[^]*X1 Carbon[^]*10\.77\.0\.11/.test(found) && /prusa-mk4/.test(found), found);
    await picture('first-run');
    // Nothing is asked of the printer before the form is whole.
    await page.getByRole('button', { name: 'Add printer' }).click();
    await sees('what is missing', '[role=alert]', 'Give it a name.');
  },

  async 'the first load of an empty appliance is small'() { await weigh('Empty', 'en-GB', 'form'); await weigh('EmptyGerman', 'de-DE', 'form'); },

  async 'a printer is added, tried first'() {
    const fill = (label, value) => page.getByLabel(label, { exact: true }).fill(value);
    await page.locator('.found button', { hasText: 'Workbench' }).click();
    same(await page.evaluate(() => document.activeElement.name), 'access_code', 'what has the focus');
    for (const [label, value] of [['Name', 'Workbench'], ['Address', mine.host], ['Serial number', mine.serial]]) same(await page.getByLabel(label, { exact: true }).inputValue(), value, label);
    await fill('Access code', 'WRONGONE');
    await page.getByRole('button', { name: 'Test the connection' }).click();
    await until('the step that failed', () => page.locator('.steps [data-result=failed]').count());
    check((await text('.steps [data-result=failed]')).includes('access code'), 'the test says what is wrong');
    await fill('Access code', mine.access_code);
    await page.getByRole('button', { name: 'Test the connection' }).click();
    await sees('a good test', 'form [role=alert]', 'The printer answers.');
    await page.getByRole('button', { name: 'Add printer' }).click();
    await sees('its card', '.card', 'Workbench');
    await sees('its state', '.card .state', 'Ready');
  },

  async 'a print is seen from its start to its end without a reload'() {
    await page.evaluate(() => { window.witness = true; });
    await order(0, { command: 'start_print', plan: { name: 'Lamp shade', source: 'lan', layers: 100, print_seconds: 3600 } });
    await order(0, { command: 'advance', seconds: 10 });
    await sees('the preparation', '.card .state', 'Preparing');
    await order(0, { command: 'advance', seconds: 900 });
    await sees('the print', '.card .state', 'Printing');
    await until('its percent', async () => Number.parseInt(await text('.card .figure'), 10) > 5);
    await sees('its name', '.card .job', 'Lamp shade');
    await until('time left and end', async () => /left · done/.test(await text('.card .when')));
    await until('its layer', async () => /\d+\/100/.test(await text('.card .facts')));
    await until('its picture', () => page.locator('.card .shot').evaluate((img) => !img.hidden && img.naturalWidth > 0));
    same(await page.getByRole('progressbar').first().getAttribute('aria-label'), 'Progress of Workbench', 'the bar has a name');
    check((await page.title()).includes('1 printing'), await page.title());
    await page.getByRole('button', { name: 'Pause Workbench' }).click();
    await sees('the pause', '.card .state', 'Paused');
    await page.getByRole('button', { name: 'Resume Workbench' }).click();
    await sees('the resumed print', '.card .state', 'Printing');
    // Stop asks first, and the safe answer has the focus.
    await page.getByRole('button', { name: 'Stop Workbench' }).click();
    same(await page.evaluate(() => document.activeElement.textContent), 'Keep printing', 'what has the focus');
    await page.keyboard.press('Enter');
    await until('the dialog is gone', async () => !await page.locator('dialog').count());
    await until('the printer is done', async () => { if (await gcodeState(0) === 'FINISH') return true; await order(0, { command: 'advance', seconds: 120 }); return false; });
    await sees('the end', '.card .state', 'Finished, take it off');
    await sees('a note', '#toasts', 'Lamp shade is finished on Workbench.');
    check((await page.title()).startsWith('(1)'), await page.title());
    await page.getByRole('button', { name: /It is off/ }).click();
    await until('the plate is free', async () => (await text('.card .state')) === 'Finished');
    check(await page.evaluate(() => window.witness), 'the page was not loaded again');
    await page.locator('#toasts .close').first().click();
  },

  async 'the workshop fills'() {
    for (const about of fleet) { const { status, text: words } = await api('POST', '/printers', entry(about)); check(status === 201, words); }
    await until('all cards', async () => (await page.locator('.card').count()) === setup.printers.length);
    await until('all are heard', async () => !/Connecting|No answer/.test(await page.locator('.cards').innerText()));
    await until('pictures', async () => (await page.locator('.card .shot:not([hidden])').count()) >= 3);
    check(/printing/.test(await text('#summary')), 'the sentence at the top');
    // What needs a hand comes first.
    const states = await page.locator('.card .state').allInnerTexts();
    check(/ran out|Needs/.test(states[0]), `first comes ${states[0]}`);
    await quiet();
    await picture('now');
    await weigh('Printers', 'en-GB', '.card');
    await weigh('PrintersGerman', 'de-DE', '.card');
  },

  async 'a printer that takes no orders says why, and what to do'() {
    await page.getByRole('button', { name: 'Resume P1S' }).click();
    await until('the reason', async () => /Developer Mode/.test(await card('P1S').locator('[role=alert]').innerText()));
    await sees('that nothing changed', '.card .state', 'Filament ran out');
    await until('a note', () => page.locator('#toasts li', { hasText: 'Developer Mode' }).count());
    await page.locator('#toasts .close').first().click();
  },

  async 'spools: added, used, low, to be ordered'() {
    await visit(page, 'materials');
    const fill = (label, value) => page.locator('dialog').getByLabel(label, { exact: true }).fill(value);
    for (const [kind, maker, colour, hex, left] of [['PLA', 'Prusament', 'Galaxy Black', '#22252b', '230'], ['PETG', 'Bambu', 'White', '#ffffff', '']]) {
      await page.getByRole('button', { name: 'Add a spool' }).click();
      await fill('Kind', kind);
      await fill('Maker', maker);
      await fill('Colour, in words', colour);
      await fill('Colour', hex);
      await fill('Left, in g', left);
      await page.locator('dialog').getByRole('button', { name: 'Save' }).click();
      await sees('the spool', '.spools', `${maker} ${kind}`);
      await until('the dialog is gone', async () => !await page.locator('dialog').count());
    }
    await page.getByRole('button', { name: 'Take from it: Prusament PLA Galaxy Black' }).click();
    await fill('Grams', '80');
    await page.locator('dialog').getByRole('button', { name: 'Book it' }).click();
    await until('the badge', () => page.locator('.spool.low', { hasText: 'Prusament' }).count());
    await sees('a note', '#toasts', '150 g left');
    await sees('the order list', '#view', 'To order');
    await until('the booking', () => page.getByRole('button', { name: /^Undo: Prusament/ }).count());
    await page.locator('#toasts .close').first().click();
    await picture('materials');
  },

  async 'a file is sent to the library'() {
    await visit(page, 'library');
    const gcode = await readFile(new URL('../files/small.gcode', import.meta.url)).catch(() => Buffer.from(`; generated by PrusaSlicer 2.9.0\nG28\n${'G1 X10 Y10 E1\n'.repeat(2000)}; filament used [g] = 12.5\n; estimated printing time (normal mode) = 1h 5m 3s\n`));
    await page.locator('input[type=file]').setInputFiles({ name: 'Würfel 20 mm.gcode', mimeType: 'text/plain', buffer: gcode });
    await sees('it is kept', '.uploads', 'kept');
    await sees('its tile', '.tiles', 'Würfel 20 mm.gcode');
    await page.getByRole('link', { name: 'Würfel 20 mm.gcode' }).click();
    await until('its figures', async () => /Slicer/i.test(await page.locator('#view').innerText()));
    await visit(page, 'library');
    await picture('library');
  },

  ...care.records(here),

  async 'every view is there, fits and can be read by all'() {
    for (const [name, hash] of [['jobs', 'jobs'], ['files', 'files'], ['events', 'events'], ['settings', 'settings'], ['more', 'more'], ['printer', 'printers/p1'], ['job', 'jobs/j1'], ['add', 'settings/printers/add']]) {
      await visit(page, hash);
      if (name === 'jobs') await until('rows', async () => (await page.locator('.jobs > li').count()) >= 4);
      if (name === 'files') await until('rows', async () => (await page.locator('.files > li').count()) >= 2);
      if (name === 'job') await until('the timeline', async () => (await page.locator('.rail [data-event=job_completed]').count()) === 1);
      if (name === 'settings') await sees('facts', '#view', 'Running for');
      await picture(name);
    }
    await visit(page, 'files');
    await page.locator('.files .name a').first().click();
    await sees('a file', '#view', 'What the file says');
    await picture('file', ['light']);
    for (const lang of ['de-DE']) {
      const other = await open(browser, url, { width: 320, height: 640 }, { locale: lang });
      await live(other.page);
      // Every state that a file can have, and every reason why one is not here, whatever the printers have got to.
      await other.page.route(/\/api\/v1\/files\?/, async (route) => {
        const answer = await route.fetch(), json = await answer.json(), [one] = json.files;
        const made = [...FILE_STATES.map((state) => ({ status: state })), ...NOT_FETCHED.map((kind) => ({ status: 'error', checksum: null, error: { kind, message: kind } }))];
        json.files = [...json.files, ...made.map((what, n) => ({ ...one, id: `made-${n}`, source: 'printer', error: null, ...what }))];
        await route.fulfill({ response: answer, json });
      });
      await sees('German', '#nav', 'Jobs');
      for (const hash of ['now', 'jobs', 'files', 'materials', 'settings', 'settings/printers/add']) {
        await visit(other.page, hash);
        if (hash === 'files') await until('every state', async () => (await other.page.locator('.files > li').count()) > FILE_STATES.length + NOT_FETCHED.length);
        await fits(other.page, `${hash} German 320`);
        // Machines have other fonts, and people set letters wider: https://www.w3.org/TR/WCAG21/#text-spacing.
        await other.page.evaluate(() => { const sheet = new CSSStyleSheet(); sheet.replaceSync('*{letter-spacing:.12em!important;word-spacing:.16em!important;line-height:1.5!important}'); document.adoptedStyleSheets = [sheet]; });
        await fits(other.page, `${hash} German 320, letters set wider`);
        await other.page.evaluate(() => { document.adoptedStyleSheets = []; });
      }
      check((await other.page.locator('#nav').innerText()).includes('Drucke'), 'German words');
      await other.context.close();
    }
  },

  ...care.tidy(here),
  ...care.printers(here),
  ...care.browser(here),

  async 'the wall shows everything at once'() {
    const wall = await open(browser, `${url}/?kiosk`, { width: 1920, height: 1080 }, { colorScheme: 'dark' });
    await live(wall.page);
    await until('all cards', async () => (await wall.page.locator('.card').count()) === setup.printers.length);
    const scrolls = await wall.page.evaluate(() => document.documentElement.scrollHeight - innerHeight);
    check(scrolls <= 0, `the wall scrolls by ${scrolls}`);
    await until('pictures', async () => (await wall.page.locator('.card .shot:not([hidden])').count()) >= 3);
    await fits(wall.page, 'kiosk');
    await axe(wall.page, 'kiosk');
    await wall.page.screenshot({ path: path.join(shots, 'kiosk.png') });
    await wall.context.close();
  },

  async 'tabs of one browser share one stream'() {
    await visit(page, 'now');
    await until('one stream', async () => (await streams()) === 1);
    const second = await tab(context, url), third = await tab(context, url);
    await live(second);
    await live(third);
    await until('cards in all', async () => (await third.locator('.card').count()) === setup.printers.length);
    await until('still one stream', async () => (await streams()) === 1);
    await second.close();
    await third.close();
  },

  async 'a browser without shared workers has a stream of its own'() {
    const other = await browser.newContext({ viewport: PHONE, locale: 'en-GB' });
    await other.addInitScript(() => { delete window.SharedWorker; });
    const alone = await tab(other, url);
    await live(alone);
    await until('cards', async () => (await alone.locator('.card').count()) === setup.printers.length);
    await until('two streams', async () => { const n = await streams(); if (n !== 2) throw new Error(`${n} streams`); return true; });
    await other.close();
    await until('one stream', async () => (await streams()) === 1);
  },

  async 'a lost connection is said plainly, and the way back needs no hand'() {
    wire.cut();
    await sees('the loss', '#strip', 'Connection lost. Showing');
    check(await page.evaluate(() => document.body.classList.contains('lost')), 'colour is gone');
    check((await page.locator('.card').count()) === setup.printers.length, 'what is known stays');
    await page.screenshot({ path: path.join(shots, 'lost.png') });
    // What happens meanwhile is told afterwards.
    await order(0, { command: 'start_print', plan: { name: 'While away', source: 'lan', layers: 10, print_seconds: 600 } });
    await order(0, { command: 'advance', seconds: 10 });
    wire.mend();
    await live(page);
    await until('the strip is gone', async () => await page.locator('#strip').isHidden());
    await sees('what happened meanwhile', '.cards', 'While away');
  },

  ...care.open(here),

  async 'hostile names are text everywhere'() {
    await order(0, { command: 'reset' });
    const printers = (await api('GET', '/printers')).json.printers;
    for (const [at, one] of printers.entries()) { const { status, text: words } = await api('PUT', `/printers/${one.id}`, { name: evil(`P${at}`), location: EVIL, description: EVIL }); check(status === 200, words); }
    await order(0, { command: 'start_print', plan: { name: evil('Print').replaceAll('/', '_'), source: 'lan', layers: 10, print_seconds: 600 } });
    await order(0, { command: 'advance', seconds: 200 });
    await order(0, { command: 'set_error', code: 50348044 });
    const spool = await api('POST', '/materials', { material_type: evil('PLA'), brand: EVIL.slice(0, 40), color: EVIL.slice(0, 40), weight_g: 1000, notes: EVIL, location: EVIL, vendor: EVIL });
    check(spool.status === 201, spool.text);
    await api('POST', '/materials/consumption', { material_id: spool.json.id, weight_grams: 900, file_name: EVIL });
    const sent = await api('POST', '/library', `; generated by ${EVIL} 1.0\nG28\nG1 X1 E1\n; printer_model = ${EVIL}\n; filament_type = ${EVIL}\n`, { 'X-Filename': encodeURIComponent(`${evil('f').replaceAll('/', '_')}.gcode`), 'Content-Type': 'application/octet-stream' });
    check([200, 201].includes(sent.status), sent.text);
    const job = (await api('GET', '/jobs?limit=1')).json.jobs[0];
    await api('PUT', `/jobs/${job.id}`, { notes: EVIL });
    const file = (await api('GET', '/files?limit=1')).json.files[0];
    for (const hash of ['now', 'jobs', `jobs/${job.id}`, 'files', `files/${file.id}`, 'materials', 'library', `library/${sent.json.checksum}`, 'events', 'settings', 'printers/p1']) {
      await visit(page, hash);
      await fits(page, `${hash} with hostile names`);
      same(await page.evaluate(() => [window.evil ?? null, document.querySelectorAll('img[src="x"], #view script, svg[onload]').length]), [null, 0], hash);
    }
    await visit(page, 'now');
    await sees('the name as it is', '.cards', '<img src=x');
    await page.screenshot({ path: path.join(shots, 'hostile.png') });
  },

  async 'from a report to the changed text'() {
    await visit(page, 'now');
    await order(0, { command: 'set_fields', fields: { nozzle_temper: 100 } });
    await page.evaluate(() => {
      window.times = new Map();
      new MutationObserver(() => { for (const [, n] of document.querySelector('.cards').textContent.matchAll(/(1\d\d)(?:→|\s°C)/g)) if (!window.times.has(n)) window.times.set(n, Date.now()); }).observe(document.querySelector('.cards'), { subtree: true, childList: true, characterData: true });
    });
    const took = [];
    for (let n = 0; n < SAMPLES; n += 1) {
      const value = 101 + (n % 98);
      await page.evaluate((v) => window.times.delete(String(v)), value);
      await order(0, { command: 'set_fields', fields: { nozzle_temper: value } });
      const from = Date.now();
      await order(0, { command: 'report' });
      took.push(await until('the changed text', async () => { const at = await page.evaluate((v) => window.times.get(String(v)) ?? null, value); return at === null ? null : Math.max(1, at - from); }));
      // The service sends at most five states a second of a printer.
      await page.evaluate(() => new Promise((next) => { setTimeout(next, 220); }));
    }
    took.sort((a, b) => a - b);
    figures.reportToText = { samples: took.length, median_ms: took[took.length >> 1], p99_ms: took[Math.min(took.length - 1, Math.ceil(took.length * 0.99) - 1)] };
  },

  async 'the password guards what changes things'() {
    await visit(page, 'settings');
    await page.getByRole('button', { name: 'Set a password' }).click();
    const dialog = page.locator('dialog');
    await dialog.getByLabel('New password').fill('a long sentence');
    await dialog.getByLabel('Once more').fill('another sentence');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await sees('that they differ', 'dialog [role=alert]', 'not the same');
    await axe(page, 'password dialog');
    await dialog.getByLabel('Once more').fill('a long sentence');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await sees('that it is set', '#s-password ~ .text', 'changing things needs the password');
    await page.getByRole('button', { name: 'Log out', exact: true }).click();
    await sees('viewing', '#mode', 'Viewing');
    // An action asks for it and then goes on.
    await visit(page, 'materials');
    await page.getByRole('button', { name: 'Add a spool' }).click();
    await dialog.getByLabel('Kind', { exact: true }).fill('TPU');
    await dialog.getByRole('button', { name: 'Save' }).click();
    const asked = page.locator('dialog', { hasText: 'Changing things needs the password' });
    await asked.getByLabel('Password').fill('wrong');
    await asked.getByRole('button', { name: 'Go on' }).click();
    await until('that it is wrong', async () => /not the password/.test(await asked.innerText()));
    await asked.getByLabel('Password').fill('a long sentence');
    await asked.getByRole('button', { name: 'Go on' }).click();
    await sees('the spool', '.spools', 'TPU');
    await sees('managing', '#mode', 'Managing');
    // Private: a stranger sees nothing, and is asked.
    await visit(page, 'settings');
    await page.getByRole('button', { name: 'Looking needs it too' }).click();
    await sees('private', '#s-password ~ .text', 'Looking and changing');
    const stranger = await open(browser, url);
    await until('the question', () => stranger.page.locator('dialog').count());
    same(await stranger.page.locator('.card').count(), 0, 'cards that a stranger sees');
    await stranger.page.locator('dialog').getByLabel('Password').fill('a long sentence');
    await stranger.page.locator('dialog').getByRole('button', { name: 'Go on' }).click();
    await live(stranger.page);
    await stranger.context.close();
  },

  ...care.appliance(here),
};

let failed = null;
try {
  for (const [name, work] of Object.entries(WALK)) {
    if (process.env.ONLY && !new RegExp(process.env.ONLY).test(name)) continue;
    await walk(name, work);
  }
  check(!troubles.length, `${troubles.length} troubles:\n${[...new Set(troubles)].join('\n')}`);
} catch (error) {
  failed = error;
  await page.screenshot({ path: path.join(shots, 'failed.png') }).catch(() => {});
}
figures.axeMinorFindings = others;
console.log(JSON.stringify(figures));
await browser.close();
wire.stop();
workshop?.stop();
if (failed) { console.log(`FAILED at "${step}": ${failed.message}\n${failed.stack?.split('\n').slice(1, 6).join('\n')}\n${[...new Set(troubles)].join('\n')}`); process.exit(1); }
console.log('the page can be used');
process.exit(0);
