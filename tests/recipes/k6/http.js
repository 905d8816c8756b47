// Plays the module `k6/http`, whose requests wait for their answers, with curl.
import { execFileSync } from 'node:child_process';

function request(method, url, fields, params) {
  if (!params.tags.to) throw new Error('a request without a tag');
  const form = Object.entries(fields || {}).flatMap(([name, value]) => ['--data-urlencode', `${name}=${value}`]);
  const shown = execFileSync(
    'curl', ['-q', '-sS', '-w', '\n%{http_code}', '-X', method, ...form, url], { encoding: 'utf8' });
  const end = shown.lastIndexOf('\n');
  return { status: Number(shown.slice(end + 1)), body: shown.slice(0, end) };
}

export default {
  get: (url, params) => request('GET', url, null, params),
  post: (url, fields, params) => request('POST', url, fields, params),
  del: (url, fields, params) => request('DELETE', url, fields, params),
};
