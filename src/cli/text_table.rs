//! Formats tables as aligned columns for people, or as comma-separated values (RFC 4180) for spreadsheets.

use crate::printable;

/// Formats rows as aligned columns, two spaces apart. The last column is not padded.
pub fn text<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let rows: Vec<_> = rows.iter().map(printable).collect();
    let width =
        |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    rows.iter().map(line).collect()
}

/// Formats rows as comma-separated cells, which have quotes if necessary.
pub fn csv<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let cell = |cell: &String| match cell.contains([',', '"']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.clone(),
    };
    rows.iter().map(|row| printable(row).iter().map(cell).collect::<Vec<_>>().join(",")).collect()
}

/// Returns the cells in printable form, so that column widths match the output in a terminal.
fn printable<const N: usize>(row: &[String; N]) -> [String; N] {
    row.each_ref().map(|cell| printable::one_line(cell).into_owned())
}
