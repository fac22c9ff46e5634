// The browser under test. Owns what counts as a fault: an error on the console, a failed request, a request to
// another host, a breach of the policy.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

export const SIZES = { desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };

export async function open() {
  if (!existsSync(CHROMIUM)) throw new Error(`there is no ${CHROMIUM}: apt-get install chromium, or set CHROMIUM`);
  const profile = mkdtempSync(join(tmpdir(), "gateway-chromium-"));
  const context = await chromium.launchPersistentContext(profile, { executablePath: CHROMIUM, headless: true, args: ARGUMENTS, viewport: SIZES.desktop, acceptDownloads: true });
  // To work on the page without building the gateway each time: files of the folder, with the gateway's fields.
  if (process.env.SOURCES) {
    await context.route(/\/dashboard\/[^/]*$/, async (route) => {
      const answer = await route.fetch().catch(() => null);
      if (!answer) return route.abort("connectionrefused");
      const file = join(import.meta.dirname, "../../gateway/dashboard", new URL(route.request().url()).pathname.split("/").at(-1) || "index.html");
      return answer.status() === 200 && existsSync(file) ? route.fulfill({ response: answer, body: readFileSync(file) }) : route.fulfill({ response: answer });
    });
  }
  return { context, close: async () => { await context.close(); rmSync(profile, { recursive: true, force: true }); } };
}

/** A page that notes its faults. `expects` are statuses that a test brings about. */
export async function watched(context, origin, { size = "desktop", scheme = "light", expects = [] } = {}) {
  const page = await context.newPage();
  const faults = [];
  await page.setViewportSize(SIZES[size]);
  await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
  page.on("console", (message) => {
    const isExpected = expects.some((status) => message.text().includes(`status of ${status}`));
    if (["error", "warning"].includes(message.type()) && !isExpected) faults.push(`console ${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`error: ${error.stack ?? error}`));
  page.on("request", (request) => { if (!/^(data|blob):/.test(request.url()) && new URL(request.url()).origin !== origin) faults.push(`request to another host: ${request.url()}`); });
  page.on("requestfailed", (request) => { if (request.failure()?.errorText !== "net::ERR_ABORTED") faults.push(`failed: ${request.url()} ${request.failure()?.errorText}`); });
  page.on("response", (response) => { if (response.status() >= 400 && !expects.includes(response.status())) faults.push(`${response.status()}: ${response.url()}`); });
  await page.addInitScript(() => addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`)));
  return { page, faults };
}
