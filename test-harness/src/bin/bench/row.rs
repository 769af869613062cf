//! A row of the results: the figures of each round, and the goals that they are checked against.

use crate::spread::Spread;

/// A measured operation and the figures of each variant.
#[derive(Debug)]
pub struct Row {
    /// The title of the table that contains the row.
    pub table: &'static str,
    /// The measured operation.
    pub name: String,
    /// The unit of the figures.
    pub unit: &'static str,
    /// The name of each variant and its figures, one for each round.
    pub figures: Vec<(&'static str, Vec<f64>)>,
    /// The goals that the row is checked against.
    pub goals: Vec<Goal>,
}

/// A performance goal.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    /// The name of the goal, such as `P1`.
    pub name: &'static str,
    /// The variant under test.
    pub variant: &'static str,
    /// The variants that the variant under test is compared with. The ratio is computed with the cheapest of them. If the list
    /// is empty, the limit applies to the figure itself.
    pub against: &'static [&'static str],
    /// Whether the cost of an Envoy without filters is subtracted from both figures.
    pub added: bool,
    /// The largest value that meets the goal.
    pub limit: f64,
}

/// The result of checking a goal.
#[derive(Debug, Clone, Copy)]
pub struct Verdict {
    /// The goal that was checked.
    pub goal: Goal,
    /// The variant that the variant under test was compared with, or `None` if the limit applies to the figure itself.
    pub against: Option<&'static str>,
    /// The spread of the ratio, or of the figure, over the rounds.
    pub value: Spread,
}

impl Goal {
    /// Returns the same goal for another variant, with the limit of that variant.
    pub const fn of(self, variant: &'static str, limit: f64) -> Goal {
        Goal { variant, limit, ..self }
    }
}

impl Row {
    /// Creates a row without figures. The unit is CPU microseconds per request.
    pub fn of_requests(table: &'static str, name: impl Into<String>, goals: Vec<Goal>) -> Self {
        Self { table, name: name.into(), unit: "µs CPU a request", figures: Vec::new(), goals }
    }

    /// Adds the figure of one round for a variant.
    pub fn push(&mut self, variant: &'static str, figure: f64) {
        match self.figures.iter_mut().find(|(name, _)| *name == variant) {
            Some((_, figures)) => figures.push(figure),
            None => self.figures.push((variant, vec![figure])),
        }
    }

    /// Returns the cost of a variant for each round, or `None` if the variant was not measured. If `added` is `true` and the row
    /// has figures for [`BARE`], these figures are subtracted.
    pub fn cost(&self, variant: &str, added: bool) -> Option<Vec<f64>> {
        let whole = self.of(variant)?;
        match self.of(BARE) {
            Some(bare) if added => Some(whole.iter().zip(bare).map(|(whole, bare)| whole - bare).collect()),
            _ => Some(whole.to_vec()),
        }
    }

    /// Returns the spread of the cost of a variant over the rounds.
    pub fn spread(&self, variant: &str, added: bool) -> Option<Spread> {
        Spread::of(self.cost(variant, added)?)
    }

    /// Returns the results of the goals whose variants were measured. A ratio is computed for each round.
    pub fn verdicts(&self) -> Vec<Verdict> {
        self.goals.iter().filter_map(|goal| self.verdict(*goal)).collect()
    }

    fn verdict(&self, goal: Goal) -> Option<Verdict> {
        let ours = self.cost(goal.variant, goal.added)?;
        let median = |name: &&&'static str| self.spread(name, goal.added).map(|spread| spread.median);
        let measured = goal.against.iter().filter(|name| self.of(name).is_some());
        let cheapest =
            measured.min_by(|one, other| median(one).partial_cmp(&median(other)).unwrap_or(std::cmp::Ordering::Equal));
        let value = match cheapest {
            Some(against) => {
                let theirs = self.cost(against, goal.added)?;
                Spread::of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs))?
            }
            None if goal.against.is_empty() => Spread::of(ours)?,
            None => return None,
        };
        Some(Verdict { goal, against: cheapest.copied(), value })
    }

    fn of(&self, variant: &str) -> Option<&[f64]> {
        self.figures.iter().find(|(name, _)| *name == variant).map(|(_, figures)| figures.as_slice())
    }
}

impl Verdict {
    /// Returns whether the median over the rounds meets the goal.
    pub fn reached(&self) -> bool {
        self.value.median <= self.goal.limit
    }
}

/// The name of the variant without filters.
pub const BARE: &str = "no filter";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_judged_against_the_cheapest_rival_and_without_the_proxys_own_cost() {
        let goal = Goal { name: "P1", variant: "ours", against: &["dear", "cheap"], added: true, limit: 0.6 };
        let mut row = Row::of_requests("warm", "RS256", vec![goal]);
        for (variant, figure) in [(BARE, 40.0), ("dear", 90.0), ("cheap", 50.0), ("ours", 45.0)] {
            row.push(variant, figure);
            row.push(variant, figure + 1.0);
        }
        let verdict = row.verdicts()[0];
        assert_eq!((verdict.against, verdict.value.median, verdict.reached()), (Some("cheap"), 0.5, true));
    }

    #[test]
    fn a_goal_without_its_variant_is_not_judged() {
        let goal = Goal { name: "P1", variant: "ours", against: &["native"], added: true, limit: 0.6 };
        let mut row = Row::of_requests("warm", "RS256", vec![goal]);
        row.push("native", 50.0);
        assert!(row.verdicts().is_empty());
    }
}
