// Lets pages in a real Chromium make requests with a visitor's cookie, and prints the gateway's response to each.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { load } from './packages.mjs';

const { chromium } = (await load('playwright-core')).default;
const { chromiumPath, sockets, calls } = JSON.parse(readFileSync(0, 'utf8'));

// The upstream behind the gateway. It accepts WebSocket handshakes (RFC 6455 §4.2.2).
const upstream = http.createServer().on('upgrade', (request, socket) => {
  const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const accept = createHash('sha1').update(key).digest('base64');
  socket.on('error', () => {});
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`);
});
await new Promise((listening) => upstream.listen(sockets, '127.0.0.1', listening));

// The ways in which a page's script makes a request. Each returns when the browser has a response.
const ways = {
  fetch: async (url) => fetch(url, { method: 'POST', credentials: 'include', body: 'x' }).catch(() => {}),
  'no-cors': async (url) => fetch(url, { method: 'POST', mode: 'no-cors', credentials: 'include', body: 'x' }),
  form: async (url) => {
    const form = document.createElement('form');
    Object.assign(form, { method: 'POST', action: url });
    document.documentElement.append(form);
    form.submit();
  },
  socket: async (url) => {
    const socket = new WebSocket(url.replace('http:', 'ws:'));
    const opened = await new Promise((ended) => {
      socket.onopen = () => ended(true);
      socket.onerror = () => ended(false);
    });
    socket.close();
    return opened;
  },
};

const browser = await chromium.launch({ executablePath: chromiumPath, headless: true, args: ['--no-sandbox'] });
const verdicts = [];
for (const { page: address, way, url, cookie } of calls) {
  const context = await browser.newContext();
  await context.addCookies([cookie]);
  const page = await context.newPage();
  await page.goto(address);
  const devtools = await context.newCDPSession(page);
  await devtools.send('Network.enable');
  const answered = new Promise((answer) => {
    // If CORS hides a response from the page, Chromium reports only its extra info, which has no URL.
    const [asked, statuses] = [new Set(), new Map()];
    const match = () => asked.forEach((id) => statuses.has(id) && answer(statuses.get(id)));
    devtools.on('Network.requestWillBeSent', ({ requestId, request }) => {
      if (request.url === url) asked.add(requestId);
      match();
    });
    devtools.on('Network.responseReceivedExtraInfo', ({ requestId, statusCode }) => {
      statuses.set(requestId, statusCode);
      match();
    });
    devtools.on('Network.webSocketHandshakeResponseReceived', ({ response }) => answer(response.status));
    devtools.on('Network.webSocketFrameError', ({ errorMessage }) => answer(Number(/code: (\d+)/.exec(errorMessage)?.[1])));
  });
  const opened = await page.evaluate(ways[way], url).catch(() => {});
  verdicts.push({ status: await answered, opened: opened === true });
  await context.close();
}
await browser.close();
upstream.closeAllConnections();
upstream.close();
console.log(JSON.stringify(verdicts));
process.exit(0);
