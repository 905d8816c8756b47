//! The contract as tables of constants: paths with their methods, keys and parameters; and every refusal.
//!
//! `docs/http-api.md` and `src/api/documents/openapi.json` say the same in words; tests hold them to these tables.
//! Other rooms read the tables, and repeat nothing of them.

pub mod parameters;
mod refusal;
mod refusals;
mod routes;

pub use parameters::{MAX_TTL_S, Parameter, ParameterKind};
pub use refusal::{Cause, Refusal, RefusalId};
pub use refusals::{REFUSALS, RefusalRow, STORE_REFUSALS, StoreRefusal};
pub use routes::{
    ListenerRole, Method, Needs, Operation, ROUTES, RequestLabel, Role, Route, RouteRow,
};
