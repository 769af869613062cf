//! Tables: columns padded for people, or comma-separated values (RFC 4180) for spreadsheets.

/// Rows of equal length as aligned columns, two spaces apart; the last is not padded.
pub fn text<const N: usize>(rows: &[[String; N]]) -> String {
    let width =
        |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// The same rows with commas between the cells, quoted where they must be.
pub fn csv<const N: usize>(rows: &[[String; N]]) -> String {
    let cell = |cell: &String| match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.clone(),
    };
    let line = |row: &[String; N]| format!("{}\n", row.iter().map(cell).collect::<Vec<_>>().join(","));
    rows.iter().map(line).collect()
}
