// Plays the module `k6`: a check that fails, or fail(), ends the program.
export function check(value, checks) {
  for (const [name, holds] of Object.entries(checks)) {
    if (!holds(value)) throw new Error(`not so: ${name}: ${value.status} ${value.body}`);
  }
}

export function fail(message) {
  throw new Error(message);
}
