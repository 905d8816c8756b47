//! Histories: the answers that clients got, and whether a lock server that keeps its promises can
//! have given them.

mod call;
mod campaign;
mod chaos;
mod check;
mod disk;
mod grants;
mod leases;
mod queue;
mod rest;
mod rounds;
mod sabotage;
mod stories;
mod telling;
mod wire;
mod workers;
