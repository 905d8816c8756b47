// k6: each iteration logs in as a test account that no other one has at that time.
//
//   k6 run -e HOST=https://shop.example -e LATCH_URL=http://127.0.0.1:8081 k6.js
//
// latchd lends the accounts out of the pool `accounts`, to as many machines and runs as there are.
import http from 'k6/http';
import exec from 'k6/execution';
import { check, fail } from 'k6';

const HOST = __ENV.HOST || 'http://127.0.0.1:8080';
const LOCK = `${__ENV.LATCH_URL || 'http://127.0.0.1:8081'}/pool/accounts/lock`;
const RUN = __ENV.RUN || Date.now();        // of several machines, each has to have another one

export const options = {
  vus: 5,
  duration: '30s',
  // Requests to latchd have a tag of their own, so that a threshold can leave them out.
  thresholds: { 'http_req_failed{to:shop}': ['rate<0.01'] },
};

const shop = { tags: { to: 'shop' } };
const latchd = { tags: { to: 'latchd' }, timeout: '90s' };

export default function () {
  // The owner makes asking safe to repeat. ttl is longer than an iteration: when k6 stops in the middle,
  // which it does without a word, that gives the account back.
  const owner = `k6-${RUN}-${exec.vu.idInTest}`;
  const answer = http.post(`${LOCK}?owner=${owner}&wait=60&ttl=120`, null, latchd);
  if (answer.status !== 200) fail(`no account: ${answer.body}`);   // 409: none was free for a minute
  const account = answer.body;
  try {
    check(http.post(`${HOST}/login`, { account }, shop), { 'logged in': (r) => r.status === 200 });
    http.get(`${HOST}/basket?account=${encodeURIComponent(account)}`, shop);
    http.post(`${HOST}/logout`, { account }, shop);
  } finally {
    http.del(`${LOCK}?owner=${owner}`, null, latchd);
  }
}
