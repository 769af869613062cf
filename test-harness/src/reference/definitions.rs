//! Copies shared definitions from the gateway's schema to the schemas of client documents and revocation lists.

use anyhow::{Context, Result};

/// Returns `schema` with new `$defs`. They contain every definition of the gateway's schema that `schema` refers to, directly or
/// through other definitions.
pub(super) fn replace(gateway: &str, schema: &str) -> Result<String> {
    let (head, _) = schema.split_once(DEFINITIONS).context("the schema has no `$defs`")?;
    let (_, definitions) = gateway.split_once(DEFINITIONS).context("the gateway schema has no `$defs`")?;
    let mut blocks: Vec<String> = Vec::new();
    for line in definitions.lines().take_while(|line| *line != "  }") {
        match blocks.last_mut() {
            Some(block) if !line.starts_with("    \"") => *block += &format!("\n{line}"),
            _ => blocks.push(line.to_owned()),
        }
    }
    let named = |text: &str| -> Vec<String> {
        text.split("\"#/$defs/").skip(1).filter_map(|rest| rest.split(['"', '/']).next()).map(str::to_owned).collect()
    };
    let block_of = |name: &str| blocks.iter().find(|block| block.starts_with(&format!("    \"{name}\":")));
    let mut wanted = named(head);
    let mut at = 0;
    while let Some(name) = wanted.get(at).cloned() {
        at += 1;
        let block = block_of(&name).with_context(|| format!("no definition of `{name}`"))?;
        wanted.extend(named(block).into_iter().filter(|name| !wanted.contains(name)).collect::<Vec<_>>());
    }
    let is_wanted = |block: &&String| wanted.iter().any(|name| block_of(name) == Some(*block));
    let kept: Vec<&str> = blocks.iter().filter(is_wanted).map(|block| block.trim_end_matches(',')).collect();
    Ok(format!("{head}{DEFINITIONS}{}\n  }}\n}}\n", kept.join(",\n")))
}

const DEFINITIONS: &str = "  \"$defs\": {\n";
