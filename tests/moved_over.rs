//! The expectations of the Node original's own test suite, replayed by its kind of client: a JSON
//! client of Node that keeps its connections alive, and asserts `Content-Type` to the letter.

use std::path::Path;

use crate::support::programs::{client, succeed};
use crate::support::{Server, StoreKind};

#[test]
fn the_suite_of_the_node_original_passes() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/moved_over.mjs");
    for store in StoreKind::ALL {
        let server = Server::start(store);
        let told = succeed(client("node").arg(&script).arg(server.url()), "");
        assert_eq!(told, "all expectations hold\n", "{store:?}");
    }
}
