// Words, numbers, times and sizes for people. Words come from two tables with the same keys, and the rules of the reader's language.
// Pure; the caller brings the time. Few files instead of many: each costs the first load its head and a name.
// `t('key', { n: 2 })` fills in `{n}`; a text of two halves, `one|many`, is chosen by `n`.
let words = {}, rules = null;
export let locale = 'en';

export const LANGUAGES = ['en', 'de'];

// The first language of the reader that there is; their whole tag stays for times and numbers.
export function choose(wanted) {
  for (const tag of wanted) {
    const short = String(tag).slice(0, 2).toLowerCase();
    if (LANGUAGES.includes(short)) return { language: short, tag: String(tag) };
  }
  return { language: 'en', tag: 'en' };
}

export function speak(table, tag) {
  words = table;
  try { rules = new Intl.PluralRules(tag); locale = tag; } catch { rules = new Intl.PluralRules('en'); locale = 'en'; }
}

// Words that come later, with the views that need them.
export function learn(table) { words = { ...words, ...table }; }

export const has = (key) => Object.hasOwn(words, key);

export function t(key, values) {
  let text = has(key) ? words[key] : key;
  if (!values) return text;
  if (text.includes('|')) {
    const [one, many] = text.split('|');
    text = rules.select(Number(values.n)) === 'one' ? one : many;
  }
  return text.replace(/\{(\w+)\}/g, (all, name) => (values[name] === undefined ? all : String(values[name])));
}

// A code of the appliance in words, else what the appliance says itself, else the code.
export function said(prefix, code, fallback) {
  const key = `${prefix}.${code}`;
  if (has(key)) return t(key);
  return fallback || (code ? String(code).replaceAll('_', ' ') : '');
}

// --- numbers, times and sizes as the reader's language writes them ---------------------------------
const made = new Map();
function maker(kind, options) {
  const key = `${locale}${kind.name}${JSON.stringify(options)}`;
  if (!made.has(key)) made.set(key, new kind(locale, options));
  return made.get(key);
}

export const DAY_MS = 86_400_000;
export const number = (n, digits = 0) => maker(Intl.NumberFormat, { maximumFractionDigits: digits }).format(n);
export const percent = (n) => maker(Intl.NumberFormat, { style: 'percent', maximumFractionDigits: 0 }).format(n / 100);

// A moment: today the time, else the weekday with it, far away the date.
export function clock(ms, now) {
  const when = new Date(ms), today = new Date(now);
  if (Math.abs(ms - now) > 6 * DAY_MS) return date(ms);
  const day = when.toDateString() === today.toDateString() ? {} : { weekday: 'short' };
  return maker(Intl.DateTimeFormat, { ...day, hour: '2-digit', minute: '2-digit' }).format(when);
}
export const seconds = (ms) => maker(Intl.DateTimeFormat, { hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(new Date(ms));
export const date = (ms) => maker(Intl.DateTimeFormat, { dateStyle: 'medium' }).format(new Date(ms));
export const moment = (ms) => maker(Intl.DateTimeFormat, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(ms));
// A day without a time, as statistics name it: it is the same day in every zone.
export const day = (text) => maker(Intl.DateTimeFormat, { day: 'numeric', month: 'short', timeZone: 'UTC' }).format(new Date(`${text}T00:00:00Z`));

// A number and its unit stay on one line: the blanks here do not break.
// Rounded up; the same short units in every language.
export function duration(s) {
  const m = Math.ceil(s / 60);
  if (s < 60) return t('less than a minute');
  if (m < 60) return `${m}\u00a0min`;
  const h = Math.floor(m / 60);
  if (h < 24) return m % 60 ? `${h}\u00a0h ${m % 60}\u00a0min` : `${h}\u00a0h`;
  return h % 24 ? `${Math.floor(h / 24)}\u00a0d ${h % 24}\u00a0h` : `${Math.floor(h / 24)}\u00a0d`;
}

// The same for lists.
export const brief = (s) => (s < 60 ? '<\u00a01\u00a0min' : duration(s));

// Short spans of a trace: "20 ms", "1.6 s", "41 s", "2 h 5 min".
export function span(ms) {
  if (ms < 1000) return `${Math.round(ms)}\u00a0ms`;
  if (ms < 10_000) return `${number(ms / 1000, 1)}\u00a0s`;
  if (ms < 90_000) return `${Math.round(ms / 1000)}\u00a0s`;
  return duration(ms / 1000);
}

export function bytes(n) {
  if (n < 1000) return `${n}\u00a0B`;
  const [value, unit] = n < 1e6 ? [n / 1e3, 'kB'] : n < 1e9 ? [n / 1e6, 'MB'] : [n / 1e9, 'GB'];
  return `${number(value, value < 10 ? 1 : 0)}\u00a0${unit}`;
}

export function grams(g) {
  if (g >= 1000) return `${number(g / 1000, 2)}\u00a0kg`;
  return `${number(g, g < 10 ? 1 : 0)}\u00a0g`;
}

export function degrees(current, target) {
  const known = (x) => typeof x === 'number' && Number.isFinite(x);
  if (!known(current) && !known(target)) return null;
  const now = known(current) ? Math.round(current) : '?';
  return known(target) && target > 0 ? `${now}→${Math.round(target)}\u00a0°C` : `${now}\u00a0°C`;
}
