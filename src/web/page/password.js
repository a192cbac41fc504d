// Choosing a password: the first one, where something needs one, or another.
import { t } from './words.js';
import { field, h } from './dom.js';
import { request } from './api.js';
import { formSheet } from './sheet.js';

const LETTERS_MIN = 8;
export const secret = (name, auto) => h('input', { type: 'password', name, autocomplete: auto, maxlength: '256', required: true });

// Answers whether there is a new password and this browser is logged in with it.
export async function choosePassword(words = null) {
  const answer = await formSheet(words ? t('Set a password') : t('Password'), [
    words ? h('p', {}, words) : null, h('p', { class: words ? 'quiet' : undefined }, t('password.words')),
    field(t('New password'), secret('password', 'new-password'), t('At least 8 characters; a short sentence is good.')), field(t('Once more'), secret('again', 'new-password')),
  ], t('Save'), async (form) => {
    const { password: one, again } = form.elements;
    if ([...one.value].length < LETTERS_MIN) return { ok: false, message: t('Use at least 8 characters.'), field: 'password' };
    if (one.value !== again.value) return { ok: false, message: t('The two are not the same.'), field: 'again' };
    const saved = await request('/settings', 'PUT', { password: one.value });
    return saved.ok ? request('/login', 'POST', { password: one.value }) : saved;
  });
  if (answer) dispatchEvent(new CustomEvent('login'));
  return Boolean(answer);
}

let asking = null;
// What could do harm in the wrong hands needs a password even where looking and changing do not.
export function firstPassword() {
  asking ??= choosePassword(t('password.first')).finally(() => { asking = null; });
  return asking;
}
