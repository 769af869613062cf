//! Finds cycles and long chains of schemas that apply each other to the same value, such as a schema with `$ref` to itself.

use super::id::SchemaNodeId;
use super::keyword::Keyword;
use super::program::SchemaNode;

/// Returns each node that starts a long chain or closes a cycle, with a message. The function uses no recursion, because a chain
/// could be long enough to overflow the stack.
pub(super) fn faults(nodes: &[SchemaNode]) -> Vec<(SchemaNodeId, String)> {
    let steps: Vec<Vec<SchemaNodeId>> =
        nodes.iter().map(|node| node.keywords.iter().flat_map(Keyword::in_place).collect()).collect();
    let mut found = Vec::new();
    // The length of the longest path from each node; `None` until all paths from the node were visited.
    let mut lengths: Vec<Option<usize>> = vec![None; nodes.len()];
    let mut is_on_the_way = vec![false; nodes.len()];
    for start in 0..nodes.len() {
        let mut way: Vec<(SchemaNodeId, usize)> = vec![(start, 0)];
        while let Some((id, taken)) = way.pop() {
            if lengths.get(id).copied().flatten().is_some() {
                continue;
            }
            if let Some(mark) = is_on_the_way.get_mut(id) {
                *mark = true;
            }
            let next = steps.get(id).and_then(|steps| steps.get(taken)).copied();
            if let Some(next) = next {
                way.push((id, taken + 1));
                if is_on_the_way.get(next).copied().unwrap_or_default() {
                    found.push((id, "this schema applies itself to the same value again, without end".to_string()));
                } else {
                    way.push((next, 0));
                }
                continue;
            }
            let inner = steps.get(id).into_iter().flatten().filter_map(|next| lengths.get(*next).copied().flatten());
            let length = inner.max().map_or(0, |inner| inner + 1);
            if length == MAX_STEPS {
                found.push((id, format!("more than {MAX_STEPS} references follow each other from here")));
            }
            if let (Some(mark), Some(place)) = (is_on_the_way.get_mut(id), lengths.get_mut(id)) {
                *mark = false;
                *place = Some(length);
            }
        }
    }
    found
}

/// The maximum length of a chain. Validation is recursive, so it needs stack frames for each step of a chain.
const MAX_STEPS: usize = 50;
