//! The writer of arguments, as the table of operations says.

use redis::Cmd;

use super::operations::{Argument, ArgumentId, ArgumentKind};
use crate::command::{Fence, StoredName};

/// The value of an argument.
#[derive(Clone, Copy, Debug)]
pub(super) enum ArgumentValue<'a> {
    Text(&'a str),
    Number(u64),
    Signed(i64),
    Flag(bool),
    /// No value, for an optional argument.
    Empty,
}

impl<'a> ArgumentValue<'a> {
    pub(super) fn name(name: &'a Option<StoredName>) -> ArgumentValue<'a> {
        name.as_deref()
            .map_or(ArgumentValue::Empty, ArgumentValue::Text)
    }

    pub(super) fn number(number: Option<u64>) -> ArgumentValue<'a> {
        number.map_or(ArgumentValue::Empty, ArgumentValue::Number)
    }

    pub(super) fn fence(fence: Option<Fence>) -> ArgumentValue<'a> {
        ArgumentValue::number(fence.map(Fence::number))
    }

    fn fits(self, argument: &Argument) -> bool {
        match (self, argument.kind) {
            (ArgumentValue::Empty, _) => argument.is_optional,
            (ArgumentValue::Text(""), _) => argument.is_optional,
            (ArgumentValue::Text(_), ArgumentKind::Text | ArgumentKind::Digits) => true,
            (ArgumentValue::Number(_), ArgumentKind::Digits | ArgumentKind::Number) => true,
            (ArgumentValue::Signed(_), ArgumentKind::Number) => true,
            (ArgumentValue::Flag(_), ArgumentKind::Flag) => true,
            _ => false,
        }
    }
}

/// Appends these values, which are those of the arguments in their order.
pub(super) fn write(
    command: &mut Cmd,
    arguments: &[Argument],
    values: &[(ArgumentId, ArgumentValue<'_>)],
) {
    debug_assert_eq!(values.len(), arguments.len(), "{arguments:?}");
    for (argument, &(id, value)) in arguments.iter().zip(values) {
        debug_assert_eq!(id, argument.id, "{arguments:?}");
        debug_assert!(value.fits(argument), "{value:?} is no {argument:?}");
        match value {
            ArgumentValue::Text(text) => command.arg(text),
            ArgumentValue::Number(number) => command.arg(number),
            ArgumentValue::Signed(number) => command.arg(number),
            ArgumentValue::Flag(is_set) => command.arg(u8::from(is_set)),
            ArgumentValue::Empty => command.arg(""),
        };
    }
}
