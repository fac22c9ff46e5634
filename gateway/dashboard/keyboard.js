// Keys. Owns what each does and the dialog that lists them. Must not take a key from a field.

import { h } from "./dom.js";

const GO = { o: "#/", r: "#/routes", q: "#/requests", u: "#/upstreams", p: "#/plugins", m: "#/models", e: "#/experiments", s: "#/usage", c: "#/configuration" };
const LIST = [
  ["g then o", "Overview"], ["g then r", "Routes"], ["g then q", "Requests"], ["g then u", "Upstreams"],
  ["g then p", "Plugins"], ["g then m", "Models"], ["g then e", "Experiments"], ["g then s", "Usage"], ["g then c", "Configuration"],
  ["/", "To the filter of the page"], ["j, k", "Next and previous row with a link"], ["Enter", "Open it"],
  ["t", "Theme: system, light, dark"], ["Esc", "Close a dialog"], ["?", "This list"],
];

export function start({ theme }) {
  const dialog = help();
  document.body.append(dialog);
  document.getElementById("help").addEventListener("click", () => dialog.showModal());
  let isGoing = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest?.("input, select, textarea") || document.querySelector("dialog[open]")) return;
    const goes = Date.now() - isGoing < 1500 ? GO[event.key] : null;
    isGoing = event.key === "g" ? Date.now() : 0;
    if (goes) location.hash = goes;
    else if (event.key === "/") document.querySelector("main input[type=search], main input, main select")?.focus();
    else if (event.key === "?") dialog.showModal();
    else if (event.key === "t") theme();
    else if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
    else return;
    event.preventDefault();
  });
}

function step(by) {
  const links = [...document.querySelectorAll("main tbody a")];
  const at = links.indexOf(document.activeElement);
  links[Math.max(0, Math.min(links.length - 1, at + by))]?.focus();
}

function help() {
  const close = () => dialog.close();
  const keys = (text) => text.split(/(, | then )/).map((it) => (/^(, | then )$/.test(it) ? it : h("kbd", null, it)));
  const dialog = h("dialog", { "aria-labelledby": "help-title" },
    h("div", { class: "panel-head" }, h("h2", { id: "help-title" }, "Keyboard shortcuts"),
      h("button", { type: "button", class: "button", onclick: close }, "Close")),
    h("dl", { class: "keys" }, LIST.map(([key, what]) => h("div", null, h("dt", null, keys(key)), h("dd", null, what)))));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) close(); });
  return dialog;
}
