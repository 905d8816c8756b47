//! TLS: all promises hold with it as without it, it is standard TLS, and a client that breaks it gets
//! nowhere.

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
