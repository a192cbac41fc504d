// Three small charts, each a sentence for readers of the screen and a table for everybody who wants the figures.
import { t, day as dayText, grams, number } from './words.js';
import { h, svg } from './dom.js';

const WIDTH = 280, HEIGHT = 72;
const DAY_MS = 86_400_000;
const iso = (ms) => new Date(ms).toISOString().slice(0, 10);

// The last `n` days up to `today` (as 2026-11-26), each with its figures or zeros.
export function lastDays(days, today, n) {
  const found = new Map(days.map((one) => [one.day, one])), end = Date.parse(`${today}T00:00:00Z`);
  return Array.from({ length: n }, (_, at) => {
    const day = iso(end - (n - 1 - at) * DAY_MS), one = found.get(day);
    return { day, completed: one?.completed ?? 0, failed: one?.failed ?? 0, other: (one?.cancelled ?? 0) + (one?.unknown ?? 0), grams: one?.material_used_g ?? 0 };
  });
}

// Weeks of seven days that end today.
export function lastWeeks(days, today, n) {
  const all = lastDays(days, today, n * 7);
  return Array.from({ length: n }, (_, at) => {
    const week = all.slice(at * 7, at * 7 + 7);
    return { day: week[0].day, grams: week.reduce((sum, one) => sum + one.grams, 0) };
  });
}

function bars(values, max, sentence, draw) {
  const step = WIDTH / values.length, wide = Math.max(2, step - 3);
  return svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT + 16}`, role: 'img', 'aria-label': sentence, preserveAspectRatio: 'none' },
    svg('line', { class: 'z', x1: 0, y1: HEIGHT, x2: WIDTH, y2: HEIGHT }),
    values.map((value, at) => draw(value, at * step, wide, (n) => (max > 0 ? (n / max) * (HEIGHT - 4) : 0))));
}

function figure(title, sum, chart, head, rows) {
  return h('div', { class: 'chart' }, h('h3', {}, title), h('p', { class: 'quiet' }, sum), chart,
    h('details', {}, h('summary', {}, t('Figures')), h('table', {}, h('thead', {}, h('tr', {}, head.map((word) => h('th', { scope: 'col' }, word)))), h('tbody', {}, rows.map((row) => h('tr', {}, row.map((cell) => h('td', {}, cell))))))));
}

export function perDay(days, today) {
  const values = lastDays(days, today, 28), count = (v) => v.completed + v.failed + v.other, max = Math.max(1, ...values.map(count));
  const total = values.reduce((sum, v) => sum + count(v), 0);
  const chart = bars(values, max, t('{n} prints in 28 days, at most {max} a day.', { n: total, max }), (v, x, wide, tall) => {
    const ok = tall(v.completed + v.other), bad = tall(v.failed);
    return [svg('rect', { class: 'b', x, y: HEIGHT - ok, width: wide, height: ok }), bad ? svg('rect', { class: 'f', x, y: HEIGHT - ok - bad, width: wide, height: bad }) : null].filter(Boolean);
  });
  chart.prepend(svg('defs', {}, svg('pattern', { id: 'hatch', width: 5, height: 5, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' }, svg('line', { class: 'hl', x1: 0, y1: 0, x2: 0, y2: 5 }))));
  const rows = values.filter(count).reverse().map((v) => [dayText(v.day), number(v.completed), number(v.failed), number(v.other)]);
  return figure(t('Prints a day'), t('{n} in 28 days, at most {max} a day', { n: total, max: Math.max(...values.map(count)) }), chart, [t('Day'), t('job.completed'), t('job.failed'), t('Other')], rows);
}

export function success(total, recent) {
  const rate = total.success_rate_percentage, judged = recent.filter((j) => ['completed', 'failed', 'cancelled'].includes(j.status)).slice(0, 28).reverse();
  const words = { completed: t('job.completed'), failed: t('job.failed'), cancelled: t('job.cancelled') };
  const squares = h('div', { class: 'squares', role: 'img', 'aria-label': judged.map((j) => words[j.status]).join(', ') || t('No prints yet') }, judged.map((j) => h('span', { class: { completed: 'ok', failed: 'no' }[j.status] })));
  const head = rate === null || rate === undefined ? t('No prints yet') : t('{p} % of {n} prints ended well', { p: number(rate, 1), n: total.completed + total.failed });
  return figure(t('Success'), head, squares, [t('End'), t('Number')], [[words.completed, number(total.completed)], [words.failed, number(total.failed)], [words.cancelled, number(total.cancelled)], [t('job.unknown'), number(total.unknown)]]);
}

export function perWeek(days, today) {
  const values = lastWeeks(days, today, 12), max = Math.max(...values.map((v) => v.grams)), sum = values.reduce((all, v) => all + v.grams, 0);
  const chart = bars(values, max, t('{g} of filament in 12 weeks, at most {max} a week.', { g: grams(sum), max: grams(max) }), (v, x, wide, tall) => { const high = tall(v.grams); return svg('rect', { class: 'b', x, y: HEIGHT - high, width: wide, height: high }); });
  return figure(t('Filament a week'), t('{g} in 12 weeks, at most {max} a week', { g: grams(sum), max: grams(max) }), chart, [t('Week from'), t('Filament')], values.filter((v) => v.grams).reverse().map((v) => [dayText(v.day), grams(v.grams)]));
}
