"""The page's own script: themes, sorting, navigation, and the drawing of its pictures."""

from __future__ import annotations

import json

from reports.page.style import DARK, LIGHT

_SCALES = {
    "light": {
        "scale": [[0, "#f1f6f8"], [0.5, "#7fb9bd"], [1, "#0f5f66"]],
        "diverging": [[0, "#2563a8"], [0.5, "#f4f4f2"], [1, "#b45309"]],
        "trials": [[0, "#a8cbef"], [1, "#123f75"]],
    },
    "dark": {
        "scale": [[0, "#1d252d"], [0.5, "#2b7f85"], [1, "#9be7df"]],
        "diverging": [[0, "#6ea8ef"], [0.5, "#2a3037"], [1, "#f0a75e"]],
        "trials": [[0, "#2f557e"], [1, "#cfe5ff"]],
    },
}

_THEMES = json.dumps(
    {"light": {**LIGHT, "scales": _SCALES["light"]}, "dark": {**DARK, "scales": _SCALES["dark"]}}
)

_CODE = r"""
(() => {
'use strict';
const root = document.documentElement;
const byId = (id) => document.getElementById(id);

/* theme */
const button = byId('theme');
const system = matchMedia('(prefers-color-scheme: dark)');
const paper = matchMedia('print');
let printing = false;
let chosen = null;
try { chosen = localStorage.getItem('report-theme'); } catch (error) { /* a page without storage */ }
const isDark = () => chosen ? chosen === 'dark' : system.matches;
const theme = () => THEMES[isDark() && !printing ? 'dark' : 'light'];
function paint() {
  if (chosen) root.dataset.theme = chosen;
  button.setAttribute('aria-pressed', String(isDark()));
  button.textContent = isDark() ? 'Light theme' : 'Dark theme';
  redraw();
}
button.hidden = false;
button.addEventListener('click', () => {
  chosen = isDark() ? 'light' : 'dark';
  try { localStorage.setItem('report-theme', chosen); } catch (error) { /* likewise */ }
  paint();
});
system.addEventListener('change', () => { if (!chosen) paint(); });

/* sorting */
function sort(table, place, ascending) {
  const body = table.tBodies[0];
  const key = (row) => {
    const cell = row.cells[place];
    if ('value' in cell.dataset) return Number(cell.dataset.value);
    const words = cell.textContent.trim();
    return words === '' ? null : words.toLowerCase();
  };
  const rows = Array.from(body.rows, (row, i) => ({ row, i, key: key(row) }));
  rows.sort((a, b) => {
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.i - b.i;
    const order = a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
    return (ascending ? order : -order) || a.i - b.i;
  });
  body.append(...rows.map((one) => one.row));
}
for (const table of document.querySelectorAll('table.sortable')) {
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, place) => head.querySelector('button').addEventListener('click', () => {
    const ascending = head.getAttribute('aria-sort') !== 'ascending';
    heads.forEach((other) => other.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
    sort(table, place, ascending);
    const way = ascending ? ', rising' : ', falling';
    byId('sort-status').textContent = 'Sorted by ' + head.textContent.trim() + way;
  }));
}

/* navigation */
const anchors = document.querySelectorAll('.side a[href^="#"]');
const links = new Map(Array.from(anchors, (a) => [a.hash.slice(1), a]));
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    links.forEach((a) => a.removeAttribute('aria-current'));
    const link = links.get(entry.target.id);
    if (link) link.setAttribute('aria-current', 'true');
  }
}, { rootMargin: '-10% 0px -80% 0px' });
document.querySelectorAll('main section').forEach((section) => seen.observe(section));

/* pictures */
const figures = JSON.parse(byId('figures').textContent);
const canvases = Array.from(document.querySelectorAll('[data-figure]'));
const drawn = new Set();
const config = { responsive: true, displaylogo: false, displayModeBar: false, showTips: false };
function colour(value) {
  const [name, share] = value.slice(1).split('/');
  const found = theme()[name];
  if (!found) return theme().scales[name] || value;
  if (share === undefined) return found;
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(found.slice(i, i + 2), 16));
  return `rgba(${r},${g},${b},${share})`;
}
const COLOURED = new Set(['color', 'fillcolor', 'colorscale']);
function themed(value, name) {
  if (typeof value === 'string') return COLOURED.has(name) && value[0] === '@' ? colour(value) : value;
  if (Array.isArray(value)) return value.map((one) => themed(one, name));
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, themed(one, key)]));
  }
  return value;
}
function template() {
  const t = theme();
  const axis = { gridcolor: t.line, linecolor: t.line, zerolinecolor: t.line, tickcolor: t.line,
    automargin: true, title: { standoff: 10 } };
  return { layout: {
    font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: t.ink },
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
    colorway: [t.ensemble, t.single, t.printed, t.bad, t.muted, t.good, '#8b5cf6', '#d946a6'],
    xaxis: axis, yaxis: axis,
    hoverlabel: { bgcolor: t.surface, bordercolor: t.line, font: { color: t.ink } },
  } };
}
function draw(canvas) {
  const figure = figures[canvas.dataset.figure];
  const layout = { margin: { t: 16, r: 16, b: 48, l: 56 }, ...themed(figure.layout), template: template() };
  layout.height = canvas.offsetHeight || undefined;
  if (printing) Object.assign(layout, { width: canvas.closest('.grid') ? 330 : 670, autosize: false });
  else Object.assign(layout, { autosize: true });
  const call = drawn.has(canvas) ? Plotly.react : Plotly.newPlot;
  drawn.add(canvas);
  try { call(canvas, structuredClone(themed(figure.data)), layout, config); } catch (error) {
    canvas.textContent = 'This picture could not be drawn; its numbers stand below.';
    console.error(canvas.dataset.figure, error);
  }
}
function redraw() { for (const canvas of drawn) draw(canvas); }
function rest() { for (const canvas of canvases) if (!drawn.has(canvas)) draw(canvas); }
function print(start) {
  if (printing === start || typeof Plotly === 'undefined') { printing = start; return; }
  printing = start;
  if (start) rest();
  redraw();
  if (!start) for (const canvas of drawn) Plotly.Plots.resize(canvas);
}
addEventListener('beforeprint', () => print(true));
addEventListener('afterprint', () => print(false));
paper.addEventListener('change', (event) => print(event.matches));

async function unpack() {
  const packed = atob(byId('plotly').textContent.trim());
  const bytes = Uint8Array.from(packed, (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  const script = document.createElement('script');
  script.textContent = await new Response(stream).text();
  document.head.append(script);
  byId('plotly').remove();
}
async function start() {
  try { await unpack(); } catch (error) {
    byId('without').hidden = false;
    return;
  }
  const waiting = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      waiting.unobserve(entry.target);
      if (!drawn.has(entry.target)) draw(entry.target);
    }
  }, { rootMargin: '600px' });
  canvases.forEach((canvas) => waiting.observe(canvas));
  root.dataset.ready = 'true';
}
paint();
start();
})();
"""

SCRIPT = f"const THEMES = {_THEMES};{_CODE}"
