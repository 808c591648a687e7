//! Rows of figures: what was measured, against what, and whether it reaches.

use serde_json::{Value, json};

/// The units of a figure, and whether more is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Milliseconds,
    Microseconds,
    Nanoseconds,
    Seconds,
    Mebibytes,
    RequestsPerSecond,
    /// A ratio that was computed elsewhere.
    Times,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Milliseconds => "ms",
            Unit::Microseconds => "µs",
            Unit::Nanoseconds => "ns",
            Unit::Seconds => "s",
            Unit::Mebibytes => "MiB",
            Unit::RequestsPerSecond => "req/s",
            Unit::Times => "×",
        }
    }
}

/// What a row should reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reach {
    /// Ours divided by the other is at most this.
    RatioAtMost(f64),
    RatioAtLeast(f64),
    /// Ours is less than the other.
    Less,
    /// Ours alone is at most this.
    AtMost(f64),
    AtLeast(f64),
    /// A figure for information.
    None,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub measure: String,
    pub unit: Unit,
    pub ours: Option<f64>,
    pub other: Other,
    pub reach: Reach,
}

/// What ours stands beside.
#[derive(Debug, Clone, PartialEq)]
pub enum Other {
    Figure(&'static str, f64),
    NotMeasured(&'static str, String),
    Nothing,
}

impl Row {
    /// A row for two lists of figures, taken in turns.
    pub fn compare(
        measure: impl Into<String>,
        unit: Unit,
        ours: &[f64],
        (name, other): (&'static str, &Result<Vec<f64>, String>),
        reach: Reach,
    ) -> Row {
        let other = match other {
            Ok(figures) if !figures.is_empty() => Other::Figure(name, median(figures)),
            Ok(_) => Other::NotMeasured(name, "no figures".to_string()),
            Err(reason) => Other::NotMeasured(name, reason.clone()),
        };
        Row {
            measure: measure.into(),
            unit,
            ours: Some(median(ours)),
            other,
            reach,
        }
    }

    /// A row of ours alone.
    pub fn alone(measure: impl Into<String>, unit: Unit, ours: f64, reach: Reach) -> Row {
        Row {
            measure: measure.into(),
            unit,
            ours: Some(ours),
            other: Other::Nothing,
            reach,
        }
    }

    /// A row for a measure that could not be taken at all.
    pub fn failed(measure: &str, error: &anyhow::Error) -> Row {
        let reason = format!("{error:#}")
            .lines()
            .next()
            .unwrap_or_default()
            .to_string();
        let other = Other::NotMeasured("ours", reason);
        Row {
            measure: measure.to_string(),
            unit: Unit::Times,
            ours: None,
            other,
            reach: Reach::None,
        }
    }

    fn ratio(&self) -> Option<f64> {
        match (self.ours, &self.other) {
            (Some(ours), Other::Figure(_, other)) => Some(ours / other),
            _ => None,
        }
    }

    /// Whether the reach is reached; `None` when that was not to be known.
    fn is_reached(&self) -> Option<bool> {
        match self.reach {
            Reach::RatioAtMost(limit) => self.ratio().map(|it| it <= limit),
            Reach::RatioAtLeast(limit) => self.ratio().map(|it| it >= limit),
            Reach::Less => self.ratio().map(|it| it < 1.0),
            Reach::AtMost(limit) => self.ours.map(|it| it <= limit),
            Reach::AtLeast(limit) => self.ours.map(|it| it >= limit),
            Reach::None => None,
        }
    }

    fn reach_text(&self) -> String {
        match self.reach {
            Reach::RatioAtMost(limit) => format!("≤ {limit}×"),
            Reach::RatioAtLeast(limit) => format!("≥ {limit}×"),
            Reach::Less => "< 1×".to_string(),
            Reach::AtMost(limit) => format!("≤ {limit} {}", self.unit.name()),
            Reach::AtLeast(limit) => format!("≥ {limit} {}", self.unit.name()),
            Reach::None => String::new(),
        }
    }

    fn other_text(&self) -> String {
        match &self.other {
            Other::Figure(name, figure) => {
                format!("{name}: {} {}", shown(*figure), self.unit.name())
            }
            Other::NotMeasured(name, reason) => format!("{name}: not measured ({reason})"),
            Other::Nothing => String::new(),
        }
    }
}

/// The middle of some figures; the mean of the two middle ones of an even number.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

/// The geometric mean of some ratios.
pub fn geometric_mean(ratios: &[f64]) -> f64 {
    let sum: f64 = ratios.iter().map(|it| it.ln()).sum();
    (sum / ratios.len() as f64).exp()
}

/// Three digits that matter.
fn shown(figure: f64) -> String {
    match figure.abs() {
        it if it >= 100.0 => format!("{figure:.0}"),
        it if it >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

/// The rows as a Markdown table, as `docs/SPECIFICATION.md` holds it.
pub fn table(rows: &[Row]) -> String {
    let mut text =
        "| measure | minke | against | ratio | reach | reached |\n|---|---|---|---|---|---|\n"
            .to_string();
    for row in rows {
        let ours = row.ours.map_or(String::new(), |it| {
            format!("{} {}", shown(it), row.unit.name())
        });
        let ratio = row.ratio().map_or(String::new(), |it| format!("{it:.2}×"));
        let reached = row
            .is_reached()
            .map_or("", |it| if it { "yes" } else { "no" });
        let (other, reach) = (row.other_text(), row.reach_text());
        text += &format!(
            "| {} | {ours} | {other} | {ratio} | {reach} | {reached} |\n",
            row.measure
        );
    }
    text
}

pub fn json(rows: &[Row]) -> Value {
    let rows = rows.iter().map(|row| {
        let (against, other, reason) = match &row.other {
            Other::Figure(name, figure) => (Some(*name), Some(*figure), None),
            Other::NotMeasured(name, reason) => (Some(*name), None, Some(reason.as_str())),
            Other::Nothing => (None, None, None),
        };
        json!({
            "measure": row.measure,
            "unit": row.unit.name(),
            "minke": row.ours,
            "against": against,
            "other": other,
            "notMeasured": reason,
            "ratio": row.ratio(),
            "reach": row.reach_text(),
            "reached": row.is_reached(),
        })
    });
    Value::Array(rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_not_moved_by_one_slow_run() {
        assert_eq!(median(&[3.0, 1.0, 100.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_geometric_mean_treats_twice_and_half_alike() {
        assert!((geometric_mean(&[2.0, 0.5]) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_reach_is_compared_with_the_ratio() {
        let other = Ok(vec![10.0]);
        let row = Row::compare(
            "x",
            Unit::Milliseconds,
            &[9.0],
            ("y", &other),
            Reach::RatioAtMost(1.0),
        );
        assert_eq!(row.is_reached(), Some(true));
        let row = Row::compare(
            "x",
            Unit::RequestsPerSecond,
            &[7.0],
            ("y", &other),
            Reach::RatioAtLeast(0.8),
        );
        assert_eq!(row.is_reached(), Some(false));
    }

    #[test]
    fn a_missing_peer_is_said_and_nothing_is_claimed() {
        let other = Err("it is not installed".to_string());
        let row = Row::compare(
            "x",
            Unit::Milliseconds,
            &[9.0],
            ("crun", &other),
            Reach::RatioAtMost(1.0),
        );
        assert_eq!(row.is_reached(), None);
        assert_eq!(
            table(&[row]).lines().last(),
            Some("| x | 9.00 ms | crun: not measured (it is not installed) |  | ≤ 1× |  |")
        );
    }
}
