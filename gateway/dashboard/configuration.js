// The configuration in force. Owns what is shown of it, of the file on disk beside it, of listeners and of
// certificates. Changes nothing.

import { get } from "./api.js";
import { badge, empty, facts, h, panel } from "./dom.js";
import * as f from "./format.js";
import { Table } from "./table.js";

export function mount(root, { signal, fail }) {
  const [inForce, diff, listeners, certificates, text] = [0, 0, 0, 0, 0].map(() => h("div"));
  root.append(h("div", { class: "grid two" }, panel("In force", {}, inForce), panel("File on disk", {}, diff)),
    panel("Listeners", {}, listeners), panel("Certificates", {}, certificates), panel("Configuration", { note: "secrets are masked; placeholders are shown as they are written" }, text));
  const each = (place, path, show) => get(path, signal).then((it) => place.replaceChildren(show(it))).catch((error) => {
    if (!signal.aborted) place.replaceChildren(empty("This could not be loaded", error.detail ?? error.message));
  });
  get("config", signal).then((it) => {
    inForce.replaceChildren(facts([
      ["File", h("span", { class: "mono" }, it.source)], ["SHA-256", h("span", { class: "mono break" }, it.sha256)], ["Since", `${f.date(it.loaded_at)} (${f.ago(it.loaded_at)})`],
      ["Generation", f.count(it.generation)], ["Reloads", `${f.count(it.reloads.in_force)} in force, ${f.count(it.reloads.refused)} refused`]]));
    text.replaceChildren(h("pre", { class: "config", tabindex: 0, role: "region", "aria-label": "Configuration as JSON" }, JSON.stringify(it.configuration, null, 2)));
  }).catch(fail);
  each(diff, "config/diff", showDiff);
  each(listeners, "listeners", showListeners);
  each(certificates, "certificates", showCertificates);
}

function showDiff(it) {
  const findings = it.on_disk.findings ?? [];
  const said = findings.length ? h("ul", { class: "plain" }, findings.map((finding) => h("li", null, badge(finding.severity, finding.severity === "error" ? "bad" : "warn"), ` ${finding.line ? `line ${finding.line}: ` : ""}${finding.message}`, finding.help ? h("span", { class: "muted" }, ` ${finding.help}`) : null))) : null;
  if (it.same_text) return h("div", null, h("p", null, badge("same", "good"), " The file on disk is what is in force."), said);
  const head = h("p", null, badge(it.on_disk.valid ? "valid" : "invalid", it.on_disk.valid ? "warn" : "bad"), it.on_disk.valid ? " The file on disk is another. The gateway reads it in a moment, or with gateway reload." : " The file on disk would be refused.");
  const changes = new Table({
    caption: "Changes", key: (row) => row.path, none: "Nothing but comments or blanks differs.",
    columns: [
      { key: "path", label: "Place", heading: true, value: (row) => row.path, show: (row, it) => h("span", { class: "mono" }, it) },
      { key: "before", label: "In force", wide: true, value: (row) => value(row.in_force) },
      { key: "after", label: "On disk", wide: true, value: (row) => value(row.on_disk) },
    ],
  });
  changes.set(it.changes ?? []);
  return h("div", null, head, said, it.changes ? changes.element : null);
}

const value = (it) => (it === undefined || it === null ? f.NONE : typeof it === "string" ? it : JSON.stringify(it));

function showListeners({ listeners }) {
  const refused = (row) => Object.entries(row.connections_refused).filter(([, number]) => number > 0).map(([limit, number]) => `${limit} ${f.count(number)}`).join(", ");
  const table = new Table({
    caption: "Listeners", key: (row) => row.name, none: "There is no listener.",
    columns: [
      { key: "name", label: "Listener", heading: true, value: (row) => row.name }, { key: "address", label: "Address", value: (row) => row.address, show: (row, it) => h("span", { class: "mono" }, it) },
      { key: "tls", label: "TLS", value: (row) => (row.tls ? f.plural(row.certificates, "certificate") : "no") },
      { key: "connections", label: "Connections", number: true, value: (row) => row.connections, show: (row, it) => f.count(it) },
      { key: "limit", label: "Limit", number: true, value: (row) => row.limits.connections, show: (row, it) => f.count(it) },
      { key: "body", label: "Body limit", number: true, value: (row) => row.limits.body_size_bytes, show: (row, it) => f.bytes(it) },
      { key: "refused", label: "Refused", value: refused, show: (row, it) => it || f.NONE },
    ],
  });
  table.set(listeners);
  return table.element;
}

function showCertificates({ certificates }) {
  if (!certificates.length) return empty("No certificate", "No listener has TLS. See [[listeners]] tls in the documentation.");
  const days = (row) => (row.not_after - Date.now() / 1000) / 86_400;
  const table = new Table({
    caption: "Certificates", key: (row) => `${row.listener} ${row.sha256}`, sort: "end", none: "",
    columns: [
      { key: "listener", label: "Listener", heading: true, value: (row) => row.listener ?? "admin" }, { key: "names", label: "Names", wide: true, value: (row) => (row.names ?? []).join(", ") },
      { key: "issuer", label: "Issuer", value: (row) => row.issuer }, { key: "begin", label: "From", value: (row) => row.not_before, show: (row, it) => f.date(it) },
      { key: "end", label: "Until", value: (row) => row.not_after, show: (row, it) => f.date(it) },
      { key: "left", label: "Left", number: true, value: days, mark: (row) => String(Math.floor(days(row))), show: (row, it) => h("span", { class: it < 14 ? "bad-text" : it < 30 ? "warn-text" : "" }, f.plural(Math.floor(it), "day")) },
      { key: "sha", label: "SHA-256", value: (row) => row.sha256, show: (row, it) => h("span", { class: "mono break" }, it) },
    ],
  });
  table.set(certificates);
  return table.element;
}
