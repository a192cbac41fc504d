// A list of records that comes page by page and is read anew when an event says that it has changed.
import { t } from './words.js';
import { button, h, keyed, set, show } from './dom.js';
import { get } from './api.js';
import { list as array } from './model.js';

const PAGE = 50, PAGE_MAX = 200;
// Many events in a row are one reason to look.
const SETTLE_MS = 400;

// `path()` is the list's address with its filters; `field` names the list in the answer; `item` is {key, make, update}.
export function pager({ node, path, field, item, empty, heard }) {
  const note = h('p', { class: 'quiet', role: 'status' }), more = button(t('Show more'), () => load(true)), again = button(t('Try again'), () => load());
  const foot = h('div', { class: 'row more' }, note, more, again);
  let items = [], total = null, next = 1, timer = 0, turn = 0, failed = null;

  async function load(further = false) {
    const mine = turn += 1, size = further ? PAGE : Math.min(PAGE_MAX, Math.max(PAGE, Math.ceil(items.length / PAGE) * PAGE));
    const page = further ? next : 1, sign = path().includes('?') ? '&' : '?';
    const answer = await get(`${path()}${sign}page=${page}&limit=${size}`);
    if (mine !== turn) return;
    failed = answer.ok ? null : answer.message;
    if (answer.ok) {
      const fresh = array(answer.json?.[field]), known = new Set(items.map(item.key));
      items = further ? [...items, ...fresh.filter((one) => !known.has(item.key(one)))] : fresh;
      total = answer.json?.total_count ?? items.length;
      next = Math.floor(items.length / PAGE) + 1;
      heard?.(answer.json, items);
    }
    draw();
  }
  function draw(now = Date.now()) {
    keyed(node, items, item.key, item.make, (one, data) => item.update(one, data, now));
    set(note, failed ?? (total === null ? t('Loading') : items.length ? t('{n} of {total}', { n: items.length, total }) : empty()));
    show(more, total !== null && items.length < total);
    show(again, failed);
  }
  return {
    foot, load, draw,
    items: () => items,
    // Read again soon.
    soon() { clearTimeout(timer); timer = setTimeout(() => load(), SETTLE_MS); },
    gone() { clearTimeout(timer); turn += 1; },
  };
}

// The row of filters above a list: `parts` are fields; any change is told.
export function filters(parts, changed) {
  const node = h('div', { class: 'filters', role: 'group', 'aria-label': t('Filters') }, parts);
  let timer = 0;
  node.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(changed, 250); });
  return node;
}

export const query = (pairs) => {
  const text = new URLSearchParams(Object.entries(pairs).filter(([, value]) => value !== '' && value !== null && value !== undefined)).toString();
  return text ? `?${text}` : '';
};
