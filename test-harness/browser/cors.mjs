// Runs cross-origin calls in a real Chromium and prints what the browser made of each: its own words, not ours.
import { readFileSync } from 'node:fs';
import { load } from './packages.mjs';

const { chromium } = (await load('playwright-core')).default;
const { chromiumPath, calls } = JSON.parse(readFileSync(0, 'utf8'));
const browser = await chromium.launch({ executablePath: chromiumPath, headless: true, args: ['--no-sandbox'] });
const verdicts = [];
for (const { page: address, url, init } of calls) {
  // A context of its own for each call: Chromium remembers preflights.
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(address);
  const devtools = await context.newCDPSession(page);
  await devtools.send('Network.enable');
  const corsErrors = [];
  const methods = [];
  devtools.on('Network.requestWillBeSent', (event) => methods.push(event.request.method));
  devtools.on('Network.loadingFailed', (event) => {
    if (event.corsErrorStatus) corsErrors.push(event.corsErrorStatus.corsError);
  });
  const seen = await page.evaluate(async ([url, init]) => {
    try {
      const response = await fetch(url, init);
      return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
    } catch (error) {
      return { error: String(error) };
    }
  }, [url, init]);
  // The failure's event may come a moment after the promise; a call that was allowed has none to wait for.
  for (let turn = 0; seen.error && corsErrors.length === 0 && turn < 50; turn += 1) await page.waitForTimeout(20);
  verdicts.push({ ...seen, corsError: corsErrors[0] ?? null, preflight: methods.includes('OPTIONS') });
  await context.close();
}
await browser.close();
console.log(JSON.stringify(verdicts));
