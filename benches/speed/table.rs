//! The one table: what, ours, yardstick, ratio, bar, met or missed.

/// Figures of the rounds, in order of size.
#[derive(Clone, Debug)]
pub struct Spread(Vec<f64>);

impl Spread {
    pub fn median(&self) -> f64 {
        let (figures, middle) = (&self.0, self.0.len() / 2);
        if figures.len() % 2 == 1 { figures[middle] } else { (figures[middle - 1] + figures[middle]) / 2.0 }
    }

    pub fn least(&self) -> f64 {
        self.0[0]
    }

    pub fn most(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    /// Median, least and most, as a ratio is printed.
    pub fn show(&self) -> String {
        format!("{:.3} ({:.3} to {:.3})", self.median(), self.least(), self.most())
    }

    /// Each round's figure over the same round's of `other`.
    pub fn ratios(figures: &[f64], other: &[f64]) -> Spread {
        figures.iter().zip(other).map(|(figure, other)| figure / other).collect()
    }
}

impl FromIterator<f64> for Spread {
    fn from_iter<I: IntoIterator<Item = f64>>(figures: I) -> Spread {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        assert!(!figures.is_empty(), "a spread of nothing");
        figures.sort_by(f64::total_cmp);
        Spread(figures)
    }
}

/// What a figure is held against.
#[derive(Clone, Copy)]
pub enum Bar {
    AtLeast(f64),
    AtMost(f64),
    /// It is told for its own sake.
    Nothing,
}

impl Bar {
    fn is_met_by(self, figure: f64) -> bool {
        match self {
            Bar::AtLeast(bar) => figure >= bar,
            Bar::AtMost(bar) => figure <= bar,
            Bar::Nothing => true,
        }
    }

    /// `ratio`: with two decimals.
    fn show(self, ratio: bool) -> String {
        let number = |bar: f64| if ratio { format!("{bar:.2}") } else { bar.to_string() };
        match self {
            Bar::AtLeast(bar) => format!("≥ {}", number(bar)),
            Bar::AtMost(bar) => format!("≤ {}", number(bar)),
            Bar::Nothing => "-".to_owned(),
        }
    }

    fn judge(self, figure: f64) -> &'static str {
        match (self, self.is_met_by(figure)) {
            (Bar::Nothing, _) => "",
            (_, true) => "met",
            (_, false) => "MISSED",
        }
    }
}

pub struct Row {
    what: String,
    ours: String,
    yardstick: String,
    ratio: String,
    bar: String,
    judgement: &'static str,
}

impl Row {
    /// Shows a row's figures beside a yardstick's of the same rounds, which have no say in whether the bar is met.
    pub fn beside(self, ours: &[f64], yardstick: &[f64], show: fn(f64) -> String) -> Row {
        let ratio = Spread::ratios(ours, yardstick).show();
        let yardstick = show(yardstick.iter().copied().collect::<Spread>().median());
        Row { yardstick, ratio, ..self }
    }

    /// A figure that is held against a bar itself.
    pub fn plain(what: impl Into<String>, ours: impl Into<String>, figure: f64, bar: Bar) -> Row {
        let (what, ours) = (what.into(), ours.into());
        let (text, judgement) = (bar.show(false), bar.judge(figure));
        Row { what, ours, yardstick: "-".into(), ratio: "-".into(), bar: text, judgement }
    }

    /// Why there is no figure.
    pub fn missing(what: impl Into<String>, why: &str) -> Row {
        Row::plain(what, why, f64::NAN, Bar::Nothing)
    }

    /// As `ratio`, but the other way round: how many times the yardstick's figure is ours.
    pub fn saving(what: impl Into<String>, ours: &[f64], yardstick: &[f64], show: fn(f64) -> String, bar: Bar) -> Row {
        let row = Row::ratio(what, yardstick, ours, show, bar);
        Row { ours: row.yardstick, yardstick: row.ours, ..row }
    }

    /// A figure beside another of the same rounds; their ratio is held against the bar.
    pub fn ratio(what: impl Into<String>, ours: &[f64], yardstick: &[f64], show: fn(f64) -> String, bar: Bar) -> Row {
        let ratios = Spread::ratios(ours, yardstick);
        let of = |figures: &[f64]| show(figures.iter().copied().collect::<Spread>().median());
        Row {
            what: what.into(),
            ours: of(ours),
            yardstick: of(yardstick),
            ratio: ratios.show(),
            bar: bar.show(true),
            judgement: bar.judge(ratios.median()),
        }
    }
}

pub fn per_second(figure: f64) -> String {
    format!("{:.0}k/s", figure / 1000.0)
}

pub fn milliseconds(nanoseconds: f64) -> String {
    format!("{:.1} ms", nanoseconds / 1e6)
}

pub fn microseconds(nanoseconds: f64) -> String {
    format!("{:.2} µs", nanoseconds / 1000.0)
}

/// The table as Markdown, aligned for a terminal too.
pub fn print(rows: &[Row]) -> String {
    let head = ["what", "ours", "yardstick", "ratio", "bar", ""].map(str::to_owned);
    let mut lines = vec![head];
    for row in rows {
        lines.push([&row.what, &row.ours, &row.yardstick, &row.ratio, &row.bar, row.judgement].map(str::to_owned));
    }
    let widths: Vec<usize> =
        (0..6).map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)).collect();
    let show = |line: &[String; 6]| {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("| {} |", cells.join(" | "))
    };
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut text = vec![show(&lines[0]), format!("|-{}-|", rule.join("-|-"))];
    text.extend(lines[1..].iter().map(show));
    text.join("\n")
}
