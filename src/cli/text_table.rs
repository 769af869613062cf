//! Formats tables as aligned columns for people, or as comma-separated values (RFC 4180) for spreadsheets.

use comfy_table::{Table, presets};

use crate::printable;

/// Formats rows as aligned columns, two spaces apart. Widths are those of a terminal, in which a Chinese character takes two
/// columns.
pub fn text<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).add_rows(rows.iter().map(printable));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_string()).collect()
}

/// Formats rows as comma-separated cells. A cell with a comma or a quotation mark is quoted.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_in_a_terminal() {
        let rows = [["CLIENT", "OWNER", "PLAN"], ["日本", "", "a  b"], ["e\u{301}", " x", ""], ["a\nb", "y", "z"]];
        let lines = ["CLIENT  OWNER  PLAN", "日本           a  b", "e\u{301}        x", "a\\nb    y      z"];
        assert_eq!(text(&rows.map(|row| row.map(str::to_string))), lines);
        assert!(text::<2>(&[]).is_empty());
    }

    #[test]
    fn cells_have_quotes_if_necessary() {
        let row = ["a", "b, c", "say \"d\"", "e\nf"].map(str::to_string);
        assert_eq!(csv(&[row]), ["a,\"b, c\",\"say \"\"d\"\"\",e\\nf"]);
    }
}
