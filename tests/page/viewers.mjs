// Opens the page in many browsers of their own (each with its own event stream) and says what that costs the service.
// Started by `scripts/measure-page.sh`: node viewers.mjs '{"page":..., "pid":..., "tools":..., "viewers":12, "seconds":30}'
import { readFile } from 'node:fs/promises';
import { PHONE, launch, live, open, setup, until } from './harness.mjs';

const KIB = 1024, TICKS_A_SECOND = 100;

async function look() {
  const status = await readFile(`/proc/${setup.pid}/status`, 'utf8'), field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)[1]);
  const stat = await readFile(`/proc/${setup.pid}/stat`, 'utf8'), times = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { at: Date.now(), rss: field('VmRSS'), peak: field('VmHWM'), anonymous: field('RssAnon'), threads: field('Threads'), cpu: (Number(times[11]) + Number(times[12])) / TICKS_A_SECOND };
}
const streams = async () => (await (await fetch(`${setup.page}/api/v1/events/stats`)).json()).subscribers.filter((one) => one.name === 'event-stream').length;
const mb = (kib) => ((kib * KIB) / 1e6).toFixed(1);
const line = (what, one) => console.log(`${what}: VmRSS ${one.rss} KiB (${mb(one.rss)} MB), highest ${one.peak} KiB (${mb(one.peak)} MB), of it anonymous ${one.anonymous} KiB, ${one.threads} threads`);
// The median of a look a second: pages are read and given back all the time.
async function watch(seconds) {
  const all = [];
  for (let n = 0; n < seconds; n += 1) { all.push(await look()); await new Promise((next) => { setTimeout(next, 1000); }); }
  const middle = [...all].sort((a, b) => a.rss - b.rss)[all.length >> 1], last = all.at(-1);
  return { ...middle, peak: last.peak, share: (last.cpu - all[0].cpu) / ((last.at - all[0].at) / 1000) };
}

const browser = await launch();
try {
  const printers = (await (await fetch(`${setup.page}/api/v1/printers`)).json()).printers.length;
  const alone = await watch(5);
  line(`no page, ${printers} printers`, alone);
  const pages = [];
  for (let n = 0; n < setup.viewers; n += 1) {
    const { page } = await open(browser, setup.page, PHONE);
    await live(page);
    await until('all cards', async () => (await page.locator('.card').count()) === printers);
    // Each at another view, as people are.
    const views = ['now', 'jobs', 'files', 'materials', 'library', 'events', 'settings'];
    await page.evaluate((to) => { location.hash = `#/${to}`; }, views[n % views.length]);
    pages.push(page);
  }
  await until('a stream for each', async () => (await streams()) === setup.viewers);
  const full = await watch(setup.seconds);
  line(`${setup.viewers} pages, ${await streams()} streams`, full);
  console.log(`processor: ${(100 * alone.share).toFixed(1)} % without, ${(100 * full.share).toFixed(1)} % with them, of one core`);
  const lost = await Promise.all(pages.map((page) => page.evaluate(() => !document.body.classList.contains('live'))));
  if (lost.some(Boolean)) throw new Error(`${lost.filter(Boolean).length} pages have lost their stream`);
  if (setup.most && full.peak > setup.most) throw new Error(`more than ${setup.most} KiB`);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await browser.close();
}
