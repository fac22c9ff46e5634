// One route: its traffic, its chain and what each plugin in it costs. Owns the join of both.

import { get } from "./api.js";
import { badge, empty, facts, h, panel, tone } from "./dom.js";
import * as f from "./format.js";
import * as live from "./live.js";
import { Tile, trafficCharts } from "./overview.js";
import { list } from "./requests.js";
import { action } from "./routes.js";

export function mount(root, { signal, detail: name, fail }) {
  const tiles = { rate: new Tile("Requests"), errors: new Tile("Errors"), refused: new Tile("4xx"), p50: new Tile("Latency, median"), p95: new Tile("Latency, p95"), p99: new Tile("Latency, p99"), flight: new Tile("In flight"), total: new Tile("Since the start") };
  const charts = trafficCharts(null);
  const about = h("div");
  const chain = h("div");
  const statuses = h("div");
  const requests = h("div");
  const variants = h("div");
  const copies = h("div");
  root.append(
    h("p", { class: "crumb" }, h("a", { href: "#/routes" }, "Routes"), " / ", h("span", null, name)),
    h("section", { class: "tiles", "aria-label": "Now" }, Object.values(tiles).map((it) => it.element)),
    panel("Chain", { note: "in the order of the request; the response runs back" }, chain),
    h("div", { class: "grid two" }, charts.all.map((it) => it.element), panel("Statuses", { note: "since the start of the process" }, statuses)),
    variants, copies,
    panel("Route", {}, about),
    panel("Recorded requests", { note: "failed, slow and refused ones, and a sample", actions: h("a", { class: "more", href: `#/requests?route=${encodeURIComponent(name)}` }, "All of this route") }, requests));
  const path = encodeURIComponent(name);
  let history = null;

  const load = async () => {
    const route = await get(`routes/${path}`, signal);
    const links = (names) => names.join(", ");
    about.replaceChildren(facts([
      ["Line in the file", f.count(route.line)], ["Listeners", links(route.listeners)], ["Hosts", links(route.hosts) || "any"], ["Paths", h("span", { class: "mono" }, links(route.paths))],
      ["Methods", links(route.methods) || "any"], ["Fields", wants(route.headers)], ["Parameters", wants(route.query)], ["Goes to", action(route.action)],
      ["Sent again", route.retries ? resends(route.retries) : null], ["Copies", route.mirror ? h("span", null, `${f.percent(route.mirror.ratio)} to `, upstream(route.mirror.upstream)) : null],
      ["Body limit", route.body_size_bytes === null ? null : f.bytes(route.body_size_bytes)], ["Time limit", route.request_timeout_seconds === null ? null : f.duration(route.request_timeout_seconds)],
    ]));
    totals(route.traffic);
    const it = await get(`routes/${path}/chain`, signal);
    chain.replaceChildren(showChain(it, route));
  };
  const totals = (traffic) => {
    tiles.total.set(f.count(traffic?.requests ?? 0), traffic?.duration_seconds.count ? `mean ${f.duration(traffic.duration_seconds.sum / traffic.duration_seconds.count)}` : "no request yet");
    variants.replaceChildren(...(Object.keys(traffic?.variants ?? {}).length ? [compare(traffic)] : []));
    copies.replaceChildren(...(traffic?.mirror ? [mirror(traffic.mirror)] : []));
    statuses.replaceChildren(traffic ? bars(traffic) : empty("No request yet", "As soon as a request takes this route, its numbers are here."));
  };
  const points = async () => {
    try {
      history = await live.merge(history, "traffic", { route: name }, signal);
      charts.set(history);
      tiles.rate.trend(history.points.requests_per_second);
      for (const share of ["p50", "p95", "p99"]) tiles[share].trend(history.points.duration_seconds[share]);
      const { requests: found } = await get(`requests?limit=10&route=${path}`, signal);
      requests.replaceChildren(list(found, { route: false }));
      totals((await get(`routes/${path}`, signal)).traffic);
    } catch (error) {
      if (error.status === 404) fail(error);
    }
  };
  const snapshot = () => {
    const of = (it) => it.routes.find((route) => route.name === name);
    if (!live.last()) return;
    const [ten, minute] = [live.recent(10, of), live.recent(60, of)];
    tiles.rate.set(f.rate(ten.rate), "last 10 s");
    tiles.errors.set(f.percent(minute.errors), "5xx, last minute", minute.errors > 0.05 ? "bad" : "");
    tiles.refused.set(f.percent(minute.refused), "last minute");
    for (const share of ["p50", "p95", "p99"]) tiles[share].set(f.duration(minute[share]), "last minute");
    tiles.flight.set(f.count(minute.in_flight), "now");
  };
  load().catch(fail);
  points();
  snapshot();
  live.live.addEventListener("points", points, { signal });
  live.live.addEventListener("snapshot", snapshot, { signal });
  return { destroy: () => charts.all.forEach((chart) => chart.destroy()) };
}

const wants = (values) => Object.entries(values).map(([name, value]) => `${name}: ${value}`).join(", ");

function bars(traffic) {
  const all = Math.max(traffic.requests, 1);
  const rows = Object.entries(traffic.statuses).map(([status, number]) => {
    const kind = status === "none" ? "none" : tone(Number(status[0]) * 100);
    return h("li", null, badge(status, kind), h("span", { class: `meter ${kind}`, "aria-hidden": "true" }, h("i", { vars: { "--share": `${(number / all) * 100}%` } })),
      h("span", { class: "number" }, f.count(number)), h("span", { class: "number muted" }, f.percent(number / all)));
  });
  const failed = Object.entries(traffic.failed).filter(([, number]) => number > 0).map(([fault, number]) => `${fault} ${f.count(number)}`).join(", ");
  return h("div", null, h("ul", { class: "bars" }, rows), failed ? h("p", { class: "note" }, `Failed by fault: ${failed}`) : null);
}

const upstream = (name) => h("a", { href: `#/upstreams?name=${encodeURIComponent(name)}` }, name);
const resends = (it) => `up to ${it.attempts} times, on ${[...it.on, ...it.statuses].join(", ")}${it.hedge_after_seconds === null ? "" : `; to a second target after ${f.duration(it.hedge_after_seconds)}`}`;

/** A table in a panel; `rows` begin with their heading. */
function small(title, note, heads, rows) {
  return panel(title, { note }, h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, h("table", null, h("caption", { class: "hidden" }, title),
    h("thead", null, h("tr", null, heads.map((text, index) => h("th", { scope: "col", class: index ? "number" : null }, text)))),
    h("tbody", null, rows.map(([name, ...cells]) => h("tr", null, h("th", { scope: "row" }, name), cells.map((text) => h("td", { class: "number" }, text))))))));
}

function compare(traffic) {
  const rows = Object.entries(traffic.variants).map(([name, it]) => {
    const bad = Object.entries(it.statuses).filter(([status]) => status.startsWith("5") || status === "none").reduce((sum, [, count]) => sum + count, 0);
    return [name, f.count(it.requests), f.percent(traffic.requests ? it.requests / traffic.requests : null), f.percent(it.requests ? bad / it.requests : null), f.duration(it.duration_seconds.count ? it.duration_seconds.sum / it.duration_seconds.count : null)];
  });
  return small("Variants", "since the start of the process; by the variant that a request was for", ["Variant", "Requests", "Share", "Errors", "Mean time"], rows);
}

function mirror(it) {
  const both = it.results.same + it.results.different;
  const { request, copy } = it.response_seconds;
  return small(`Copies to ${it.upstream}`, both ? `to the head of the response: ${f.duration(request / both)} on average, its copy ${f.duration(copy / both)}` : "since the start of the process",
    ["Became of it", "Copies"], Object.entries(it.results).map(([result, count]) => [{ same: "the same status", different: "another status", failed: "no response", timeout: "no response in time", skipped: "not sent" }[result] ?? result, f.count(count)]));
}

/** The plugins as steps, each with the cost of its hooks. */
function showChain(it, route) {
  const end = h("li", { class: "step end" }, h("div", { class: "step-head" }, h("strong", null, { upstream: "Upstream", component: "Component", respond: "Fixed answer", redirect: "Redirect" }[route.action.kind]), h("span", null, action(route.action))));
  const steps = it.plugins.map((plugin) => h("li", { class: "step" },
    h("div", { class: "step-head" }, h("strong", null, h("a", { href: `#/plugins?name=${encodeURIComponent(plugin.plugin)}` }, plugin.plugin)),
      h("span", { class: "mono muted" }, plugin.component), h("span", { class: "mono muted place" }, `${plugin.put_at.file.split("/").at(-1)}:${plugin.put_at.line}`)),
    plugin.hooks.length ? hooks(plugin) : h("p", { class: "note" }, "None of its hooks was called yet.")));
  const basis = it.records ? `“This route” is read from ${f.plural(it.records, "recorded request")}${it.records_kept === "all" ? ", of which most were kept because they failed, were slow or refused" : " of the sample (it has none that failed, was slow or refused)"}; “all” from every call since the start.` : "No request of this route is recorded yet, so costs are those of all routes.";
  return h("div", null, h("ol", { class: "chain" }, steps, end), it.plugins.length ? h("p", { class: "note" }, basis) : h("p", { class: "note" }, "No plugins: requests go straight on."));
}

function hooks(plugin) {
  const cell = (text) => h("td", { class: "number" }, text);
  // A change that is made again costs no call.
  const time = (seconds) => (seconds === 0 ? h("span", { class: "muted" }, "no call") : f.duration(seconds));
  const rows = plugin.hooks.map(({ hook, this_route: here, all_routes: all }) => h("tr", null, h("th", { scope: "row" }, hook),
    cell(here ? f.percent(here.called / here.records) : f.NONE), cell(time(here?.p50)), cell(time(here?.p99)), cell(f.count(all?.calls_total)), cell(f.duration(all?.p50)), cell(f.duration(all?.p99))));
  const head = (text) => h("th", { scope: "col", class: "number" }, text);
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Hooks of ${plugin.plugin}` },
    h("table", { class: "tight" }, h("caption", { class: "hidden" }, `What the hooks of ${plugin.plugin} cost`),
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Hook"), head("This route: called"), head("p50"), head("p99"), head(plugin.routes > 1 ? `All ${plugin.routes} routes: calls` : "All calls"), head("p50"), head("p99"))), h("tbody", null, rows)));
}
