//! Messages to clients about violated keywords. They contain the requirement, and never the value that the client sent.

use std::borrow::Cow;

use super::keyword::{Keyword, Types};

/// Returns the requirement of a keyword. The text completes a sentence that starts with the location of the value.
pub(super) fn of(keyword: &Keyword) -> Cow<'static, str> {
    match keyword {
        Keyword::Nothing => "is not accepted".into(),
        Keyword::Type(types) => format!("must be {}", names(*types)).into(),
        Keyword::Values(values) if values.len() == 1 => "must be the accepted value".into(),
        Keyword::Values(_) => "must be one of the accepted values".into(),
        Keyword::Minimum(limit) => format!("must be at least {limit}").into(),
        Keyword::Maximum(limit) => format!("must be at most {limit}").into(),
        Keyword::ExclusiveMinimum(limit) => format!("must be more than {limit}").into(),
        Keyword::ExclusiveMaximum(limit) => format!("must be less than {limit}").into(),
        Keyword::MultipleOf(unit) => format!("must be a multiple of {unit}").into(),
        Keyword::MinLength(least) => format!("must have at least {least} characters").into(),
        Keyword::MaxLength(most) => format!("must have at most {most} characters").into(),
        Keyword::Pattern(_) => "must have the accepted form".into(),
        Keyword::MinItems(least) => format!("must have at least {least} items").into(),
        Keyword::MaxItems(most) => format!("must have at most {most} items").into(),
        Keyword::UniqueItems => "must not have the same item twice".into(),
        Keyword::MinProperties(least) => format!("must have at least {least} members").into(),
        Keyword::MaxProperties(most) => format!("must have at most {most} members").into(),
        Keyword::PropertyNames(_) => "has a member whose name is not accepted".into(),
        Keyword::Members(_) | Keyword::UnevaluatedProperties(_) => "has a member that is not accepted here".into(),
        Keyword::Items(items) => format!("must have at most {} items", items.prefix.len()).into(),
        Keyword::UnevaluatedItems(_) => "has an item that is not accepted here".into(),
        Keyword::Contains(contains) => match contains.max {
            Some(most) => format!("must have from {} to {most} items of a certain form", contains.min).into(),
            None => format!("must have at least {} items of a certain form", contains.min).into(),
        },
        Keyword::AnyOf(_) => "must have one of the accepted forms".into(),
        Keyword::OneOf(_) => "must have exactly one of the accepted forms".into(),
        Keyword::Not(_) => "has a form that is not accepted".into(),
        // This arm is never used: `Judge::required` and the schemas inside these keywords report the findings.
        Keyword::Required(_)
        | Keyword::DependentRequired(_)
        | Keyword::DependentSchemas(_)
        | Keyword::Reference(_)
        | Keyword::Dynamic(_)
        | Keyword::AllOf(_)
        | Keyword::If(_) => "is missing".into(),
    }
}

fn names(types: Types) -> String {
    let names: Vec<&str> = Types::ALL.iter().filter(|(_, bit, _)| types.0 & bit != 0).map(|(.., name)| *name).collect();
    names.join(" or ")
}
