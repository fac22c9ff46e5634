// Who used how much. Owns the question, which is in the address, its table, and the same as CSV.

import { get, query } from "./api.js";
import { empty, h, panel } from "./dom.js";
import * as f from "./format.js";
import { Table } from "./table.js";

const BY = [["consumer", "consumer"], ["route", "route"], ["consumer,route", "consumer and route"], ["consumer,status", "consumer and status"], ["upstream", "upstream"], ["day,consumer", "day and consumer"], ["hour,consumer", "hour and consumer"], ["day", "day"], ["hour", "hour"], ["month", "month"], ["month,consumer", "month and consumer"]];
const TEXTS = ["minute", "hour", "day", "month", "consumer", "route", "status", "upstream"];
const UNITS = { request_bytes: f.bytes, response_bytes: f.bytes, duration_ms: (it) => f.duration(it / 1000) };
const LABELS = { requests: "Requests", request_bytes: "Request bytes", response_bytes: "Response bytes", duration_ms: "Time" };

export function mount(root, { signal, parameters }) {
  const by = parameters.by ?? "consumer";
  const choices = BY.some(([it]) => it === by) ? BY : [...BY, [by, by]];
  const date = (name, label) => h("label", { class: "field" }, h("span", null, label), h("input", { type: "date", name, value: parameters[name] ?? "" }));
  const save = h("button", { type: "button", class: "button", disabled: true }, "Download CSV");
  const form = h("form", { class: "toolbar" },
    h("label", { class: "field" }, h("span", null, "By"), h("select", { name: "by" }, choices.map(([value, text]) => h("option", { value, selected: value === by }, text)))),
    date("from", "From (UTC)"), date("to", "Until, exclusive"), h("button", { class: "button primary" }, "Show"), save);
  const found = h("div");
  root.append(panel("Usage", { note: "as it is stored, some seconds late" }, form, found));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const next = `#/${query("usage", Object.fromEntries(new FormData(form)))}`;
    if (next === location.hash) dispatchEvent(new Event("hashchange"));
    else location.hash = next;
  });
  get(query("usage", { by, from: parameters.from, to: parameters.to }), signal).then((report) => {
    const columns = ["requests", "request_bytes", "response_bytes", "duration_ms", ...report.counters];
    found.replaceChildren(report.rows.length ? show(report, columns) : empty("Nothing was used in this time", "Rows are written every few seconds. Choose an earlier day, or send a request."));
    save.disabled = !report.rows.length;
    save.addEventListener("click", () => download(csv(report.rows, [...report.by, ...columns]), `usage-by-${report.by.join("-")}.csv`));
  }).catch((error) => {
    if (signal.aborted) return;
    const isOff = error.status === 404;
    found.replaceChildren(isOff
      ? empty("Usage is not recorded", "Add this to the configuration and reload it; the page has numbers a few seconds after the next request.", h("pre", { tabindex: 0 }, "[usage]\nstore = \"usage.db\""), h("p", null, "The attribute consumer.id, which the plugin auth sets, says who a request is counted for."))
      : empty("The question was not answered", error.detail ?? error.message));
  });
}

function show(report, columns) {
  const total = (name) => report.rows.reduce((sum, row) => sum + (row[name] ?? 0), 0);
  const most = Math.max(...report.rows.map((row) => row.requests), 1);
  const text = (name) => ({ key: name, label: name[0].toUpperCase() + name.slice(1), heading: name === report.by[0], value: (row) => row[name], show: (row, it) => it || h("span", { class: "muted" }, "none"), mark: (row) => row[name] });
  const number = (name) => ({ key: name, label: LABELS[name] ?? name, number: true, value: (row) => row[name] ?? 0, show: (row, it) => (UNITS[name] ?? f.count)(it) });
  const bar = { key: "bar", label: "Share", sort: false, value: (row) => row.requests, mark: (row) => String(row.requests),
    show: (row) => h("span", { class: "meter info", "aria-hidden": "true" }, h("i", { vars: { "--share": `${(row.requests / most) * 100}%` } })) };
  const table = new Table({
    caption: "Usage", key: (row) => report.by.map((name) => row[name]).join("\0"), none: "",
    sort: TEXTS.slice(0, 4).includes(report.by[0]) ? null : "requests", descending: true,
    filter: { label: "Filter", text: (row) => report.by.map((name) => row[name]).join(" ") },
    columns: [...report.by.map(text), number("requests"), bar, ...columns.slice(1).map(number)],
  });
  table.set(report.rows);
  const sums = h("p", { class: "note sums" }, columns.map((name) => `${LABELS[name] ?? name} ${(UNITS[name] ?? f.count)(total(name))}`).join("  ·  "));
  return h("div", null, sums, table.element);
}

/** RFC 4180; a text that a spreadsheet would take for a formula is quoted as one that it does not. */
function csv(rows, columns) {
  const cell = (value) => {
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value ?? "");
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows.map((row) => columns.map((name) => row[name]))].map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
}

function download(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
