//! Validates arrays: the keywords `prefixItems`, `items`, `contains` and `unevaluatedItems`.

use super::{Judge, JudgeStep, Mode, SeenMembers, size};
use crate::strict_json::schema::id::SchemaNodeId;
use crate::strict_json::schema::keyword::{Contains, Items, Keyword};
use crate::strict_json::tree::Json;

impl<'s> Judge<'s> {
    #[inline(never)]
    pub(super) fn items(
        &mut self,
        keyword: &'s Keyword,
        items: &Items,
        array: &[Json<'_>],
        mode: Mode,
        seen: SeenMembers<'_, '_>,
    ) -> bool {
        let mut holds = true;
        for (index, item) in array.iter().enumerate() {
            let Some(id) = items.prefix.get(index).copied().or(items.rest) else { break };
            if index >= items.prefix.len() && self.takes_nothing(id) {
                return self.check(false, keyword, mode);
            }
            holds &= self.inside(JudgeStep::Item(index), id, item, mode);
            if !holds && (mode == Mode::ResultOnly || self.is_enough()) {
                return false;
            }
        }
        if let Some(seen) = seen {
            let looked_at = if items.rest.is_some() { usize::MAX } else { items.prefix.len() };
            seen.first_items = seen.first_items.max(looked_at);
        }
        holds
    }

    #[inline(never)]
    pub(super) fn contains(
        &mut self,
        keyword: &'s Keyword,
        contains: &Contains,
        array: &[Json<'_>],
        mode: Mode,
        mut seen: SeenMembers<'_, '_>,
    ) -> bool {
        let mut count = 0usize;
        for (index, item) in array.iter().enumerate() {
            if self.inside(JudgeStep::Item(index), contains.item, item, Mode::ResultOnly) {
                count += 1;
                if let Some(seen) = &mut seen {
                    seen.items.insert(index);
                }
            }
        }
        let is_enough = size(count) >= contains.min;
        self.check(is_enough && contains.max.is_none_or(|most| size(count) <= most), keyword, mode)
    }

    #[inline(never)]
    pub(super) fn other_items(
        &mut self,
        keyword: &'s Keyword,
        id: SchemaNodeId,
        array: &[Json<'_>],
        mode: Mode,
        seen: SeenMembers<'_, '_>,
    ) -> bool {
        let Some(seen) = seen else { return false };
        let mut holds = true;
        for (index, item) in array.iter().enumerate().filter(|(index, _)| !seen.has_item(*index)) {
            holds &= match self.takes_nothing(id) {
                true => self.spend(1) && self.check(false, keyword, mode),
                false => self.inside(JudgeStep::Item(index), id, item, mode),
            };
            if !holds && (mode == Mode::ResultOnly || self.is_enough()) {
                break;
            }
        }
        seen.first_items = usize::MAX;
        holds
    }
}
