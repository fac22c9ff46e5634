// One request: what happened, in a sentence and as a waterfall. Owns the order and the scale of its lines.

import { get } from "./api.js";
import { badge, facts, h, panel, prose, tone } from "./dom.js";
import * as f from "./format.js";
import { routeLink } from "./overview.js";

export function mount(root, { signal, detail: id, fail }) {
  root.append(h("p", { class: "crumb" }, h("a", { href: "#/requests" }, "Requests"), " / ", h("span", { class: "mono" }, id)));
  get(`requests/${encodeURIComponent(id)}`, signal).then((it) => show(root, it)).catch(fail);
}

function show(root, it) {
  const title = document.getElementById("title");
  title.textContent = `${it.method} ${it.target}`;
  document.title = `${it.method} ${it.target} · Gateway`;
  root.append(
    h("section", { class: `verdict ${tone(it.status)}` }, badge(it.status ?? "none", tone(it.status)),
      h("p", { class: "sentence" }, prose(it.explanation)), h("p", { class: "took" }, f.nanos(it.duration_ns))),
    panel("Waterfall", { note: "from the head of the request to the last byte of the response" }, waterfall(it)),
    h("div", { class: "grid two" },
      panel("Request", {}, facts([
        ["Time", h("time", { datetime: it.time }, `${it.time.slice(0, 10)} ${f.precise(it.time)}`)], ["Id", h("span", { class: "mono" }, it.id)], ["Trace", it.trace_id ? h("span", { class: "mono" }, it.trace_id) : null],
        ["Client", it.client], ["Listener", it.listener], ["Version", it.version], ["Host", it.host], ["Target", h("span", { class: "mono" }, it.target)], ["Matched path", it.matched_path],
        ["Consumer", it.consumer], ["Body", f.bytes(it.request_bytes)], ["Worker", String(it.worker)]])),
      panel("Response", {}, facts([
        ["Status", it.status === null ? "none" : String(it.status)], ["Answered by", it.answered_by], ["Outcome", it.outcome], ["Fault", it.error?.fault], ["Cause", it.error?.cause],
        ["Head after", f.nanos(it.head_at_ns)], ["First event after", it.first_event_at_ns === null ? null : f.nanos(it.first_event_at_ns)], ["Body", f.bytes(it.response_bytes)], ["Kept as", it.kept]]))),
    panel("Why this route", {}, why(it)));
}

/** What happened, in the order of time: `{at, took, name, what, kind, parts}`, in nanoseconds. */
function events(it) {
  const found = it.hooks.map((hook) => ({
    at: hook.at_ns, took: hook.took_ns, kind: hook.decision === "next" ? "plugin" : "decided", name: hook.plugin, what: hook.hook,
    note: [hook.calls > 1 ? `${hook.calls} calls` : null, hook.how === "called" ? null : hook.how, hook.decision === "next" ? null : `${hook.decision}${hook.status ? ` ${hook.status}` : ""}${hook.failure ? ` (${hook.failure})` : ""}${hook.reason ? `: ${hook.reason}` : ""}`,
      hook.queue_ns ? `${f.nanos(hook.queue_ns)} waiting for its turn` : null, hook.instance_ns ? `${f.nanos(hook.instance_ns)} for an instance` : null, hook.changes.length ? `changes ${hook.changes.join(", ")}` : null].filter(Boolean).join(", "),
  }));
  for (const line of it.log ?? []) found.push({ at: line.at_ns, took: 0, kind: line.level === "warn" || line.level === "error" ? "decided" : "plugin", name: line.plugin, what: `wrote (${line.level})`, note: line.text });
  if (it.running) found.push({ at: it.running.at_ns, took: it.duration_ns - it.running.at_ns, kind: "decided", name: it.running.plugin, what: it.running.hook, note: "had not returned" });
  const up = it.upstream;
  if (up) {
    for (const attempt of up.attempts) {
      if (attempt.connect_ns) found.push({ at: attempt.at_ns, took: attempt.connect_ns, kind: "connect", name: attempt.target, what: "connect", note: "a new connection" });
      const begin = attempt.at_ns + (attempt.connect_ns ?? 0);
      const end = attempt.ended_at_ns ?? up.head_at_ns ?? it.duration_ns;
      found.push({ at: begin, took: Math.max(0, end - begin), kind: attempt.result === "answered" ? "upstream" : "decided", name: attempt.target, what: attempt.result === "answered" ? "waiting for the head" : attempt.result, note: attempt.connection ? `${attempt.connection} connection` : "no connection" });
    }
    if (!up.attempts.length) found.push({ at: up.sent_at_ns, took: (up.head_at_ns ?? it.duration_ns) - up.sent_at_ns, kind: "upstream", name: up.name, what: up.kind, note: "" });
  }
  if (it.head_at_ns !== null) found.push({ at: it.head_at_ns, took: Math.max(0, it.duration_ns - it.head_at_ns), kind: "body", name: "response", what: "body to the client", note: f.bytes(it.response_bytes) });
  return found.sort((one, other) => one.at - other.at);
}

function waterfall(it) {
  const all = Math.max(it.duration_ns, 1);
  const share = (value) => `${Math.min(100, Math.max(0, (value / all) * 100))}%`;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((at) => h("span", { vars: { "--at": `${at * 100}%` } }, f.nanos(all * at)));
  const rows = events(it).map((event) => h("tr", null,
    h("th", { scope: "row" }, h("span", { class: "event-name" }, event.name), h("span", { class: "muted" }, event.what)),
    h("td", { class: "track" }, h("span", { class: `span ${event.kind}`, "aria-hidden": "true", vars: { "--at": share(event.at), "--took": share(event.took) } })),
    h("td", { class: "number" }, f.nanos(event.at)), h("td", { class: "number" }, f.nanos(event.took)), h("td", { class: "wide muted" }, event.note)));
  const kinds = [["plugin", "plugin"], ["decided", "answered or failed"], ["connect", "connecting"], ["upstream", "upstream"], ["body", "body"]];
  return h("div", null,
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Waterfall" }, h("table", { class: "waterfall" }, h("caption", { class: "hidden" }, "What happened, in the order of time"),
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Event"), h("th", { scope: "col", class: "ticks" }, h("span", { class: "hidden" }, "Where it lies in the whole"), h("span", { class: "scale", "aria-hidden": "true" }, ticks)),
        h("th", { scope: "col", class: "number" }, "Began"), h("th", { scope: "col", class: "number" }, "Took"), h("th", { scope: "col" }, "What it did"))),
      h("tbody", null, rows))),
    h("ul", { class: "legend" }, kinds.map(([kind, text]) => h("li", null, h("span", { class: `swatch span-${kind}`, "aria-hidden": "true" }), text))),
    it.hooks_omitted ? h("p", { class: "note" }, `${f.plural(it.hooks_omitted, "hook")} more had no place in the record.`) : null);
}

function why(it) {
  const words = { "passed-over": "comes first, but wants", "less-specific": "matches too, and comes later", differs: "does not match:" };
  const others = (it.other_routes ?? []).map((other) => h("li", null, routeLink(other.route), h("span", { class: "muted" }, ` ${words[other.why] ?? other.why} ${other.wants.join(", ")}`)));
  const route = it.route;
  const first = route ? facts([["Route", routeLink(route.name)], ["Pattern", h("span", { class: "mono" }, `${route.host ?? ""}${route.pattern}`)], ["Written at", route.place ? h("span", { class: "mono" }, route.place) : null], ["Wants", route.wants.join(", ")]]) : h("p", null, "No route takes this request.");
  return h("div", null, first, others.length ? h("div", null, h("h3", null, "Other routes that come near"), h("ul", { class: "plain" }, others)) : null);
}
