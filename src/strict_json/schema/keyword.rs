//! The compiled keywords of a schema.

use std::collections::BTreeMap;

use super::id::SchemaNodeId;
use super::pattern::Pattern;
use crate::strict_json::number::Number;
use crate::strict_json::tree::Json;

/// One keyword, or several keywords that are applied together.
#[derive(Debug)]
pub(super) enum Keyword {
    /// `false`: no value is valid.
    Nothing,
    Type(Types),
    /// `enum`, or `const` as a single value.
    Values(Vec<Json<'static>>),
    Minimum(Number<'static>),
    Maximum(Number<'static>),
    ExclusiveMinimum(Number<'static>),
    ExclusiveMaximum(Number<'static>),
    MultipleOf(Number<'static>),
    MinLength(u64),
    MaxLength(u64),
    Pattern(Pattern),
    MinItems(u64),
    MaxItems(u64),
    UniqueItems,
    MinProperties(u64),
    MaxProperties(u64),
    Required(Vec<String>),
    /// Each member name, and the names that this member requires.
    DependentRequired(Vec<(String, Vec<String>)>),
    PropertyNames(SchemaNodeId),
    Members(ObjectMembers),
    Items(Items),
    Contains(Contains),
    DependentSchemas(Vec<(String, SchemaNodeId)>),
    Reference(SchemaNodeId),
    Dynamic(Dynamic),
    AllOf(Vec<SchemaNodeId>),
    AnyOf(Vec<SchemaNodeId>),
    OneOf(Vec<SchemaNodeId>),
    Not(SchemaNodeId),
    If(IfThenElse),
    UnevaluatedItems(SchemaNodeId),
    UnevaluatedProperties(SchemaNodeId),
}

/// The keywords `properties`, `patternProperties` and `additionalProperties`.
#[derive(Debug, Default)]
pub(super) struct ObjectMembers {
    pub named: BTreeMap<String, SchemaNodeId>,
    pub patterns: Vec<(Pattern, SchemaNodeId)>,
    pub rest: Option<SchemaNodeId>,
}

/// The keywords `prefixItems` and `items`.
#[derive(Debug, Default)]
pub(super) struct Items {
    pub prefix: Vec<SchemaNodeId>,
    pub rest: Option<SchemaNodeId>,
}

/// The keywords `contains`, `minContains` and `maxContains`.
#[derive(Debug)]
pub(super) struct Contains {
    pub item: SchemaNodeId,
    pub min: u64,
    pub max: Option<u64>,
}

/// The keyword `$dynamicRef`.
#[derive(Debug)]
pub(super) struct Dynamic {
    /// The target if no resource on the path defines the name.
    pub usual: SchemaNodeId,
    /// The name of the dynamic anchor; `None` for a plain reference.
    pub name: Option<String>,
    /// The schemas with that name, by resource.
    pub named: BTreeMap<usize, SchemaNodeId>,
}

/// The keywords `if`, `then` and `else`.
#[derive(Debug)]
pub(super) struct IfThenElse {
    pub test: SchemaNodeId,
    pub then: Option<SchemaNodeId>,
    pub otherwise: Option<SchemaNodeId>,
}

/// A set of JSON types, with one bit for each type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Types(pub u8);

impl Types {
    /// All types, in the order of messages. Each has its name in schemas, its bit, and its name in messages.
    pub const ALL: [(&str, u8, &str); 7] = [
        ("object", 1, "an object"),
        ("array", 2, "an array"),
        ("string", 4, "a string"),
        ("number", 8, "a number"),
        ("integer", 16, "a whole number"),
        ("boolean", 32, "true or false"),
        ("null", 64, "null"),
    ];
}

impl Keyword {
    /// Returns the keyword's position in the order of application: cheap keywords first, keywords that depend on others last.
    pub fn rank(&self) -> u8 {
        match self {
            Keyword::Nothing | Keyword::Type(_) => 0,
            keyword if keyword.depends_on_others() => 4,
            Keyword::Members(_) | Keyword::Items(_) | Keyword::Pattern(_) => 2,
            keyword if keyword.is_assertion() => 1,
            _ => 3,
        }
    }

    /// Returns `true` if the keyword depends on the members or items that all other keywords have evaluated.
    pub fn depends_on_others(&self) -> bool {
        matches!(self, Keyword::UnevaluatedItems(_) | Keyword::UnevaluatedProperties(_))
    }

    /// Returns `true` if the keyword is also checked after another keyword has failed, to find more violations. Keywords about
    /// unevaluated members and items are skipped, because these sets are incomplete after a failure. A pattern is skipped,
    /// because the string may exceed its maximum length.
    pub fn asks_what_is_wrong(&self) -> bool {
        !self.depends_on_others() && !matches!(self, Keyword::Pattern(_))
    }

    /// Returns `true` if the keyword checks only the value itself, which is cheap.
    pub fn is_assertion(&self) -> bool {
        !matches!(
            self,
            Keyword::PropertyNames(_)
                | Keyword::Members(_)
                | Keyword::Items(_)
                | Keyword::Contains(_)
                | Keyword::DependentSchemas(_)
        ) && !self.depends_on_others()
            && self.in_place().is_empty()
    }

    /// Returns the schemas that the keyword applies to the same value.
    pub fn in_place(&self) -> Vec<SchemaNodeId> {
        match self {
            Keyword::Reference(id) | Keyword::Not(id) => vec![*id],
            Keyword::Dynamic(dynamic) => dynamic.named.values().copied().chain([dynamic.usual]).collect(),
            Keyword::AllOf(all) | Keyword::AnyOf(all) | Keyword::OneOf(all) => all.clone(),
            Keyword::If(condition) => {
                let branches = condition.then.into_iter().chain(condition.otherwise);
                branches.chain([condition.test]).collect()
            }
            Keyword::DependentSchemas(all) => all.iter().map(|(_, id)| *id).collect(),
            _ => Vec::new(),
        }
    }
}
