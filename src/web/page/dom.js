// Making and changing nodes. Text only: nothing from outside ever becomes markup.
export const $ = (id) => document.getElementById(id);

const SVG = 'http://www.w3.org/2000/svg';

// h('a', { class: 'x', href: '#/now', onclick: f }, 'text', node): properties, listeners, attributes, children.
export function h(tag, about = {}, ...children) {
  const node = document.createElement(tag);
  return fill(node, about, children);
}
export function svg(tag, about = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), about, children);
}
function fill(node, about, children) {
  for (const [name, value] of Object.entries(about)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'class') node.setAttribute('class', value);
    else if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name in node && node.namespaceURI !== SVG && typeof value !== 'string') node[name] = value;
    else if (name === 'value') node.value = value;
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false && child !== ''));
  return node;
}

export function icon(name) {
  return svg('svg', { class: 'icon', 'aria-hidden': 'true' }, svg('use', { href: `#i-${name}` }));
}

export function set(node, words) { const text = words ?? ''; if (node.textContent !== text) node.textContent = text; }
export function show(node, on) { if (node.hidden === Boolean(on)) node.hidden = !on; }
export function mark(node, name, value) {
  if (value === null || value === undefined) { if (node.hasAttribute(name)) node.removeAttribute(name); } else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

// Children by key: nodes are moved and never made anew, so that focus and open menus stay.
export function keyed(parent, items, key, create, update) {
  const old = parent.nodes ??= new Map(), kept = new Set();
  let at = parent.firstElementChild;
  for (const item of items) {
    const k = key(item);
    let node = old.get(k);
    if (!node) { node = create(item); old.set(k, node); }
    kept.add(k);
    update(node, item);
    if (node === at) at = at.nextElementSibling; else parent.insertBefore(node, at);
  }
  for (const [k, node] of old) if (!kept.has(k)) { node.remove(); old.delete(k); }
}

// Small parts are made anew only when what they show has changed.
export function rebuild(node, value, make) {
  const print = JSON.stringify(value);
  if (node.print === print) return;
  node.print = print;
  node.replaceChildren(...[make()].flat(3).filter(Boolean));
}

// One odd value must not keep the rest from being drawn.
export function safely(part) { try { part(); } catch (error) { console.error(error); } }

// A picture that is not there yet, or not any more, takes no room.
export function picture(cls, lazy = true) {
  const node = h('img', { class: cls, hidden: true, decoding: 'async', alt: '' });
  if (lazy) node.loading = 'lazy';
  node.onload = () => { show(node, true); node.parentElement?.classList.add('pic'); };
  node.onerror = () => { show(node, false); node.parentElement?.classList.remove('pic'); };
  return node;
}
export function draws(node, url, words) {
  if (node.alt !== words) node.alt = words;
  if ((node.getAttribute('src') ?? null) === url) return;
  // A hidden picture would wait for ever to come into view.
  if (url) { node.hidden = node.loading !== 'lazy'; node.src = url; return; }
  node.removeAttribute('src');
  show(node, false);
  node.parentElement?.classList.remove('pic');
}

// A labelled field: field('Name', input, 'where to read it').
let fields = 0;
export function field(label, input, help) {
  const id = `f${fields += 1}`;
  input.id ||= id;
  const note = help ? h('small', { id: `${id}h` }, help) : null;
  if (note) input.setAttribute('aria-describedby', note.id);
  return h('div', { class: 'field' }, h('label', { for: input.id }, label), input, note);
}
export function select(options, value, about = {}) {
  const node = h('select', about, options.map(([key, words]) => h('option', { value: key }, words)));
  node.value = value;
  return node;
}
export function button(words, onclick, cls = 'second', about = {}) {
  return h('button', { type: 'button', class: cls, onclick, ...about }, words);
}
export const term = (label, value) => h('div', { class: typeof value === 'string' && value.length > 36 ? 'long' : undefined }, h('dt', {}, label), h('dd', {}, value));

// What a person swings a pointer at: the bar of a share from 0 to 100.
export function bar(label, cls = '') {
  const fill = h('i'), node = h('div', { class: `bar ${cls}`, role: 'progressbar', 'aria-label': label, 'aria-valuemin': '0', 'aria-valuemax': '100' }, fill);
  node.to = (n) => { fill.style.setProperty('--p', Math.max(0, Math.min(100, n ?? 0))); mark(node, 'aria-valuenow', n === null ? null : Math.round(n)); };
  return node;
}

export function later(ms, action) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(action, ms); };
}
