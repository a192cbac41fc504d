// What the page says by itself: toasts, one live region, a short sound.
import { t } from './i18n.js';
import { $, h, icon } from './dom.js';

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
