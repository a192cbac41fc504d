// More: on phones, the way to the views that have no place in the bar.
import { t } from './words.js';
import { h, icon } from './dom.js';

export default function more() {
  const ways = [['library', 'library'], ['events', 'events'], ['settings', 'settings']];
  return {
    title: t('nav.more'),
    node: h('section', { 'aria-labelledby': 'view-title' }, h('h2', { id: 'view-title', tabindex: '-1', class: 'head' }, t('nav.more')),
      h('ul', { class: 'list ways' }, ways.map(([name, picture]) => h('li', {}, h('span', { class: 'name' }, h('a', { href: `#/${name}` }, icon(picture), ' ', t(`nav.${name}`)), h('p', { class: 'quiet' }, t(`more.${name}`))))))),
  };
}
