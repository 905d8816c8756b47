//! The contract as tables of constants: every refusal, with all that clients, stores and metrics know of it.
//!
//! `docs/http-api.md` and `src/api/documents/openapi.json` say the same in words; tests hold them to these tables.
//! Other rooms read the tables, and repeat nothing of them.

mod refusal;
mod refusals;

pub use refusal::{Cause, Refusal, RefusalId};
pub use refusals::{REFUSALS, RefusalRow, STORE_REFUSALS, StoreRefusal};
