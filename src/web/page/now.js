// Now: every printer as a card, what needs a hand first.
import { t } from './i18n.js';
import { h, show } from './dom.js';
import { order } from './look.js';
import { cards } from './card.js';

export default function now({ store, go, kiosk, draw: soon }) {
  const list = h('div', { class: 'cards' }), waiting = h('p', { class: 'quiet' }, t('Waiting for the first word from the appliance.'));
  const node = h('section', { 'aria-labelledby': 'view-title' }, h('h2', { id: 'view-title', class: 'seen', tabindex: '-1' }, t('Printers')), list, waiting);
  let touched = 0, shown = '';
  // Nothing moves under a finger.
  for (const name of ['pointerdown', 'keydown']) list.addEventListener(name, () => { touched = Date.now(); });
  const wide = matchMedia('(min-width: 900px)');
  wide.onchange = soon;
  const draw = (at) => {
    show(waiting, !store.known);
    if (!store.known) return;
    if (!store.printers.size && !kiosk) { go('#/settings/printers/add', true); return; }
    let printers = order(store, at, kiosk || wide.matches);
    const held = Date.now() - touched < 3000 || list.contains(document.activeElement);
    const ids = printers.map((p) => p.id).join(' ');
    if (held && shown.split(' ').sort().join(' ') === ids.split(' ').sort().join(' ')) {
      const places = shown.split(' ');
      printers = [...printers].sort((a, b) => places.indexOf(a.id) - places.indexOf(b.id));
    } else shown = ids;
    list.dataset.count = printers.length;
    cards(list, store, printers, at);
  };
  return { title: t('nav.now'), node, draw, gone() { wide.onchange = null; } };
}
