//! Lua that is made from the table of operations: it unpacks the arguments of a script, and carries out each
//! operation with its own.

use super::operations::{
    Argument, ArgumentKind, BATCH_HEAD, OPERATIONS, OperationId, OperationRow, QueueUse, ReplyKind,
    Run,
};

/// Lua that is made, not written by hand. Its names are for the fragments after it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Generated {
    /// A local for each of these arguments, which the script begins with. One of this name is the position of the
    /// first argument after them, if there may be more.
    Head(&'static [Argument], &'static str),
    /// The same for a batch, and the positions in a run behind its letter: of the number of repetitions, and of the
    /// first item.
    Batch,
    /// `operate(at, acquire)` carries out an operation that needs no queue, and `may_need_queue()` says whether one
    /// of the batch may.
    Operations,
    /// `operate_on_queue(at)` carries out any operation, and `LENGTHS` has the number of arguments of each, with
    /// its letter and without the items of a run.
    QueueOperations,
}

impl Generated {
    pub(super) fn text(self) -> String {
        let mut lua = String::new();
        match self {
            Generated::Head(arguments, next) => {
                push_head(&mut lua, arguments, next);
            }
            Generated::Batch => {
                push_head(&mut lua, BATCH_HEAD, "FIRST_OPERATION");
                let items = OperationId::Release.row().arguments.len() + 1;
                lua += &format!("local RUN_COUNT, RUN_ITEMS = {}, {items}\n", items - 1);
            }
            Generated::Operations => {
                push_operate(&mut lua, "operate(at, acquire)", |queue| {
                    matches!(queue, QueueUse::Never | QueueUse::With(_))
                });
                lua += "end\nend\n";
                push_may_need_queue(&mut lua);
            }
            Generated::QueueOperations => {
                push_operate(&mut lua, "operate_on_queue(at)", |queue| {
                    matches!(queue, QueueUse::Reads | QueueUse::Changes)
                });
                lua += "end\nreturn operate(at, acquire)\nend\nlocal LENGTHS = {";
                for row in &OPERATIONS {
                    lua += &format!("{} = {}, ", row.letter, row.arguments.len() + 1);
                }
                lua += "}\n";
            }
        }
        lua
    }
}

fn push_head(lua: &mut String, arguments: &[Argument], next: &str) {
    push_locals(lua, arguments, "");
    if !next.is_empty() {
        *lua += &format!("local {next} = {}\n", arguments.len() + 1);
    }
}

/// Appends a local for each argument. The first one is behind the position `at`. One call of `unpack` costs Redis
/// less than an access for each.
fn push_locals(lua: &mut String, arguments: &[Argument], at: &str) {
    if arguments.is_empty() {
        return;
    }
    let names: Vec<&str> = arguments.iter().map(|argument| argument.name).collect();
    let (names, last) = (names.join(", "), arguments.len());
    *lua += &format!("local {names} = unpack(ARGV, {at}1, {at}{last})\n");
    for Argument { name, kind, .. } in arguments {
        *lua += &match kind {
            ArgumentKind::Text | ArgumentKind::Digits => continue,
            ArgumentKind::Number => format!("{name} = tonumber({name})\n"),
            ArgumentKind::Flag => format!("{name} = {name} == '1'\n"),
        };
    }
}

/// Appends a function without its last two `end`s. It carries out the operations that use the queue like this, and
/// returns the position of the next one.
fn push_operate(lua: &mut String, signature: &str, is_included: impl Fn(QueueUse) -> bool) {
    *lua += &format!("local function {signature}\nlocal letter = ARGV[at]\n");
    let mut keyword = "if";
    for row in OPERATIONS.iter().filter(|row| is_included(row.queue)) {
        *lua += &format!("{keyword} letter == '{}' then\n", row.letter);
        push_operation(lua, row);
        keyword = "elseif";
    }
}

fn push_operation(lua: &mut String, row: &OperationRow) {
    let OperationRow {
        arguments, call, ..
    } = row;
    push_locals(lua, arguments, "at + ");
    let next = arguments.len() + 1;
    *lua += &match row.run {
        Run::Once if matches!(row.queue, QueueUse::With(_)) => {
            // No reply means that it must be queued.
            format!("local reply = {call}\nreply_with(reply)\nreturn reply and at + {next}\n")
        }
        Run::Once if row.replies.contains(&ReplyKind::Long) => {
            // The batch ends with it.
            format!(
                "local reply = {call}\nreply_with(reply)\nreturn reply == LONG and #ARGV + 1 or at + {next}\n"
            )
        }
        Run::Once => format!("reply_with({call})\nreturn at + {next}\n"),
        Run::Repeated => {
            format!("for _ = 1, count do\nreply_with({call})\nend\nreturn at + {next}\n")
        }
        Run::ForEach(item) => format!(
            "for one = at + {next}, at + {} + count do\nlocal {} = ARGV[one]\nreply_with({call})\nend\nreturn at + {next} + count\n",
            next - 1,
            item.name
        ),
    };
}

/// Appends the function that finds operations which may queue a waiter or remove the pool. An argument that looks
/// like one does no harm.
fn push_may_need_queue(lua: &mut String) {
    let need = |row: &OperationRow| match row.queue {
        QueueUse::Changes => Some(format!("letter == '{}'", row.letter)),
        QueueUse::With(id) => {
            let place = row.arguments.iter().position(|one| one.id == id)?;
            Some(format!(
                "letter == '{}' and ARGV[at + {}] ~= ''",
                row.letter,
                place + 1
            ))
        }
        QueueUse::Never | QueueUse::Reads => None,
    };
    let needs: Vec<String> = OPERATIONS.iter().filter_map(need).collect();
    *lua += &format!(
        "local function may_need_queue()\nfor at = FIRST_OPERATION, #ARGV do\nlocal letter = ARGV[at]\nif {} then\nreturn true\nend\nend\nreturn false\nend\n",
        needs.join(" or ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_stands_at_its_place_and_has_a_letter_of_its_own() {
        for (place, row) in OPERATIONS.iter().enumerate() {
            assert_eq!(row.id as usize, place, "{:?}", row.id);
            let same = OPERATIONS.iter().filter(|other| other.letter == row.letter);
            assert_eq!(same.count(), 1, "{}", row.letter);
        }
    }

    /// A name that is misspelt would be a nil in Lua.
    #[test]
    fn each_call_takes_all_arguments_of_its_operation() {
        for row in &OPERATIONS {
            let (_, values) = row.call.trim_end_matches(')').split_once('(').expect("(");
            let values = values.split(", ").filter(|value| !value.is_empty());
            let is_constant = |value: &&str| {
                ["nil", "false", "''"].contains(value) || value.parse::<u32>().is_ok()
            };
            let named: Vec<&str> = values.filter(|value| !is_constant(value)).collect();
            let expected: Vec<&str> = match &row.run {
                Run::Once => row.arguments.iter().map(|argument| argument.name).collect(),
                Run::Repeated => Vec::new(),
                Run::ForEach(item) => vec![item.name],
            };
            assert_eq!(named, expected, "{}", row.call);
        }
    }

    #[test]
    fn an_operation_has_its_arguments_by_name() {
        let mut lua = String::new();
        push_operation(&mut lua, OperationId::ReleaseWith.row());
        let expected = "\
local id, owner, fence, force = unpack(ARGV, at + 1, at + 4)
force = force == '1'
reply_with(release(id, owner, fence, force))
return at + 5
";
        assert_eq!(lua, expected);
    }

    #[test]
    fn a_script_has_its_arguments_by_name() {
        let arguments = &BATCH_HEAD[2..4];
        let expected = "\
local jumps, server = unpack(ARGV, 1, 2)
jumps = tonumber(jumps)
local NEXT = 3
";
        assert_eq!(Generated::Head(arguments, "NEXT").text(), expected);
    }
}
