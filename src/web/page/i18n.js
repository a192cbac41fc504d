// Words for people: two tables with the same keys, and the rules of the reader's language.
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
