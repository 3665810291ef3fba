//! A value that every row of a custody should state alike.

use super::RowProblem;

/// The different values that rows stated, each with the first line that stated it. Nearly always one, which takes no
/// memory of its own.
#[derive(Debug, Clone)]
pub(super) struct Agreed<T> {
    first: Option<(T, u64)>,
    others: Vec<(T, u64)>,
    empty: Option<u64>,
}

impl<T> Default for Agreed<T> {
    fn default() -> Self {
        Self { first: None, others: Vec::new(), empty: None }
    }
}

impl<T: Ord> Agreed<T> {
    /// A row stated this, or nothing.
    pub(super) fn note(&mut self, value: Option<T>, line: u64) {
        match (value, &self.first) {
            (None, _) => {
                self.empty.get_or_insert(line);
            }
            (Some(value), None) => self.first = Some((value, line)),
            (Some(value), Some((first, _))) => {
                if *first != value && self.others.iter().all(|(other, _)| *other != value) {
                    self.others.push((value, line));
                }
            }
        }
    }

    /// The one value, or none. Two of them are a problem, named at the later line.
    pub(super) fn one(self, column: &str, problems: &mut Vec<RowProblem>) -> Option<T> {
        if let (Some((_, first)), Some((_, second))) = (&self.first, self.others.first()) {
            problems.push(RowProblem {
                line: *second,
                column: Some(column.to_owned()),
                text: format!("differs from line {first} of the same custody"),
            });
        }
        self.first.map(|(value, _)| value)
    }

    /// The same, where a row that states nothing contradicts one that states something.
    pub(super) fn one_in_all(self, column: &str, problems: &mut Vec<RowProblem>) -> Option<T> {
        if let (Some(empty), Some((_, filled))) = (self.empty, &self.first) {
            problems.push(RowProblem {
                line: empty,
                column: Some(column.to_owned()),
                text: format!("empty, while line {filled} of the same custody has a value"),
            });
        }
        self.one(column, problems)
    }

    /// Every value, in order.
    pub(super) fn all(self) -> Vec<T> {
        let values = self.first.into_iter().chain(self.others);
        let mut values: Vec<T> = values.map(|(value, _)| value).collect();
        values.sort();
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rows: &[(Option<u8>, u64)], one: Option<u8>, lines: &[u64], lines_in_all: &[u64]) {
        let mut agreed = Agreed::default();
        rows.iter().for_each(|(value, line)| agreed.note(*value, *line));
        let (mut problems, mut in_all) = (Vec::new(), Vec::new());
        assert_eq!(agreed.clone().one("c", &mut problems), one, "{rows:?}");
        agreed.one_in_all("c", &mut in_all);
        assert_eq!(problems.iter().map(|p| p.line).collect::<Vec<_>>(), lines, "{rows:?}");
        assert_eq!(in_all.iter().map(|p| p.line).collect::<Vec<_>>(), lines_in_all, "{rows:?}");
    }

    #[test]
    fn equal_values_agree_and_different_ones_are_named_at_the_later_line() {
        check(&[], None, &[], &[]);
        check(&[(Some(7), 2), (Some(7), 3)], Some(7), &[], &[]);
        check(&[(Some(7), 2), (Some(5), 4), (Some(7), 5)], Some(7), &[4], &[4]);
    }

    #[test]
    fn every_different_value_is_kept_once_and_in_order() {
        let mut agreed = Agreed::default();
        [7, 5, 7, 9, 5].into_iter().for_each(|value| agreed.note(Some(value), 2));
        assert_eq!(agreed.all(), [5, 7, 9]);
    }

    #[test]
    fn an_empty_cell_contradicts_a_value_only_where_asked() {
        check(&[(Some(7), 2), (None, 3)], Some(7), &[], &[3]);
        check(&[(None, 3), (None, 4)], None, &[], &[]);
    }
}
