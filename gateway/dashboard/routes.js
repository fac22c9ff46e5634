// All routes. Owns the table of what the configuration has and what passes.

import { get } from "./api.js";
import { h, panel } from "./dom.js";
import * as f from "./format.js";
import * as live from "./live.js";
import { routeLink, share } from "./overview.js";
import { Table } from "./table.js";

/** All elements of a list that comes in pages. */
export async function all(path, member, signal) {
  const found = [];
  for (;;) {
    const page = await get(`${path}?limit=1000&offset=${found.length}`, signal);
    found.push(...page[member]);
    if (found.length >= page.total || page[member].length === 0) return found;
  }
}

/** What a route does, in words. */
export function action(it) {
  if (it.kind === "upstream") return h("a", { href: `#/upstreams?name=${encodeURIComponent(it.name)}` }, it.name);
  if (it.kind === "component") return `component ${it.name}`;
  if (it.kind === "split") return `split ${it.variants.map((one) => `${one.name} ${one.weight}`).join(", ")}`;
  return `${it.kind} ${it.status}`;
}

export function mount(root, { signal, fail }) {
  const table = new Table({
    caption: "Routes", key: (row) => row.name, sort: "rate", descending: true, none: "The configuration has no route: add `[[routes]]` to it.",
    filter: { label: "Filter by name, path, host, plugin", text: (row) => [row.name, ...row.paths, ...row.hosts, ...row.plugins, row.action.name ?? row.action.kind].join(" ") },
    columns: [
      { key: "name", label: "Route", heading: true, value: (row) => row.name, show: (row) => routeLink(row.name) },
      { key: "paths", label: "Matches", wide: true, value: (row) => row.paths.join(" "), mark: (row) => row.paths.join() + row.hosts.join() + row.methods.join(),
        show: (row) => h("span", { class: "mono" }, row.methods.length ? `${row.methods.join(", ")} ` : "", row.hosts.length ? row.hosts.join(", ") : "", row.paths.join(", ")) },
      { key: "plugins", label: "Plugins", value: (row) => row.plugins.length, show: (row) => row.plugins.join(" → ") || f.NONE },
      { key: "action", label: "Goes to", value: (row) => row.action.name ?? row.action.kind, show: (row) => action(row.action) },
      { key: "rate", label: "Requests", number: true, value: (row) => row.now?.rate ?? 0, show: (row, it) => f.rate(it) },
      { key: "refused", label: "4xx", number: true, value: (row) => row.now?.refused, show: (row, it) => f.percent(it) },
      { key: "errors", label: "Errors", number: true, value: (row) => row.now?.errors, show: (row, it) => share(it), mark: (row) => f.percent(row.now?.errors) },
      { key: "p50", label: "p50", number: true, value: (row) => row.now?.p50, show: (row, it) => f.duration(it) },
      { key: "p95", label: "p95", number: true, value: (row) => row.now?.p95, show: (row, it) => f.duration(it) },
      { key: "p99", label: "p99", number: true, value: (row) => row.now?.p99, show: (row, it) => f.duration(it) },
    ],
  });
  let routes = [];
  const draw = () => {
    const now = live.recentRoutes(60);
    table.set(routes.map((route) => ({ ...route, now: now.get(route.name) })));
  };
  root.append(panel("Routes", { note: "numbers of the last minute, of the 100 busiest routes; errors are 5xx and requests without an answer" }, table.element));
  all("routes", "routes", signal).then((found) => { routes = found; draw(); }).catch(fail);
  live.live.addEventListener("snapshot", () => routes.length && draw(), { signal });
}
