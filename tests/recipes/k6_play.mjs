// Plays k6 for one simulated user: k6_play.mjs SCRIPT ITERATIONS, with the environment as __ENV.
globalThis.__ENV = process.env;
const [script, iterations] = process.argv.slice(2);
const { default: iterate, options } = await import(script);
if (!(options.vus > 1)) throw new Error('no options');
for (let count = 0; count < Number(iterations); count += 1) iterate();
