//! TLS: that what holds without it holds with it, that it is the TLS of everybody else, and that whoever
//! breaks it gets nowhere.

mod asking;
mod channel;
mod clients;
mod endings;
mod hostile;
mod latch;
mod ping;
mod records;
mod reload;
mod settings;
mod store;
