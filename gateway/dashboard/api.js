// Questions to the admin API. Owns the token, which lives as long as the tab, and the form of errors.
// Must not know what is asked for.

const KEY = "gateway-admin-token";
let asks = null;

export class ApiError extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `status ${status}`);
    this.status = status;
    this.title = problem.title;
    this.detail = problem.detail;
    this.instance = problem.instance;
  }
}

const place = (path) => new URL(`../${path.replace(/^\//, "")}`, document.baseURI);

function headers() {
  const token = sessionStorage.getItem(KEY);
  return token ? { authorization: `Bearer ${token}` } : {};
}

export function hasToken() {
  return sessionStorage.getItem(KEY) !== null;
}

export function forgetToken() {
  sessionStorage.removeItem(KEY);
}

/** The answer, with its body to be read. Asks for a token where the API wants one, and asks again. */
export async function send(path, options = {}) {
  for (let tries = 0; ; tries += 1) {
    let response;
    try {
      response = await fetch(place(path), { ...options, headers: headers(), cache: "no-store", redirect: "error", credentials: "omit" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0, { title: "The gateway cannot be reached", detail: "It does not run, or its admin listener has another address. The dashboard tries again by itself." });
    }
    if (response.ok) return response;
    const error = await problem(response);
    // Few answers are made at a time: the next place is free in a moment.
    if (response.status === 503 && tries < 5 && !options.once) {
      await new Promise((resolve) => setTimeout(resolve, 200 + 300 * tries + 200 * Math.random()));
      options.signal?.throwIfAborted();
      continue;
    }
    if (response.status !== 401) throw error;
    // All questions wait for one token.
    asks ??= askToken(hasToken() ? "The gateway does not take this token." : null).finally(() => { asks = null; });
    await asks;
    options.signal?.throwIfAborted();
  }
}

export async function get(path, signal) {
  return (await send(path, { signal })).json();
}

async function problem(response) {
  const text = await response.text().catch(() => "");
  const kind = response.headers.get("content-type") ?? "";
  try {
    if (kind.includes("json")) return new ApiError(response.status, JSON.parse(text));
  } catch {
    // It is shown as it is.
  }
  return new ApiError(response.status, { title: response.statusText, detail: text.trim().slice(0, 500) });
}

let askToken = async () => {};

/** What asks people for the token. It ends once they have given one. */
export function onToken(ask) {
  askToken = async (why) => sessionStorage.setItem(KEY, await ask(why));
}

/** A path with parameters; those that are empty are left out. */
export function query(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}
