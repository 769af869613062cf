//! One row of the results: its figures, round by round, and the goals that are judged by them.

use crate::spread::Spread;

/// What was done, and what it cost each variant.
#[derive(Debug)]
pub struct Row {
    /// The table it stands in.
    pub table: &'static str,
    /// What was done.
    pub name: String,
    /// What the figures count.
    pub unit: &'static str,
    /// For each variant, in order, its name and one figure for each round.
    pub figures: Vec<(&'static str, Vec<f64>)>,
    /// The goals.
    pub goals: Vec<Goal>,
}

/// A goal of the performance page.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    /// Its number, as `P1`.
    pub name: &'static str,
    /// The variant that is judged.
    pub variant: &'static str,
    /// The variants it is compared with: the cheapest of them counts. With none, the limit is a figure, not a ratio.
    pub against: &'static [&'static str],
    /// Whether the proxy's own cost, without a filter, is taken off on both sides.
    pub added: bool,
    /// The largest value that reaches the goal.
    pub limit: f64,
}

/// A goal, judged.
#[derive(Debug, Clone, Copy)]
pub struct Verdict {
    /// The goal.
    pub goal: Goal,
    /// The variant it was compared with.
    pub against: Option<&'static str>,
    /// The ratio, or the figure, over the rounds.
    pub value: Spread,
}

impl Row {
    /// A row of CPU microseconds a request, without figures yet.
    pub fn of_requests(table: &'static str, name: impl Into<String>, goals: Vec<Goal>) -> Self {
        Self { table, name: name.into(), unit: "µs CPU a request", figures: Vec::new(), goals }
    }

    /// Adds the figure of one more round.
    pub fn push(&mut self, variant: &'static str, figure: f64) {
        match self.figures.iter_mut().find(|(name, _)| *name == variant) {
            Some((_, figures)) => figures.push(figure),
            None => self.figures.push((variant, vec![figure])),
        }
    }

    /// What a variant costs, round by round; without the proxy's own cost when `added` and if that was measured.
    pub fn cost(&self, variant: &str, added: bool) -> Option<Vec<f64>> {
        let whole = self.of(variant)?;
        match self.of(BARE) {
            Some(bare) if added => Some(whole.iter().zip(bare).map(|(whole, bare)| whole - bare).collect()),
            _ => Some(whole.to_vec()),
        }
    }

    /// The spread of what a variant costs.
    pub fn spread(&self, variant: &str, added: bool) -> Option<Spread> {
        Spread::of(self.cost(variant, added)?)
    }

    /// The goals whose variants were measured, judged by the ratios within each round.
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
    /// Whether the goal was reached: by the median, as rounds scatter.
    pub fn reached(&self) -> bool {
        self.value.median <= self.goal.limit
    }
}

/// The name of the variant without a filter.
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
