// The frame around all pages. Owns which page is shown, the theme, the token's dialog, and the words about the
// connection. Must not know what a page shows.

import { ApiError, forgetToken, get, hasToken, onToken } from "./api.js";
import { recolor } from "./charts.js";
import { failure, h, icon } from "./dom.js";
import * as keyboard from "./keyboard.js";
import * as live from "./live.js";
import * as models from "./models.js";
import * as experiments from "./experiments.js";
import * as configuration from "./configuration.js";
import * as overview from "./overview.js";
import * as plugins from "./plugins.js";
import * as request from "./request.js";
import * as requests from "./requests.js";
import * as route from "./route.js";
import * as routes from "./routes.js";
import * as upstreams from "./upstreams.js";
import * as usage from "./usage.js";

const PAGES = [
  ["", "Overview", overview, "M3 12l4-4 3 3 7-7M3 17h14"],
  ["routes", "Routes", routes, "M4 5h5a3 3 0 013 3v4a3 3 0 003 3h1M4 15h4M13 12l3 3-3 3"],
  ["requests", "Requests", requests, "M4 5h12M4 10h8M4 15h10"],
  ["upstreams", "Upstreams", upstreams, "M4 4h12v5H4zM4 11h12v5H4zM7 6.5h.01M7 13.5h.01"],
  ["plugins", "Plugins", plugins, "M8 3v4M12 3v4M5 7h10v3a5 5 0 01-10 0zM10 15v3"],
  ["models", "Models", models, "M10 3l6 3.500v7L10 17l-6-3.500v-7zM10 10l6-3.500M10 10v7M10 10L4 6.500"],
  ["experiments", "Experiments", experiments, "M8 3v5l-4.500 8h13L12 8V3M7 3h6M6.500 12h7"],
  ["usage", "Usage", usage, "M4 16V9M8.700 16V4M13.300 16v-5M17 16V7"],
  ["configuration", "Config", configuration, "M3 6h8M15 6h2M3 14h2M9 14h8M13 4v4M7 12v4"],
];
const DETAIL = { routes: route, requests: request };
const NAMES = { system: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };
const ICONS = {
  system: "M3 4h14v9H3zM7 17h6M10 13v4", light: "M10 6a4 4 0 100 8 4 4 0 000-8zM10 2v1M10 17v1M2 10h1M17 10h1M4.500 4.500l.7.7M14.800 14.800l.7.7M4.500 15.500l.7-.7M14.800 5.200l.7-.7",
  dark: "M16 12.500A7 7 0 017.500 4a6.500 6.500 0 108.500 8.500z",
};

const main = document.getElementById("main");
const title = document.getElementById("title");
let shown = null;

function links() {
  const items = PAGES.map(([path, name, , line]) => h("li", null, h("a", { href: `#/${path}`, "data-page": path }, icon(line), h("span", null, name))));
  document.getElementById("pages").append(...items);
}

/** `#/routes/NAME?x=y` as its parts. */
function address() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [page, ...rest] = path.split("/");
  let detail = null;
  try {
    detail = rest.length ? decodeURIComponent(rest.join("/")) : null;
  } catch {
    // Not an address that this page writes.
    return { page: "", detail: null, parameters: {} };
  }
  return { page, detail, parameters: Object.fromEntries(new URLSearchParams(search)) };
}

function show(isFirst) {
  const { page, detail, parameters } = address();
  const found = PAGES.find(([path]) => path === page);
  shown?.end.abort();
  shown?.page?.destroy?.();
  for (const link of document.querySelectorAll("[data-page]")) {
    if (found && link.dataset.page === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const module = detail === null ? found?.[2] : DETAIL[page];
  const end = new AbortController();
  shown = { end, page: null };
  main.replaceChildren();
  window.scrollTo(0, 0);
  const name = module ? detail ?? found[1] : "No such page";
  title.textContent = name;
  document.title = `${name} · Gateway`;
  if (!module) main.append(failure({ title: "There is no such page", detail: location.hash }));
  else shown.page = module.mount(main, { signal: end.signal, detail, parameters, fail: (error, retry) => fail(end, error, retry) });
  main.dataset.shown = location.hash || "#/";
  if (!isFirst) title.focus({ preventScroll: true });
}

function fail(end, error, retry) {
  if (end.signal.aborted || error.name === "AbortError") return;
  if (!(error instanceof ApiError)) console.error(error);
  main.replaceChildren(failure(error, retry ?? (() => show(false))));
}

/** The state of the connection in words: colour is not the only sign. */
function state() {
  const { state, why } = live.current();
  const words = { connecting: "Connecting", live: "Live", paused: "Paused", away: "Reconnecting", full: "Too many dashboards" };
  const element = document.getElementById("state");
  element.dataset.state = state;
  element.title = why;
  document.getElementById("state-text").textContent = words[state];
}

function theme(step) {
  const names = Object.keys(NAMES);
  const kept = localStorage.getItem("theme");
  const before = names.includes(kept) ? kept : "system";
  const now = names[(names.indexOf(before) + step) % names.length];
  localStorage.setItem("theme", now);
  if (now === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = now;
  const button = document.getElementById("theme");
  button.replaceChildren(icon(ICONS[now]));
  button.title = `${NAMES[now]} (t)`;
  button.setAttribute("aria-label", NAMES[now]);
  recolor();
}

function askForToken(why) {
  return new Promise((resolve) => {
    const input = h("input", { id: "token", type: "password", autocomplete: "off", spellcheck: "false", required: true });
    const form = h("form", { method: "dialog" },
      h("h2", { id: "token-title" }, "This gateway asks for its token"),
      h("p", null, "It is the one of which ", h("code", null, "token"), " in ", h("code", null, "[admin]"), " holds the digest. This tab keeps it until it is closed."),
      why ? h("p", { class: "form-error", role: "alert" }, why) : null,
      h("label", { for: "token" }, "Token"), input,
      h("div", { class: "form-end" }, h("button", { class: "button primary" }, "Continue")));
    const dialog = h("dialog", { class: "narrow", "aria-labelledby": "token-title" }, form);
    // A dialog whose form would be empty asks on.
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const token = input.value.trim();
      if (!token) return;
      dialog.close();
      dialog.remove();
      resolve(token);
    });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}

async function version() {
  const it = await get("version");
  const text = `gateway ${it.version}, ${it.workers} ${it.workers === 1 ? "worker" : "workers"}`;
  const leave = h("button", { type: "button", class: "link", onclick: () => { forgetToken(); location.reload(); } }, "Forget the token");
  document.getElementById("version").replaceChildren(h("span", null, text), hasToken() ? leave : "");
}

links();
theme(0);
onToken(askForToken);
keyboard.start({ theme: () => theme(1) });
document.getElementById("theme").addEventListener("click", () => theme(1));
document.getElementById("skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolor);
addEventListener("hashchange", () => show(false));
live.live.addEventListener("state", state);
state();
show(true);
live.start();
version().catch(() => {});
