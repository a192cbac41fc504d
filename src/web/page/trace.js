// One event and everything that came of it.
import { t } from './words.js';
import { h, rebuild } from './dom.js';
import { get } from './api.js';
import { timeline } from './timeline.js';

export default function trace({ store, id }) {
  const place = h('div', { class: 'panel' }, t('Loading'));
  const node = h('section', { 'aria-labelledby': 'view-title' }, h('div', { class: 'head' }, h('h2', { id: 'view-title', tabindex: '-1' }, t('What led to what')), h('a', { class: 'button second', href: '#/events' }, t('All events'))), place);
  get(`/events/trace/${encodeURIComponent(id)}`).then((answer) => rebuild(place, answer, () => (answer.ok ? timeline(store, answer.json) : h('p', { role: 'alert' }, answer.message))));
  return { title: t('What led to what'), node };
}
