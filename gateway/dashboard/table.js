// Tables that are sorted, filtered and kept up to date. Owns their rows: those that stay are changed where
// they differ, so that focus, selection and scrolling stay as well. Must not know what a row is about.

import { h } from "./dom.js";
import { count, plural } from "./format.js";

const STEP = 100;

/**
 * `columns` are `{key, label, value, show, number, wide}`: `value(row)` is what is sorted and compared,
 * `show(row, value)` the text or the element. `key(row)` says which row is which.
 */
export class Table {
  constructor({ caption, columns, key, sort = null, descending = false, filter = null, none = "Nothing to show.", toolbar = [] }) {
    Object.assign(this, { columns, key, sort, descending, filter, none, rows: [], known: new Map(), limit: STEP, wanted: "" });
    this.heads = columns.map((column) => this.head(column));
    this.body = h("tbody");
    this.message = h("p", { class: "table-message", hidden: true });
    this.more = h("button", { type: "button", class: "button", hidden: true, onclick: () => { this.limit += STEP * 5; this.draw(); } });
    this.total = h("span", { class: "note", role: "status" });
    const search = filter ? h("input", { type: "search", class: "filter", placeholder: filter.label, "aria-label": filter.label, spellcheck: "false", autocomplete: "off",
      oninput: (event) => { this.wanted = event.target.value.trim().toLowerCase(); this.limit = STEP; this.draw(); } }) : null;
    this.element = h("div", { class: "table" },
      search || toolbar.length ? h("div", { class: "toolbar" }, search, toolbar, this.total) : null,
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
        h("table", null, h("caption", { class: "hidden" }, caption), h("thead", null, h("tr", null, this.heads)), this.body)),
      this.message, this.more);
  }

  head(column) {
    const kind = column.number ? "number" : "";
    if (!column.value || column.sort === false) return h("th", { scope: "col", class: kind }, column.label);
    return h("th", { scope: "col", class: kind },
      h("button", { type: "button", class: "sort", onclick: () => this.order(column) }, column.label, h("span", { class: "arrow", "aria-hidden": "true" })));
  }

  order(column) {
    this.descending = this.sort === column.key ? !this.descending : Boolean(column.number);
    this.sort = column.key;
    this.draw();
  }

  set(rows) {
    this.rows = rows;
    this.draw();
  }

  sorted() {
    const fits = this.wanted ? this.rows.filter((row) => this.filter.text(row).toLowerCase().includes(this.wanted)) : [...this.rows];
    const column = this.columns.find((it) => it.key === this.sort);
    if (!column) return fits;
    const way = this.descending ? -1 : 1;
    const values = new Map(fits.map((row) => [row, column.value(row)]));
    // What has no value is last, in both ways.
    return fits.sort((one, other) => {
      const [a, b] = [values.get(one), values.get(other)];
      if ((a ?? null) === null || (b ?? null) === null) return ((a ?? null) === null) - ((b ?? null) === null);
      return way * (typeof a === "string" ? a.localeCompare(b) : a - b);
    });
  }

  draw() {
    this.columns.forEach((column, index) => {
      if (column.key === this.sort) this.heads[index].setAttribute("aria-sort", this.descending ? "descending" : "ascending");
      else this.heads[index].removeAttribute("aria-sort");
    });
    const all = this.sorted();
    const known = new Map();
    const rows = all.slice(0, this.limit).map((row) => {
      const key = this.key(row);
      const line = this.known.get(key) ?? this.line();
      this.change(line, row);
      known.set(key, line);
      return line.element;
    });
    this.known = known;
    const stays = rows.length === this.body.children.length && rows.every((row, index) => row === this.body.children[index]);
    if (!stays) {
      const focus = document.activeElement;
      this.body.replaceChildren(...rows);
      if (focus && this.body.contains(focus)) focus.focus({ preventScroll: true });
    }
    this.total.textContent = this.wanted ? `${count(all.length)} of ${count(this.rows.length)}` : plural(this.rows.length, "row");
    this.message.hidden = all.length > 0;
    this.message.textContent = this.rows.length > 0 ? `Nothing fits “${this.wanted}”.` : this.none;
    this.more.hidden = all.length <= this.limit;
    this.more.textContent = `Show more (${count(all.length - this.limit)} left)`;
  }

  line() {
    const cells = this.columns.map((column) => h(column.heading ? "th" : "td",
      { class: [column.number ? "number" : "", column.wide ? "wide" : ""].join(" ").trim() || null, scope: column.heading ? "row" : null }));
    return { element: h("tr", null, cells), cells, shown: cells.map(() => undefined) };
  }

  change(line, row) {
    this.columns.forEach((column, index) => {
      const value = column.value?.(row);
      const shown = column.show ? column.show(row, value) : value ?? "";
      const text = typeof shown === "object" ? column.mark ? column.mark(row) : JSON.stringify(value ?? null) : String(shown);
      if (line.shown[index] === text) return;
      line.shown[index] = text;
      line.cells[index].replaceChildren(shown);
    });
  }
}
