//! The compiled keywords of a schema.

use std::collections::BTreeMap;

use super::id::SchemaNodeId;
use super::pattern::Pattern;
use crate::strict_json::number::Number;
use crate::strict_json::tree::Json;

/// One keyword of a schema, or several keywords that are applied together.
#[derive(Debug)]
pub(super) enum Keyword {
    /// The schema `false`, which no value matches.
    Nothing,
    Type(Types),
    /// The keyword `enum`, or `const` with its only value.
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
    /// The member names of `dependentRequired`, each with the names of the members that it requires.
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
    /// The target if no resource of the dynamic scope has a dynamic anchor with this name.
    pub usual: SchemaNodeId,
    /// The name of the dynamic anchor; `None` if the reference leads to another kind of target and works like `$ref`.
    pub name: Option<String>,
    /// The schemas with a dynamic anchor of this name, by the index of their resource.
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
    /// All types in the order in which messages list them: the name in schemas, the bit, and the name in messages.
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
    /// Returns the position of the keyword in the order of application. Cheap keywords are first, and keywords that depend on the
    /// results of other keywords are last.
    pub fn rank(&self) -> u8 {
        match self {
            Keyword::Nothing | Keyword::Type(_) => 0,
            keyword if keyword.depends_on_others() => 4,
            Keyword::Members(_) | Keyword::Items(_) | Keyword::Pattern(_) => 2,
            keyword if keyword.is_assertion() => 1,
            _ => 3,
        }
    }

    /// Returns `true` for `unevaluatedItems` and `unevaluatedProperties`, which depend on the members and items that the other
    /// keywords of the schema evaluated.
    pub fn depends_on_others(&self) -> bool {
        matches!(self, Keyword::UnevaluatedItems(_) | Keyword::UnevaluatedProperties(_))
    }

    /// Returns `true` if the keyword is also checked after another keyword of the schema has failed, to find more violations.
    /// `unevaluatedProperties` and `unevaluatedItems` are skipped, because the sets of evaluated members and items are incomplete
    /// after a failure. `pattern` is skipped, because a string that exceeds `maxLength` could make the search slow.
    pub fn asks_what_is_wrong(&self) -> bool {
        !self.depends_on_others() && !matches!(self, Keyword::Pattern(_))
    }

    /// Returns `true` if the keyword applies no other schema. Such keywords are cheap.
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

    /// Returns the schemas that the keyword applies to the same value, and not to a member or item.
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
