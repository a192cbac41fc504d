// Jobs: the history with its pictures, filters and figures.
import { t, brief, clock, grams } from './words.js';
import { bar, draws, field, h, icon, mark, picture, rebuild, select, set, show } from './dom.js';
import { API, get } from './api.js';
import { list, time } from './model.js';
import { jobColor, jobIcon, jobWords, over, progress, sized } from './look.js';
import { filters, pager, query } from './pager.js';
import { perDay, perWeek, success } from './charts.js';

const DAYS = 84;
const STATUSES = ['completed', 'failed', 'cancelled', 'unknown', 'running', 'paused', 'preparing', 'pending'];

export default function jobs({ store }) {
  const status = select([['', t('All')], ...STATUSES.map((one) => [one, t(`job.${one}`)])], '');
  const printer = select([['', t('All')]], ''), from = h('input', { type: 'date' }), to = h('input', { type: 'date' });
  // A day that ends is meant whole; the appliance compares with its first moment.
  const end = () => (to.value ? new Date(Date.parse(`${to.value}T00:00:00`) + 86_400_000).toISOString() : '');
  const start = () => (from.value ? new Date(`${from.value}T00:00:00`).toISOString() : '');
  const wanted = () => query({ job_status: status.value, printer_id: printer.value, from: start(), to: end() });
  const rows = h('ol', { class: 'list jobs' }), charts = h('div', { class: 'charts' }), sums = h('dl', { class: 'figures' }), csv = h('a', { class: 'button second', href: `${API}/jobs/export?format=csv`, download: 'jobs.csv' }, t('Save as CSV'));
  let recent = [], figures = null;
  const pages = pager({
    node: rows, path: () => `/jobs${wanted()}`, field: 'jobs', item: { key: (j) => j.id, make: () => row(store), update: (node, j, now) => node.update(j, now) },
    empty: () => (wanted() ? t('No print fits these filters.') : t('Prints appear here by themselves.')),
    heard: (json, items) => { if (!wanted()) recent = items; drawFigures(); },
  });
  const changed = () => { mark(csv, 'href', `${API}/jobs/export${wanted() ? `${wanted()}&` : '?'}format=csv`); pages.load(); };
  const stats = h('details', { class: 'panel', hidden: true, open: matchMedia('(min-width: 900px)').matches }, h('summary', {}, t('Statistics')), sums, charts);
  const node = h('section', { 'aria-labelledby': 'view-title' },
    h('div', { class: 'head' }, h('h2', { id: 'view-title', tabindex: '-1' }, t('nav.jobs')), csv), stats,
    filters([field(t('State'), status), field(t('Printer'), printer), field(t('From'), from), field(t('To'), to)], changed),
    rows, pages.foot);

  async function readFigures() {
    const answer = await get(`/jobs/statistics?days=${DAYS}`);
    if (answer.ok) { figures = answer.json; drawFigures(); }
  }
  function drawFigures() {
    if (!figures) return;
    const all = figures.total ?? {}, days = list(figures.days);
    show(stats, all.jobs > 0);
    rebuild(sums, all, () => [[t('Prints'), all.jobs], [t('Hours'), Math.round(all.hours)], [t('Filament'), grams(all.material_used_g ?? 0)], [t('job.failed'), all.failed]].map(([label, value]) => h('div', {}, h('dt', {}, label), h('dd', {}, String(value)))));
    rebuild(charts, [figures.days, all, recent.map((j) => j.status)], () => [perDay(days, figures.today), success(all, recent), perWeek(days, figures.today)]);
  }
  const offer = () => {
    const all = [...store.printers.values()].map((p) => [p.id, p.name]);
    rebuild(printer, all, () => [['', t('All')], ...all].map(([key, words]) => h('option', { value: key, selected: key === printer.value }, words)));
  };
  pages.load();
  readFigures();
  return {
    title: t('nav.jobs'), node, gone: pages.gone,
    draw(now) { offer(); pages.draw(now); },
    event(name) {
      if (['job_created', 'job_started', 'job_status_changed', 'job_completed', 'job_updated', 'job_deleted', 'snapshot', 'file_thumbnails_processed'].includes(name)) pages.soon();
      if (name === 'job_completed' || name === 'job_deleted') readFigures();
    },
  };
}

function row(store) {
  const shot = picture(''), name = h('a', {}), state = h('span', { class: 'tag' }), who = h('span', { class: 's who' }), when = h('span', { class: 'r s' });
  const track = bar(t('Progress'), 'thin'), cell = h('span', { class: 'tagcell' }, state, track);
  const node = h('li', {}, h('span', { class: 'thumb' }, shot), h('span', { class: 'name' }, name), who, cell, when);
  node.update = (j, now) => {
    // The newest word of a print that is on comes with the events.
    const live = store.jobs.get(j.id), status = live?.status ?? j.status, done = over({ status, ended: j.completed_at });
    draws(shot, sized(live?.picture ?? j.thumbnail_url, 'small'), '');
    set(name, j.job_name || t('Unnamed print'));
    mark(name, 'href', `#/jobs/${encodeURIComponent(j.id)}`);
    const part = done || status === 'pending' ? null : progress({ progress: live?.progress ?? j.progress, status });
    mark(state, 'class', `tag c-${jobColor(status)}`);
    rebuild(state, [status, part], () => [icon(jobIcon(status)), jobWords({ status }) + (part === null ? '' : ` ${part} %`)]);
    show(track, part !== null);
    track.to(part);
    set(who, [store.printers.get(j.printer_id)?.name ?? j.printer_name, j.error].filter(Boolean).join(' · '));
    const ended = time(j.completed_at) ?? live?.ended, started = time(j.started_at), long = live?.duration ?? j.duration_s, used = live?.grams ?? j.material_used_g;
    set(when, done
      ? [ended ? clock(ended, now) : null, long === null || long === undefined ? null : brief(long), used === null || used === undefined ? null : grams(used)].filter(Boolean).join(' · ')
      : started ? t('since {t}', { t: clock(started, now) }) : '');
  };
  return node;
}
