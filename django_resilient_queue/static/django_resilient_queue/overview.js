// Keeps the overview fresh: asks every two seconds while somebody looks, and draws the charts.

const PERIOD = 2000; // milliseconds between an answer and the next question
const PATIENCE = 5000; // until a question without an answer has failed
const HEIGHT = 170;
const ROOM = 1.1; // above the highest point
const COLOURS = ["--drq-first", "--drq-second"];
const DASHES = [undefined, [6, 4]]; // told apart without colours, too

const section = document.getElementById("drq-charts");
const stale = document.getElementById("drq-stale");
const plots = new Map();
let drawn = ""; // what the charts show
let outages = [];
let timer;
let asking = false;

class LoggedOut extends Error {}

async function refresh() {
  clearTimeout(timer);
  if (document.hidden || asking) return;
  asking = true;
  try {
    const answer = await ask();
    for (const [id, html] of Object.entries(answer.parts)) replace(id, html);
    if (answer.drawing) draw(answer.drawing);
    drawn = answer.drawn;
    say("");
  } catch (error) {
    const since = document.getElementById("drq-as-of").textContent;
    const { words, loggedOut } = stale.dataset;
    say((error instanceof LoggedOut ? loggedOut : words).replace("{time}", since));
  }
  asking = false;
  timer = setTimeout(refresh, PERIOD);
}

async function ask() {
  const query = new URLSearchParams({ span: section.dataset.span, drawn });
  const response = await fetch(`${section.dataset.live}?${query}`, {
    headers: { Accept: "application/json" },
    redirect: "manual", // to the login page
    signal: AbortSignal.timeout(PATIENCE),
  });
  if (response.type === "opaqueredirect" || response.status === 403) throw new LoggedOut();
  if (!response.ok) throw new Error(response.statusText);
  return response.json();
}

function say(words) {
  if (stale.textContent !== words) stale.textContent = words;
  stale.hidden = !words;
}

// ---- what has changed is put in place, so that focus and selection stay where they are ---------

function replace(id, html) {
  const there = document.getElementById(id);
  const fresh = new DOMParser().parseFromString(html, "text/html").body;
  blend(there.childNodes, fresh.childNodes, there);
}

function blend(there, fresh, parent) {
  const old = [...there];
  const wanted = [...fresh];
  wanted.forEach((node, i) => (i < old.length ? become(old[i], node) : parent.append(node)));
  old.slice(wanted.length).forEach((node) => node.remove());
}

function become(old, wanted) {
  if (old.nodeName !== wanted.nodeName) return old.replaceWith(wanted);
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== wanted.data) old.data = wanted.data;
    return undefined;
  }
  for (const { name } of [...old.attributes]) {
    if (!wanted.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  return blend(old.childNodes, wanted.childNodes, old);
}

// ---- charts -------------------------------------------------------------------------------------

function draw(drawing) {
  outages = drawing.outages;
  for (const chart of drawing.charts) {
    const figure = document.getElementById(`drq-chart-${chart.name}`);
    const caption = figure.querySelector("figcaption");
    if (caption.textContent !== chart.summary) caption.textContent = chart.summary;
    const data = [drawing.times, ...chart.series.map((series) => series.values)];
    const range = [drawing.from, drawing.until];
    const plot = plots.get(chart.name) ?? plotOf(figure, chart, range);
    plots.set(chart.name, plot);
    plot.setData(data, false);
    plot.setScale("x", { min: range[0], max: range[1] });
  }
}

function plotOf(figure, chart, [min, max]) {
  const place = figure.querySelector(".drq-plot");
  const axis = { stroke: colour("--body-quiet-color"), font: fontOf(place) };
  const lines = { stroke: colour("--hairline-color"), width: 1 };
  const options = {
    width: place.clientWidth,
    height: HEIGHT,
    scales: { x: { time: true, min, max }, y: { range: (_, __, most) => [0, (most || 1) * ROOM] } },
    axes: [
      { ...axis, grid: lines, ticks: lines, values: (_, times) => times.map(clockOf(false)) },
      { ...axis, grid: lines, ticks: lines, size: 56 },
    ],
    series: [
      { label: section.dataset.time, value: (_, time) => (time == null ? "-" : clockOf(true)(time)) },
      ...chart.series.map((series, i) => ({
        label: series.label,
        stroke: colour(COLOURS[i]),
        dash: DASHES[i],
        width: 2,
        points: { filter: lonely, fill: colour(COLOURS[i]), size: 5 },
        value: (_, value) => (value == null ? "-" : value.toLocaleString(language())),
      })),
    ],
    cursor: { sync: { key: "drq" }, drag: { x: false, y: false } },
    hooks: { drawClear: [shade] },
  };
  const plot = new uPlot(options, [[], ...chart.series.map(() => [])], place);
  new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: HEIGHT })).observe(
    place,
  );
  return plot;
}

// A value with a gap on both sides makes no line: it is a point.
function lonely(plot, series) {
  const values = plot.data[series];
  const isGap = (i) => values[i] == null;
  return [...values.keys()].filter((i) => !isGap(i) && isGap(i - 1) && isGap(i + 1));
}

// Outages lie behind the lines: a shade with a line on top, for those who see no shade.
function shade(plot) {
  const { left, top, width, height } = plot.bbox;
  const place = (time) => plot.valToPos(time, "x", true);
  plot.ctx.save();
  for (const [began, ended] of outages) {
    if (place(ended) < left || place(began) > left + width) continue;
    const from = Math.max(place(began), left);
    const until = Math.min(Math.max(place(ended), from + 2), left + width);
    plot.ctx.fillStyle = css("--drq-outage");
    plot.ctx.fillRect(from, top, until - from, height);
    plot.ctx.fillStyle = css("--error-fg");
    plot.ctx.fillRect(from, top, until - from, 2 * devicePixelRatio);
  }
  plot.ctx.restore();
}

const css = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();
const colour = (name) => () => css(name); // asked at each drawing: the theme may change
const language = () => document.documentElement.lang || undefined;

function fontOf(place) {
  const { fontFamily } = getComputedStyle(place);
  return `11px ${fontFamily}`;
}

function clockOf(inFull) {
  const day = { weekday: "short", day: "numeric" };
  const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const isWeek = section.dataset.span === "week";
  const parts = inFull ? { ...day, ...clock } : isWeek ? day : clock;
  const format = new Intl.DateTimeFormat(language(), { ...parts, timeZone: timeZone() });
  return (time) => format.format(new Date(time * 1000));
}

function timeZone() {
  const name = section.dataset.timeZone;
  try {
    return Intl.DateTimeFormat(undefined, { timeZone: name }).resolvedOptions().timeZone;
  } catch {
    return undefined; // one that has no name of its own
  }
}

function redraw() {
  for (const plot of plots.values()) plot.redraw();
}

new MutationObserver(redraw).observe(document.documentElement, {
  attributeFilter: ["data-theme"],
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
document.addEventListener("visibilitychange", refresh);
refresh();
