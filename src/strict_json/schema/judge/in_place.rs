//! Keywords that apply further schemas to the same value.

use super::{Judge, SeenMembers, Voice};
use crate::strict_json::schema::id::SchemaNodeId;
use crate::strict_json::schema::keyword::{IfThenElse, Keyword};
use crate::strict_json::tree::Json;

impl<'s> Judge<'s> {
    #[inline(never)]
    pub(super) fn all_of<'v>(
        &mut self,
        all: &'s [SchemaNodeId],
        value: &'v Json<'v>,
        voice: Voice,
        seen: SeenMembers<'_, 'v>,
    ) -> bool {
        self.each(all.iter(), value, voice, seen)
    }

    #[inline(never)]
    pub(super) fn any_of<'v>(
        &mut self,
        keyword: &'s Keyword,
        all: &'s [SchemaNodeId],
        value: &'v Json<'v>,
        voice: Voice,
        mut seen: SeenMembers<'_, 'v>,
    ) -> bool {
        let mut holds = false;
        for id in all {
            holds |= self.in_place(*id, value, Voice::Silent, seen.as_deref_mut());
            // If evaluated members are tracked, this applies all branches, because each branch that matches adds to the set.
            if holds && !self.program.tracks {
                break;
            }
        }
        self.tell(holds, keyword, voice)
    }

    #[inline(never)]
    pub(super) fn one_of<'v>(
        &mut self,
        keyword: &'s Keyword,
        all: &'s [SchemaNodeId],
        value: &'v Json<'v>,
        voice: Voice,
        mut seen: SeenMembers<'_, 'v>,
    ) -> bool {
        let mut count = 0;
        for id in all {
            count += usize::from(self.in_place(*id, value, Voice::Silent, seen.as_deref_mut()));
            if count > 1 {
                break;
            }
        }
        self.tell(count == 1, keyword, voice)
    }

    #[inline(never)]
    pub(super) fn condition<'v>(
        &mut self,
        condition: &'s IfThenElse,
        value: &'v Json<'v>,
        voice: Voice,
        mut seen: SeenMembers<'_, 'v>,
    ) -> bool {
        let branch = match self.in_place(condition.test, value, Voice::Silent, seen.as_deref_mut()) {
            true => condition.then,
            false => condition.otherwise,
        };
        branch.is_none_or(|id| self.in_place(id, value, voice, seen))
    }

    #[inline(never)]
    pub(super) fn dependent<'v>(
        &mut self,
        all: &'s [(String, SchemaNodeId)],
        value: &'v Json<'v>,
        voice: Voice,
        seen: SeenMembers<'_, 'v>,
    ) -> bool {
        let has = |name: &str| matches!(value, Json::Object(members) if members.has(name));
        let named = all.iter().filter(|(name, _)| has(name));
        self.each(named.map(|(_, id)| id), value, voice, seen)
    }

    /// Returns `true` if all schemas match. The function is inlined, because an additional stack frame would reduce the
    /// possible depth of schemas.
    #[inline(always)]
    fn each<'v>(
        &mut self,
        all: impl Iterator<Item = &'s SchemaNodeId>,
        value: &'v Json<'v>,
        voice: Voice,
        mut seen: SeenMembers<'_, 'v>,
    ) -> bool {
        let mut holds = true;
        for id in all {
            holds &= self.in_place(*id, value, voice, seen.as_deref_mut());
            if !holds && (voice == Voice::Silent || self.is_enough()) {
                break;
            }
        }
        holds
    }
}
