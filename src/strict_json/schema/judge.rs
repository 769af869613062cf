//! Validates a value against a compiled schema, and counts the steps.

mod arrays;
mod assertions;
mod in_place;
mod objects;

use std::fmt::Write;

use super::evaluated::Evaluated;
use super::id::SchemaNodeId;
use super::keyword::{Dynamic, Keyword};
use super::pattern::Pattern;
use super::program::{Program, SchemaNode};
use super::search::PatternSearch;
use super::steps::size;
use super::{SchemaFinding, ValidationError, words};
use crate::strict_json::pointer::escape;
use crate::strict_json::tree::Json;

/// The state of the validation of one value.
pub(super) struct Judge<'s> {
    program: &'s Program,
    prefix: &'static str,
    /// The schema resources that validation entered on its way to the current schema, outermost first (the dynamic scope of Core
    /// §7.1).
    scope: Vec<usize>,
    /// The path to the part of the value that is being validated.
    path: Vec<JudgeStep<'s>>,
    findings: Vec<SchemaFinding>,
    search: PatternSearch,
    steps_left: u64,
    frames: usize,
    exhausted: bool,
}

/// One step of [`Judge::path`].
#[derive(Clone, Copy)]
enum JudgeStep<'s> {
    /// A member whose name is in the schema.
    Member(&'s str),
    Item(usize),
    /// A member whose name is not in the schema. The name comes from the client, so findings contain `*` instead.
    Other,
}

/// The purpose of a validation: findings for the client, or only the result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    CollectFindings,
    ResultOnly,
}

/// The set to which keywords add the members and items that they evaluated; `None` if no keyword of the program needs it.
type SeenMembers<'e, 'v> = Option<&'e mut Evaluated<'v>>;

impl<'s> Judge<'s> {
    pub fn new(program: &'s Program, prefix: &'static str, value: &Json<'_>) -> Judge<'s> {
        Judge {
            program,
            prefix,
            scope: Vec::new(),
            path: Vec::new(),
            findings: Vec::new(),
            search: PatternSearch::default(),
            steps_left: STEPS + STEPS_FOR_EACH_PART * weight(value),
            frames: 0,
            exhausted: false,
        }
    }

    /// Validates the whole value.
    pub fn run(mut self, root: SchemaNodeId, value: &Json<'_>) -> Result<(), ValidationError> {
        let holds = self.part(root, value, Mode::CollectFindings);
        if self.exhausted {
            Err(ValidationError::TooComplex)
        } else if holds {
            Ok(())
        } else {
            Err(ValidationError::Findings(self.findings))
        }
    }

    /// Returns `true` if a value matches a schema. With [`Mode::CollectFindings`], collects findings up to [`MAX_FINDINGS`]. With
    /// [`Mode::ResultOnly`], stops at the first failure.
    fn judge<'v>(&mut self, id: SchemaNodeId, value: &'v Json<'v>, mode: Mode, mut seen: SeenMembers<'_, 'v>) -> bool {
        let Some(node) = self.program.node(id) else { return false };
        if !self.spend(1) || self.frames >= MAX_FRAMES {
            self.exhausted = true;
            return false;
        }
        let enters = self.scope.last() != Some(&node.resource);
        if enters {
            self.scope.push(node.resource);
        }
        self.frames += 1;
        let mut holds = true;
        for keyword in &node.keywords {
            if !holds && (mode == Mode::ResultOnly || self.is_enough()) {
                break;
            }
            if !holds && !keyword.asks_what_is_wrong() {
                continue;
            }
            holds &= self.keyword(keyword, value, mode, seen.as_deref_mut());
        }
        self.frames -= 1;
        if enters {
            self.scope.pop();
        }
        holds
    }

    // Many functions of `Judge` have `inline(never)`, so that their local variables do not enlarge the stack frame of the
    // recursion. Without it, one frame would need two kilobytes, and an Envoy worker has less than one megabyte of stack for
    // the module.
    fn keyword<'v>(
        &mut self,
        keyword: &'s Keyword,
        value: &'v Json<'v>,
        mode: Mode,
        seen: SeenMembers<'_, 'v>,
    ) -> bool {
        match (keyword, value) {
            (Keyword::Reference(id), _) => self.in_place(*id, value, mode, seen),
            (Keyword::Dynamic(dynamic), _) => {
                let id = self.dynamic(dynamic);
                self.in_place(id, value, mode, seen)
            }
            (Keyword::AllOf(all), _) => self.all_of(all, value, mode, seen),
            (Keyword::AnyOf(all), _) => self.any_of(keyword, all, value, mode, seen),
            (Keyword::OneOf(all), _) => self.one_of(keyword, all, value, mode, seen),
            (Keyword::Not(id), _) => {
                let holds = !self.part(*id, value, Mode::ResultOnly);
                self.check(holds, keyword, mode)
            }
            (Keyword::If(condition), _) => self.condition(condition, value, mode, seen),
            (Keyword::DependentSchemas(all), Json::Object(_)) => self.dependent(all, value, mode, seen),
            (Keyword::Members(members), Json::Object(object)) => self.members(keyword, members, object, mode, seen),
            (Keyword::PropertyNames(id), Json::Object(object)) => self.property_names(keyword, *id, object, mode),
            (Keyword::UnevaluatedProperties(id), Json::Object(object)) => {
                self.other_members(keyword, *id, object, mode, seen)
            }
            (Keyword::Items(items), Json::List(array)) => self.items(keyword, items, array, mode, seen),
            (Keyword::Contains(contains), Json::List(array)) => self.contains(keyword, contains, array, mode, seen),
            (Keyword::UnevaluatedItems(id), Json::List(array)) => self.other_items(keyword, *id, array, mode, seen),
            _ => self.assertion(keyword, value, mode),
        }
    }

    #[inline(never)]
    fn assertion(&mut self, keyword: &'s Keyword, value: &Json<'_>, mode: Mode) -> bool {
        match (keyword, value) {
            (Keyword::Required(names), Json::Object(object)) => self.required(names, object, mode),
            (Keyword::DependentRequired(needs), Json::Object(object)) => self.dependent_required(needs, object, mode),
            (Keyword::Pattern(pattern), Json::Text(text)) => {
                let holds = self.is_in(pattern, text);
                self.check(holds, keyword, mode)
            }
            _ => {
                let holds = self.spend(assertions::cost(keyword, value)) && assertions::holds(keyword, value);
                self.check(holds, keyword, mode)
            }
        }
    }

    /// Returns `true` if a string contains a match of a pattern. The search counts against the remaining steps.
    #[inline(never)]
    fn is_in(&mut self, pattern: &Pattern, text: &str) -> bool {
        if self.exhausted {
            return false;
        }
        let found = self.search.run(pattern, text, &mut self.steps_left);
        self.exhausted = found.is_none();
        found == Some(true)
    }

    /// Applies another schema to the same value. If it matches, the members and items that it evaluated are added to `seen`.
    fn in_place<'v>(&mut self, id: SchemaNodeId, value: &'v Json<'v>, mode: Mode, seen: SeenMembers<'_, 'v>) -> bool {
        match seen {
            Some(seen) => self.in_place_seen(id, value, mode, seen),
            None => self.judge(id, value, mode, None),
        }
    }

    #[inline(never)]
    fn in_place_seen<'v>(
        &mut self,
        id: SchemaNodeId,
        value: &'v Json<'v>,
        mode: Mode,
        seen: &mut Evaluated<'v>,
    ) -> bool {
        let mut own = Box::<Evaluated<'v>>::default();
        let holds = self.judge(id, value, mode, Some(&mut own));
        if holds {
            seen.add(*own);
        }
        holds
    }

    /// Applies a schema to a part of the value, with a new set of evaluated members and items.
    fn part(&mut self, id: SchemaNodeId, part: &Json<'_>, mode: Mode) -> bool {
        if self.program.tracks { self.part_seen(id, part, mode) } else { self.judge(id, part, mode, None) }
    }

    #[inline(never)]
    fn part_seen(&mut self, id: SchemaNodeId, part: &Json<'_>, mode: Mode) -> bool {
        let mut seen = Box::<Evaluated<'_>>::default();
        self.judge(id, part, mode, Some(&mut seen))
    }

    /// Applies a schema to a member or an item of the value. `step` is added to the path while the schema is applied.
    fn inside(&mut self, step: JudgeStep<'s>, id: SchemaNodeId, part: &Json<'_>, mode: Mode) -> bool {
        self.path.push(step);
        let holds = self.part(id, part, mode);
        self.path.pop();
        holds
    }

    /// Resolves a dynamic reference: the target is in the outermost resource of the dynamic scope that has an anchor with this
    /// name (Core §8.2.3.2).
    fn dynamic(&self, dynamic: &Dynamic) -> SchemaNodeId {
        let named = self.scope.iter().find_map(|resource| dynamic.named.get(resource));
        named.copied().unwrap_or(dynamic.usual)
    }

    fn takes_nothing(&self, id: SchemaNodeId) -> bool {
        self.program.node(id).is_some_and(SchemaNode::takes_nothing)
    }

    /// Subtracts `steps` from the steps that are left. Returns `false` if fewer steps were left.
    fn spend(&mut self, steps: u64) -> bool {
        match self.steps_left.checked_sub(steps) {
            Some(left) => self.steps_left = left,
            None => self.exhausted = true,
        }
        !self.exhausted
    }

    fn is_enough(&self) -> bool {
        self.exhausted || self.findings.len() >= MAX_FINDINGS
    }

    #[inline(never)]
    fn check(&mut self, holds: bool, keyword: &Keyword, mode: Mode) -> bool {
        if !holds && mode == Mode::CollectFindings && !self.is_enough() {
            let finding = SchemaFinding { pointer: self.pointer(None), message: words::of(keyword) };
            self.note(finding);
        }
        holds
    }

    fn note(&mut self, finding: SchemaFinding) {
        // Two branches can produce the same finding, which is reported only once.
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Returns the current path as a JSON Pointer. If `further` is set, the pointer leads to the member with this name.
    fn pointer(&self, further: Option<&str>) -> String {
        let mut pointer = self.prefix.to_string();
        for step in self.path.iter().copied().chain(further.map(JudgeStep::Member)) {
            pointer.push('/');
            match step {
                JudgeStep::Member(name) => pointer.push_str(&escape(name)),
                JudgeStep::Item(index) => drop(write!(pointer, "{index}")),
                JudgeStep::Other => pointer.push('*'),
            }
        }
        pointer
    }
}

/// Returns the number of parts of a value, which determines the bound on the steps. Every value and every member name is a part.
/// A string, a number or a name counts as one more part for every 16 bytes.
fn weight(value: &Json<'_>) -> u64 {
    let text = |text: &str| 1 + size(text.len()) / 16;
    match value {
        Json::List(items) => items.iter().map(weight).sum::<u64>() + 1,
        Json::Object(members) => members.iter().map(|(name, value)| text(name) + weight(value)).sum::<u64>() + 1,
        Json::Text(content) => text(content),
        Json::Number(number) => text(number.text()),
        _ => 1,
    }
}

/// The number of steps that every validation may use, whatever the size of the value is. Together with [`STEPS_FOR_EACH_PART`],
/// this is far more than a typical schema needs. In a typical schema, one member of the value decides which branch of `anyOf` or
/// `oneOf` applies.
const STEPS: u64 = 100_000;
/// The number of additional steps for each part of the value.
const STEPS_FOR_EACH_PART: u64 = 100;

/// The maximum depth of the recursion. The stack of an Envoy worker has space for three times this number of the largest frames.
const MAX_FRAMES: usize = 600;

/// The maximum number of findings in one result. A longer list would not help a client.
const MAX_FINDINGS: usize = 20;
