//! Parses the Markdown pages of the documentation for tests: fenced blocks, tables, links and code spans.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::envoy;

/// One Markdown page.
#[derive(Debug, Clone)]
pub struct Page {
    /// The path of the page, relative to the project root.
    pub path: PathBuf,
    /// The Markdown source of the page.
    pub text: String,
}

/// A fenced code block.
#[derive(Debug, Clone)]
pub struct Block {
    /// The info string after the fence. It contains the language, and how the tests use the block.
    pub info: String,
    /// The content between the fences.
    pub text: String,
    /// The page and the line of the block, for failure messages.
    pub place: String,
}

/// A Markdown table. Its cells are trimmed.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// The cells of the header row.
    pub header: Vec<String>,
    /// The cells of all other rows.
    pub rows: Vec<Vec<String>>,
}

impl Page {
    /// Returns the Markdown pages in the project root and in the folders `docs`, `envoy` and `test-harness`. Subfolders are not
    /// included.
    pub fn all() -> Result<Vec<Page>> {
        let mut pages = Vec::new();
        for folder in [".", "docs", "envoy", "test-harness"] {
            for entry in fs::read_dir(envoy::root().join(folder))? {
                let file = entry?.path();
                if file.extension().is_some_and(|extension| extension == "md") {
                    pages.push(Page::read(&Path::new(folder).join(file.file_name().unwrap_or_default()))?);
                }
            }
        }
        pages.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(pages)
    }

    /// Reads the page at this path, which is relative to the project root.
    pub fn read(path: &Path) -> Result<Page> {
        let path = path.strip_prefix(".").unwrap_or(path);
        let text = fs::read_to_string(envoy::root().join(path)).with_context(|| path.display().to_string())?;
        Ok(Page { path: path.to_owned(), text })
    }

    /// Returns the fenced blocks.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        for (number, line, fence) in self.lines() {
            match (fence, line.strip_prefix(FENCE)) {
                (Fence::Opens, Some(info)) => {
                    let place = format!("{}:{number}", self.path.display());
                    blocks.push(Block { info: info.to_owned(), text: String::new(), place });
                }
                (Fence::Inside, _) => blocks.iter_mut().next_back().into_iter().for_each(|block| {
                    block.text.push_str(line);
                    block.text.push('\n');
                }),
                _ => {}
            }
        }
        blocks
    }

    /// Returns the tables outside of fenced blocks.
    pub fn tables(&self) -> Vec<Table> {
        let mut tables = Vec::new();
        let mut open: Option<Table> = None;
        for (_, line, fence) in self.lines() {
            let row = line.strip_prefix('|').and_then(|rest| rest.trim_end().strip_suffix('|'));
            let row = row.filter(|_| fence == Fence::Outside);
            let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
            match (row, &mut open) {
                (Some(row), None) => open = Some(Table { header: cells(row), rows: Vec::new() }),
                (Some(row), Some(_)) if row.bytes().all(|byte| b"-:| ".contains(&byte)) => {}
                (Some(row), Some(table)) => table.rows.push(cells(row)),
                (None, _) => tables.extend(open.take()),
            }
        }
        tables.extend(open);
        tables
    }

    /// Returns the targets of `[text](target)` outside of fenced blocks.
    pub fn links(&self) -> Vec<String> {
        let outside = self.lines().filter(|(_, _, fence)| *fence == Fence::Outside);
        let targets = outside.flat_map(|(_, line, _)| line.split("](").skip(1));
        targets.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
    }

    /// Returns the code spans outside of fenced blocks.
    pub fn spans(&self) -> Vec<String> {
        let outside = self.lines().filter(|(_, _, fence)| *fence == Fence::Outside);
        // A span may continue on the next line.
        let text: String = outside.flat_map(|(_, line, _)| [line, "\n"]).collect();
        let paragraphs = text.split("\n\n").flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2));
        paragraphs.map(|span| span.replace('\n', " ")).collect()
    }

    /// Returns the anchors for links: the headings in lower case, with words joined by `-`.
    pub fn anchors(&self) -> Vec<String> {
        let outside = self.lines().filter(|(_, line, fence)| *fence == Fence::Outside && line.starts_with('#'));
        let slug = |heading: &str| {
            let kept = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.collect::<String>().replace(' ', "-")
        };
        outside.map(|(_, line, _)| slug(line)).collect()
    }

    /// Returns each line with its number. The [`Fence`] shows whether the line is a fence, inside a fenced block or outside.
    fn lines(&self) -> impl Iterator<Item = (usize, &str, Fence)> {
        let mut inside = false;
        self.text.lines().enumerate().map(move |(index, line)| {
            let is_fence = line.starts_with(FENCE);
            let fence = match (inside, is_fence) {
                (false, true) => Fence::Opens,
                (true, true) => Fence::Closes,
                (true, false) => Fence::Inside,
                (false, false) => Fence::Outside,
            };
            inside ^= is_fence;
            (index + 1, line, fence)
        })
    }
}

impl Table {
    /// Returns the cells of the column with the header `title`, if there is such a column.
    pub fn column(&self, title: &str) -> Option<Vec<&str>> {
        let at = self.header.iter().position(|cell| cell == title)?;
        Some(self.rows.iter().filter_map(|row| row.get(at)).map(String::as_str).collect())
    }
}

/// Returns the code spans of a table cell or another string.
pub fn coded(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Counts the test names in a string. In the string, a code span with a file name comes first, followed by code spans with the
/// names of tests in that file.
///
/// # Errors
/// Returns an error if a test is not in its file, or if no file name precedes the test.
pub fn tests_shown(text: &str) -> Result<usize> {
    let mut file = None;
    let mut tests = 0;
    for name in coded(text) {
        let path = envoy::root().join(name);
        if path.is_file() {
            file = Some((name, fs::read_to_string(path)?));
            continue;
        }
        let (file, text) = file.as_ref().with_context(|| format!("no file name precedes the test `{name}`"))?;
        let is_there = [format!("fn {name}("), format!("name: {name}\n"), format!("\"{name}\"")];
        ensure!(is_there.iter().any(|form| text.contains(form)), "{file} has no test `{name}`");
        tests += 1;
    }
    Ok(tests)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fence {
    Outside,
    Opens,
    Inside,
    Closes,
}

const FENCE: &str = "```";
