// Elements made of data. Owns the only way in which data comes into the page: as text, never as markup.
// Must not know what is shown.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `on...` are listeners, `class` and other names are attributes, children are nodes or text. */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "vars") for (const [key, it] of Object.entries(value)) element.style.setProperty(key, it);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An icon of lines in a square of 20. */
export function icon(path) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of Object.entries({ viewBox: "0 0 20 20", width: 18, height: 18, "aria-hidden": "true", class: "icon" })) {
    svg.setAttribute(name, value);
  }
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

/** A line through the values of the last minutes, without axes: it stands beside a number that says more. */
export function sparkline(values) {
  const [width, height] = [96, 24];
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("class", "spark");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const shown = values.slice(-60);
  const top = Math.max(...shown.map((it) => it ?? 0), 1e-9);
  const points = shown.map((it, index) => {
    const x = shown.length < 2 ? width : (index / (shown.length - 1)) * width;
    return `${x.toFixed(1)},${(height - 2 - ((it ?? 0) / top) * (height - 4)).toFixed(1)}`;
  });
  if (points.length > 1) {
    const area = document.createElementNS(SVG, "path");
    area.setAttribute("d", `M0,${height} L${points.join(" L")} L${width},${height} Z`);
    area.setAttribute("class", "spark-area");
    const line = document.createElementNS(SVG, "path");
    line.setAttribute("d", `M${points.join(" L")}`);
    line.setAttribute("class", "spark-line");
    svg.append(area, line);
  }
  return svg;
}

/** A panel with a heading. */
export function panel(title, props, ...children) {
  const { note, actions, ...rest } = props ?? {};
  return h("section", { ...rest, class: `panel ${rest.class ?? ""}`.trim() },
    h("div", { class: "panel-head" }, h("h2", null, title), note ? h("p", { class: "note" }, note) : null, actions ?? null),
    ...children);
}

/** What is said where there is nothing to show: why, and what to do. */
export function empty(title, ...what) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), ...what.map((it) => (typeof it === "string" ? h("p", null, it) : it)));
}

/** An error as the API says it. */
export function failure(error, retry) {
  return h("div", { class: "empty error", role: "alert" },
    h("p", { class: "empty-title" }, error.title ?? "This could not be loaded"),
    h("p", null, error.detail ?? error.message ?? String(error)),
    error.instance ? h("p", { class: "note" }, `Request id ${error.instance}`) : null,
    retry ? h("button", { type: "button", class: "button", onclick: retry }, "Try again") : null);
}

/** A sentence of the gateway, in which names stand between backticks. */
export function prose(text) {
  return text.split("`").map((part, index) => (index % 2 ? h("code", null, part) : part));
}

/** A status as a coloured badge; the text says it too. */
export function badge(text, tone) {
  return h("span", { class: `badge ${tone ?? ""}` }, text);
}

/** The tone of a status. */
export function tone(status) {
  if (status === null || status === undefined) return "none";
  return { 1: "info", 2: "good", 3: "info", 4: "warn", 5: "bad" }[Math.floor(status / 100)] ?? "none";
}

/** Pairs of a name and a value. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, shown.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))));
}
