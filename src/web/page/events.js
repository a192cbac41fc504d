// Events: what happens, as it happens; with filters, counts, and the way to what led to what.
import { t, said, clock, number, seconds } from './words.js';
import { button, field, h, keyed, mark, rebuild, select, set, show } from './dom.js';
import { get } from './api.js';
import { list, object, text, unwrap } from './model.js';
import { filters } from './pager.js';
import { laneOf, line } from './timeline.js';

const ROWS = 100, PAGE = 200;
const GROUPS = ['lane.printer', 'lane.job', 'lane.file', 'lane.pictures', 'lane.filament', 'lane.other'];

export default function events({ store, link }) {
  const group = select([['', t('All')], ...GROUPS.map((one) => [one, t(one)])], ''), printer = select([['', t('All')]], ''), search = h('input', { type: 'search', autocomplete: 'off', maxlength: '100' });
  const rows = h('ol', { class: 'list log' }), note = h('p', { class: 'quiet' }), older = button(t('Show older'), more), counts = h('details', {}, h('summary', {}, t('Counts'))), table = h('div');
  counts.append(table);
  counts.addEventListener('toggle', () => { if (counts.open) readCounts(); });
  let shown = ROWS, oldest = false, past = [];
  const node = h('section', { 'aria-labelledby': 'view-title' }, h('div', { class: 'head' }, h('h2', { id: 'view-title', tabindex: '-1' }, t('nav.events')), h('span', { class: 'quiet' }, t('New ones appear by themselves.'))),
    filters([field(t('About'), group), field(t('Printer'), printer), field(t('Search'), search)], () => { shown = ROWS; draw(Date.now()); }),
    rows, h('div', { class: 'row more' }, note, older), counts);

  // Older ones come from the journal and are kept by this view alone.
  async function more() {
    const all = every(), first = all.at(-1)?.seq;
    shown += ROWS;
    if (first && shown > all.length && !oldest) {
      const answer = await get(`/events/recent?after=${Math.max(0, first - PAGE - 1)}&limit=${PAGE}`);
      if (answer.ok) {
        const found = list(answer.json.events).filter((e) => text(e?.event)).map((e) => unwrap(e.event, e)).filter((e) => e.seq < first);
        past = [...past, ...found].sort((a, b) => b.seq - a.seq);
        oldest = first - PAGE - 1 <= (answer.json.oldest ?? 0);
      } else set(note, answer.message);
    }
    draw(Date.now());
  }
  const every = () => [...store.log, ...past.filter((e) => !store.log.some((other) => other.seq === e.seq))];
  const fits = (e, words) => {
    if (group.value && laneOf(e.event) !== group.value) return false;
    if (printer.value && e.data.printer_id !== printer.value) return false;
    const sought = search.value.trim().toLowerCase();
    return !sought || `${words.what} ${words.about} ${e.event} ${e.seq}`.toLowerCase().includes(sought);
  };
  function draw(now) {
    const all = [...store.printers.values()].map((p) => [p.id, p.name]);
    rebuild(printer, all, () => [['', t('All')], ...all].map(([key, words]) => h('option', { value: key, selected: key === printer.value }, words)));
    const found = [];
    let matching = 0;
    for (const e of every()) { const words = line(store, e); if (fits(e, words)) { matching += 1; if (found.length < shown) found.push({ e, words }); } }
    keyed(rows, found, (one) => one.e.seq, row, (node, one) => node.update(one, now));
    set(note, matching ? t('{n} shown', { n: found.length }) : link.state === 'live' || store.known ? t('What happens appears here.') : t('Loading'));
    show(older, !oldest && every().length > 0);
  }
  async function readCounts() {
    const answer = await get('/events/stats');
    rebuild(table, answer.json ?? answer.message, () => {
      if (!answer.ok) return h('p', { role: 'alert' }, answer.message);
      const ever = object(answer.json.event_counts), start = object(answer.json.event_counts_since_start), minute = object(answer.json.event_counts_last_minute);
      return h('table', {}, h('thead', {}, h('tr', {}, [t('Event'), t('ever'), t('since the start'), t('last minute')].map((one) => h('th', { scope: 'col' }, one)))),
        h('tbody', {}, Object.keys(ever).sort((a, b) => ever[b] - ever[a]).map((name) => h('tr', {}, h('td', {}, said('event', name)), [ever, start, minute].map((from) => h('td', {}, number(from[name] ?? 0)))))));
    });
  }
  return { title: t('nav.events'), node, draw };
}

function row() {
  const at = h('span', { class: 's' }), what = h('a', {}), about = h('span', { class: 's' });
  const node = h('li', {}, at, h('span', {}, h('span', { class: 'name' }, what), h('br'), about));
  node.update = ({ e, words }, now) => {
    set(at, e.at ? (now - e.at < 12 * 3600_000 ? seconds(e.at) : clock(e.at, now)) : '');
    set(what, words.what);
    mark(what, 'href', `#/events/${e.seq}`);
    set(about, words.about);
  };
  return node;
}
