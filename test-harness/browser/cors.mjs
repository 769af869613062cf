// Makes cross-origin calls in a real Chromium and prints the browser's own verdict on each.
import { readFileSync } from 'node:fs';
import { load } from './packages.mjs';

const { chromium } = (await load('playwright-core')).default;
const { chromiumPath, calls } = JSON.parse(readFileSync(0, 'utf8'));
const browser = await chromium.launch({ executablePath: chromiumPath, headless: true, args: ['--no-sandbox'] });
const verdicts = [];
for (const { page: address, url, init } of calls) {
  // Each call gets its own context, because Chromium caches preflights.
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
  // The event of a failure can arrive shortly after the promise settles. A call that succeeded has no such event.
  for (let turn = 0; seen.error && corsErrors.length === 0 && turn < 50; turn += 1) await page.waitForTimeout(20);
  verdicts.push({ ...seen, corsError: corsErrors[0] ?? null, preflight: methods.includes('OPTIONS') });
  await context.close();
}
await browser.close();
console.log(JSON.stringify(verdicts));
