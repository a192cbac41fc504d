// What the walk through the page stands on: a browser, a wire that can be cut, printers that can be driven, and waits with
// a deadline. No fixed pauses: everything waits for a state.
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';

export const setup = JSON.parse(process.argv[2]);
const require = createRequire(path.join(setup.tools, 'node_modules/'));
const { chromium } = require('playwright-core');
const axeSource = await readFile(require.resolve('axe-core/axe.min.js'), 'utf8');

// Generous: the machine may be busy.
export const PATIENCE_MS = 40_000;
const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

export async function launch() {
  const { existsSync } = await import('node:fs');
  const executablePath = process.env.CHROMIUM ?? BROWSERS.find((one) => existsSync(one));
  if (!executablePath) throw new Error('no Chromium: apt-get install chromium');
  // Tests run as root in containers, where the browser's sandbox cannot be made.
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'] });
}

export function check(what, message) { if (!what) throw new Error(message); }
export function same(found, wanted, message) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${message}: ${a} instead of ${b}`);
}

// Waits until `look` gives something true.
export async function until(what, look, patience = PATIENCE_MS) {
  const end = Date.now() + patience;
  let last;
  for (;;) {
    try { last = await look(); if (last) return last; } catch (error) { last = error.message; }
    if (Date.now() > end) throw new Error(`waited in vain: ${what} (${JSON.stringify(last)})`);
    await new Promise((next) => setTimeout(next, 50));
  }
}

// --- the other sides ----------------------------------------------------------------------------
function ask(base, method, address, body, headers = {}) {
  return new Promise((done, fail) => {
    const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
    const request = http.request(base + address, { method, headers: { ...(text === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }), ...headers }, timeout: PATIENCE_MS }, (answer) => {
      let all = '';
      answer.setEncoding('utf8');
      answer.on('data', (piece) => { all += piece; });
      answer.on('end', () => { let json = null; try { json = JSON.parse(all); } catch { /* no JSON */ } done({ status: answer.statusCode, json, text: all }); });
    });
    request.on('error', fail);
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.end(text);
  });
}
export const api = (method, address, body, headers) => ask(setup.page, method, `/api/v1${address}`, body, headers);
export async function order(printer, command) {
  const answer = await ask(setup.control, 'POST', `/printers/${printer}/command`, command);
  check(answer.status === 200, `printer ${printer} refused ${JSON.stringify(command)}: ${answer.text}`);
}
// What a Bambu Lab printer calls its state.
export const gcodeState = async (printer) => (await ask(setup.control, 'GET', '/state')).json.printers[printer].status.gcode_state;
// How a printer is added through the interface.
export function entry(about, name = about.name) {
  const config = about.kind === 'prusa_link'
    ? { ip_address: about.host, http_port: about.port, password: about.password }
    : { ip_address: about.host, mqtt_port: about.port, ftps_port: about.ftps_port, serial_number: about.serial, access_code: about.access_code };
  return { name, printer_type: about.kind, connection_config: config };
}

const TYPES = { '.js': 'text/javascript', '.css': 'text/css', '.html': 'text/html; charset=utf-8', '.svg': 'image/svg+xml', '.webmanifest': 'application/manifest+json' };
// Hands everything on to the service and counts what comes back: head and body of every answer, as they go over the wire.
// With PAGE_FROM=directory the page's files come from there, so that changes of the page are seen without a build.
export class Meter {
  constructor(from = process.env.PAGE_FROM) { Object.assign(this, { from, answers: [], open: 0, at: Date.now() }); }
  start(host = '127.0.0.1') {
    const { hostname, port } = new URL(setup.page);
    this.server = http.createServer((request, reply) => {
      const told = !request.url.startsWith('/api/v1/events') || request.url.includes('recent');
      const done = () => { if (told) { this.open -= 1; this.at = Date.now(); } };
      if (told) this.open += 1;
      const far = http.request({ hostname, port, method: request.method, path: request.url, headers: request.headers, agent: false }, async (answer) => {
        const found = { path: request.url, status: answer.statusCode, bytes: 19 };
        for (let at = 0; at < answer.rawHeaders.length; at += 2) found.bytes += answer.rawHeaders[at].length + answer.rawHeaders[at + 1].length + 4;
        this.answers.push(found);
        answer.on('close', done);
        const name = this.from ? /^\/assets\/[^/]+\/([\w.-]+)$/.exec(request.url)?.[1] ?? (request.url.split('?')[0] === '/' ? 'index.html' : null) : null;
        if (name) {
          const build = this.build ??= /\/assets\/(\w+)\//.exec((await ask(setup.page, 'GET', '/')).text)[1];
          const body = (await readFile(path.join(this.from, name), 'utf8')).replaceAll('@BUILD@', build);
          const heads = { ...answer.headers, 'content-length': Buffer.byteLength(body), 'cache-control': 'no-store', 'content-type': TYPES[path.extname(name)] };
          for (const gone of ['etag', 'content-encoding']) delete heads[gone];
          answer.resume();
          reply.writeHead(200, heads).end(body);
          return;
        }
        answer.on('data', (piece) => { found.bytes += piece.length; });
        reply.writeHead(answer.statusCode, answer.rawHeaders);
        answer.pipe(reply);
      });
      far.on('error', () => { done(); reply.destroy(); });
      reply.on('close', () => far.destroy());
      request.pipe(far);
    });
    return new Promise((ready) => { this.server.listen(0, host, () => { this.url = `http://${host}:${this.server.address().port}`; ready(this.url); }); });
  }
  // Nothing is under way, and nothing has been for a while.
  quiet(ms = 1000) { return this.open === 0 && Date.now() - this.at > ms; }
  stop() { this.server.closeAllConnections(); this.server.close(); }
}

// A wire between browser and service. Cut, it drops everything and takes nothing.
export class Wire {
  constructor(to = setup.page) { this.sockets = new Set(); this.whole = true; this.target = new URL(to); }
  start() {
    this.server = net.createServer((near) => {
      if (!this.whole) { near.destroy(); return; }
      const far = net.connect(this.target.port, this.target.hostname);
      for (const [one, other] of [[near, far], [far, near]]) {
        this.sockets.add(one);
        one.on('error', () => other.destroy());
        one.on('close', () => { this.sockets.delete(one); other.destroy(); });
      }
      near.pipe(far);
      far.pipe(near);
    });
    // Not on localhost, which browsers trust more than the address of a device.
    return new Promise((ready) => { this.server.listen(0, setup.house, () => { this.url = `http://${setup.house}:${this.server.address().port}`; ready(this.url); }); });
  }
  cut() { this.whole = false; for (const socket of this.sockets) socket.destroy(); }
  mend() { this.whole = true; }
  stop() { this.cut(); this.server.close(); }
}

// --- pages --------------------------------------------------------------------------------------
export const PHONE = { width: 390, height: 844 }, DESKTOP = { width: 1440, height: 900 };
export const troubles = [];

export async function open(browser, url, size = PHONE, more = {}) {
  const context = await browser.newContext({ viewport: size, colorScheme: 'light', locale: 'en-GB', timezoneId: 'Europe/Berlin', reducedMotion: 'reduce', ...more });
  return { context, page: await tab(context, url) };
}
export async function tab(context, url) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on('pageerror', (error) => troubles.push(`error in the page: ${error.message}`));
  page.on('console', (message) => { if (message.type() === 'error' && !/Failed to load resource|ERR_|net::/.test(message.text())) troubles.push(`console: ${message.text()}`); });
  await page.addInitScript(() => { document.addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`)); });
  await page.goto(url, { waitUntil: 'domcontentloaded' });
  return page;
}
export const live = (page) => page.waitForSelector('body.live');

// Goes to a view and waits until it is there and has nothing more to load.
export async function visit(page, hash) {
  await page.evaluate((to) => { location.hash = to; }, `#/${hash}`);
  await until(`the view ${hash}`, () => page.evaluate((at) => { if (document.getElementById('view').dataset.at !== at) return false; const view = document.querySelector('#view > section'); return view && view.querySelector('#view-title') && ![...view.querySelectorAll('[role=status], div, p')].some((one) => one.childElementCount === 0 && ['Loading', 'Lädt'].includes(one.textContent)); }, `#/${hash}`));
}

// Faults that axe finds, the serious and critical ones.
export async function axe(page, where) {
  if (!await page.evaluate(() => 'axe' in window)) await page.evaluate(axeSource);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const counted = { serious: 0, others: [] };
  for (const one of found.violations) {
    const words = `${where}: ${one.id} (${one.impact}) ${one.nodes.slice(0, 3).map((node) => node.target.join(' ')).join(', ')}`;
    if (['serious', 'critical'].includes(one.impact)) { counted.serious += 1; troubles.push(`axe: ${words}; ${one.nodes[0].failureSummary}`); } else counted.others.push(words);
  }
  return counted;
}

// Nothing may reach out of the window, and nothing may be cut inside of its box.
export async function fits(page, where) {
  const found = await page.evaluate(() => {
    const out = [];
    const wide = document.documentElement.scrollWidth - innerWidth;
    if (wide > 0) {
      const far = [...document.querySelectorAll('body *')].filter((node) => node.checkVisibility() && node.getBoundingClientRect().right > innerWidth + 0.5);
      out.push(`the page is ${wide} px too wide: ${far.slice(-3).map((node) => `${node.tagName}.${node.className} "${node.textContent.slice(0, 40)}"`).join('; ')}`);
    }
    for (const node of document.querySelectorAll('.card .state, .card h3, .card .figure, .card .when, .tag, button, .button, nav a')) {
      if (!node.checkVisibility()) continue;
      const box = node.closest('.card, .list, .panel, nav, header, dialog, main')?.getBoundingClientRect(), range = document.createRange();
      range.selectNodeContents(node);
      const text = range.getBoundingClientRect();
      if (box && text.width && (text.right > box.right + 1 || text.left < box.left - 1)) out.push(`${node.className || node.tagName} "${node.textContent.slice(0, 40)}" is cut`);
    }
    return out;
  });
  for (const one of found) troubles.push(`layout: ${where}: ${one}`);
}
