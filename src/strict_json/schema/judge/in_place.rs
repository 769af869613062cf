//! Validates the keywords that apply other schemas to the same value: `allOf`, `anyOf`, `oneOf`, `if` and `dependentSchemas`.

use super::{Judge, Mode, SeenMembers};
use crate::strict_json::schema::id::SchemaNodeId;
use crate::strict_json::schema::keyword::{IfThenElse, Keyword};
use crate::strict_json::tree::Json;

impl<'s> Judge<'s> {
    #[inline(never)]
    pub(super) fn all_of<'v>(
        &mut self,
        all: &'s [SchemaNodeId],
        value: &'v Json<'v>,
        mode: Mode,
        seen: SeenMembers<'_, 'v>,
    ) -> bool {
        self.each(all.iter(), value, mode, seen)
    }

    #[inline(never)]
    pub(super) fn any_of<'v>(
        &mut self,
        keyword: &'s Keyword,
        all: &'s [SchemaNodeId],
        value: &'v Json<'v>,
        mode: Mode,
        mut seen: SeenMembers<'_, 'v>,
    ) -> bool {
        let mut holds = false;
        for id in all {
            holds |= self.in_place(*id, value, Mode::ResultOnly, seen.as_deref_mut());
            // If evaluated members are tracked, all branches are applied, because each matching branch adds its members.
            if holds && !self.program.tracks {
                break;
            }
        }
        self.check(holds, keyword, mode)
    }

    #[inline(never)]
    pub(super) fn one_of<'v>(
        &mut self,
        keyword: &'s Keyword,
        all: &'s [SchemaNodeId],
        value: &'v Json<'v>,
        mode: Mode,
        mut seen: SeenMembers<'_, 'v>,
    ) -> bool {
        let mut count = 0;
        for id in all {
            count += usize::from(self.in_place(*id, value, Mode::ResultOnly, seen.as_deref_mut()));
            if count > 1 {
                break;
            }
        }
        self.check(count == 1, keyword, mode)
    }

    #[inline(never)]
    pub(super) fn condition<'v>(
        &mut self,
        condition: &'s IfThenElse,
        value: &'v Json<'v>,
        mode: Mode,
        mut seen: SeenMembers<'_, 'v>,
    ) -> bool {
        let branch = match self.in_place(condition.test, value, Mode::ResultOnly, seen.as_deref_mut()) {
            true => condition.then,
            false => condition.otherwise,
        };
        branch.is_none_or(|id| self.in_place(id, value, mode, seen))
    }

    #[inline(never)]
    pub(super) fn dependent<'v>(
        &mut self,
        all: &'s [(String, SchemaNodeId)],
        value: &'v Json<'v>,
        mode: Mode,
        seen: SeenMembers<'_, 'v>,
    ) -> bool {
        let has = |name: &str| matches!(value, Json::Object(members) if members.has(name));
        let named = all.iter().filter(|(name, _)| has(name));
        self.each(named.map(|(_, id)| id), value, mode, seen)
    }

    /// Returns `true` if all schemas match. The function is inlined, because another stack frame in each level of the recursion
    /// would reduce the depth that fits on the stack.
    #[inline(always)]
    fn each<'v>(
        &mut self,
        all: impl Iterator<Item = &'s SchemaNodeId>,
        value: &'v Json<'v>,
        mode: Mode,
        mut seen: SeenMembers<'_, 'v>,
    ) -> bool {
        let mut holds = true;
        for id in all {
            holds &= self.in_place(*id, value, mode, seen.as_deref_mut());
            if !holds && (mode == Mode::ResultOnly || self.is_enough()) {
                break;
            }
        }
        holds
    }
}
