// Upstreams and their targets. Owns the join of what is configured, what was tried since the start, and what
// is tried now.

import { badge, empty, h, panel } from "./dom.js";
import * as f from "./format.js";
import * as live from "./live.js";
import { all } from "./routes.js";
import { share } from "./overview.js";
import { Table } from "./table.js";

export function mount(root, { signal, parameters, fail }) {
  const table = new Table({
    caption: "Targets of upstreams", key: (row) => `${row.upstream} ${row.target}`, sort: "upstream", none: "The configuration has no upstream.",
    filter: { label: "Filter by upstream or target", text: (row) => `${row.upstream} ${row.target}` },
    columns: [
      { key: "upstream", label: "Upstream", heading: true, value: (row) => row.upstream },
      { key: "target", label: "Target", value: (row) => row.target, show: (row) => h("span", { class: "mono" }, row.target) },
      { key: "tls", label: "TLS", value: (row) => (row.tls ? "yes" : "no") },
      { key: "state", label: "State", value: (row) => row.health?.state ?? "up", show: (row) => state(row.health), mark: (row) => why(row.health) },
      { key: "weight", label: "Weight", number: true, value: (row) => row.weight },
      { key: "now", label: "Tries now", number: true, value: (row) => row.now?.rate ?? 0, show: (row, it) => f.rate(it) },
      { key: "failing", label: "Failing now", number: true, value: (row) => row.now?.failing, show: (row, it) => share(it), mark: (row) => f.percent(row.now?.failing) },
      { key: "answered", label: "Answered", number: true, value: (row) => row.attempts.answered ?? 0, show: (row, it) => f.count(it) },
      { key: "failed", label: "Failed", number: true, value: (row) => row.failed, show: (row, it) => (it ? h("span", { class: "bad-text" }, f.count(it)) : "0") },
      { key: "ejected", label: "Ejected", number: true, value: (row) => ejected(row), show: (row, it) => (it ? h("span", { class: "warn-text" }, f.count(it)) : "0") },
      { key: "retries", label: "Retries", number: true, value: (row) => row.retries_total, show: (row, it) => f.count(it) },
      { key: "opened", label: "Connections opened", number: true, value: (row) => row.connections_opened, show: (row, it) => f.count(it) },
      { key: "how", label: "How tries failed", wide: true, value: (row) => row.how },
    ],
  });
  const settings = h("div", { class: "cards" });
  let targets = [];
  const draw = () => {
    const now = rates(10);
    table.set(targets.map((row) => ({ ...row, now: now.get(`${row.upstream} ${row.target}`) })));
  };
  const load = async () => {
    const upstreams = await all("upstreams", "upstreams", signal);
    targets = upstreams.flatMap((upstream) => upstream.targets.map((target) => {
      const failed = Object.entries(target.attempts).filter(([how, number]) => how !== "answered" && number > 0);
      return { ...target, upstream: upstream.name, failed: failed.reduce((sum, [, number]) => sum + number, 0), how: failed.map(([how, number]) => `${how} ${f.count(number)}`).join(", ") || f.NONE };
    }));
    if (parameters.name && !table.wanted) {
      const input = root.querySelector("input[type=search]");
      input.value = parameters.name;
      input.dispatchEvent(new Event("input"));
    }
    settings.replaceChildren(...upstreams.slice(0, 60).map((it) => h("div", { class: "card" }, h("h3", null, it.name), h("p", { class: "note" }, `${it.protocol}, Host: ${it.host}, ${it.balance.replaceAll("_", " ")}`),
      h("p", { class: "note" }, `connect ${f.duration(it.timeouts.connect_seconds)}, first byte ${f.duration(it.timeouts.first_byte_seconds)}, idle ${f.duration(it.timeouts.idle_seconds)}`), ...budget(it))));
    if (!upstreams.length) settings.replaceChildren(empty("No upstream", "Routes of this configuration answer by themselves."));
    draw();
  };
  root.append(panel("Targets", { note: "totals since the start of the process; now is the last 10 s" }, table.element), panel("Settings", {}, settings));
  load().catch(fail);
  live.live.addEventListener("snapshot", draw, { signal });
  live.live.addEventListener("points", () => load().catch(() => {}), { signal });
}

const ejected = (row) => Object.values(row.health?.ejections ?? {}).reduce((sum, it) => sum + it, 0);

/** Why a target takes no requests, in words. */
function why(health) {
  if (!health || health.state === "up") return "";
  if (health.state === "drained") return "by hand";
  if (health.state === "down") return health.check_error ?? "checks fail";
  return `${(health.reason ?? "").replaceAll("_", " ")}, ${f.duration(Math.ceil(health.seconds_left ?? 0))} left`;
}

function state(health) {
  const text = health?.state ?? "up";
  const tone = { up: "good", drained: "info" }[text] ?? "bad";
  return h("span", null, badge(text, tone), " ", h("span", { class: "note" }, why(health)));
}

/** The retry budget, and who waits for a place. */
function budget({ load: it, retry_budget: of, capacity }) {
  const refused = Object.entries(it.retries_refused_total).filter(([, count]) => count > 0).map(([reason, count]) => `${reason} ${f.count(count)}`).join(", ");
  const line = (...what) => h("p", { class: "note" }, ...what);
  const lines = [line(`Retry budget ${f.percent(of.share)} `, it.retry_budget_spent ? badge("spent", "bad") : badge("not spent", "good"))];
  if (refused) lines.push(line(`Not sent again: ${refused}`));
  if (capacity) {
    const places = it.requests ?? { open: 0, waiting: 0, shed_total: {} };
    const shed = Object.values(places.shed_total).reduce((sum, count) => sum + count, 0);
    lines.push(line(`${f.count(places.open)} of ${f.count(capacity.requests)} requests, ${f.count(places.waiting)} waiting, ${f.count(shed)} shed`));
  }
  return lines;
}

/** Tries in a second, and the share of them that failed, of each target. */
function rates(seconds) {
  const end = live.last()?.at ?? 0;
  const shown = live.snapshots.filter((it) => it.at > end - seconds);
  const took = shown.reduce((sum, it) => sum + it.interval_seconds, 0);
  const sums = new Map();
  for (const snapshot of shown) {
    for (const it of snapshot.targets) {
      const sum = sums.get(`${it.upstream} ${it.target}`) ?? { answered: 0, failed: 0 };
      sum.answered += it.answered_per_second * snapshot.interval_seconds;
      sum.failed += it.failed_per_second * snapshot.interval_seconds;
      sums.set(`${it.upstream} ${it.target}`, sum);
    }
  }
  return new Map([...sums].map(([key, { answered, failed }]) => [key, { rate: (answered + failed) / took, failing: failed / (answered + failed) }]));
}
