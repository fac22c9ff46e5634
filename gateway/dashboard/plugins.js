// Plugins: instances, memory, time, failures, and each hook. Owns one card for each.

import { badge, empty, facts, h, panel } from "./dom.js";
import * as f from "./format.js";
import * as live from "./live.js";
import { costs } from "./overview.js";
import { all } from "./routes.js";
import { Table } from "./table.js";

const failed = (it) => Object.values(it.failures_total).reduce((sum, number) => sum + number, 0);
const named = (counts) => Object.entries(counts).filter(([, number]) => number > 0).map(([name, number]) => `${name} ${f.count(number)}`).join(", ");

export function mount(root, { signal, parameters, fail }) {
  const table = new Table({
    caption: "Plugins", key: (row) => row.name, sort: "cost", descending: true, none: "The configuration has no plugin.",
    filter: { label: "Filter by name or component", text: (row) => `${row.name} ${row.component}` },
    columns: [
      { key: "name", label: "Plugin", heading: true, value: (row) => row.name, show: (row) => h("a", { href: `#/plugins?name=${encodeURIComponent(row.name)}` }, row.name), mark: (row) => row.name },
      { key: "component", label: "Component", value: (row) => row.component, show: (row) => h("span", { class: "mono" }, row.component) },
      { key: "routes", label: "Routes", number: true, value: (row) => row.routes, show: (row, it) => f.count(it) },
      { key: "rate", label: "Calls now", number: true, value: (row) => row.now.rate, show: (row, it) => f.rate(it) },
      { key: "mean", label: "Mean", number: true, value: (row) => row.now.mean, show: (row, it) => f.duration(it) },
      { key: "cost", label: "Time per s", number: true, value: (row) => row.now.cost, show: (row, it) => f.duration(it) },
      { key: "live", label: "Instances", number: true, value: (row) => row.instances.live, show: (row, it) => f.count(it) },
      { key: "memory", label: "Memory bound", number: true, value: (row) => row.instances.memory_bytes_max, show: (row, it) => f.bytes(it) },
      { key: "answers", label: "Answered", number: true, value: (row) => row.answers_total, show: (row, it) => f.count(it) },
      { key: "reused", label: "Reused", number: true, value: (row) => row.changes_reused_total, show: (row, it) => f.count(it) },
      { key: "failures", label: "Failures", number: true, value: failed, show: (row, it) => (it ? h("span", { class: "bad-text" }, f.count(it)) : "0") },
    ],
  });
  const detail = h("div");
  let plugins = [];
  const draw = () => {
    const sums = new Map();
    for (const it of costs(10)) {
      const sum = sums.get(it.plugin) ?? { rate: 0, cost: 0 };
      sum.rate += it.rate;
      sum.cost += it.cost;
      sums.set(it.plugin, sum);
    }
    table.set(plugins.map((row) => {
      const now = sums.get(row.name) ?? { rate: 0, cost: 0 };
      return { ...row, now: { ...now, mean: now.rate ? now.cost / now.rate : null } };
    }));
  };
  const load = async () => {
    plugins = await all("plugins", "plugins", signal);
    draw();
    const wanted = plugins.find((it) => it.name === parameters.name);
    if (parameters.name) detail.replaceChildren(wanted ? card(wanted) : empty(`There is no plugin ${parameters.name}`, "A reload may have taken it away."));
  };
  root.append(detail, panel("Plugins", { note: "totals since the start of the process; now is the last 10 s" }, table.element));
  load().catch(fail);
  live.live.addEventListener("snapshot", () => plugins.length && draw(), { signal });
  live.live.addEventListener("points", () => load().catch(() => {}), { signal });
}

function card(it) {
  const rows = Object.entries(it.hooks).map(([hook, sums]) => h("tr", null, h("th", { scope: "row" }, hook),
    [f.count(sums.calls_total), f.duration(sums.calls_total ? sums.seconds_total / sums.calls_total : null), f.duration(sums.seconds_total)].map((text) => h("td", { class: "number" }, text))));
  const failures = named(it.failures_total);
  return panel(it.name, { class: "selected", note: it.first_party ? "part of the gateway" : it.component, actions: h("a", { class: "more", href: "#/plugins" }, "Close") },
    h("div", { class: "grid two" },
      facts([
        ["Line in the file", f.count(it.line)], ["Routes", f.count(it.routes)], ["Instances", `${f.count(it.instances.live)} live, ${f.count(it.instances.created_total)} made`],
        ["Memory", `${f.bytes(it.instances.memory_bytes_max)} at most (${f.bytes(it.limits.memory_bytes)} each)`], ["Bodies held", f.bytes(it.memory.held_body_bytes)], ["Series", `${f.count(it.memory.series)} (${f.bytes(it.memory.series_bytes)})`],
        ["Computing", f.duration(it.time.computing_seconds_total)], ["Waiting for a turn", f.duration(it.time.waiting_seconds_total)], ["Deadline", f.duration(it.limits.deadline_seconds)],
        ["Isolation", it.isolation], ["When it fails", it.on_error === "open" ? "the request goes on" : "the request is refused"], ["Own requests", named(it.upstream_requests_total)],
        ["Failures", failures ? badge(failures, "bad") : "none"], ["Log lines dropped", f.count(it.log_lines_dropped_total)]]),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Hooks" }, h("table", null, h("caption", { class: "hidden" }, `Hooks of ${it.name}`),
        h("thead", null, h("tr", null, ["Hook", "Calls", "Mean", "Time in all"].map((text, index) => h("th", { scope: "col", class: index ? "number" : null }, text)))),
        h("tbody", null, rows.length ? rows : h("tr", null, h("td", { colspan: 4 }, "No hook was called yet.")))))));
}
