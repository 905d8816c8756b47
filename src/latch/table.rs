//! Rows of text in aligned columns.

use super::text::{clean, fit, width};

/// A table with a heading. Cells are made fit for a terminal on insertion.
#[derive(Debug)]
pub(super) struct Table {
    columns: &'static [Column],
    rows: Vec<Vec<String>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    /// Aligned to the left.
    Text(&'static str),
    /// Aligned to the right.
    Number(&'static str),
}

impl Column {
    fn heading(self) -> &'static str {
        match self {
            Column::Text(heading) | Column::Number(heading) => heading,
        }
    }
}

impl Table {
    pub(super) fn new(columns: &'static [Column]) -> Table {
        Table {
            columns,
            rows: vec![columns.iter().map(|c| c.heading().to_owned()).collect()],
        }
    }

    pub(super) fn push<const N: usize>(&mut self, cells: [&str; N]) {
        debug_assert_eq!(N, self.columns.len());
        self.rows
            .push(cells.iter().map(|cell| clean(cell)).collect());
    }

    /// Returns the lines, the heading first. The widest columns are cut until they fit in `limit`
    /// columns of the terminal; `None` means no limit.
    pub(super) fn lines(&self, limit: Option<usize>) -> Vec<String> {
        let mut widths: Vec<usize> = (0..self.columns.len())
            .map(|at| {
                self.rows
                    .iter()
                    .map(|row| width(&row[at]))
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        if let Some(limit) = limit {
            narrow(&mut widths, limit);
        }
        self.rows
            .iter()
            .map(|row| self.line(row, &widths))
            .collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, column), &columns) in row.iter().zip(self.columns).zip(widths) {
            let cell = fit(cell, columns);
            let padding = " ".repeat(columns.saturating_sub(width(&cell)));
            let (before, behind) = match column {
                Column::Text(_) => ("", &*padding),
                Column::Number(_) => (&*padding, ""),
            };
            line.extend([before, &cell, behind, GAP]);
        }
        line.truncate(line.trim_end().len());
        line
    }
}

const GAP: &str = "  ";
/// The least width of a cut column.
const NARROWEST: usize = 4;

fn narrow(widths: &mut [usize], limit: usize) {
    loop {
        let total = widths.iter().sum::<usize>() + GAP.len() * (widths.len() - 1);
        let widest = widths.iter_mut().max().filter(|width| **width > NARROWEST);
        match widest {
            Some(widest) if total > limit => *widest -= 1,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::Text("POOL"),
        Column::Number("HELD"),
        Column::Text("X"),
    ];

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(COLUMNS);
        table.push(["A", "1", "-"]);
        table.push(["\u{4e2d}\u{6587}\u{5b57}", "12345", "b c"]);
        let lines = [
            "POOL     HELD  X",
            "A           1  -",
            "\u{4e2d}\u{6587}\u{5b57}  12345  b c",
        ];
        assert_eq!(table.lines(None), lines);
    }

    #[test]
    fn cells_cannot_leave_their_place() {
        let mut table = Table::new(COLUMNS);
        table.push(["a\nb\u{1b}[2J", "1", "-"]);
        let lines = table.lines(None);
        assert_eq!(lines.len(), 2);
        assert!(!lines[1].contains(char::is_control), "{lines:?}");
    }

    #[test]
    fn a_table_is_cut_to_a_terminal() {
        let mut table = Table::new(COLUMNS);
        table.push([&"n".repeat(128), "7", &"o".repeat(100)]);
        for limit in [80, 40, 20] {
            for line in table.lines(Some(limit)) {
                assert!(width(&line) <= limit, "{line:?}");
            }
        }
        assert!(table.lines(Some(80))[1].contains("7"), "numbers stay whole");
    }
}
