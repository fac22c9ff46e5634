// Experiments: which variant has how many units against the plan, what became of its requests, and whether that is sure. Owns
// the look at them every few seconds. Intervals come from the gateway.

import { get } from "./api.js";
import { badge, empty, facts, h, panel } from "./dom.js";
import * as f from "./format.js";
import * as live from "./live.js";
import { Table } from "./table.js";

const TONES = { running: "good", ramping: "info", planned: "none", over: "none", disabled: "none" };
const points = (it) => `${it > 0 ? "+" : ""}${(it * 100).toFixed(2)}`;
const amount = (it) => (Math.abs(it) >= 100 || Number.isInteger(it) ? f.count(it) : it.toFixed(2));
const signed = (show) => (it) => (it < 0 ? `−${show(-it)}` : `+${show(it)}`);

/** A value with its interval of 95 %. */
function interval(of, show) {
  return of ? `${show(of.value)} (${show(of.low)} to ${show(of.high)})` : f.NONE;
}

/** A difference to the control: coloured where nothing is not within its interval. More is worse. */
function difference(of, show) {
  if (!of) return f.NONE;
  const tone = of.low > 0 ? "bad-text" : null;
  const isSure = of.low > 0 || of.high < 0;
  return h("span", { class: tone }, `${interval(of, show)}${isSure ? ", sure" : ""}`);
}

const cell = (key, label, value, show) => ({ key, label, number: true, value: (row) => value(row)?.value ?? value(row), show, mark: (row) => JSON.stringify(value(row) ?? null) });
const RESULTS = [
  cell("requests", "Requests", (row) => row.requests_total, (row) => f.count(row.requests_total)),
  cell("errors", "Errors", (row) => row.error_rate, (row) => interval(row.error_rate, f.percent)),
  cell("errors-difference", "In points, to the control", (row) => row.error_rate_difference, (row) => difference(row.error_rate_difference, points)),
  cell("mean", "Mean time", (row) => row.duration_seconds.mean, (row) => interval(row.duration_seconds.mean, f.duration)),
  cell("mean-difference", "To the control", (row) => row.duration_seconds.difference, (row) => difference(row.duration_seconds.difference, signed(f.duration))),
  ...["p50", "p95", "p99"].map((it) => cell(it, it, (row) => row.duration_seconds[it], (row) => f.duration(row.duration_seconds[it]))),
];

function variants(name) {
  return new Table({
    caption: `Variants of ${name}`, key: (row) => row.name, none: "No variant is configured.",
    columns: [
      { key: "name", label: "Variant", heading: true, value: (row) => row.name },
      { key: "state", label: "State", value: (row) => row.state, show: (row) => (row.state ? badge(row.state, row.is_out ? "bad" : "info") : ""), mark: (row) => row.state },
      cell("planned", "Planned", (row) => row.planned, (row) => f.percent(row.planned)),
      cell("units", "Units", (row) => row.units, (row) => f.count(row.units)),
      cell("share", "Their share", (row) => row.units_share, (row) => interval(row.units_share, f.percent)),
      ...RESULTS,
    ],
  });
}

function usage(name) {
  return new Table({
    caption: `Usage of ${name}`, key: (row) => row.key, none: "No plugin behind has added to usage.",
    columns: [
      { key: "counter", label: "Counter", heading: true, value: (row) => row.counter },
      { key: "variant", label: "Variant", value: (row) => row.variant },
      cell("total", "Total", (row) => row.total, (row) => amount(row.total)),
      cell("mean", "Of a request", (row) => row.mean, (row) => interval(row.mean, amount)),
      cell("difference", "To the control", (row) => row.difference, (row) => (row.difference ? interval(row.difference, signed(amount)) : f.NONE)),
    ],
  });
}

function holdout() {
  return new Table({
    caption: "Held out", key: (row) => row.name, none: "Nothing is held out.",
    columns: [{ key: "name", label: "Units", heading: true, value: (row) => row.name }, ...RESULTS],
  });
}

const percent = (share) => f.percent(share / 100);

function ratio({ units, p_value: probability, is_mismatch: isMismatch }) {
  if (units === null) return "units are not counted: exposures is not set";
  if (probability === null) return `${f.plural(units, "unit")}: nothing to say`;
  const told = probability < 0.001 ? probability.toExponential(1) : probability.toFixed(3);
  return isMismatch ? badge(`not as planned, p = ${told}: do not read the result`, "bad") : badge(`as planned, p = ${told}`, "good");
}

function rail({ guardrail, control }) {
  if (!guardrail) return null;
  const bounds = [guardrail.errors === null ? null : `${guardrail.errors} % more errors`, guardrail.slow === null ? null : `${guardrail.slow} % more over ${guardrail.slower_than}`];
  return `${bounds.filter(Boolean).join(", ")} than ${control}`;
}

/** One experiment. What does not change is made once. */
class Experiment {
  constructor(of) {
    this.told = h("div");
    this.variants = variants(of.name);
    this.usage = usage(of.name);
    this.used = h("div", { hidden: true }, this.usage.element);
    this.element = panel(of.name, { note: "intervals of 95 %; since the start of the process" }, this.told, this.variants.element, this.used);
    this.shown = "";
  }

  set(of) {
    const text = JSON.stringify([of.state, of.share_now, of.sample_ratio]);
    if (text !== this.shown) {
      this.shown = text;
      this.told.replaceChildren(facts([
        ["State", badge(of.state, TONES[of.state])], ["Take part now", `${percent(of.share_now)} of the audience`], ["Assignment", ratio(of.sample_ratio)],
        ["Audience", of.audience], ["Layer", of.layer ? `${of.layer}, ${of.range.map((it) => `${it} %`).join(" to ")}` : null], ["From", of.from], ["Until", of.to],
        ["Ramp", of.ramp], ["Guard rail", rail(of)],
      ]));
    }
    const state = (it) => (it.is_out ? "taken out" : it.name === of.control ? "control" : "");
    this.variants.set(of.variants.map((it) => ({ ...it, state: state(it) })));
    const used = of.variants.flatMap((it) => Object.entries(it.usage).map(([counter, numbers]) => ({ key: `${counter}\0${it.name}`, counter, variant: it.name, ...numbers })));
    this.used.hidden = used.length === 0;
    this.usage.set(used.sort((one, other) => one.key.localeCompare(other.key)));
  }
}

export function mount(root, { signal, fail }) {
  const page = h("div", { class: "grid" });
  const none = empty("No experiments", "A plugin with component = \"experiments\" says who has which variant. This configuration has none.", h("pre", { tabindex: 0 }, "[plugins.experiments]\ncomponent = \"experiments\""));
  const known = new Map();
  const of = (key, make) => {
    if (!known.has(key)) known.set(key, make());
    return known.get(key);
  };
  const again = async () => {
    const { plugins } = await get("experiments", signal);
    const wanted = plugins.length ? page : none;
    if (root.firstChild !== wanted) root.replaceChildren(wanted);
    const panels = [];
    for (const plugin of plugins) {
      for (const experiment of plugin.experiments) {
        const shown = of(`${plugin.plugin}\0${experiment.name}`, () => new Experiment(experiment));
        shown.set(experiment);
        panels.push(shown.element);
      }
      if (plugin.holdout) {
        const shown = of(plugin.plugin, () => {
          const table = holdout();
          return { table, element: panel("Holdout", { note: `${percent(plugin.holdout.share)} of the units of ${plugin.plugin} take part in nothing` }, table.element) };
        });
        shown.table.set([["all others", plugin.holdout.others], ["held out", plugin.holdout.held_out]].map(([name, results]) => ({ name, ...results })));
        panels.push(shown.element);
      }
    }
    if (panels.length !== page.children.length || panels.some((it, index) => it !== page.children[index])) page.replaceChildren(...panels);
  };
  again().catch(fail);
  live.live.addEventListener("points", () => again().catch(() => {}), { signal });
  return {};
}
