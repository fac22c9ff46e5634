// Charts over time, drawn by uPlot. Owns colours, axes, the legend with the values under the cursor, and the
// table that says the same to those who do not see a chart. Must not know what is drawn.

import { h } from "./dom.js";
import { NONE, clock } from "./format.js";

const charts = new Set();
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** The values of 1, 2 and 5 that lie in a range; of a wide one, the powers of ten. */
function steps(low, high) {
  const found = [];
  const factors = high / low > 500 ? [1] : [1, 2, 5];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const factor of factors) {
      const value = factor * 10 ** power;
      if (value >= low * 0.999 && value <= high * 1.001) found.push(value);
    }
  }
  return found;
}

/** The next of those values, up or down. */
function nice(value, way) {
  const power = Math.floor(Math.log10(value));
  const all = [-1, 0, 1].flatMap((by) => [1, 2, 5].map((factor) => factor * 10 ** (power + by)));
  return way > 0 ? all.find((it) => it >= value) : all.findLast((it) => it <= value);
}

/** The values without a neighbour, which no line shows. */
function alone(chart, index) {
  const values = chart.data[index];
  const has = (at) => values[at] !== null && values[at] !== undefined;
  return values.flatMap((_, at) => (has(at) && !has(at - 1) && !has(at + 1) ? [at] : []));
}

/** Draws all charts again, in the colours of another theme. */
export function recolor() {
  for (const chart of charts) chart.build();
}

/** A chart with its title. `series` are `{label, color, fill}`; with `stacked` each is put on the one before. */
export class Chart {
  constructor(title, { series, format, stacked = false, log = false, note = null, height = 190 }) {
    Object.assign(this, { series, format, stacked, log, height, at: [], columns: series.map(() => []) });
    this.values = series.map(() => h("span", { class: "legend-value" }, NONE));
    this.legend = h("ul", { class: "legend" }, series.map((it, index) =>
      h("li", null, h("span", { class: `swatch swatch-${it.color}`, "aria-hidden": "true" }), it.label, this.values[index])));
    this.plot = h("div", { class: "plot", role: "img", "aria-label": title });
    this.rows = h("tbody");
    const table = h("details", { class: "chart-data", ontoggle: () => this.tabulate() },
      h("summary", null, "Values as a table"),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${title}: values` }, h("table", null,
        h("caption", { class: "hidden" }, title),
        h("thead", null, h("tr", null, h("th", { scope: "col" }, "Time"), series.map((it) => h("th", { scope: "col", class: "number" }, it.label)))),
        this.rows)));
    this.details = table;
    this.title = title;
    this.element = h("section", { class: "panel chart" },
      h("div", { class: "panel-head" }, h("h2", null, title), note ? h("p", { class: "note" }, note) : null, this.legend),
      this.plot, table);
    this.sizes = new ResizeObserver(() => this.fit());
    this.sizes.observe(this.plot);
    charts.add(this);
  }

  destroy() {
    charts.delete(this);
    this.sizes.disconnect();
    this.chart?.destroy();
  }

  set(at, columns) {
    this.at = at;
    this.columns = columns;
    this.say(at.length - 1);
    if (this.chart) this.chart.setData(this.data());
    else this.build();
    if (this.details.open) this.tabulate();
    const shown = this.series.map((it, index) => `${it.label} ${this.format(columns[index].at(-1))}`);
    this.plot.setAttribute("aria-label", `${this.title}. Now: ${shown.join(", ")}. The values are in the table below.`);
  }

  // What is stacked is drawn from the highest to the lowest.
  data() {
    const at = this.at.length ? this.at : [Date.now() / 1000 - 900, Date.now() / 1000];
    if (!this.at.length) return [at, ...this.series.map(() => [null, null])];
    if (!this.stacked) return [at, ...this.columns];
    const sums = [];
    this.columns.reduce((below, column) => {
      const sum = column.map((value, index) => (value ?? 0) + (below?.[index] ?? 0));
      sums.push(sum);
      return sum;
    }, null);
    return [at, ...sums.reverse()];
  }

  build() {
    this.chart?.destroy();
    this.chart = null;
    const width = this.plot.clientWidth;
    if (!width) return;
    const text = color("muted");
    const axis = { stroke: text, font: "11px system-ui, sans-serif", ticks: { show: false }, gap: 6 };
    const shown = this.stacked ? [...this.series].reverse() : this.series;
    const line = (it) => ({
      label: it.label, stroke: color(it.color), width: this.stacked ? 1 : 1.6, spanGaps: false, points: { show: false, size: 6, filter: alone },
      fill: this.stacked ? color(`${it.color}-fill`) : it.fill ? color(`${it.color}-soft`) : undefined,
    });
    this.chart = new window.uPlot({
      width, height: this.height, legend: { show: false },
      padding: [10, 26, 0, 0],
      cursor: { y: false, sync: { key: "time" }, points: { show: !this.stacked, size: 6 }, drag: { x: false, y: false } },
      hooks: { setCursor: [(chart) => this.say(chart.cursor.idx ?? this.at.length - 1)] },
      scales: {
        x: { time: true, range: (chart, low, high) => [Math.min(low, high - 60), high] },
        y: this.log ? { distr: 3, range: (chart, low, high) => (low ? [nice(low * 0.8, -1), nice(high * 1.1, 1)] : [0.001, 0.1]) } : { range: (chart, low, high) => [0, high > 0 ? high * 1.1 : 1] },
      },
      axes: [
        { ...axis, grid: { show: false }, size: 26, space: 80, values: (chart, splits) => splits.map((at) => clock(at).slice(0, at % 60 ? 8 : 5)) },
        { ...axis, grid: { stroke: color("grid"), width: 1 }, size: 62, space: 34,
          ...(this.log ? { splits: (chart, axis, low, high) => steps(low, high), filter: (chart, splits) => splits } : {}),
          values: (chart, splits) => splits.map((value) => (value === null ? "" : this.format(value))) },
      ],
      series: [{}, ...shown.map(line)],
    }, this.data(), this.plot);
  }

  fit() {
    if (!this.chart) return this.build();
    const width = this.plot.clientWidth;
    if (width && width !== this.chart.width) this.chart.setSize({ width, height: this.height });
  }

  /** The values of a point beside the names. */
  say(index) {
    this.values.forEach((value, number) => {
      value.textContent = this.format(this.columns[number][index]);
      // What never was takes no place in the legend.
      value.parentElement.hidden = this.stacked && number > 0 && !this.columns[number].some((it) => it > 0);
    });
  }

  tabulate() {
    if (!this.details.open) return;
    const shown = this.at.map((at, index) => h("tr", null,
      h("th", { scope: "row" }, clock(at)), this.columns.map((column) => h("td", { class: "number" }, this.format(column[index])))));
    this.rows.replaceChildren(...shown.reverse().slice(0, 60));
  }
}
