// The first page: is all well, and if not, where. Owns the tiles, four charts and three short lists.

import { get } from "./api.js";
import { Chart } from "./charts.js";
import { badge, empty, h, panel, prose, sparkline, tone } from "./dom.js";
import * as f from "./format.js";
import * as live from "./live.js";
import { Table } from "./table.js";

export const STATUSES = [
  { key: "2xx", label: "2xx", color: "good" }, { key: "3xx", label: "3xx", color: "info" },
  { key: "4xx", label: "4xx", color: "warn" }, { key: "5xx", label: "5xx", color: "bad" }, { key: "none", label: "no answer", color: "none" },
];
export const SHARES = [{ key: "p50", label: "p50", color: "line-a" }, { key: "p95", label: "p95", color: "line-b" }, { key: "p99", label: "p99", color: "line-c" }];

/** Charts of a history: requests by status, and times. */
export function trafficCharts(points) {
  const traffic = new Chart("Requests by status", { series: STATUSES, format: f.rate, stacked: true });
  const times = new Chart("Latency", { series: SHARES, format: f.duration, log: true });
  const overhead = new Chart("Time in the gateway and its plugins", { series: SHARES, format: f.duration, log: true });
  const set = (it) => {
    const one = it.points;
    traffic.set(one.at, STATUSES.map(({ key }) => one.statuses_per_second[key]));
    times.set(one.at, SHARES.map(({ key }) => one.duration_seconds[key]));
    overhead.set(one.at, SHARES.map(({ key }) => one.overhead_seconds[key]));
  };
  if (points) set(points);
  return { traffic, times, overhead, set, all: [traffic, times, overhead] };
}

export class Tile {
  constructor(label, note) {
    this.value = h("p", { class: "tile-value" }, f.NONE);
    this.note = h("p", { class: "tile-note" }, note ?? "");
    this.spark = h("div", { class: "tile-spark" });
    this.element = h("div", { class: "tile" }, h("h2", { class: "tile-label" }, label), this.value, this.note, this.spark);
  }

  set(value, note, tone) {
    if (this.value.textContent !== value) this.value.textContent = value;
    if (note !== undefined && this.note.textContent !== note) this.note.textContent = note;
    this.element.dataset.tone = tone ?? "";
  }

  trend(values) {
    this.spark.replaceChildren(sparkline(values));
  }
}

export function mount(root, { signal }) {
  const tiles = {
    rate: new Tile("Requests"), errors: new Tile("Errors"), p50: new Tile("Latency, median"), p99: new Tile("Latency, p99"),
    overhead: new Tile("Gateway's part, p99"), flight: new Tile("In flight"), busy: new Tile("Workers busy"), memory: new Tile("Memory"),
  };
  const charts = trafficCharts(live.history);
  const busy = new Chart("Workers", { series: [{ label: "busy", color: "line-b", fill: true }], format: f.percent });
  const routes = new Table({
    caption: "Busiest routes", key: (row) => row.name, sort: "rate", descending: true, none: "No request in the last minute.",
    columns: [
      { key: "name", label: "Route", heading: true, value: (row) => row.name, show: (row) => routeLink(row.name) },
      { key: "rate", label: "Requests", number: true, value: (row) => row.rate, show: (row, it) => f.rate(it) },
      { key: "errors", label: "Errors", number: true, value: (row) => row.errors, show: (row, it) => share(it) , mark: (row) => f.percent(row.errors) },
      { key: "p50", label: "p50", number: true, value: (row) => row.p50, show: (row, it) => f.duration(it) },
      { key: "p99", label: "p99", number: true, value: (row) => row.p99, show: (row, it) => f.duration(it) },
    ],
  });
  const hooks = new Table({
    caption: "Costliest hooks", key: (row) => `${row.plugin} ${row.hook}`, sort: "cost", descending: true, none: "No plugin was called in the last seconds.",
    columns: [
      { key: "plugin", label: "Plugin", heading: true, value: (row) => row.plugin, show: (row) => h("a", { href: `#/plugins?name=${encodeURIComponent(row.plugin)}` }, row.plugin) , mark: (row) => row.plugin },
      { key: "hook", label: "Hook", value: (row) => row.hook },
      { key: "rate", label: "Calls", number: true, value: (row) => row.rate, show: (row, it) => f.rate(it) },
      { key: "p99", label: "p99", number: true, value: (row) => row.p99, show: (row, it) => f.duration(it) },
      { key: "cost", label: "Time per s", number: true, value: (row) => row.cost, show: (row, it) => f.duration(it) },
    ],
  });
  const problems = h("div", { class: "problems" });
  root.append(
    h("section", { class: "tiles", "aria-label": "Now" }, Object.values(tiles).map((it) => it.element)),
    h("div", { class: "grid two" }, charts.traffic.element, charts.times.element, charts.overhead.element, busy.element),
    h("div", { class: "grid two" }, panel("Busiest routes", { note: "last minute", actions: more("#/routes", "All routes") }, routes.element),
      panel("What plugins cost", { note: "last 10 s", actions: more("#/plugins", "All plugins") }, hooks.element)),
    panel("Latest failed and slow requests", { actions: more("#/requests", "All requests") }, problems));

  const points = () => {
    if (!live.history) return;
    charts.set(live.history);
    const { points: it } = live.history;
    busy.set(it.at, [it.busy_share]);
    tiles.rate.trend(it.requests_per_second);
    tiles.p50.trend(it.duration_seconds.p50);
    tiles.p99.trend(it.duration_seconds.p99);
    tiles.overhead.trend(it.overhead_seconds.p99);
    tiles.flight.trend(it.in_flight);
    tiles.busy.trend(it.busy_share);
    tiles.memory.trend(it.memory_bytes);
    tiles.errors.trend(it.requests_per_second.map((rate, index) => (rate ? it.statuses_per_second["5xx"][index] / rate : 0)));
    const end = it.at.length - 1;
    tiles.overhead.set(f.duration(it.overhead_seconds.p99[end]), `median ${f.duration(it.overhead_seconds.p50[end])}`);
    latest();
  };
  const snapshot = () => {
    const now = live.last();
    if (!now) return;
    const ten = live.recent(10);
    const minute = live.recent(60);
    tiles.rate.set(f.rate(ten.rate), `${f.bytes(now.total.response_bytes_per_second)}/s out`);
    tiles.errors.set(f.percent(minute.errors), `4xx ${f.percent(minute.refused)}`, minute.errors > 0.05 ? "bad" : minute.errors > 0.01 ? "warn" : "");
    tiles.p50.set(f.duration(minute.p50), "last minute");
    tiles.p99.set(f.duration(minute.p99), `p95 ${f.duration(minute.p95)}`);
    tiles.flight.set(f.count(now.total.in_flight), f.plural(now.connections, "connection"));
    const shares = now.workers.filter((it) => it !== null);
    const mean = shares.reduce((sum, it) => sum + it, 0) / Math.max(shares.length, 1);
    tiles.busy.set(f.percent(mean), shares.length > 1 ? `busiest ${f.percent(Math.max(...shares))}` : f.plural(shares.length, "worker"), mean > 0.9 ? "warn" : "");
    tiles.memory.set(f.bytes(now.memory_bytes), "resident");
    const rows = [...live.recentRoutes(60)].map(([name, it]) => ({ name, ...it })).filter((row) => row.requests > 0);
    routes.set(rows.sort((one, other) => other.rate - one.rate).slice(0, 8));
    hooks.set(costs(10).slice(0, 8));
  };
  const latest = async () => {
    try {
      const { requests } = await get("requests?limit=40", signal);
      const bad = requests.filter((it) => it.kept !== "sampled" && it.kept !== "refused").slice(0, 8);
      problems.replaceChildren(bad.length ? h("ul", { class: "events" }, bad.map(event)) : empty("None", "Requests that fail or are slow appear here, with what happened."));
    } catch (error) {
      if (!signal.aborted) problems.replaceChildren(empty("They cannot be read", error.message));
    }
  };
  live.live.addEventListener("snapshot", snapshot, { signal });
  live.live.addEventListener("points", points, { signal });
  points();
  snapshot();
  if (!live.history) latest();
  return { destroy: () => [...charts.all, busy].forEach((chart) => chart.destroy()) };
}

const more = (href, text) => h("a", { href, class: "more" }, text);

export function routeLink(name) {
  return name ? h("a", { href: `#/routes/${encodeURIComponent(name)}` }, name) : h("span", { class: "muted" }, "no route");
}

/** A share of errors, marked where it is one. */
export function share(it) {
  return it > 0 ? h("span", { class: it > 0.05 ? "bad-text" : "warn-text" }, f.percent(it)) : f.percent(it);
}

function event(it) {
  return h("li", null,
    h("time", { datetime: it.time }, f.precise(it.time)), badge(it.status ?? "none", tone(it.status)),
    h("a", { href: `#/requests/${it.id}` }, h("span", { class: "target" }, `${it.method} ${it.target}`)),
    h("span", { class: "number" }, f.nanos(it.duration_ns)), h("span", { class: "why" }, prose(it.explanation)));
}

/** What hooks cost over the last seconds: seconds of calls in each second, all workers together. */
export function costs(seconds, plugin) {
  const end = live.last()?.at ?? 0;
  const shown = live.snapshots.filter((it) => it.at > end - seconds);
  const sums = new Map();
  const took = shown.reduce((sum, it) => sum + it.interval_seconds, 0);
  for (const it of shown.flatMap((snapshot) => snapshot.plugins)) {
    if (plugin && it.name !== plugin) continue;
    for (const [hook, numbers] of Object.entries(it.hooks)) {
      const key = `${it.name}\0${hook}`;
      const sum = sums.get(key) ?? { plugin: it.name, hook, calls: 0, seconds: 0, p99: 0 };
      sum.calls += numbers.calls;
      sum.seconds += numbers.mean * numbers.calls;
      sum.p99 = Math.max(sum.p99, numbers.p99 ?? 0);
      sums.set(key, sum);
    }
  }
  return [...sums.values()].map((it) => ({ ...it, rate: it.calls / took, mean: it.calls ? it.seconds / it.calls : null, cost: it.seconds / took }))
    .sort((one, other) => other.cost - one.cost);
}
