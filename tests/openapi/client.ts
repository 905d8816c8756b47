// Uses the types that openapi-typescript has generated, with openapi-fetch: `client.js BASE`.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

type Lease = components["schemas"]["Lease"];

const client = createClient<paths>({ baseUrl: process.argv[2] });

function expect(found: unknown, expected: unknown): void {
  const [left, right] = [JSON.stringify(found), JSON.stringify(expected)];
  if (left !== right) {
    throw new Error(`${left}, not ${right}`);
  }
}

// Returns the value of a success; its type is that of the description.
function success<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) {
    throw new Error(JSON.stringify(answer.error));
  }
  return answer.data;
}

const ids = (leases: Lease[]): string[] => leases.map((lease) => lease.id);
const inA = { path: { pool: "A" } };

expect(success(await client.GET("/ping")).result, "pong");
const version: string = success(await client.GET("/")).message;
expect(version.startsWith("latchd "), true);
const figures: string = success(await client.GET("/metrics", { parseAs: "text" }));
expect(figures.startsWith("# HELP "), true);

const seeded: Record<string, string[]> = success(
  await client.POST("/pool", { body: { A: ["1", "2", "3", 4] } }),
);
expect(seeded, { A: ["1", "2", "3", "4"] });
const withSlash = { params: { path: { pool: "a/b" } } };
const members: string[] = success(
  await client.PUT("/pool/{pool}", { ...withSlash, body: ["x"] }),
);
expect(members, ["x"]);
expect(success(await client.GET("/pool/{pool}", withSlash)), ["x"]);

const leases: Lease[] = success(
  await client.POST("/pool/{pool}/lock", { params: { ...inA, query: { owner: "o", ttl: 60 } } }),
);
const [{ id, fence, ttl, owner }] = leases as [Lease];
const kinds: [string, number, string | null] = [id, fence, owner];
expect(kinds, ["4", 1, "o"]);
expect(ttl !== null && ttl > 50, true);
const two = success(
  await client.POST("/pool/{pool}/lock", { params: { ...inA, query: { n: 2 } } }),
);
expect(ids(two), ["3", "2"]);
const first = { params: { path: { pool: "A", id: "1" } } };
expect(ids(success(await client.POST("/pool/{pool}/lock/{id}", first))), ["1"]);

const busy = await client.POST("/pool/{pool}/lock", { params: inA });
expect(busy.response.status, 409);
const code: string | undefined = busy.error?.code;
expect(code, "busy");

const renewed: Lease[] = success(
  await client.PUT("/pool/{pool}/lock", { params: { ...inA, query: { owner: "o" } } }),
);
expect(ids(renewed), ["4"]);
const locks: Lease[] = success(await client.GET("/pool/{pool}/lock", { params: inA }));
expect(ids(locks), ["4", "3", "2", "1"]);
const shown: Lease = success(await client.GET("/pool/{pool}/lock/{id}", first));
expect(shown.ttl, null);

expect(success(await client.DELETE("/pool/{pool}/lock/{id}", first)), "");
const released: number = success(await client.DELETE("/pool/{pool}/lock", { params: inA }));
expect(released, 3);
expect(success(await client.DELETE("/pool/{pool}", { params: inA })), "");
const missing = await client.GET("/pool/{pool}", { params: inA });
expect(missing.response.status, 404);
