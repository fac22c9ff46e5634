// Numbers and times for people. Owns units and digits. Must not know where they are shown.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const SPACE = "\u00a0";
export const NONE = "–";

const is = (value) => value !== null && value !== undefined && Number.isFinite(value);

/** Three significant digits. */
function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 100) return whole.format(value);
  return size >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function count(value) {
  return is(value) ? whole.format(value) : NONE;
}

export function rate(value) {
  if (!is(value)) return NONE;
  if (value >= 100_000) return `${one.format(value / 1000)}k/s`;
  return `${value >= 100 || value === 0 ? whole.format(value) : value >= 0.05 ? one.format(value) : "<0.1"}/s`;
}

export function percent(share) {
  if (!is(share)) return NONE;
  const value = share * 100;
  if (value === 0) return "0%";
  if (value < 0.1) return "<0.1%";
  return value >= 10 ? `${whole.format(value)}%` : `${value.toFixed(1)}%`;
}

/** Of seconds. */
export function duration(seconds) {
  if (!is(seconds)) return NONE;
  if (seconds === 0) return `0${SPACE}ms`;
  if (seconds < 0.000_001) return `${short(seconds * 1e9)}${SPACE}ns`;
  if (seconds < 0.001) return `${short(seconds * 1e6)}${SPACE}µs`;
  if (seconds < 1) return `${short(seconds * 1e3)}${SPACE}ms`;
  if (seconds < 120) return `${short(seconds)}${SPACE}s`;
  if (seconds < 7200) return `${whole.format(seconds / 60)}${SPACE}min`;
  if (seconds < 172_800) return `${whole.format(seconds / 3600)}${SPACE}h`;
  return `${whole.format(seconds / 86_400)}${SPACE}days`;
}

export const nanos = (value) => duration(is(value) ? value * 1e-9 : value);

export function bytes(value) {
  if (!is(value)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? whole.format(value) : short(value)}${SPACE}${units[unit]}`;
}

const two = (number) => String(number).padStart(2, "0");

/** The time of day, in the browser's zone. */
export function clock(seconds) {
  const at = new Date(seconds * 1000);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** A date with its time. */
export function date(seconds) {
  if (!is(seconds)) return NONE;
  const at = new Date(seconds * 1000);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(seconds)}`;
}

/** The time of an RFC 3339 text, with milliseconds. */
export function precise(text) {
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? text : `${clock(at.getTime() / 1000)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

export function ago(seconds) {
  return `${duration(Math.max(0, Date.now() / 1000 - seconds))} ago`;
}

/** Of billionths of a US dollar. */
export function dollars(nanos) {
  if (!is(nanos)) return NONE;
  const value = nanos / 1e9;
  if (value === 0) return "$0";
  if (value < 0.000_1) return "<$0.0001";
  return value >= 100 ? `$${whole.format(value)}` : `$${value.toFixed(value >= 1 ? 2 : 4)}`;
}

/** A word and its number. */
export function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}
