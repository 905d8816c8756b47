//! The rooms of `src` have an order, and each imports only from rooms before it. The order is read
//! from the map in `src/lib.rs`, so that the map is true. Inside a room, no files import each other in a circle.

mod circles;

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn each_room_imports_only_from_rooms_above_it() {
    let rooms = rooms_of_the_map();
    assert!(
        rooms.len() >= 8,
        "the map in src/lib.rs names the rooms: {rooms:?}"
    );
    let mut checked = 0;
    for file in sources(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path()) {
        let Some(room) = room_of(&file) else { continue };
        let place = rooms.iter().position(|r| *r == room);
        let place = place.unwrap_or_else(|| panic!("{room} is missing in the map of src/lib.rs"));
        let text = fs::read_to_string(&file).expect("a source can be read");
        for imported in imports(&text) {
            let above = rooms
                .iter()
                .position(|r| *r == imported)
                .is_some_and(|at| at <= place);
            assert!(
                above,
                "{} imports {imported}, which is not above {room}",
                file.display()
            );
            checked += 1;
        }
    }
    assert!(checked > 20, "the imports are found");
}

/// The names in the first column of the table of rooms, in order.
fn rooms_of_the_map() -> Vec<String> {
    let map = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs"));
    let map = map.expect("src/lib.rs can be read");
    let rows = map.lines().filter_map(|line| line.strip_prefix("//! | [`"));
    rows.filter_map(|row| Some(row.split_once("`]")?.0.to_owned()))
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// `src/pool/mod.rs` and `src/pool.rs` belong to `pool`; the map and the binary to no room.
fn room_of(file: &Path) -> Option<String> {
    let inside = file
        .strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
        .ok()?;
    let first = inside.components().next()?.as_os_str().to_str()?;
    let room = first.strip_suffix(".rs").unwrap_or(first);
    (room != "lib" && room != "bin").then(|| room.to_owned())
}

/// The rooms that a source names as `crate::room`, also within braces: `use crate::{a, b}`.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in text.split("crate::").skip(1) {
        assert!(
            !rest.starts_with('{'),
            "rooms are imported one by one, so that this test sees them"
        );
        let name: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        found.push(name);
    }
    found
}
