// The dashboard in a real Chromium, on a real gateway under a mixed load: every page, at two sizes, in two
// themes, with the keyboard alone, with a token, without usage, and with what an attacker sends.
//
//     npm ci && node run.mjs [--screenshots FOLDER]

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { open, watched } from "./browser.mjs";
import { TOKEN, load, sleep, start } from "./gateway.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const binary = resolve(process.env.GATEWAY ?? join(here, "../../target/debug/gateway"));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const at = process.argv.indexOf("--screenshots");
const screenshots = at < 0 ? null : resolve(process.argv[at + 1]);
const WARM = Number(process.env.WARM ?? (screenshots ? 100 : 25)) * 1000;
const PATIENCE = { timeout: 20_000 };
// Fewer pages, to look at them.
const pages = process.env.PAGES?.split(",");
const tests = [];
const test = (name, run) => tests.push({ name, run });

const go = async (page, hash) => {
  await page.evaluate((it) => { location.hash = it; }, hash);
  await page.waitForFunction((it) => document.getElementById("main").dataset.shown === it, hash, PATIENCE);
};
const text = (page) => page.locator("main").innerText();
const says = (page, wanted) => page.waitForFunction(([source, flags]) => new RegExp(source, flags).test(document.querySelector("main").innerText), [wanted.source, wanted.flags], PATIENCE)
  .catch(async () => { throw new Error(`${wanted} is not on the page:\n${await text(page)}`); });
/** A row of a table says it. What the page says is not enough where a choice or a heading has the same words. */
const lists = (page, wanted) => page.waitForFunction(([source, flags]) => [...document.querySelectorAll("main tbody tr")].some((row) => new RegExp(source, flags).test(row.innerText)), [wanted.source, wanted.flags], PATIENCE)
  .catch(async () => { throw new Error(`${wanted} is in no row of:\n${await text(page)}`); });
const live = (page) => page.waitForFunction(() => document.getElementById("state").dataset.state === "live", null, PATIENCE);

/** What axe finds, in every rule that it has for WCAG 2.2 AA and good practice. */
async function accessible(page, what) {
  // By the protocol and not as a script of the page, whose policy forbids that.
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", { expression: axe });
  const { result, exceptionDetails } = await session.send("Runtime.evaluate", { awaitPromise: true, returnByValue: true, expression: "axe.run(document).then((it) => it.violations.map((one) => ({ id: one.id, help: one.help, nodes: one.nodes.slice(0, 5).map((node) => node.html + ' ' + node.failureSummary) })))" });
  assert.equal(exceptionDetails, undefined);
  assert.deepEqual(result.value, [], `${what}: ${JSON.stringify(result.value, null, 1)}`);
  await session.detach();
}

/** The page is no wider than the screen. */
async function fits(page, what) {
  const [wide, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide <= screen, `${what} is ${wide} wide on a screen of ${screen}`);
}

/** Every page, with what must be there. */
const PAGES = [
  ["#/", "overview", async (page) => {
    await live(page);
    for (const wanted of [/Requests\s+\d[\d.,]*\/s/, /p99/, /Workers busy\s+[\d.<]+%/, /Memory\s+[\d.]+\sMiB/, /orders/, /on-request/, /Latest failed and slow requests/]) await says(page, wanted);
    await page.waitForFunction(() => document.querySelectorAll(".uplot canvas").length === 4, null, PATIENCE);
    await says(page, /\b50[02]\b/);
  }],
  ["#/routes", "routes", async (page) => {
    await says(page, /keys → limit → shape/);
    for (const name of ["orders", "search", "billing/v1", "status", "never-asked"]) await says(page, new RegExp(name));
    await page.getByRole("button", { name: "p99" }).click();
    assert.equal(await page.locator("th[aria-sort]").innerText().then((it) => it.trim().slice(0, 3)), "p99");
    await page.getByRole("searchbox").fill("limit");
    await says(page, /1 of 6/);
    await page.getByRole("searchbox").fill("nothing like that");
    await says(page, /Nothing fits/);
    await page.getByRole("searchbox").fill("");
  }],
  ["#/routes/search", "route", async (page) => {
    for (const wanted of [/Variants[\s\S]*next[\s\S]*now/, /Copies to orders[\s\S]*the same status/, /Sent again\s+up to 2 times, on connect, 503/, /split now 3, next 1/]) await says(page, wanted);
    for (const wanted of [/Chain/, /keys[\s\S]*limit[\s\S]*shape/, /gateway\.toml:\d+/, /on-request/, /search/, /Since the start\s+[\d,]+/, /429/, /per|recorded request/]) await says(page, wanted);
    const cells = await page.locator(".chain td").allInnerTexts();
    assert.ok(cells.some((it) => /\d+\s*µs|\d\sms/.test(it)), `costs: ${cells}`);
  }],
  ["#/requests", "requests", async (page) => {
    for (const wanted of [/slow|failed/, /401/, /GET \/orders/]) await lists(page, wanted);
  }],
  ["#/requests?status=4xx&route=search", "requests-filtered", async (page) => {
    await lists(page, /429/);
    const statuses = await page.locator("tbody .badge").allInnerTexts();
    assert.ok(statuses.length > 0 && statuses.every((it) => it.startsWith("4")), `statuses: ${statuses}`);
  }],
  ["#/upstreams", "upstreams", async (page) => {
    for (const wanted of [/orders/, /search/, /billing/, /refused [\d,]+/, /127\.0\.0\.1:1\b/, /Retry budget 20% not spent/]) await says(page, wanted);
    // The only target of an upstream is never ejected.
    await lists(page, /billing[\s\S]*up/);
  }],
  ["#/plugins", "plugins", async (page) => {
    for (const wanted of [/keys/, /rate-limit/, /transform/, /MiB/]) await says(page, wanted);
  }],
  ["#/plugins?name=keys", "plugin", async (page) => {
    for (const wanted of [/on-request/, /live, \d+ made/, /Deadline/]) await says(page, wanted);
  }],
  ["#/models", "models", async (page) => {
    for (const wanted of [/Tokens out/, /Cooling down/, /Time to the first token/]) await says(page, wanted);
    // The second look says what passes now.
    await page.waitForFunction(() => [...document.querySelectorAll("main tbody tr")].some((row) => /chat[\s\S]*\d\/s[\s\S]*ms/.test(row.innerText)), null, PATIENCE);
    for (const wanted of [/gpu[\s\S]*of 2/, /gpt[\s\S]*\$0\.\d+/, /rate limited \d+/, /acme/, /zenith/]) await lists(page, wanted);
    const overs = await page.evaluate(() => [...document.querySelectorAll("main tbody tr")].find((row) => /^chat/.test(row.innerText)).innerText);
    assert.match(overs, /gpu, gpt/);
  }],
  ["#/experiments", "experiments", async (page) => {
    for (const wanted of [/checkout[\s\S]*running[\s\S]*as planned, p = 0\.\d+/, /50 % more errors than old/, /10% of the units of trials/]) await says(page, wanted);
    for (const wanted of [/old[\s\S]*control[\s\S]*50%[\s\S]*%\s\([\d.<]+% to \d/, /new[\s\S]*\d\sms \(/, /held out[\s\S]*\d/]) await lists(page, wanted);
  }],
  ["#/usage", "usage", async (page) => {
    for (const wanted of [/acme/, /zenith/, /orbit/]) await says(page, wanted);
    const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download CSV" }).click()]);
    const csv = readFileSync(await saved.path(), "utf8");
    assert.match(csv, /^consumer,requests,request_bytes,response_bytes,duration_ms(,\w+)*\r\n/);
    assert.match(csv, /\r\nacme,\d+,/);
  }],
  ["#/usage?by=consumer%2Croute", "usage-by-route", async (page) => says(page, /acme[\s\S]*orders/)],
  ["#/configuration", "configuration", async (page) => {
    for (const wanted of [/SHA-256\s+[0-9a-f]{64}/, /The file on disk is what is in force/, /public/, /No certificate/, /"routes"/, /\[masked\]/]) await says(page, wanted);
    assert.ok(!(await text(page)).includes("key-of-acme"), "a secret is shown");
  }],
];

test("the chart library is the one of npm, unchanged", async () => {
  const from = dirname(createRequire(import.meta.url).resolve("uplot/dist/uPlot.min.css"));
  for (const [file, origin] of [["uPlot.iife.min.js", "uPlot.iife.min.js"], ["uPlot.min.css", "uPlot.min.css"], ["LICENSE-uPlot", "../LICENSE"]]) {
    assert.ok(readFileSync(join(here, "../../gateway/dashboard", file)).equals(readFileSync(join(from, origin))), file);
  }
});

test("every page at two sizes and in two themes", async ({ context, gateway }) => {
  // All of it is looked at before any of it fails.
  const wrong = [];
  const look = async (...checks) => { for (const check of checks) await check().catch((error) => wrong.push(error.message)); };
  for (const size of ["desktop", "phone"]) {
    for (const scheme of ["light", "dark"]) {
      const { page, faults } = await watched(context, gateway.admin, { size, scheme });
      await page.goto(`${gateway.admin}/`);
      assert.equal(page.url(), `${gateway.admin}/dashboard/`);
      await live(page);
      if (screenshots) await sleep(12_000);
      for (const [hash, name, check] of PAGES.filter(([, it]) => !pages || pages.includes(it))) {
        await go(page, hash);
        await look(() => check(page));
        if (screenshots) {
          await sleep(name === "overview" || name === "route" ? 4000 : 400);
          await page.screenshot({ path: join(screenshots, `${name}-${size}-${scheme}.png`) });
        }
        await look(() => fits(page, `${name} ${size}`), () => accessible(page, `${name} ${size} ${scheme}`));
      }
      await go(page, "#/requests?slower=500ms&route=orders");
      await lists(page, /slow/);
      await page.locator("tbody a[href^='#/requests/']").first().click();
      for (const wanted of [/Waterfall/, /waiting for the head/, /Why this route/, /[6-9]\d\d\sms/]) await says(page, wanted);
      await look(() => fits(page, `request ${size}`), () => accessible(page, `request ${size} ${scheme}`));
      if (screenshots) await page.screenshot({ path: join(screenshots, `request-${size}-${scheme}.png`), fullPage: size === "phone" });
      wrong.push(...faults);
      await page.close();
    }
  }
  assert.ok(wrong.length === 0, wrong.join("\n"));
});

test("numbers are those of the gateway", async ({ context, gateway }) => {
  const { page, faults } = await watched(context, gateway.admin);
  await page.goto(`${gateway.admin}/dashboard/#/routes/orders`);
  await says(page, /Since the start\s+[\d,]+/);
  const shown = Number((await text(page)).match(/Since the start\s+([\d,]+)/)[1].replaceAll(",", ""));
  const { traffic } = await (await fetch(`${gateway.admin}/routes/orders`)).json();
  assert.ok(shown <= traffic.requests && shown > traffic.requests - 4000, `${shown} of ${traffic.requests}`);
  // The rate on the page against what the API counts meanwhile.
  await go(page, "#/");
  await live(page);
  await sleep(11_000);
  const total = async () => {
    const page = await (await fetch(`${gateway.admin}/metrics`)).text();
    return [...page.matchAll(/^gateway_requests_total\{.*\} (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
  };
  const [before, began] = [await total(), Date.now()];
  await sleep(10_000);
  const real = (await total() - before) / ((Date.now() - began) / 1000);
  const rate = Number((await page.locator(".tile-value").first().innerText()).replace(/[^\d.]/g, ""));
  assert.ok(rate > real * 0.6 && rate < real * 1.5, `${rate} on the page, ${real} counted`);
  assert.deepEqual(faults, []);
  await page.close();
});

test("what an attacker sends is text", async ({ context, gateway }) => {
  const { page, faults } = await watched(context, gateway.admin);
  await page.goto(`${gateway.admin}/dashboard/#/requests?status=401`);
  await says(page, /<img\/src=x\/onerror=window\.__pwned=1>|%3Cimg/);
  await page.locator("tbody a", { hasText: "img/src" }).first().click();
  await says(page, /Waterfall/);
  await page.goto(`${gateway.admin}/dashboard/#/routes/${encodeURIComponent("<img src=x onerror=window.__pwned=1>")}`);
  await says(page, /there is no such route|Not Found/);
  assert.equal(await page.evaluate(() => window.__pwned), undefined);
  assert.equal(await page.locator("main img").count(), 0);
  assert.deepEqual(faults.filter((it) => !it.includes("404")), []);
  await page.close();
});

test("the keyboard alone", async ({ context, gateway }) => {
  const { page, faults } = await watched(context, gateway.admin);
  await page.goto(`${gateway.admin}/dashboard/`);
  await live(page);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "skip");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  for (const [keys, hash] of [["gr", "#/routes"], ["gq", "#/requests"], ["gu", "#/upstreams"], ["gp", "#/plugins"], ["gm", "#/models"], ["ge", "#/experiments"], ["gs", "#/usage"], ["gc", "#/configuration"], ["go", "#/"]]) {
    for (const key of keys) await page.keyboard.press(key);
    await page.waitForFunction((it) => document.getElementById("main").dataset.shown === it, hash, PATIENCE);
    assert.equal(await page.evaluate(() => document.activeElement.id), "title", "a new page has the focus at its title");
  }
  await page.keyboard.press("?");
  await accessible(page, "the dialog of keys");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("dialog[open]").count(), 0);
  await page.keyboard.press("g");
  await page.keyboard.press("r");
  await says(page, /never-asked/);
  await page.keyboard.press("/");
  await page.keyboard.type("gr search");
  assert.equal(await page.getByRole("searchbox").inputValue(), "gr search", "a field has its keys to itself");
  await page.getByRole("searchbox").fill("search");
  await page.locator("h1").focus();
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await says(page, /Chain/);
  assert.equal(await page.evaluate(() => location.hash), "#/routes/search");
  const focused = await page.evaluate(() => { const link = document.querySelector("main a"); link.focus({ focusVisible: true }); return getComputedStyle(link).outlineStyle; });
  assert.notEqual(focused, "none", "the focus is seen");
  for (const wanted of ["light", "dark", undefined]) {
    await page.locator("h1").focus();
    await page.keyboard.press("t");
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), wanted);
  }
  assert.deepEqual(faults, []);
  await page.close();
});

test("a changed file, and a reload while it is looked at", async ({ context, gateway }) => {
  const { page, faults } = await watched(context, gateway.admin);
  const changed = gateway.text.replace('paths = ["/never"]', 'paths = ["/ever"]');
  writeFileSync(gateway.file, changed.replace("[gateway]", "[gateway]\nnonsense = 1"));
  await page.goto(`${gateway.admin}/dashboard/#/configuration`);
  for (const wanted of [/would be refused/, /nonsense/, /\/routes\/never-asked\/paths/, /\/ever/, /Generation\s+1/]) await says(page, wanted);
  await accessible(page, "a file that would be refused");
  // A file that is right is put in force by itself.
  writeFileSync(gateway.file, changed);
  for (let tries = 0; (await (await fetch(`${gateway.admin}/config`)).json()).generation !== 2; tries += 1) {
    assert.ok(tries < 100, "the file is read again");
    await sleep(200);
  }
  await go(page, "#/");
  await sleep(4500);
  await live(page);
  await go(page, "#/configuration");
  await says(page, /Generation\s+2[\s\S]*1 in force/);
  assert.deepEqual(faults, []);
  await page.close();
});

test("a token is asked for, refused, and kept for the tab", async ({ context }) => {
  const gateway = await start({ binary, token: true, usage: false });
  try {
    const { page, faults } = await watched(context, gateway.admin, { expects: [401, 404] });
    await page.goto(`${gateway.admin}/dashboard/`);
    const dialog = page.locator("dialog[open]");
    await dialog.getByLabel("Token").fill("another");
    await accessible(page, "the dialog of the token");
    await page.keyboard.press("Enter");
    await dialog.getByText("does not take this token").waitFor(PATIENCE);
    assert.equal(await dialog.count(), 1);
    await dialog.getByLabel("Token").fill(TOKEN);
    await dialog.getByRole("button", { name: "Continue" }).click();
    await live(page);
    await page.reload();
    await live(page);
    assert.equal(await page.evaluate(() => Object.keys(localStorage).join() + document.cookie), "theme", "the token is in nothing that stays");
    // Nothing has happened yet, and usage is off: each page says so.
    for (const [hash, wanted] of [["#/", /No request in the last minute/], ["#/usage", /Usage is not recorded[\s\S]*\[usage\]/], ["#/requests", /No record fits/], ["#/routes/orders", /No request yet/], ["#/plugins", /keys/], ["#/requests/00000000000000000000000000000000", /no record of a request/]]) {
      await go(page, hash);
      await says(page, wanted);
      await accessible(page, `${hash} without requests`);
    }
    await page.getByRole("button", { name: "Forget the token" }).click();
    await page.locator("dialog[open]").getByLabel("Token").waitFor(PATIENCE);
    assert.deepEqual(faults, []);
    await page.close();
  } finally {
    await gateway.stop();
  }
});

test("a gateway that goes away, and one that has no place to listen", async ({ context }) => {
  const gateway = await start({ binary, usage: false });
  const streams = [];
  try {
    const listen = async () => { const own = new AbortController(); const answer = await fetch(`${gateway.admin}/traffic/stream`, { signal: own.signal }); streams.push({ own, answer }); return answer.status; };
    // The answers are kept: one that is forgotten is closed.
    for (let count = 0; count < 8; count += 1) assert.equal(await listen(), 200);
    const { page, faults } = await watched(context, gateway.admin, { expects: [503] });
    await page.goto(`${gateway.admin}/dashboard/`);
    await page.waitForFunction(() => document.getElementById("state").dataset.state === "full", null, PATIENCE);
    streams.forEach(({ own }) => own.abort());
    await live(page);
    await gateway.stop();
    await page.waitForFunction(() => document.getElementById("state").dataset.state === "away", null, PATIENCE);
    await go(page, "#/routes");
    await says(page, /The gateway cannot be reached/);
    assert.deepEqual(faults.filter((it) => !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/.test(it)), []);
    await page.close();
  } finally {
    await gateway.stop();
  }
});

if (screenshots) mkdirSync(screenshots, { recursive: true });
const only = process.env.ONLY;
const gateway = await start({ binary });
const running = load(gateway.gateway);
const browser = await open();
let failed = 0;
try {
  await sleep(WARM);
  for (const { name, run } of tests.filter((it) => !only || it.name.includes(only))) {
    const began = Date.now();
    try {
      await run({ context: browser.context, gateway });
      console.log(`ok      ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed += 1;
      console.error(`FAILED  ${name}\n${error.stack ?? error}`);
      for (const page of browser.context.pages()) await page.close().catch(() => {});
      await browser.context.newPage();
    }
  }
} finally {
  await running.stop();
  await browser.close();
  await gateway.stop();
}
console.log(failed ? `${failed} failed` : "all is well");
process.exit(failed ? 1 : 0);
