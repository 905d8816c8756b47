//! No circle of files inside a room: two files that import each other can only be understood together.
//!
//! The arrows are those that a reader follows. File A imports file B if it names, by a path, something that B
//! defines:
//!
//! - A path of `use` and a path within code both count. What a file names only in its unit tests does not.
//! - A name that is passed on (`pub use`) belongs to the file that defines it. Passing a name on is no import.
//! - A parent (`mod.rs`) joins the files below it, and what it defines is vocabulary for them. So a file imports its
//!   parent if it names an item that the parent itself defines. The parent's own arrows to files below it do not
//!   count, or every type that they share would close a circle.
//! - Methods are not seen: only types, functions, traits, constants and statics have names that paths reach.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::sources;

/// The circles that there still are. The list only shrinks: a file that is in no circle any more is taken out.
const CIRCLES: &[&[&str]] = &[
    &[
        "bench/src/compare.rs",
        "bench/src/load.rs",
        "bench/src/nginx.rs",
        "bench/src/peers.rs",
        "bench/src/redis.rs",
        "bench/src/redis_table.rs",
        "bench/src/script_call.rs",
        "bench/src/webdis.rs",
    ],
    &[
        "src/api/access.rs",
        "src/api/body/mod.rs",
        "src/api/dump/mod.rs",
        "src/api/dump/read.rs",
        "src/api/list_chunk.rs",
        "src/api/problem.rs",
        "src/api/queue.rs",
        "src/api/render.rs",
    ],
    &[
        "src/latch/acquire.rs",
        "src/latch/event.rs",
        "src/latch/queue_notice.rs",
        "src/latch/run/guardian.rs",
        "src/latch/run/mod.rs",
        "src/latch/run/processes.rs",
        "src/latch/run/wire.rs",
        "src/latch/signals.rs",
    ],
    &[
        "src/pool/engine_state.rs",
        "src/pool/lending.rs",
        "src/pool/membership.rs",
        "src/pool/seeding.rs",
    ],
    &[
        "src/store/redis/pipeline/dump.rs",
        "src/store/redis/pipeline/index.rs",
        "src/store/redis/pipeline/jobs.rs",
        "src/store/redis/pipeline/long_list.rs",
        "src/store/redis/pipeline/seeding.rs",
    ],
];

/// The crates whose files are read: the folder of the sources, and whether each folder in it is a room of its own.
const CRATES: [(&str, bool); 3] = [
    ("src", true),
    ("bench/src", false),
    ("bench/instructions/src", false),
];

#[test]
fn no_files_of_a_room_import_each_other() {
    let mut found = Vec::new();
    for (folder, has_rooms) in CRATES {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let files = sources(&root).into_iter().map(|path| {
            let inside = path.strip_prefix(&root).expect("it lies in the folder");
            let text = fs::read_to_string(&path).expect("a source can be read");
            (inside.to_owned(), text)
        });
        let house = House::read(files);
        let room = |module: &Module| match has_rooms {
            true => module.first().cloned(),
            false => None,
        };
        let circles = house.circles(room);
        found.extend(circles.into_iter().map(|circle| {
            Circle {
                files: circle
                    .iter()
                    .map(|module| format!("{folder}/{}", house.files[module].path))
                    .collect(),
                ties: house.ties(&circle),
            }
        }));
    }
    for circle in &found {
        let is_known = CIRCLES
            .iter()
            .any(|known| circle.files.iter().all(|file| known.contains(&&**file)));
        assert!(
            is_known,
            "a new circle, or one that has grown: {:#?}\n{}",
            circle.files, circle.ties
        );
    }
    for file in CIRCLES.iter().copied().flatten() {
        let is_left = found.iter().any(|circle| circle.files.contains(*file));
        assert!(is_left, "{file} is in no circle: take it out of the list");
    }
}

/// The files of one crate.
struct House {
    files: BTreeMap<Module, File>,
    imports: BTreeMap<Module, BTreeMap<Module, BTreeSet<String>>>,
}

/// The path of a module, without `crate`.
type Module = Vec<String>;

struct Circle {
    files: BTreeSet<String>,
    /// The imports that close it, a line each.
    ties: String,
}

/// The names that a file defines, imports and uses.
struct File {
    path: String,
    /// It joins the files of a folder.
    is_parent: bool,
    /// The items that it defines.
    items: BTreeSet<String>,
    uses: Vec<Use>,
    /// The paths of two names or more within its code.
    paths: Vec<Vec<String>>,
    /// All names within its code.
    names: BTreeSet<String>,
}

/// One name that a `use` brings in.
struct Use {
    path: Vec<String>,
    name: String,
    is_public: bool,
}

impl House {
    fn read(files: impl Iterator<Item = (PathBuf, String)>) -> House {
        let files: BTreeMap<Module, File> = files
            .map(|(path, text)| (module_of(&path), File::read(&path, &text)))
            .collect();
        let mut house = House {
            files,
            imports: BTreeMap::new(),
        };
        house.imports = house
            .files
            .iter()
            .map(|(module, file)| (module.clone(), house.imports_of(module, file)))
            .collect();
        house
    }

    fn imports_of(&self, module: &Module, file: &File) -> BTreeMap<Module, BTreeSet<String>> {
        let used = file
            .uses
            .iter()
            .filter(|one| !one.is_public || file.names.contains(&one.name));
        let named = used.map(|one| &one.path).chain(&file.paths);
        let mut imports: BTreeMap<Module, BTreeSet<String>> = BTreeMap::new();
        for path in named {
            let Some((definer, name)) = self.resolve(module, path, 0) else {
                continue;
            };
            let is_below = file.is_parent && definer.starts_with(module);
            if definer != *module && !is_below {
                imports.entry(definer).or_default().insert(name);
            }
        }
        imports
    }

    /// Returns the file that defines the item at the end of a path, and its name there. `None` for an item of another
    /// crate, for a module, and for an item that a glob brings in.
    fn resolve(&self, module: &Module, path: &[String], depth: usize) -> Option<(Module, String)> {
        // A name of another crate would be looked up again and again: `use log::log`.
        if depth > 8 {
            return None;
        }
        let mut module = module.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => module.clear(),
            "super" => {
                module.pop()?;
            }
            "self" => {}
            _ => return self.find(module, rest, depth),
        }
        rest = &rest[1..];
        while rest.first().is_some_and(|name| name == "super") {
            module.pop()?;
            rest = &rest[1..];
        }
        self.find(module, rest, depth)
    }

    /// Returns the item at the end of a path that begins in this module.
    fn find(&self, mut module: Module, path: &[String], depth: usize) -> Option<(Module, String)> {
        for (at, name) in path.iter().enumerate() {
            let mut inner = module.clone();
            inner.push(name.clone());
            if self.files.contains_key(&inner) {
                module = inner;
                continue;
            }
            let file = self.files.get(&module)?;
            if file.items.contains(name) {
                return Some((module, name.clone()));
            }
            let source = file.uses.iter().find(|one| one.name == *name)?;
            let whole = [&source.path[..], &path[at + 1..]].concat();
            return self.resolve(&module, &whole, depth + 1);
        }
        None
    }

    /// Returns the circles of the files that are in the same room. Two files are in one circle if each reaches the
    /// other.
    fn circles(&self, room: impl Fn(&Module) -> Option<String>) -> Vec<BTreeSet<Module>> {
        let reached: BTreeMap<&Module, BTreeSet<Module>> = self
            .files
            .keys()
            .map(|module| (module, self.reached_from(module, &room)))
            .collect();
        let circles: BTreeSet<BTreeSet<Module>> = reached
            .iter()
            .filter(|(module, all)| all.contains(**module))
            .map(|(module, all)| {
                let both = all.iter().filter(|other| reached[*other].contains(*module));
                both.cloned().collect()
            })
            .collect();
        circles.into_iter().collect()
    }

    fn reached_from(
        &self,
        module: &Module,
        room: impl Fn(&Module) -> Option<String>,
    ) -> BTreeSet<Module> {
        let mut reached = BTreeSet::new();
        let mut left = vec![module];
        while let Some(at) = left.pop() {
            for next in self.imports[at].keys() {
                if room(next) == room(module) && reached.insert(next.clone()) {
                    left.push(next);
                }
            }
        }
        reached
    }

    fn ties(&self, circle: &BTreeSet<Module>) -> String {
        let mut ties = String::new();
        for from in circle {
            for (to, names) in &self.imports[from] {
                if circle.contains(to) {
                    let (from, to) = (&self.files[from].path, &self.files[to].path);
                    ties.push_str(&format!("  {from} -> {to}: {names:?}\n"));
                }
            }
        }
        ties
    }
}

/// Returns the module of a file, by its path within the sources.
fn module_of(path: &Path) -> Module {
    let whole = path.with_extension("");
    let mut module: Module = whole
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let last = module.last().map(String::as_str);
    if matches!(last, Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

impl File {
    fn read(path: &Path, text: &str) -> File {
        let code = without_unit_tests(&without_words(text));
        let tokens = tokens(&code);
        let mut file = File {
            path: path.display().to_string(),
            is_parent: path
                .file_stem()
                .is_some_and(|stem| ["mod", "lib", "main"].iter().any(|parent| stem == *parent)),
            items: BTreeSet::new(),
            uses: Vec::new(),
            paths: Vec::new(),
            names: BTreeSet::new(),
        };
        let (mut at, mut depth) = (0, 0);
        while at < tokens.len() {
            match tokens[at] {
                "{" => depth += 1,
                "}" => depth -= 1,
                "use" => {
                    let is_public = at > 0 && matches!(tokens[at - 1], "pub" | ")");
                    at += 1;
                    let (used, end) = read_use(&tokens, at, &[]);
                    at = end;
                    file.uses.extend(used.into_iter().map(|(path, name)| Use {
                        path,
                        name,
                        is_public,
                    }));
                    continue;
                }
                "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union"
                    if depth == 0 =>
                {
                    if let Some(name) = tokens.get(at + 1).filter(|name| is_name(name)) {
                        file.items.insert((*name).to_owned());
                    }
                }
                name if is_name(name) => {
                    let begins = at == 0 || !matches!(tokens[at - 1], "::" | ".");
                    let mut path = vec![name.to_owned()];
                    while let [_, "::", next, ..] = tokens[at..]
                        && is_name(next)
                    {
                        path.push(next.to_owned());
                        at += 2;
                    }
                    file.names.extend(path.iter().cloned());
                    if begins && path.len() > 1 {
                        file.paths.push(path);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        file
    }
}

/// Reads the tree of a `use` from its first token on. Returns each path with the name that it gets here, and the index
/// of the token after the tree.
fn read_use(
    tokens: &[&str],
    mut at: usize,
    before: &[String],
) -> (Vec<(Vec<String>, String)>, usize) {
    let mut path = before.to_vec();
    let mut used = Vec::new();
    while let Some(&token) = tokens.get(at) {
        match token {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| *token != "}") {
                    let (inner, end) = read_use(tokens, at, &path);
                    used.extend(inner);
                    at = end + usize::from(tokens.get(end) == Some(&","));
                }
                return (used, at + 1);
            }
            "self" if !path.is_empty() => at += 1,
            name if is_name(name) && name != "as" => {
                path.push(name.to_owned());
                at += 1;
            }
            _ => break,
        }
    }
    let mut name = path.last().cloned().unwrap_or_default();
    if let ["as", other, ..] = tokens[at..] {
        name = other.to_owned();
        at += 2;
    }
    // A glob names nothing.
    if tokens.get(at) == Some(&"*") {
        return (used, at + 1);
    }
    used.push((path, name));
    (used, at)
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Cuts code into names, `::`, and single characters.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while !rest.is_empty() {
        let name = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        let length = match name.unwrap_or(rest.len()) {
            0 if rest.starts_with("::") => 2,
            0 => rest.chars().next().map_or(1, char::len_utf8),
            length => length,
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// Returns the code without comments and without the insides of strings.
fn without_words(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(length) = character(rest) {
            length
        } else if let Some(hashes) = raw_string(rest, &code) {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = hashes + 2;
            rest[start..]
                .find(&end)
                .map_or(rest.len(), |at| start + at + end.len())
        } else if first == '"' {
            let mut is_escaped = false;
            let end = rest[1..].find(|c| {
                let is_end = c == '"' && !is_escaped;
                is_escaped = c == '\\' && !is_escaped;
                is_end
            });
            end.map_or(rest.len(), |end| end + 2)
        } else {
            code.push(first);
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    code
}

/// Returns the length of a character's literal if one begins here. `None` for a lifetime.
fn character(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    let length = match inner.strip_prefix('\\') {
        Some(escaped) => 2 + escaped[1..].find('\'')?,
        None => inner.chars().next()?.len_utf8(),
    };
    inner[length..].starts_with('\'').then_some(length + 2)
}

/// Returns the number of `#` before the quote if a raw string begins here. `before` is the code before it.
fn raw_string(text: &str, before: &str) -> Option<usize> {
    let after = text.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let is_word = before
        .trim_end_matches('b')
        .ends_with(|c: char| c.is_alphanumeric() || c == '_');
    (after[hashes..].starts_with('"') && !is_word).then_some(hashes)
}

/// Returns the code without modules that only tests have. `rustfmt` ends each with a brace at the start of a line.
fn without_unit_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some(start) = rest.find("#[cfg(test)]\nmod ") {
        kept.push_str(&rest[..start]);
        let module = &rest[start..];
        let line = module
            .match_indices('\n')
            .nth(1)
            .map_or(module.len(), |at| at.0);
        let end = match module[..line].ends_with('{') {
            true => module.find("\n}\n").map_or(module.len(), |at| at + 3),
            false => line,
        };
        rest = &module[end..];
    }
    kept.push_str(rest);
    kept
}

#[test]
fn the_circles_of_a_small_house_are_found() {
    let circles = |files: &[(&str, &str)]| -> Vec<Vec<String>> {
        let files = files
            .iter()
            .map(|&(path, text)| (PathBuf::from(path), text.to_owned()));
        let house = House::read(files);
        let circles = house.circles(|module| module.first().cloned());
        let path = |module: &Module| house.files[module].path.clone();
        circles
            .iter()
            .map(|circle| circle.iter().map(path).collect())
            .collect()
    };
    let one = [vec!["room/a.rs".to_owned(), "room/b.rs".to_owned()]];
    let mut house = [
        (
            "room/mod.rs",
            "mod a;\nmod b;\npub use a::A;\npub struct Shared(b::B);\n",
        ),
        (
            "room/a.rs",
            "use super::{Shared, b::{self, B as Other}};\npub struct A(Other);\n",
        ),
        ("room/b.rs", "pub struct B;\n"),
    ];
    assert!(circles(&house).is_empty(), "a parent joins its files");
    for circle in [
        "pub struct B;\nuse super::A;\n",
        "pub struct B;\nfn act() { let _ = \"\\\"\"; crate::room::a::A::new(); }\n",
        "fn brace() -> char { '{' }\npub struct B;\nuse super::A;\n",
        "pub const B: &str = r#\"\"\"#;\nuse super::a;\nfn act(_: &a::A) {}\n",
    ] {
        house[2].1 = circle;
        assert_eq!(circles(&house), one, "{circle}");
    }
    for none in [
        "pub struct B;\n// use super::A;\n",
        "pub struct B;\nconst TEXT: &str = \"use super::A;\";\n",
        "pub struct B;\n#[cfg(test)]\nmod tests {\n    use super::super::A;\n}\n",
        "pub struct B;\nuse super::Shared;\nuse log::log;\n",
    ] {
        house[2].1 = none;
        assert!(circles(&house).is_empty(), "{none}");
    }
}
