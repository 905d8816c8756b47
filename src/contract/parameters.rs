//! The parameters of queries, and those of each request.

use std::borrow::Cow;

/// A parameter of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The name in the query.
    pub name: &'static str,
    /// The form of its value.
    pub kind: ParameterKind,
    /// The least and the greatest value of a number, in seconds or resources. Unused for other kinds.
    pub bounds: (u32, u32),
    /// Whether the request needs it.
    pub is_required: bool,
    /// Whether the OpenAPI description has it. Under `/json`, `lease` changes nothing and `sum` would change the type
    /// of the answer; the description has `sum` and `_method` in words.
    pub is_described: bool,
    /// Its description in OpenAPI; empty if its schema says all.
    pub help: &'static str,
}

/// The form of the value of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// A whole number within the bounds.
    Number,
    /// A whole number within the bounds, or `all`.
    Count,
    /// The name of an owner.
    Name,
    /// A part of a name.
    NamePart,
    /// The number of a grant.
    Fence,
    /// A flag, which is set by being there.
    Flag,
    /// The method that a POST stands for.
    Method,
}

impl Parameter {
    const fn new(name: &'static str, kind: ParameterKind, help: &'static str) -> Parameter {
        Parameter {
            name,
            kind,
            bounds: (0, 0),
            is_required: false,
            is_described: true,
            help,
        }
    }

    const fn number(name: &'static str, bounds: (u32, u32), help: &'static str) -> Parameter {
        Parameter {
            bounds,
            ..Parameter::new(name, ParameterKind::Number, help)
        }
    }

    const fn undescribed(name: &'static str, kind: ParameterKind) -> Parameter {
        Parameter {
            is_described: false,
            ..Parameter::new(name, kind, "")
        }
    }

    /// Returns the right form of its value, for the message about a wrong one.
    pub fn expected(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self.kind {
            ParameterKind::Number => {
                let (least, greatest) = self.bounds;
                return format!("a whole number from {least} to {greatest}").into();
            }
            ParameterKind::Count => {
                let (least, greatest) = self.bounds;
                return format!("a whole number from {least} to {greatest}, or all").into();
            }
            ParameterKind::Name => "a name of 1 to 128 bytes of UTF-8 without control characters",
            ParameterKind::NamePart => {
                "a part of a name: 1 to 128 bytes without control characters"
            }
            ParameterKind::Fence => "the number of a grant",
            ParameterKind::Flag => "nothing, or 1",
            ParameterKind::Method => "DELETE or PUT",
        })
    }
}

/// The longest lease in seconds: one year.
pub const MAX_TTL_S: u32 = 31_536_000;

/// The greatest number of seconds or resources: more would be a mistake.
const MAX_NUMBER: u32 = 999_999_999;

/// The length of a lease, in seconds.
pub static TTL: Parameter = Parameter::number(
    "ttl",
    (1, MAX_TTL_S),
    "The lease in seconds. An acquire without it has --default-ttl, else it is held until released; a renewal without \
     it keeps the last length.",
);
/// The longest wait in the queue, in seconds.
pub static WAIT: Parameter = Parameter::number(
    "wait",
    (0, MAX_NUMBER),
    "Wait in the queue for up to this many seconds, at most --max-wait.",
);
/// The owner the caller claims to be.
pub static OWNER: Parameter = Parameter::new(
    "owner",
    ParameterKind::Name,
    "The client's name for itself. While an owner holds a lock in the pool, acquiring again returns the same lock and restarts its lease.",
);
/// The owner whose locks are renewed.
pub static OWNER_OF_ALL: Parameter = Parameter {
    is_required: true,
    ..Parameter::new("owner", ParameterKind::Name, "The owner of the locks.")
};
/// The number of resources.
pub static N: Parameter = Parameter {
    bounds: (1, MAX_NUMBER),
    ..Parameter::new(
        "n",
        ParameterKind::Count,
        "The number of resources: all or none, under one fence; `all` is every member of the pool.",
    )
};
/// The number of resources where one is named.
pub static N_OF_NAMED: Parameter = Parameter::number("n", (1, 1), "");
/// The fence that the lock must have.
pub static FENCE: Parameter = Parameter::new(
    "fence",
    ParameterKind::Fence,
    "Only if the lock has this fence.",
);
/// Releases a lock whatever its owner.
pub static FORCE: Parameter = Parameter::new(
    "force",
    ParameterKind::Flag,
    "Release a lock of any owner; takes the role admin.",
);
/// The least age of the locks to release, in seconds.
pub static OLDER: Parameter = Parameter::number(
    "older",
    (0, MAX_NUMBER),
    "Only locks that were granted more than this many seconds ago.",
);
/// Shows leases instead of ids.
pub static LEASE: Parameter = Parameter::undescribed("lease", ParameterKind::Flag);
/// A text that the names of the listed pools contain.
pub static CONTAINS: Parameter = Parameter::new(
    "contains",
    ParameterKind::NamePart,
    "Only pools whose names contain this text. The case of ASCII letters is ignored.",
);
/// The greatest number of pools to list.
pub static LIMIT: Parameter = Parameter::number(
    "limit",
    (1, MAX_NUMBER),
    "At most this many pools, the first by name.",
);
/// Adds up the counts of pools instead of listing them.
pub static SUM: Parameter = Parameter::undescribed("sum", ParameterKind::Flag);
/// The method that a POST to any path stands for.
pub static METHOD: Parameter = Parameter::undescribed("_method", ParameterKind::Method);

/// The parameters of an acquire.
pub const ACQUIRE: &[&Parameter] = &[&TTL, &WAIT, &OWNER, &N, &LEASE];
/// The parameters of an acquire of a named resource.
pub const ACQUIRE_NAMED: &[&Parameter] = &[&TTL, &WAIT, &OWNER, &N_OF_NAMED, &LEASE];
/// The parameters of a renewal.
pub const RENEW: &[&Parameter] = &[&TTL, &OWNER, &FENCE, &LEASE];
/// The parameters of a renewal of all that an owner holds.
pub const RENEW_ALL: &[&Parameter] = &[&TTL, &OWNER_OF_ALL, &FENCE, &LEASE];
/// The parameters of a release.
pub const RELEASE: &[&Parameter] = &[&OWNER, &FENCE, &FORCE];
/// The parameters of a release of all that match.
pub const RELEASE_ALL: &[&Parameter] = &[&OWNER, &OLDER];
/// The parameters of a list of pools.
pub const LIST_POOLS: &[&Parameter] = &[&CONTAINS, &LIMIT, &SUM];
/// The parameters of a list of pools that goes with `sum`.
pub const SUM_POOLS: &[&Parameter] = &[&CONTAINS, &SUM];
