// The expectations of the Node original's test suite, in the order of its stories. The client
// is a JSON client as restify's: it sends Accept and a JSON body with its type and length, keeps its
// connection, and reads each body as JSON. A second one sends no Accept.
import assert from "node:assert/strict";
import http from "node:http";

const url = new URL(process.argv[2]);
const agent = new http.Agent({ keepAlive: true });

function ask(method, path, body, fields = { Accept: "application/json" }) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = { ...fields, "User-Agent": "restify/1.0", "Accept-Version": "~1.0", Date: new Date().toUTCString() };
  if (text !== undefined) {
    headers["Content-Type"] = "application/json";
    headers["Content-Length"] = Buffer.byteLength(text);
  } else if (method === "POST" || method === "PUT") {
    headers["Content-Length"] = 0;
  }
  return new Promise((resolve, reject) => {
    const request = http.request({ host: url.hostname, port: url.port, method, path, headers, agent }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => {
        const { statusCode: status, headers: fields } = answer;
        resolve({ status, type: fields["content-type"], text: Buffer.concat(parts).toString() });
      });
    });
    request.on("error", reject);
    request.end(text);
  });
}

/** The value of a success, whose type must be JSON to the letter. */
async function json(method, path, body, fields) {
  const answer = await ask(method, path, body, fields);
  assert.equal(answer.status, 200, `${method} ${path}: ${answer.status} ${answer.text}`);
  assert.equal(answer.type, "application/json", `${method} ${path}`);
  return JSON.parse(answer.text);
}

async function fails(status, code, method, path, body) {
  const answer = await ask(method, path, body);
  assert.equal(answer.status, status, `${method} ${path}: ${answer.status} ${answer.text}`);
  assert.equal(answer.type, "application/json", `${method} ${path}`);
  const problem = JSON.parse(answer.text);
  assert.equal(problem.code, code, `${method} ${path}`);
  assert.ok(problem.message);
}

const pool = ["1", "2", "3", "4"];

// The server names itself, and is alive.
assert.match((await json("GET", "/")).message, /^latchd \d/);
assert.deepEqual(await json("GET", "/ping"), { result: "pong" });
assert.deepEqual(await json("GET", "/pool"), {});

// Pools are made at once and one by one, and each answer is the members.
assert.deepEqual(await json("POST", "/pool", { A: pool, B: ["x"] }), { A: pool, B: ["x"] });
assert.deepEqual(await json("GET", "/pool/A"), pool);
assert.deepEqual(await json("PUT", "/pool/C", ["a", "b"]), ["a", "b"]);
assert.deepEqual(await json("POST", "/pool/C", ["c"]), ["a", "b", "c"]);
assert.deepEqual(await json("PUT", "/pool", { C: ["d"] }), { C: ["d"] });
assert.deepEqual(Object.keys(await json("GET", "/pool")), ["A", "B", "C"]);
assert.equal(await json("DELETE", "/pool/C"), "");
await fails(404, "no pool", "GET", "/pool/C");

// A name is needed.
await fails(400, "bad path", "GET", "/pool/");
await fails(400, "bad path", "PUT", "/pool/");
await fails(400, "bad path", "PUT", "/pool/", ["1"]);
await fails(400, "bad path", "POST", "/pool/", ["1"]);
await fails(400, "bad JSON", "PUT", "/pool/A", "5");
await fails(400, "bad body: empty", "PUT", "/pool/A");
assert.deepEqual(await json("GET", "/pool/A"), pool);

// Four locks at the same time are four resources, and there is no fifth.
const locks = await Promise.all(pool.map(() => json("POST", "/pool/A/lock")));
assert.deepEqual([...locks].sort(), pool);
await fails(409, "busy", "POST", "/pool/A/lock");
assert.deepEqual(await json("GET", "/pool/A/lock").then((leases) => leases.map(({ id }) => id).sort()), pool);

// Each is given back once.
for (const id of locks) {
  assert.equal(await json("DELETE", `/pool/A/lock/${id}`), "");
}
await fails(404, "not held", "DELETE", "/pool/A/lock/4");
await fails(404, "no pool", "DELETE", "/pool/Z/lock/4");
await fails(404, "no resource", "POST", "/pool/A/lock/9");

// One by name, and all at once.
assert.equal(await json("POST", "/pool/A/lock/2"), "2");
await fails(409, "busy", "POST", "/pool/A/lock/2");
assert.equal(await json("DELETE", "/pool/A/lock"), 1);
assert.deepEqual(await json("GET", "/pool/A/lock"), []);

// A client that sends JSON and names no Accept is answered with JSON that says so.
const bare = {};
assert.deepEqual(await json("PUT", "/pool/A", ["5"], bare), ["5"]);
assert.deepEqual(await json("POST", "/pool", { A: ["6"] }, bare), { A: ["5", "6"] });
assert.deepEqual(await json("PUT", "/pool", { A: [7] }, bare), { A: ["7"] });

agent.destroy();
console.log("all expectations hold");
