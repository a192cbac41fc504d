// Asking the appliance, and what to say when it does not answer.
import { t, said } from './words.js';

export const API = '/api/v1';
const LIMIT_MS = 35_000;

// Whoever may be asked for the password; set by the page.
let login = null;
export function onLogin(ask) { login = ask; }

// Answers {ok, status, json, message, code}. Never throws. A request that needs the password asks for it and goes on.
export async function request(path, method = 'GET', payload, again = true) {
  const stop = new AbortController(), limit = setTimeout(() => stop.abort(), LIMIT_MS);
  let answer;
  try {
    answer = await fetch(API + path, {
      method, signal: stop.signal, credentials: 'same-origin',
      headers: payload === undefined ? {} : { 'Content-Type': 'application/json' },
      body: payload === undefined ? undefined : JSON.stringify(payload),
    });
    let json = null;
    try { json = await answer.json(); } catch { /* 204, or no JSON */ }
    if (again && path !== '/login' && await admitted(answer.status, json)) return request(path, method, payload, false);
    return { ok: answer.ok, status: answer.status, json, message: why(answer.status, json), code: json?.error_code ?? null };
  } catch {
    return { ok: false, status: 0, json: null, message: t('The appliance did not answer. Try again.'), code: null };
  } finally { clearTimeout(limit); }
}
export const get = (path) => request(path);

// Whether to ask once more: the answer wanted a password, and now there is one and it was given.
export async function admitted(status, json) {
  const code = json?.error_code, isUnset = status === 403 && code === 'PASSWORD_NOT_SET';
  return Boolean(login) && (isUnset || status === 401 || (status === 403 && code === 'PASSWORD_NEEDED')) && login(isUnset);
}

// What the appliance says; in the reader's language where the code is known.
export function why(status, json) {
  if (status === 404 && !json) return t('This version cannot do that.');
  return said('code', json?.error_code, json?.message) || t('The appliance answered {n}.', { n: status });
}

// A part of the interface that this version does not have (yet).
export const absent = (answer) => answer.status === 404 || answer.status === 405 || answer.status === 501;

// Sends a file and tells how far it is; `progress` hears percent.
export function upload(path, file, progress, again = true, more = {}) {
  return new Promise((done) => {
    const x = new XMLHttpRequest();
    const fail = () => done({ ok: false, status: 0, json: null, message: t('The transfer broke off. Try again.'), code: null });
    x.open('POST', API + path);
    x.setRequestHeader('X-Filename', encodeURIComponent(file.name));
    x.setRequestHeader('Content-Type', 'application/octet-stream');
    for (const [name, value] of Object.entries(more)) x.setRequestHeader(name, value);
    x.upload.onprogress = (e) => { if (e.lengthComputable) progress(Math.floor((e.loaded / e.total) * 100)); };
    x.onerror = fail;
    x.onabort = fail;
    x.onload = async () => {
      let json = null;
      try { json = JSON.parse(x.responseText); } catch { /* no JSON */ }
      if (again && await admitted(x.status, json)) { done(await upload(path, file, progress, false, more)); return; }
      done({ ok: x.status >= 200 && x.status < 300, status: x.status, json, message: why(x.status, json), code: json?.error_code ?? null });
    };
    x.send(file);
  });
}

// Runs an action from a button: the button waits, the result is said beside it.
export async function act(button, result, work, done) {
  button.disabled = true;
  result.textContent = '';
  const answer = await work();
  button.disabled = false;
  result.classList.toggle('fine', answer.ok);
  result.textContent = answer.ok ? done : answer.message;
  return answer;
}
