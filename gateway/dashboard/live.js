// What passes at the moment. Owns the stream of snapshots, the history of a quarter of an hour, and sums over
// the last seconds. Must not know who shows it.

import { get, send } from "./api.js";

/** Upper bounds of the buckets of times, in seconds; as in `/metrics`. */
const BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const KEPT = 60;

export const live = new EventTarget();
export const snapshots = [];
export let history = null;
let state = "connecting";
let why = "";
let stop = null;

export const last = () => snapshots.at(-1) ?? null;
export const current = () => ({ state, why });

function say(next, reason = "") {
  if (next === state && reason === why) return;
  [state, why] = [next, reason];
  live.dispatchEvent(new Event("state"));
}

/** Listens until the page is hidden, and again when it is seen. */
export function start() {
  document.addEventListener("visibilitychange", () => (document.hidden ? pause() : run()));
  run();
}

function pause() {
  stop?.abort();
  stop = null;
  say("paused");
}

async function run() {
  if (stop) return;
  const own = (stop = new AbortController());
  // What was seen before a pause says nothing about now.
  snapshots.length = 0;
  for (let tries = 0; !own.signal.aborted; tries += 1) {
    try {
      await refresh(own.signal);
      const response = await send("traffic/stream", { signal: own.signal, once: true });
      for await (const event of events(response.body)) {
        tries = 0;
        take(event, own.signal);
      }
    } catch (error) {
      if (own.signal.aborted) return;
      say(error.status === 503 ? "full" : "away", error.detail ?? "The connection ended");
    }
    await new Promise((resolve) => setTimeout(resolve, Math.min(1000 * 2 ** tries, 15_000)));
  }
}

function take(event, signal) {
  const snapshot = JSON.parse(event);
  snapshots.push(snapshot);
  if (snapshots.length > KEPT) snapshots.shift();
  say("live");
  if (history && snapshot.last_point !== history.last) refresh(signal).catch(() => {});
  live.dispatchEvent(new Event("snapshot"));
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const data = text.slice(0, end).split("\n").filter((line) => line.startsWith("data: "));
      text = text.slice(end + 2);
      if (data.length) yield data.map((line) => line.slice(6)).join("\n");
    }
  }
}

async function refresh(signal) {
  history = await merge(history, "traffic", {}, signal);
  live.dispatchEvent(new Event("points"));
}

/** A history with the points that came since. */
export async function merge(known, path, parameters, signal) {
  const search = new URLSearchParams({ ...parameters, after: known?.last ?? 0 });
  const news = await get(`${path}?${search}`, signal);
  // Another process counts from one again.
  if (!known || news.last < known.last) return known ? merge(null, path, parameters, signal) : news;
  const join = (old, more) => (Array.isArray(more) ? [...old, ...more].slice(-180) : Object.fromEntries(Object.keys(more).map((key) => [key, join(old[key], more[key])])));
  return { ...news, points: join(known.points, news.points) };
}

/** The value of a share of all, by straight lines within buckets. */
function percentile(buckets, share) {
  const all = buckets.reduce((sum, count) => sum + count, 0);
  if (all === 0) return null;
  const wanted = share * all;
  let [below, lower] = [0, 0];
  for (const [index, bound] of BOUNDS.entries()) {
    const here = buckets[index];
    if (here > 0 && below + here >= wanted) return lower + (bound - lower) * ((wanted - below) / here);
    below += here;
    lower = bound;
  }
  return BOUNDS.at(-1);
}

/** Sums over the last seconds, of all requests or of the member that `of` finds in a snapshot. */
export function recent(seconds, of = (snapshot) => snapshot.total) {
  const end = last()?.at ?? 0;
  const shown = snapshots.filter((snapshot) => snapshot.at > end - seconds);
  const sum = { seconds: 0, requests: 0, failed: 0, statuses: {}, buckets: new Array(BOUNDS.length + 1).fill(0), in_flight: 0 };
  for (const snapshot of shown) {
    sum.seconds += snapshot.interval_seconds;
    const it = of(snapshot);
    sum.in_flight = it?.in_flight ?? 0;
    if (!it) continue;
    sum.requests += it.requests;
    for (const [status, number] of Object.entries(it.statuses)) sum.statuses[status] = (sum.statuses[status] ?? 0) + number;
    for (const number of Object.values(it.failed)) sum.failed += number;
    it.duration_buckets.forEach((number, index) => { sum.buckets[index] += number; });
  }
  return figures(sum);
}

function figures(sum) {
  const of = (status) => sum.statuses[status] ?? 0;
  return {
    ...sum,
    rate: sum.seconds > 0 ? sum.requests / sum.seconds : null,
    errors: sum.requests > 0 ? of("5xx") / sum.requests : null,
    refused: sum.requests > 0 ? of("4xx") / sum.requests : null,
    p50: percentile(sum.buckets, 0.5),
    p95: percentile(sum.buckets, 0.95),
    p99: percentile(sum.buckets, 0.99),
  };
}

/** The same for every route that has been seen, by name. */
export function recentRoutes(seconds) {
  const names = new Set(snapshots.flatMap((snapshot) => snapshot.routes.map((route) => route.name)));
  const indexes = new Map(snapshots.map((snapshot) => [snapshot, new Map(snapshot.routes.map((route) => [route.name, route]))]));
  return new Map([...names].map((name) => [name, recent(seconds, (snapshot) => indexes.get(snapshot).get(name))]));
}
