// Recorded requests. Owns the filters, which are in the address, and following what comes.

import { get, query } from "./api.js";
import { badge, empty, h, panel, prose, tone } from "./dom.js";
import * as f from "./format.js";
import { routeLink } from "./overview.js";

const MOST = 200;
const WHY = { debug: "debug secret", error: "failed", left: "client left", slow: "slow", refused: "refused", sampled: "sample" };

/** A list of records, newest first. */
export function list(records, { route = true } = {}) {
  if (!records.length) return empty("No record fits", "Requests that fail, are slow or are refused are kept, and a sample of the others: see sample in [recorder].");
  const head = ["Time", "Status", "Request", route ? "Route" : null, "Consumer", "Took", "Kept", "What happened"].filter(Boolean);
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Recorded requests" }, h("table", null,
    h("caption", { class: "hidden" }, "Recorded requests, newest first"),
    h("thead", null, h("tr", null, head.map((it) => h("th", { scope: "col", class: it === "Took" ? "number" : null }, it)))),
    h("tbody", null, records.map((it) => h("tr", null,
      h("td", { class: "number left" }, h("time", { datetime: it.time }, f.precise(it.time))),
      h("td", null, badge(it.status ?? "none", tone(it.status))),
      h("td", { class: "wide what" }, h("a", { href: `#/requests/${it.id}` }, h("span", { class: "target" }, `${it.method} ${it.target}`))),
      route ? h("td", null, routeLink(it.route)) : null,
      h("td", null, it.consumer ?? f.NONE),
      h("td", { class: "number" }, f.nanos(it.duration_ns)),
      h("td", null, WHY[it.kept] ?? it.kept),
      h("td", { class: "wide why" }, prose(it.explanation)))))));
}

export function mount(root, { signal, parameters, fail }) {
  const field = (name, label, props) => h("label", { class: "field" }, h("span", null, label), h("input", { name, value: parameters[name] ?? "", autocomplete: "off", spellcheck: "false", ...props }));
  const statuses = [["", "any"], ["2xx", "2xx"], ["3xx", "3xx"], ["4xx", "4xx"], ["401", "401"], ["404", "404"], ["429", "429"], ["5xx", "5xx"], ["none", "no answer"]];
  const wanted = parameters.status ?? "";
  if (!statuses.some(([it]) => it === wanted)) statuses.push([wanted, wanted]);
  const follow = h("button", { type: "button", class: "button", "aria-pressed": "true" }, "Following");
  const form = h("form", { class: "toolbar" },
    field("route", "Route", { list: "route-names", placeholder: "any" }), h("datalist", { id: "route-names" }),
    h("label", { class: "field" }, h("span", null, "Status"), h("select", { name: "status" }, statuses.map(([value, text]) => h("option", { value, selected: value === wanted }, text)))),
    field("slower", "Slower than", { placeholder: "200ms", size: 8 }), field("consumer", "Consumer", { placeholder: "any", size: 12 }),
    h("button", { class: "button primary" }, "Show"), follow);
  const found = h("div");
  root.append(panel("Requests", { note: "what the flight recorder keeps: failed, slow and refused requests, and a sample" }, form, h("p", { class: "form-error", role: "alert", hidden: true }), found));
  const wrong = root.querySelector(".form-error");
  let records = [];
  let last = 0;
  let isFollowing = true;
  const asked = () => ({ route: parameters.route, status: parameters.status, slower: parameters.slower, consumer: parameters.consumer });
  const ask = async () => {
    const news = await get(query("requests", { ...asked(), limit: MOST, after: last || "" }), signal);
    last = news.last;
    if (!news.requests.length && found.children.length) return;
    records = [...news.requests, ...records].slice(0, MOST);
    const focus = document.activeElement?.closest?.("tbody a")?.getAttribute("href");
    found.replaceChildren(list(records));
    if (focus) found.querySelector(`a[href="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
  };
  const run = async () => {
    while (!signal.aborted) {
      try {
        if (isFollowing && !document.hidden) await ask();
        wrong.hidden = true;
      } catch (error) {
        if (signal.aborted) return;
        if (error.status !== 400 && !records.length) return fail(error);
        wrong.hidden = false;
        wrong.textContent = error.detail ?? error.message;
        // A wrong question stays wrong.
        if (error.status === 400) return;
      }
      await new Promise((resolve) => setTimeout(resolve, 1500));
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const next = `#/${query("requests", Object.fromEntries(new FormData(form)))}`;
    if (next === location.hash) dispatchEvent(new Event("hashchange"));
    else location.hash = next;
  });
  follow.addEventListener("click", () => {
    isFollowing = !isFollowing;
    follow.setAttribute("aria-pressed", String(isFollowing));
    follow.textContent = isFollowing ? "Following" : "Follow";
  });
  get("routes?limit=1000", signal).then(({ routes }) => root.querySelector("datalist").append(...routes.map((it) => h("option", { value: it.name })))).catch(() => {});
  run();
}
