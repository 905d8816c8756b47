// Attacks by pages of other sites on a latchd that the browser reaches: node strangers.mjs STORY URL
//
// Each story ends with a check of the changes. LATCHD_BROWSER is the program, LATCHD_BROWSER_PACKAGES
// the folder with playwright-core.

import assert from 'node:assert/strict';
import http from 'node:http';
import { createRequire } from 'node:module';

const { chromium } = createRequire(`${process.env.LATCHD_BROWSER_PACKAGES}/`)('playwright-core');
const [story, url] = process.argv.slice(2);
const { port } = new URL(url);

async function ask(line, body) {
  const [method, path] = line.split(' ');
  const response = await fetch(url + path, { method, headers: { Accept: 'application/json' }, body });
  assert.ok(response.ok, `${line}: ${response.status}`);
  return response.json();
}

/// The number of requests that the server has refused with 403.
async function refusals() {
  const page = await (await fetch(`${url}/metrics`)).text();
  const lines = page.split('\n').filter(line => line.startsWith('latchd_requests_total{') && line.includes('status="403"'));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/// The attempts of a page that may not even read the answers. Returns the number of requests that must
/// arrive, and all that it could read nevertheless.
async function tryAll(url) {
  const fails = async attempt => { try { await attempt(); return 'done'; } catch { return 'fails'; } };
  const posts = [
    ['/pool/A/lock', ''],
    ['/pool/A/lock?_method=DELETE', ''],
    ['/pool/A/lock/1?force&_method=DELETE', ''],
    ['/pool/A?_method=DELETE', ''],
    ['/pool/A?_method=PUT', '[]'],
    ['/pool', '{"B":["x"]}'],
  ];
  const form = (path, enctype) => {
    const frame = document.createElement('iframe');
    frame.name = `frame${document.forms.length}`;
    const form = document.createElement('form');
    Object.assign(form, { action: url + path, method: 'post', enctype, target: frame.name });
    const field = document.createElement('input');
    Object.assign(field, { name: '{"C":["', value: '"]}' });
    form.append(field);
    document.body.append(frame, form);
    const loaded = new Promise(told => { frame.onload = told; });
    form.submit();
    return loaded;
  };
  let sent = 0;
  for (const [path, body] of posts) {
    await fails(() => fetch(url + path, { method: 'POST', mode: 'no-cors', body }));
    navigator.sendBeacon(url + path, body);
    for (const enctype of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) await form(path, enctype);
    sent += 5;
  }
  // A page in a sandbox has the origin null.
  const sandbox = document.createElement('iframe');
  sandbox.sandbox = 'allow-scripts';
  sandbox.srcdoc = `<script>fetch('${url}/pool/A?_method=DELETE', {method: 'POST', mode: 'no-cors'})` +
    `.finally(() => parent.postMessage('done', '*'))</script>`;
  const done = new Promise(told => window.addEventListener('message', told, { once: true }));
  document.body.append(sandbox);
  await done;
  sent += 1;
  const script = await new Promise(told => {
    const node = document.createElement('script');
    Object.assign(node, { src: `${url}/pool`, onload: () => told('done'), onerror: () => told('fails') });
    document.body.append(node);
  });
  return {
    sent,
    read: [
      script,
      await fails(() => fetch(`${url}/pool`)),
      await fails(() => fetch(`${url}/pool`, { mode: 'no-cors' })),
      // They are asked for by a preflight, which does not allow them.
      await fails(() => fetch(`${url}/pool/A`, { method: 'DELETE' })),
      await fails(() => fetch(`${url}/pool/A/lock`, { method: 'POST', headers: { 'Content-Type': 'application/json' } })),
    ],
  };
}

const stories = {
  /// From another port of the same machine, and from another site.
  async changes(browser) {
    const site = http.createServer((_, response) => response.end('<!doctype html><title>x</title><body>'));
    await new Promise(told => site.listen(0, '127.0.0.1', told));
    try {
      let refused = 0;
      for (const host of ['127.0.0.1', 'localhost']) {
        const page = await browser.newPage();
        await page.goto(`http://${host}:${site.address().port}/`);
        const { sent, read } = await page.evaluate(tryAll, url);
        assert.deepEqual(new Set(read), new Set(['fails']), `${host}: ${read}`);
        refused += sent;
        // A beacon arrives when it does.
        const end = Date.now() + 20_000;
        while (await refusals() < refused) assert.ok(Date.now() < end, `${await refusals()} of ${refused} have arrived`);
        await page.close();
      }
    } finally {
      site.close();
      site.closeAllConnections();
    }
  },

  /// A site whose name turns to the address of the server is of the same origin.
  async rebinds(browser) {
    const page = await browser.newPage();
    const answer = await page.goto(`http://evil.example:${port}/`);
    assert.equal(answer.status(), 403);
    assert.match(await answer.text(), /^unknown host/);
    const statuses = await page.evaluate(async () => {
      const asked = [
        fetch('/pool'),
        fetch('/pool/A/lock', { headers: { 'User-Agent': 'x' }, referrerPolicy: 'no-referrer' }),
        fetch('/pool/A/lock', { method: 'POST' }),
        fetch('/pool/A/lock/1?force', { method: 'DELETE' }),
        fetch('/pool/A', { method: 'DELETE' }),
        fetch('/pool', { method: 'PUT', body: '{"A":[]}' }),
      ];
      return (await Promise.all(asked)).map(response => response.status);
    });
    assert.deepEqual(new Set(statuses), new Set([403]));
  },

  /// A name that the operator has given is as good as an address.
  async named(browser) {
    const page = await browser.newPage();
    await page.goto(`http://locks.example:${port}/`);
    await page.getByRole('button', { name: 'Release 1' }).click();
    await page.getByRole('button', { name: 'Release by force' }).click();
    await page.getByText('Released 1.').waitFor();
    await ask('POST /pool/A/lock/1?owner=o');
  },
};

const browser = await chromium.launch({
  executablePath: process.env.LATCHD_BROWSER,
  args: ['--no-sandbox', '--host-resolver-rules=MAP *.example 127.0.0.1'],
});
try {
  await ask('POST /pool', '{"A":["1","2"]}');
  await ask('POST /pool/A/lock/1?owner=o');
  await stories[story](browser);
  const pools = Object.entries(await ask('GET /pool'));
  assert.deepEqual(pools.map(([name, { resources, held, waiting }]) => [name, resources, held, waiting]), [['A', 2, 1, 0]]);
  assert.deepEqual((await ask('GET /pool/A/lock')).map(({ id, owner }) => [id, owner]), [['1', 'o']]);
} finally {
  await browser.close();
}
