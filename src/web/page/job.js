// One print: its picture, its figures, and how it went as a timeline.
import { t, duration, grams, moment } from './words.js';
import { button, draws, field, h, icon, mark, picture, rebuild, set, term } from './dom.js';
import { act, get, request } from './api.js';
import { time } from './model.js';
import { jobColor, jobIcon, jobWords, over, progress, sized } from './look.js';
import { confirm, formSheet } from './sheet.js';
import { timeline } from './timeline.js';

export default function job({ store, id, go }) {
  const path = `/jobs/${encodeURIComponent(id)}`;
  const title = h('h2', { id: 'view-title', tabindex: '-1' }, t('Print')), shot = picture('big', false), facts = h('dl', { class: 'pairs' }), state = h('p', { class: 'tag' });
  const note = h('p', { class: 'text' }), acts = h('div', { class: 'row' }), result = h('p', { role: 'alert' }), line = h('div', {}, t('Loading'));
  const node = h('section', { 'aria-labelledby': 'view-title' }, h('div', { class: 'head' }, title, h('a', { class: 'button second', href: '#/jobs' }, t('All prints'))),
    h('div', { class: 'two' }, h('div', { class: 'panel' }, h('div', { class: 'shots' }, h('figure', {}, shot)), state, facts, note, acts, result),
      h('section', { class: 'panel', 'aria-labelledby': 'how' }, h('h3', { id: 'how' }, t('How it went')), line)));
  let known = null, timer = 0, left = false;

  async function load() {
    const answer = await get(path);
    if (left) return;
    if (!answer.ok) { set(result, answer.message); return; }
    known = answer.json;
    draw();
    const seq = known.created_seq;
    const trace = seq ? await get(`/events/trace/${seq}`) : null;
    if (left) return;
    rebuild(line, [seq, trace?.json?.events?.length, trace?.message], () => (trace?.ok ? timeline(store, trace.json) : h('p', { class: 'quiet' }, seq ? trace.message : t('The events of this print are no longer kept.'))));
  }
  function draw() {
    const j = known;
    if (!j) return;
    const live = store.jobs.get(id), status = live?.status ?? j.status, done = over({ status, ended: j.completed_at });
    set(title, j.job_name || t('Unnamed print'));
    const url = sized(live?.picture ?? j.thumbnail_url, 'large');
    draws(shot, url, url ? t('Plate picture of {name}', { name: j.job_name }) : '');
    const part = done ? null : progress({ progress: live?.progress ?? j.progress, status });
    mark(state, 'class', `tag c-${jobColor(status)}`);
    rebuild(state, [status, part], () => [icon(jobIcon(status)), jobWords({ status }) + (part === null ? '' : ` ${part} %`)]);
    const show = (x) => (time(x) === null ? null : moment(time(x)));
    const pairs = [[t('Printer'), store.printers.get(j.printer_id)?.name ?? j.printer_name], [t('File'), j.filename?.split('/').pop()], [t('Plate'), j.plate],
      [t('Started'), show(j.started_at)], [t('Ended'), show(j.completed_at)], [t('Duration'), j.duration_s === null ? null : duration(j.duration_s)],
      [t('Filament'), j.material_used_g === null ? null : grams(j.material_used_g)], [t('Error'), j.error]].filter(([, value]) => value !== null && value !== undefined && value !== '');
    rebuild(facts, pairs, () => pairs.map(([label, value]) => term(label, String(value))));
    set(note, j.notes);
    rebuild(acts, [done, j.file_id, status], () => [
      j.file_id ? h('a', { class: 'button second', href: `#/files/${encodeURIComponent(j.file_id)}` }, t('The file')) : null,
      button(t('Edit'), edit),
      done ? button(t('Delete'), remove) : button(t('Stop…'), stop),
      status === 'unknown' && done ? [button(t('It ended well'), () => give('completed')), button(t('It failed'), () => give('failed'))] : null,
    ]);
  }
  const give = (status) => act(acts, result, () => request(`${path}/status`, 'PUT', { status }), t('Saved.')).then(load);
  async function edit() {
    const saved = await formSheet(t('Edit'), [
      field(t('Name'), h('input', { name: 'job_name', maxlength: '200', value: known.job_name })),
      field(t('Note'), h('textarea', { name: 'notes', rows: '3', maxlength: '500' }, known.notes ?? '')),
    ], t('Save'), (form) => request(path, 'PUT', { job_name: form.elements.job_name.value, notes: form.elements.notes.value || null }));
    if (saved) load();
  }
  async function remove() {
    if (!await confirm(t('Delete this print from the history?'), t('Keep'), t('Delete'))) return;
    const answer = await request(path, 'DELETE');
    if (answer.ok) go('#/jobs'); else set(result, answer.message);
  }
  async function stop() {
    if (!await confirm(t('Stop "{job}"? This cannot be undone.', { job: known.job_name }), t('Keep printing'), t('Stop the print'))) return;
    const answer = await request(`${path}/cancel`, 'POST', {});
    set(result, answer.ok ? '' : answer.message);
    load();
  }
  load();
  return {
    title: t('Print'), node, draw, gone() { left = true; clearTimeout(timer); },
    event(name, e) {
      const about = e && (e.data.job_id === id || e.flow === `print-${id}`);
      if ((about && e.seq !== null) || name === 'snapshot') { clearTimeout(timer); timer = setTimeout(load, 500); }
    },
  };
}
