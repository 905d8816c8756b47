//! The recipes of the folder `recipes`, each against a real server, with the shells, libraries and
//! systems that they are for, or with what plays those.
//!
//! `LATCHD_RECIPES` names the folder with the Python libraries; `tests/run` installs them and sets it.

mod ci;
mod shell;
mod support;
