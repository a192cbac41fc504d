// Dialogs: a question, the password, any form. The browser's own dialog keeps the focus inside and gives it back.
import { t } from './i18n.js';
import { button, field, h } from './dom.js';
import { request } from './api.js';

let titles = 0;

// Opens a dialog around `body`; answers the node, whose `shut()` ends it and `closed` tells of its end.
export function sheet(title, body, actions = []) {
  const id = `sheet${titles += 1}`;
  const node = h('dialog', { class: 'sheet', 'aria-labelledby': id }, h('h2', { id }, title), body, actions.length ? h('div', { class: 'row' }, actions) : null);
  node.closed = new Promise((done) => node.addEventListener('close', () => { node.remove(); done(node.result); }));
  node.shut = (result) => { node.result = result; node.close(); };
  node.addEventListener('click', (event) => { if (event.target === node) node.shut(); });
  document.body.append(node);
  node.showModal();
  return node;
}

// A question whose safe answer has the focus.
export function confirm(words, no, yes, danger = true) {
  let box = null;
  const keep = button(no, () => box.shut(false), 'second', { autofocus: true });
  box = sheet(words, null, [keep, button(yes, () => box.shut(true), danger ? 'danger' : '')]);
  keep.focus();
  return box.closed.then(Boolean);
}

// A form in a dialog: `work(form)` sends it and answers as `request` does; an error stays beside the button.
export function formSheet(title, parts, done, work) {
  const result = h('p', { role: 'alert' }), send = h('button', {}, done);
  const form = h('form', { novalidate: true }, parts, result, h('div', { class: 'row' }, send, button(t('Cancel'), () => box.shut(null))));
  const box = sheet(title, form);
  form.onsubmit = async (event) => {
    event.preventDefault();
    send.disabled = true;
    result.textContent = '';
    for (const input of form.querySelectorAll('[aria-invalid]')) input.removeAttribute('aria-invalid');
    const answer = await work(form);
    send.disabled = false;
    if (answer.ok) { box.shut(answer); return; }
    result.textContent = answer.message;
    wrong(form, answer);
  };
  return box.closed;
}

// Points at the field that the appliance complains of.
export function wrong(form, answer) {
  const name = String(answer.json?.details?.field ?? answer.field ?? '').split('.').pop(), input = name ? form.elements[name] : null;
  if (!input?.setAttribute) return;
  input.setAttribute('aria-invalid', 'true');
  input.focus();
}

let asking = null;
// Asks for the password, once for all who need it; answers whether somebody is logged in now.
export function askPassword() {
  asking ??= formSheet(t('Password'), [
    h('p', {}, t('Changing things needs the password. Looking does not.')),
    field(t('Password'), h('input', { name: 'password', type: 'password', autocomplete: 'current-password', required: true })),
  ], t('Go on'), (form) => request('/login', 'POST', { password: form.elements.password.value }))
    .then((answer) => { asking = null; if (answer?.ok) dispatchEvent(new CustomEvent('login')); return Boolean(answer?.ok); });
  return asking;
}
