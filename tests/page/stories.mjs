// Stories of users and the page, each in a Chromium of its own: node stories.mjs STORY URL
//
// `ask` is another client. The stories wait for each change of the page, and every story ends with a
// check of the browser's complaints. LATCHD_BROWSER is the program, LATCHD_BROWSER_PACKAGES the folder
// with playwright-core and axe-core.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const packages = createRequire(`${process.env.LATCHD_BROWSER_PACKAGES}/`);
const { chromium } = packages('playwright-core');
const [story, url] = process.argv.slice(2);

const HOSTILE = [
  '<img src=x onerror="document.title=1">',
  '"><script>document.title=1</script>',
  "' onmouseover='document.title=1",
  'a/b?c=d#e&f%2Fg+h',
  'evil\u202Egnp.exe\u200B',
  '${document.title=1}{{7*7}}',
  '__proto__',
  'W'.repeat(128),
];

async function ask(line, { body, key } = {}) {
  const [method, path] = line.split(' ');
  const headers = { Accept: 'application/json' };
  if (key) headers.Authorization = `Bearer ${key}`;
  const response = await fetch(url + path, { method, headers, body });
  const answer = await response.json();
  assert.ok(response.ok, `${line}: ${JSON.stringify(answer)}`);
  return answer;
}

const seed = pools => ask('POST /pool', { body: JSON.stringify(pools) });
const lock = (pool, query = '') => ask(`POST /pool/${encodeURIComponent(pool)}/lock${query}`);

const stories = {
  async follows(page) {
    await seed({ A: ['1', '2', '3'], B: ['x'] });
    await open(page);
    await sees(page, 'A', '0 held · 3 free');
    await lock('A', '?owner=ci-42&ttl=60');
    await sees(page, 'A', '1 held · 2 free');
    const row = page.locator('tbody tr');
    await row.getByText('ci-42').waitFor();
    const cells = (await row.innerText()).split(/\s*\t\s*/);
    assert.match(cells[2], /^[0-9]s\nsince .*:/);
    assert.match(cells[3], /^(1m 0s|5[0-9]s)$/);
    // The waiters, and a lock without owner and end.
    await lock('B');
    const waiting = lock('B', '?wait=60');
    await sees(page, 'B', '1 held · 0 free · 1 waiting');
    await queueTable(page).waitFor();
    await page.getByText('until released').waitFor();
    assert.equal(await page.locator('#sum-waiting').innerText(), '1');
    await ask('DELETE /pool/B/lock');
    await waiting;
    await queueTable(page).waitFor({ state: 'hidden' });
    await sees(page, 'B', '1 held · 0 free');
    await ask('DELETE /pool/B/lock');
    // A held resource that is no member any more takes no free one away.
    await ask('PUT /pool/A', { body: '["1","2","4"]' });
    await sees(page, 'A', '1 held · 3 free');
    assert.equal(await page.locator('#sum-free').innerText(), '4');
    await ask('DELETE /pool/A/lock');
    await sees(page, 'A', '0 held · 3 free');
    await sees(page, 'B', '0 held · 1 free');
    await ask('DELETE /pool/B');
    await pool(page, 'B').waitFor({ state: 'detached' });
  },

  async queues(page) {
    await seed({ A: ['1', '2'], B: ['x'] });
    await lock('A', '?n=2');
    const asked = [];
    page.on('request', request => { if (request.url().endsWith('/queue')) asked.push(request.url()); });
    await open(page);
    await sees(page, 'A', '2 held · 0 free');
    assert.deepEqual(asked, [], 'the queue is empty, and it asks for it');
    const queue = async (name, query, count) => {
      const leave = new AbortController();
      const path = `${url}/pool/A/lock${name}?wait=60${query}`;
      const granted = fetch(path, { method: 'POST', signal: leave.signal }).then(answer => answer.text(), () => 'left');
      await sees(page, 'A', `2 held · 0 free · ${count} waiting`);
      return { granted, leave: () => leave.abort() };
    };
    const several = await queue('', '&n=2&owner=ci-42', 1);
    const unnamed = await queue('', '', 2);
    const certain = await queue('/2', '&owner=b%20c', 3);
    const rows = queueTable(page).locator('tbody tr');
    const cells = async () => (await rows.all()).length === 3 && Promise.all((await rows.all()).map(async row => (await row.innerText()).split(/\s*\t\s*/)));
    await rows.nth(2).waitFor();
    const shown = await cells();
    assert.deepEqual(shown.map(([owner, wants]) => [owner, wants]), [['ci-42', 'any 2'], ['no name given', 'any'], ['b c', '2']]);
    for (const [, , waiting, left] of shown) {
      assert.match(waiting, /^[0-9]+s\nsince .*:/);
      assert.match(left, /^(1m 0s|[45][0-9]s)$/);
    }
    // The times advance by themselves.
    const first = rows.first().locator('td').nth(3);
    const before = await first.innerText();
    await page.waitForFunction(([cell, before]) => cell.innerText !== before, [await first.elementHandle(), before]);
    // A waiter leaves; an owner keeps its place.
    unnamed.leave();
    await sees(page, 'A', '2 held · 0 free · 2 waiting');
    await rows.nth(2).waitFor({ state: 'detached' });
    assert.equal(await page.getByText('connection lost').count(), 0);
    several.leave();
    await rows.first().getByText('connection lost').waitFor();
    assert.match(await first.innerText(), /^(1[0-2]|[0-9])s$/);
    await rows.nth(1).waitFor({ state: 'detached' });
    assert.match(await rows.first().innerText(), /^b c\s/);
    await ask('DELETE /pool/A/lock');
    assert.equal(await certain.granted, '2');
    await queueTable(page).waitFor({ state: 'hidden' });
    assert.ok(asked.length > 0 && asked.every(address => address === `${url}/pool/A/queue`), String(asked));
  },

  async releases(page) {
    await seed({ A: ['1', '2', '3'], B: ['x'] });
    await lock('A');
    await lock('A', '?owner=ci-42');
    await lock('A');
    await lock('B');
    await open(page);
    // Not meant.
    await page.getByRole('button', { name: 'Release 3' }).click();
    await page.getByRole('dialog', { name: 'Release 3 of A?' }).waitFor();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Release 3' }).click();
    await page.keyboard.press('Escape');
    assert.equal((await ask('GET /pool')).A.held, 3);
    // Meant.
    await page.getByRole('button', { name: 'Release 3' }).click();
    await page.getByRole('button', { name: 'Release', exact: true }).click();
    await page.getByText('Released 3.').waitFor();
    assert.deepEqual((await ask('GET /pool/A/lock')).map(lock => lock.id), ['2', '1']);
    await sees(page, 'A', '2 held · 1 free');
    // Of an owner only by force, which the dialog says.
    await page.getByRole('button', { name: 'Release 2' }).click();
    await page.getByText('ci-42 has held it').waitFor();
    await page.getByRole('button', { name: 'Release by force' }).click();
    await page.getByText('Released 2.').waitFor();
    assert.deepEqual((await ask('GET /pool/A/lock')).map(lock => lock.id), ['1']);
    // A resource that was lent again since is left alone, and the dialog says why.
    await page.getByRole('button', { name: 'Release 1' }).click();
    await ask('DELETE /pool/A/lock/1');
    await ask('POST /pool/A/lock/1');
    await page.getByRole('button', { name: 'Release', exact: true }).click();
    await page.getByRole('alert').getByText('stale: ').waitFor();
    await page.keyboard.press('Escape');
    assert.equal((await ask('GET /pool')).A.held, 1);
    complaints.splice(0, 1);
    // All of one pool.
    await ask('POST /pool/A/lock/2?owner=ci-42');
    await page.getByRole('button', { name: 'Release all of A' }).click();
    await page.getByRole('button', { name: 'Release all', exact: true }).click();
    await page.getByText('Released 2 of A.').waitFor();
    const { A, B } = await ask('GET /pool');
    assert.deepEqual([A.held, B.held], [0, 1]);
  },

  async keyboard(page) {
    await seed({ A: ['1', '2'] });
    await lock('A');
    await lock('A');
    await open(page);
    await page.getByRole('button', { name: 'Release 2' }).waitFor();
    const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText);
    const walk = async name => {
      for (let steps = 0; await focused() !== name; steps += 1) {
        assert.ok(steps < 20, `${name} cannot be reached`);
        await page.keyboard.press('Tab');
      }
    };
    await walk('Release 2');
    const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(ring, 'solid');
    // The focus stays where it is while things change.
    await ask('PUT /pool/A', { body: '["1","2","3","4"]' });
    await lock('A');
    await page.getByRole('button', { name: 'Release 4' }).waitFor();
    assert.equal(await focused(), 'Release 2');
    await page.keyboard.press('Enter');
    // A slip of the finger releases nothing.
    assert.equal(await focused(), 'Cancel');
    await walk('Release');
    await page.keyboard.press('Enter');
    await page.getByText('Released 2.').waitFor();
    assert.deepEqual((await ask('GET /pool/A/lock')).map(lock => lock.id), ['1', '4']);
    await page.getByRole('button', { name: 'Release 2' }).waitFor({ state: 'detached' });
    assert.equal(await focused(), 'Release 1');
    // A pool is closed and opened.
    await page.keyboard.press('Shift+Tab');
    assert.equal(await focused(), 'A');
    await page.keyboard.press('Space');
    await page.getByRole('button', { name: 'A', expanded: false }).waitFor();
    await page.getByRole('table').waitFor({ state: 'hidden' });
    await page.keyboard.press('Enter');
    await page.getByRole('table').waitFor();
  },

  async hostile(page) {
    await seed({ [HOSTILE[0]]: HOSTILE, [HOSTILE[3]]: ['1'] });
    for (const owner of HOSTILE) await lock(HOSTILE[0], `?owner=${encodeURIComponent(owner)}`);
    const waiting = HOSTILE.map(owner => ask(`POST /pool/${encodeURIComponent(HOSTILE[0])}/lock/${encodeURIComponent(HOSTILE[7])}?wait=60&owner=${encodeURIComponent('w' + owner.slice(1))}`));
    const held = HOSTILE.length;
    await open(page);
    await sees(page, HOSTILE[0], `${held} held · 0 free · ${held} waiting`);
    await page.locator('tbody tr').nth(2 * held - 1).waitFor();
    const texts = selector => page.locator(selector).evaluateAll(nodes => nodes.map(node => node.textContent));
    const shown = HOSTILE.map(name => name.replace('\u202E', '\\u{202e}').replace('\u200B', '\\u{200b}'));
    for (const column of [1, 2]) {
      const cells = await texts(`tbody tr td:nth-child(${column}) bdi`);
      for (const name of shown) assert.ok(cells.includes(name), `${name} in ${cells}`);
    }
    const queueTable = await texts('.queue td:first-child bdi');
    assert.deepEqual(queueTable.sort(), shown.map(name => 'w' + name.slice(1)).sort());
    assert.deepEqual(new Set(await texts('.queue td:nth-child(2) bdi')), new Set([HOSTILE[7]]));
    assert.equal(await page.locator('img, iframe, main script, [onerror], [onmouseover]').count(), 0);
    assert.equal(await page.title(), 'latchd');
    // The waiters leave with the pool that they wait for.
    await ask(`PUT /pool/${encodeURIComponent(HOSTILE[0])}`, { body: JSON.stringify(HOSTILE.slice(0, 7)) });
    for (const answer of await Promise.allSettled(waiting)) assert.match(answer.reason.message, /no resource/);
    // Each is asked for by its own name and no other.
    for (const name of shown) {
      const button = page.getByRole('button', { name: `Release ${name}`, exact: true });
      await button.click();
      await page.getByRole('button', { name: 'Release by force' }).click();
      await button.waitFor({ state: 'detached' });
    }
    await sees(page, HOSTILE[0], `0 held · ${held - 1} free`);
  },

  async looks(page, context) {
    const names = { 'a pool with a name': HOSTILE, [HOSTILE[7]]: ['1', '2'], none: [] };
    await seed(names);
    for (const owner of HOSTILE) await lock('a pool with a name', `?ttl=7200&owner=${encodeURIComponent(owner)}`);
    const waiting = [lock('a pool with a name', '?wait=300')];
    for (const [place, name] of HOSTILE.entries()) {
      const path = `POST /pool/a%20pool%20with%20a%20name/lock/${encodeURIComponent(name)}`;
      waiting.push(ask(`${path}?wait=300&owner=${encodeURIComponent('w' + HOSTILE.at(-1 - place).slice(1))}`));
    }
    const backs = new Set();
    const axe = readFileSync(packages.resolve('axe-core'), 'utf8');
    for (const width of [360, 768, 1280]) {
      for (const colorScheme of ['light', 'dark']) {
        await page.setViewportSize({ width, height: 740 });
        await page.emulateMedia({ colorScheme });
        await open(page);
        await queueTable(page).locator('tbody tr').nth(HOSTILE.length).waitFor();
        const wide = () => page.evaluate(() => document.documentElement.scrollWidth);
        assert.equal(await wide(), width, `${width} ${colorScheme}`);
        backs.add(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
        // Contrast, names, roles, order: WCAG 2.2, as far as a program can tell.
        await page.evaluate(axe);
        const violations = async () => (await page.evaluate(() => window.axe.run())).violations
          .map(({ id, nodes }) => `${id}: ${nodes[0].html} ${nodes[0].failureSummary}`);
        assert.deepEqual(await violations(), []);
        await page.getByRole('button', { name: `Release ${HOSTILE[7]}`, exact: true }).click();
        const box = await page.getByRole('dialog').boundingBox();
        assert.ok(box.x >= 0 && box.x + box.width <= width, JSON.stringify(box));
        assert.equal(await wide(), width, `${width} ${colorScheme}`);
        assert.deepEqual(await violations(), []);
      }
    }
    assert.equal(backs.size, 2);
    await ask('DELETE /pool/a%20pool%20with%20a%20name');
    await Promise.allSettled(waiting);
  },

  // The names come with the story: latch is asked for them, too.
  async escapes(page) {
    const names = JSON.parse(process.env.LATCHD_NAMES);
    await open(page);
    await page.locator('section').nth(names.length - 1).waitFor();
    const shown = await page.locator('h2 bdi').evaluateAll(nodes => nodes.map(node => node.textContent));
    assert.deepEqual(shown.sort(), names.sort());
  },

  async finds(page) {
    // With this many, each tile is still whole on a phone.
    await page.setViewportSize({ width: 360, height: 740 });
    const sizes = [];
    page.on('response', async response => {
      if (response.url().includes('/pool?')) sizes.push((await response.body()).length);
    });
    const millions = JSON.stringify({ pools: 100000, resources: 1000000, held: 1000000, waiting: 100000, free: 1000000 });
    const pools = Array.from({ length: 250 }, (_, place) => [`pool ${place}`, ['1']]);
    await seed(Object.fromEntries(pools));
    await lock('pool 249', '?owner=o');
    await open(page);
    await page.getByText('And 150 more').waitFor();
    assert.equal(await page.locator('section').count(), 100);
    const sums = () => page.locator('#sums dd').allInnerTexts();
    assert.deepEqual(await sums(), ['250', '1', '249', '0']);
    assert.ok(sizes.length > 1 && sizes.every(size => size < 8000), String(sizes));
    await page.route('**/pool?sum', route => route.fulfill({ contentType: 'application/json', body: millions }));
    await page.getByText('And 99,900 more').waitFor();
    assert.deepEqual(await sums(), ['100,000', '1,000,000', '1,000,000', '100,000']);
    const cut = await page.locator('#sums div, #sums dt, #sums dd').evaluateAll(nodes =>
      nodes.filter(node => node.scrollWidth > node.clientWidth).map(node => node.outerHTML));
    assert.deepEqual(cut, []);
    await page.unroute('**/pool?sum');
    // Where there are many they are closed.
    assert.equal(await page.getByRole('table').count(), 0);
    await page.getByLabel('Find a pool').fill('POOL 24');
    await page.locator('section').nth(11).waitFor({ state: 'detached' });
    assert.equal(await page.locator('section').count(), 11);
    await page.getByLabel('Find a pool').fill('POOL 249');
    await page.locator('section').nth(1).waitFor({ state: 'detached' });
    assert.equal(await page.locator('section').count(), 1);
    await page.getByRole('button', { name: 'pool 249' }).click();
    await page.getByRole('button', { name: 'Release 1' }).waitFor();
    await page.getByLabel('Find a pool').fill('none such');
    await page.getByText('No pool has such a name.').waitFor();
    await page.getByLabel('Find a pool').fill('é'.repeat(100));
    await page.getByText('No pool has such a name.').waitFor();
    // The page says how many there are beyond those shown.
    await page.getByLabel('Find a pool').fill('pool 1');
    await page.getByText('And 11 more').waitFor();
    // The page does not request a list that is too long to read.
    await ask('PUT /pool/pool%20249', { body: JSON.stringify(Array.from({ length: 501 }, (_, place) => place)) });
    await lock('pool 249', '?n=500');
    await page.getByLabel('Find a pool').fill('pool 249');
    await page.getByText('501 are held, too many to show here.').waitFor();
  },

  async rests(page) {
    await page.clock.install();
    let asked = 0;
    page.on('request', () => { asked += 1; });
    const hide = hidden => page.evaluate(value => {
      Object.defineProperty(document, 'hidden', { configurable: true, value });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
    await open(page);
    await hide(true);
    // Requests that were on their way when it was hidden are over then.
    await page.clock.runFor(20_000);
    const before = asked;
    await page.clock.runFor(60_000);
    assert.equal(asked, before, 'the page is hidden, and it asks');
    const answer = page.waitForResponse(`${url}/pool?limit=100`);
    await hide(false);
    await answer;
  },

  async away(page, context) {
    await seed({ A: ['1'] });
    await open(page);
    await sees(page, 'A', '0 held · 1 free');
    await context.setOffline(true);
    await page.getByText('The server does not answer.').waitFor();
    await page.getByText(/Next try in [0-9]+ s\./).waitFor();
    await lock('A');
    await context.setOffline(false);
    await page.getByRole('button', { name: 'Try now' }).click();
    await sees(page, 'A', '1 held · 0 free');
    await page.getByText('The server is back.').waitFor();
    assert.ok(complaints.every(text => text.includes('ERR_INTERNET_DISCONNECTED')), complaints.join('\n'));
    complaints.length = 0;
  },

  async keys(page, context) {
    const admin = { key: 'secret-for-everything' };
    await ask('POST /pool', { ...admin, body: '{"A":["1","2"],"hidden":["x"]}' });
    await ask('POST /pool/A/lock', admin);
    await ask('POST /pool/A/lock?owner=o', admin);
    await page.goto(url);
    const show = async secret => {
      await page.getByLabel('The secret of a key').fill(secret);
      await page.keyboard.press('Enter');
    };
    await page.getByRole('dialog', { name: 'Key' }).waitFor();
    assert.equal(await page.locator('section').count(), 0);
    await show('not a word');
    await page.getByText('without spaces').waitFor();
    await show('secret-of-nobody-at-all');
    await page.getByText('The server does not know this key.').waitFor();
    await page.keyboard.press('Escape');
    await page.getByText('This server wants a key.').waitFor();
    await page.getByRole('button', { name: 'Enter a key' }).click();
    // A key that may release locks without owner, in this pool alone.
    await show('secret-for-using-A');
    await sees(page, 'A', '2 held · 0 free');
    assert.equal(await page.locator('section').count(), 1);
    // The server was never away.
    assert.equal(await page.locator('#said').innerText(), '');
    await page.getByText('To release a lock that has an owner takes').waitFor();
    assert.deepEqual(await releases(page), ['Release 2']);
    await page.getByRole('button', { name: 'Release 2' }).click();
    await page.getByRole('button', { name: 'Release', exact: true }).click();
    await page.getByText('Released 2.').waitFor();
    await page.getByRole('button', { name: 'Release 2' }).waitFor({ state: 'hidden' });
    assert.deepEqual(await releases(page), []);
    assert.equal((await ask('GET /pool', admin)).A.held, 1);
    // It stays with this tab, over a reload, and goes nowhere else.
    await page.reload();
    await sees(page, 'A', '1 held · 1 free');
    assert.deepEqual(await page.evaluate(() => [localStorage.length, document.cookie, location.href]), [0, '', `${url}/`]);
    const other = await context.newPage();
    await other.goto(url);
    await other.getByRole('dialog', { name: 'Key' }).waitFor();
    await page.getByRole('button', { name: 'Key…' }).click();
    await page.getByRole('button', { name: 'Forget it' }).click();
    await page.getByText('This server wants a key.').waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    // A key that may only read.
    await show('secret-for-looking');
    await pool(page, 'hidden').waitFor();
    await page.getByText('This key may look, but not release.').waitFor();
    assert.deepEqual(await releases(page), []);
    await page.getByRole('button', { name: 'Key…' }).click();
    await show('secret-for-everything');
    await page.getByRole('button', { name: 'Release all of A' }).waitFor();
    assert.deepEqual(await releases(page), ['Release 1', 'Release all of A']);
    assert.equal(await page.locator('#said').innerText(), '');
    assert.ok(complaints.every(text => /status of 40[13]/.test(text)), complaints.join('\n'));
    complaints.length = 0;
  },

  async policy(page) {
    await open(page);
    const tried = await page.evaluate(async () => {
      const fails = async attempt => { try { await attempt(); return false; } catch { return true; } };
      const add = (name, fill) => { const node = document.createElement(name); fill(node); document.body.append(node); return node; };
      const refused = {
        markup: await fails(() => { document.body.innerHTML = '<b>'; }),
        script: await fails(() => { add('script', node => { node.textContent = 'window.ran = 1'; }); }),
        code: await new Promise(told => setTimeout(() => told(fails(() => new Function('1'))))),
        elsewhere: await fails(() => fetch('http://127.0.0.1:1/', { mode: 'no-cors' })),
      };
      add('p', node => { node.setAttribute('style', 'color: red'); node.id = 'styled'; });
      refused.style = getComputedStyle(document.getElementById('styled')).color !== 'rgb(255, 0, 0)';
      return { ...refused, ran: window.ran };
    });
    assert.deepEqual(tried, { markup: true, script: true, code: true, elsewhere: true, style: true, ran: undefined });
    assert.ok(complaints.length >= 3);
    complaints.length = 0;
  },
};

/// The table of waiters, if only one pool has a queue.
const queueTable = page => page.getByRole('table', { name: 'Queue' });

const pool = (page, name) => page.locator('section', { has: page.getByRole('heading', { name, exact: true }) });

/// The names of the buttons that would release a lock.
const releases = page => page.locator('.release, .purge').evaluateAll(buttons =>
  buttons.filter(button => button.checkVisibility()).map(button => button.getAttribute('aria-label')));

/// Waits until a pool is there with these counts.
const sees = (page, name, counts) => page.waitForFunction(([name, counts]) =>
  [...document.querySelectorAll('section')].some(section =>
    section.querySelector('h2').textContent.trim() === name && section.querySelector('.counts').innerText === counts), [name, counts]);

async function open(page) {
  await page.goto(url);
  await page.locator('#state.live').waitFor();
}

/// The browser's complaints: errors of the script, and violations of the policy.
const complaints = [];

const browser = await chromium.launch({ executablePath: process.env.LATCHD_BROWSER, args: ['--no-sandbox'] });
try {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on('console', message => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('pageerror', error => complaints.push(String(error)));
  page.on('request', request => {
    if (!request.url().startsWith(`${url}/`) && story !== 'policy' && !request.url().startsWith('data:')) complaints.push(`asks ${request.url()}`);
  });
  await stories[story](page, context);
  assert.deepEqual(complaints, []);
} finally {
  await browser.close();
}
