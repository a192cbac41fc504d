// What the page asks and says by itself: dialogs, toasts, one live region, a short sound. The browser's own dialog keeps the focus
// inside and gives it back.
import { t } from './words.js';
import { $, button, field, h, icon } from './dom.js';
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
export function askPassword(isPrivate = false) {
  asking ??= formSheet(t('Password'), [
    h('p', {}, isPrivate ? t('This appliance shows nothing without the password.') : t('Changing things needs the password. Looking does not.')),
    field(t('Password'), h('input', { name: 'password', type: 'password', autocomplete: 'current-password', required: true })),
  ], t('Go on'), (form) => request('/login', 'POST', { password: form.elements.password.value }))
    .then((answer) => { asking = null; if (answer?.ok) dispatchEvent(new CustomEvent('login')); return Boolean(answer?.ok); });
  return asking;
}

// --- notes --------------------------------------------------------------------------------------
const SHOWN_MAX = 4, STAY_MS = 12_000, SPEAK_MS = 5000, QUEUE_MAX = 5;

// --- to readers of the screen: one message each 5 s, queued and not dropped -----------------------
let speaking = 0;
const queue = [];
export function say(words) {
  if (!words) return;
  if (queue.length < QUEUE_MAX) queue.push(words);
  if (speaking) return;
  const next = () => {
    const text = queue.shift(), node = $('said');
    if (!text) { speaking = 0; return; }
    // Cleared first, so that the same words are spoken twice.
    node.textContent = '';
    setTimeout(() => { node.textContent = text; }, 50);
    speaking = setTimeout(next, SPEAK_MS);
  };
  next();
}

// --- to the eye ---------------------------------------------------------------------------------
const ICONS = { good: 'finished', bad: 'attention', warn: 'attention', info: 'idle' };
export function toast({ text, tone = 'info', href = null }) {
  const place = $('toasts');
  const close = h('button', { type: 'button', class: 'close', 'aria-label': t('Close this note'), onclick: () => gone() }, icon('failed'));
  const node = h('li', { class: `toast ${tone}` }, icon(ICONS[tone]), href ? h('a', { href, onclick: () => gone() }, text) : h('span', {}, text), close);
  const gone = () => { clearTimeout(timer); node.remove(); };
  // What went wrong stays until somebody has seen it.
  let timer = tone === 'bad' ? 0 : setTimeout(gone, STAY_MS);
  node.onpointerenter = () => clearTimeout(timer);
  node.onpointerleave = () => { if (tone !== 'bad') timer = setTimeout(gone, STAY_MS); };
  while (place.children.length >= SHOWN_MAX) place.firstElementChild.remove();
  place.append(node);
  say(text);
  if (tone !== 'info') beep(tone);
}

// --- to the ear, if wanted ----------------------------------------------------------------------
const NOTES = { good: [660, 880], warn: [660, 520], bad: [440, 330, 440] };
let audio = null;
export const soundOn = () => { try { return localStorage.getItem('sound') === 'on'; } catch { return false; } };
export function beep(tone) {
  if (!soundOn() || !globalThis.AudioContext) return;
  audio ??= new AudioContext();
  audio.resume?.();
  (NOTES[tone] ?? NOTES.good).forEach((pitch, at) => {
    const sound = audio.createOscillator(), loud = audio.createGain(), from = audio.currentTime + at * 0.18;
    sound.frequency.value = pitch;
    loud.gain.setValueAtTime(0.12, from);
    loud.gain.exponentialRampToValueAtTime(0.001, from + 0.16);
    sound.connect(loud).connect(audio.destination);
    sound.start(from);
    sound.stop(from + 0.17);
  });
}
