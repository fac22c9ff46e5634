// Models: calls, tokens, cost and times by model, deployment and consumer, and how deployments stand. Owns the look at the
// totals every few seconds; what passes now is the difference of two looks.

import { get } from "./api.js";
import { Chart } from "./charts.js";
import { badge, empty, h, panel } from "./dom.js";
import * as f from "./format.js";
import * as live from "./live.js";
import { Tile } from "./overview.js";
import { Table } from "./table.js";

/** A quarter of an hour, in steps of five seconds. They stay when another page is shown. */
const LOOKS = 180;
/** Looks of a minute. */
const MINUTE = 12;
const FIRST = "gen_ai_server_time_to_first_token_seconds";
const looks = [];

const sum = (counts) => Object.values(counts ?? {}).reduce((all, it) => all + it, 0);
const bad = (counts) => sum(counts) - (counts?.ok ?? 0) - (counts?.client_left ?? 0);
const tokens = (it) => it.tokens_total.input + it.tokens_total.output;

/** All there is at the moment, by kind and name. */
async function look(signal) {
  const { plugins } = await get("models", signal);
  const times = await Promise.all(plugins.map((it) => get(`plugins/${encodeURIComponent(it.plugin)}/metrics?prefix=${FIRST}`, signal)));
  const found = { at: Date.now() / 1000, models: new Map(), deployments: new Map(), consumers: new Map() };
  plugins.forEach((plugin, index) => {
    const first = (label, name) => {
      const series = times[index].metrics.filter((it) => it.labels[label] === name);
      return series.reduce((all, it) => it.cumulated.map((count, at) => count + (all[at] ?? 0)), []);
    };
    const bounds = times[index].metrics[0]?.bounds ?? [];
    for (const [kind, label] of [["models", "gen_ai_request_model"], ["deployments", "deployment"], ["consumers", "consumer"]]) {
      for (const it of plugin[kind]) {
        found[kind].set(`${plugin.plugin}\0${it.name}`, { ...it, plugin: plugin.plugin, first: first(label, it.name), bounds });
      }
    }
  });
  return { ...found, plugins: plugins.length };
}

/** The value of a share of all, by straight lines within buckets; `counts` are cumulated. */
function percentile(bounds, counts, share) {
  const all = counts.at(-1) ?? 0;
  if (all <= 0) return null;
  const at = counts.findIndex((count) => count >= share * all);
  if (at >= bounds.length) return bounds.at(-1);
  const [below, lower] = at ? [counts[at - 1], bounds[at - 1]] : [0, 0];
  return lower + (bounds[at] - lower) * ((share * all - below) / Math.max(counts[at] - below, 1));
}

/** What passed between two looks, in a second. A gateway that began anew has no difference to the one before. */
function between(before, now, seconds) {
  const was = before ?? { requests_total: {}, tokens_total: { input: 0, output: 0 }, cost_usd_nanos_total: 0, first: [] };
  const rate = (of) => Math.max(0, of(now) - of(was)) / seconds;
  const first = now.first.map((count, at) => count - (was.first[at] ?? 0));
  return {
    calls: rate((it) => sum(it.requests_total)), failing: rate((it) => bad(it.requests_total)), input: rate((it) => it.tokens_total.input),
    output: rate((it) => it.tokens_total.output), cost: rate((it) => it.cost_usd_nanos_total),
    p50: percentile(now.bounds, first, 0.5), p95: percentile(now.bounds, first, 0.95), first,
  };
}

/** Rows of the last look, with what passed in the last minute. */
function rows(kind) {
  const now = looks.at(-1);
  const before = looks.at(-1 - Math.min(MINUTE, looks.length - 1));
  const seconds = now.at - before.at;
  return [...now[kind]].map(([key, it]) => ({ ...it, key, now: seconds > 0 ? between(before[kind].get(key), it, seconds) : null }));
}

/** All deployments together at a look, since the one before. */
function point(index) {
  const [before, now] = [looks[index - 1], looks[index]];
  const each = [...now.deployments].map(([key, it]) => between(before.deployments.get(key), it, now.at - before.at));
  const all = (of) => each.reduce((total, it) => total + of(it), 0);
  const bounds = [...now.deployments.values()].find((it) => it.bounds.length)?.bounds ?? [];
  const first = each.reduce((total, it) => it.first.map((count, at) => count + (total[at] ?? 0)), []);
  const held = [...now.deployments.values()].reduce((total, it) => total + it.slots.held, 0);
  const waiting = [...now.deployments.values()].reduce((total, it) => total + it.slots.waiting, 0);
  return {
    at: now.at, calls: all((it) => it.calls), failing: all((it) => it.failing), input: all((it) => it.input), output: all((it) => it.output), cost: all((it) => it.cost),
    p50: percentile(bounds, first, 0.5), p95: percentile(bounds, first, 0.95), held, waiting,
  };
}

const name = (label) => ({ key: "name", label, heading: true, value: (row) => row.name });
const number = (key, label, value, show) => ({ key, label, number: true, value, show: (row, it) => show(it) });
const NUMBERS = [
  number("calls", "Calls now", (row) => row.now?.calls, f.rate),
  number("input", "Tokens in", (row) => row.now?.input, f.rate),
  number("output", "Tokens out", (row) => row.now?.output, f.rate),
  number("p50", "First token p50", (row) => row.now?.p50, f.duration),
  number("p95", "p95", (row) => row.now?.p95, f.duration),
  number("each", "Tokens/s a stream", (row) => (row.mean_seconds.output_token ? 1 / row.mean_seconds.output_token : null), (it) => (it === null ? f.NONE : f.count(it))),
  number("total", "Calls", (row) => sum(row.requests_total), f.count),
  { ...number("failed", "Failed", (row) => bad(row.requests_total), f.count), show: (row, it) => (it ? h("span", { class: "bad-text" }, f.count(it)) : "0") },
  number("tokens", "Tokens", tokens, f.count),
  number("cost", "Cost", (row) => row.cost_usd_nanos_total, f.dollars),
];
const words = (counts) => Object.entries(counts).filter(([, count]) => count > 0).map(([why, count]) => `${why.replaceAll("_", " ")} ${f.count(count)}`).join(", ");

function state(row) {
  if (row.cool_down_seconds_left > 0) return badge(`cools down, ${f.duration(Math.ceil(row.cool_down_seconds_left))}`, "warn");
  return badge("up", "good");
}

function places(row) {
  if (!row.concurrency) return f.NONE;
  const { limit, queue } = row.concurrency;
  return `${row.slots.held} of ${limit}${queue ? `, ${row.slots.waiting} of ${queue} waiting` : ""}`;
}

function tables() {
  const of = (caption, label, none, more) => new Table({ caption, key: (row) => row.key, sort: "total", descending: true, none, columns: [name(label), ...NUMBERS, ...more] });
  return {
    models: of("Models", "Model", "No model is configured.", [
      number("overs", "Fail-overs", (row) => row.fail_overs_total, f.count),
      { key: "refused", label: "Refused", value: (row) => words(row.refused_total) || f.NONE },
      { key: "deployments", label: "Deployments", wide: true, value: (row) => row.deployments.map((it) => it.name).join(", ") },
    ]),
    deployments: of("Deployments", "Deployment", "No deployment is configured.", [
      { key: "state", label: "State", value: (row) => row.cool_down_seconds_left, show: state, mark: (row) => String(Math.ceil(row.cool_down_seconds_left)) },
      { key: "places", label: "Places", value: (row) => row.slots.held, show: places },
      number("queue", "Mean wait", (row) => row.mean_seconds.queue, f.duration),
      { key: "attempts", label: "Attempts that failed", value: (row) => words(row.failed_attempts_total) || f.NONE },
      { key: "provider", label: "Provider", value: (row) => row.provider },
      { key: "upstream", label: "Upstream", value: (row) => row.upstream, show: (row, it) => h("a", { href: `#/upstreams?name=${encodeURIComponent(it)}` }, it), mark: (row) => row.upstream },
    ]),
    consumers: of("Consumers", "Consumer", "No consumer has called a model yet.", []),
  };
}

export function mount(root, { signal, fail }) {
  const tiles = { calls: new Tile("Calls"), failing: new Tile("Failing"), output: new Tile("Tokens out"), input: new Tile("Tokens in"), cost: new Tile("Cost"), first: new Tile("First token, p95"), places: new Tile("Places held"), cooling: new Tile("Cooling down") };
  const used = new Chart("Tokens a second", { series: [{ label: "in", color: "line-a", fill: true }, { label: "out", color: "line-b", fill: true }], format: f.rate, note: "since this page was opened first" });
  const first = new Chart("Time to the first token", { series: [{ label: "p50", color: "line-a" }, { label: "p95", color: "line-c" }], format: f.duration, log: true });
  const charts = [used, first];
  const shown = tables();
  const page = h("div", { class: "grid" },
    h("section", { class: "tiles", "aria-label": "Now" }, Object.values(tiles).map((it) => it.element)),
    h("div", { class: "grid two" }, charts.map((it) => it.element)),
    panel("Models", { note: "now is the last minute; totals since the start of the process" }, shown.models.element),
    panel("Deployments", { note: "calls by who answered in the end" }, shown.deployments.element),
    panel("Consumers", { note: "the first metric_consumers who came; all others are “other”", actions: h("a", { href: "#/usage", class: "more" }, "All consumers") }, shown.consumers.element));
  const none = empty("No models", "A plugin with component = \"models\" serves many models behind one API. This configuration has none.", h("pre", { tabindex: 0 }, "[plugins.models]\ncomponent = \"models\""));

  const draw = () => {
    const now = looks.at(-1);
    const isEmpty = now.plugins === 0;
    const wanted = isEmpty ? none : page;
    if (root.firstChild !== wanted) root.replaceChildren(wanted);
    if (isEmpty) return;
    for (const [kind, table] of Object.entries(shown)) table.set(rows(kind));
    const points = looks.slice(1).map((_, index) => point(index + 1));
    const column = (key) => points.map((it) => it[key]);
    // One point makes no line.
    if (points.length > 1) {
      used.set(column("at"), [column("input"), column("output")]);
      first.set(column("at"), [column("p50"), column("p95")]);
    }
    const deployments = rows("deployments");
    const all = (of) => deployments.reduce((total, it) => total + (it.now ? of(it.now) : 0), 0);
    const calls = all((it) => it.calls);
    tiles.calls.set(deployments[0]?.now ? f.rate(calls) : f.NONE, "last minute");
    tiles.failing.set(calls ? f.percent(all((it) => it.failing) / calls) : f.NONE, "of calls", all((it) => it.failing) > calls * 0.05 ? "bad" : "");
    tiles.output.set(deployments[0]?.now ? f.rate(all((it) => it.output)) : f.NONE, "last minute");
    tiles.input.set(deployments[0]?.now ? f.rate(all((it) => it.input)) : f.NONE, "last minute");
    tiles.cost.set(deployments[0]?.now ? `${f.dollars(all((it) => it.cost) * 3600)}/h` : f.NONE, `${f.dollars(deployments.reduce((total, it) => total + it.cost_usd_nanos_total, 0))} in all`);
    tiles.first.set(f.duration(points.findLast((it) => it.p95 !== null)?.p95), "last seconds with a stream");
    const held = deployments.reduce((total, it) => total + it.slots.held, 0);
    const waiting = deployments.reduce((total, it) => total + it.slots.waiting, 0);
    tiles.places.set(f.count(held), `${f.count(waiting)} waiting`, waiting ? "warn" : "");
    const cooling = deployments.filter((it) => it.cool_down_seconds_left > 0).length;
    tiles.cooling.set(f.count(cooling), `of ${f.plural(deployments.length, "deployment")}`, cooling ? "warn" : "");
    for (const key of ["calls", "failing", "output", "input", "cost"]) tiles[key].trend(column(key));
    tiles.first.trend(column("p95"));
    tiles.places.trend(column("held"));
  };
  const again = async () => {
    const next = await look(signal);
    // Another process counts from the beginning, and after a pause there is no line to draw.
    if (looks.length && next.at - looks.at(-1).at > 60) looks.length = 0;
    looks.push(next);
    if (looks.length > LOOKS) looks.shift();
    draw();
  };
  again().catch(fail);
  live.live.addEventListener("points", () => again().catch(() => {}), { signal });
  return { destroy: () => charts.forEach((chart) => chart.destroy()) };
}
