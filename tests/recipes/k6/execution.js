// Plays the module `k6/execution`: each process is one simulated user.
export default { vu: { idInTest: process.pid } };
