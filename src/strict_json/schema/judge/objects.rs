//! Validates objects: their members, the names of their members, and required members.

use std::borrow::Cow;

use super::{Judge, JudgeStep, Mode, SeenMembers, size};
use crate::strict_json::schema::SchemaFinding;
use crate::strict_json::schema::id::SchemaNodeId;
use crate::strict_json::schema::keyword::{Keyword, ObjectMembers};
use crate::strict_json::tree::{Json, Object};

impl<'s> Judge<'s> {
    #[inline(never)]
    pub(super) fn members<'v>(
        &mut self,
        keyword: &'s Keyword,
        members: &'s ObjectMembers,
        object: &'v Object<'v>,
        mode: Mode,
        mut seen: SeenMembers<'_, 'v>,
    ) -> bool {
        let mut holds = self.spend(size(members.named.len()) / 8);
        // Cheap schemas are applied first. A schema such as `{ "const": "card" }` for one member can then rule out a branch of
        // `anyOf` or `oneOf` before the expensive schemas of the branch are applied.
        for is_cheap in [true, false] {
            for (name, id) in &members.named {
                if self.program.node(*id).is_some_and(|node| node.is_cheap) != is_cheap {
                    continue;
                }
                let Some((there, value)) = object.get(name) else { continue };
                holds &= self.inside(JudgeStep::Member(name), *id, value, mode);
                note(&mut seen, there);
                if !holds && (mode == Mode::ResultOnly || self.is_enough()) {
                    return false;
                }
            }
        }
        if members.patterns.is_empty() && members.rest.is_none() {
            return holds;
        }
        for (name, value) in object.iter() {
            holds &= self.any_member(keyword, members, name, value, mode, &mut seen);
            if !holds && (mode == Mode::ResultOnly || self.is_enough()) {
                return false;
            }
        }
        holds
    }

    /// Applies the schemas of all matching `patternProperties` to a member. Applies `additionalProperties` if no pattern matches
    /// and `properties` does not contain the name.
    #[inline(never)]
    fn any_member<'v>(
        &mut self,
        keyword: &'s Keyword,
        members: &'s ObjectMembers,
        name: &'v str,
        value: &'v Json<'v>,
        mode: Mode,
        seen: &mut SeenMembers<'_, 'v>,
    ) -> bool {
        let known = members.named.get_key_value(name);
        let step = known.map_or(JudgeStep::Other, |(name, _)| JudgeStep::Member(name));
        let (mut holds, mut is_known) = (true, known.is_some());
        for (pattern, id) in &members.patterns {
            if self.spend(1) && self.is_in(pattern, name) {
                is_known = true;
                holds &= self.inside(step, *id, value, mode);
            }
        }
        if let Some(rest) = members.rest.filter(|_| !is_known) {
            is_known = true;
            holds &= self.left_over(keyword, rest, value, mode);
        }
        if is_known {
            note(seen, name);
        }
        holds
    }

    /// Applies the schema for additional or unevaluated members to a member. If the schema is `false`, the pointer of the finding
    /// leads to the object, because the name of the member comes from the client.
    fn left_over(&mut self, keyword: &'s Keyword, id: SchemaNodeId, value: &Json<'_>, mode: Mode) -> bool {
        if self.takes_nothing(id) {
            self.spend(1) && self.check(false, keyword, mode)
        } else {
            self.inside(JudgeStep::Other, id, value, mode)
        }
    }

    #[inline(never)]
    pub(super) fn other_members<'v>(
        &mut self,
        keyword: &'s Keyword,
        id: SchemaNodeId,
        object: &'v Object<'v>,
        mode: Mode,
        seen: SeenMembers<'_, 'v>,
    ) -> bool {
        let Some(seen) = seen else { return false };
        let mut holds = true;
        for (_, value) in object.iter().filter(|(name, _)| !seen.has_member(name)) {
            holds &= self.left_over(keyword, id, value, mode);
            if !holds && (mode == Mode::ResultOnly || self.is_enough()) {
                break;
            }
        }
        seen.all_members = true;
        holds
    }

    #[inline(never)]
    pub(super) fn property_names(
        &mut self,
        keyword: &'s Keyword,
        id: SchemaNodeId,
        object: &Object<'_>,
        mode: Mode,
    ) -> bool {
        let mut holds = true;
        for (name, _) in object.iter() {
            holds = holds && self.part(id, &Json::Text(Cow::Borrowed(name)), Mode::ResultOnly);
        }
        self.check(holds, keyword, mode)
    }

    pub(super) fn required(&mut self, names: &'s [String], object: &Object<'_>, mode: Mode) -> bool {
        let mut holds = self.spend(size(names.len()) / 8);
        for name in names.iter().filter(|name| !object.has(name)) {
            holds = false;
            if mode == Mode::ResultOnly || self.is_enough() {
                break;
            }
            self.note(SchemaFinding { pointer: self.pointer(Some(name)), message: "is missing".into() });
        }
        holds
    }

    pub(super) fn dependent_required(
        &mut self,
        needs: &'s [(String, Vec<String>)],
        object: &Object<'_>,
        mode: Mode,
    ) -> bool {
        let mut holds = true;
        for (name, others) in needs {
            holds &= !object.has(name) || self.required(others, object, mode);
        }
        holds
    }
}

fn note<'v>(seen: &mut SeenMembers<'_, 'v>, name: &'v str) {
    if let Some(seen) = seen {
        seen.members.insert(name);
    }
}
