//! A chart as SVG text: one x value per column, one y axis, lines or bars.

use std::fmt::Write;

use crate::table::Spread;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 116.0;
const BOTTOM: f64 = 60.0;
const PAPER: &str = "#fbfbf8";
const INK: &str = "#24292f";
const FAINT: &str = "#d9dbd6";

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Line,
    Dashed,
    /// A bar to be met: a line without points.
    Mark,
    Bar,
}

pub struct Series {
    pub name: String,
    pub colour: &'static str,
    pub shape: Shape,
    /// One per column; `None` where nothing was measured.
    pub points: Vec<Option<Spread>>,
}

pub struct Chart {
    pub title: &'static str,
    pub note: String,
    pub x_title: &'static str,
    pub y_title: &'static str,
    pub columns: Vec<String>,
    pub series: Vec<Series>,
    /// Powers of ten up the y axis, for what differs manyfold.
    pub logarithmic: bool,
}

/// Values to heights.
struct Scale {
    marks: Vec<f64>,
    logarithmic: bool,
}

impl Scale {
    fn of(chart: &Chart) -> Scale {
        let all = || chart.series.iter().flat_map(|series| series.points.iter().flatten());
        let most = all().map(Spread::most).fold(0.0, f64::max);
        let marks = if chart.logarithmic {
            let least = all().map(Spread::least).fold(f64::INFINITY, f64::min);
            let steps = [1.0, 2.0, 5.0];
            let every: Vec<f64> = (-2..8).flat_map(|power| steps.map(|step| step * 10f64.powi(power))).collect();
            let first = every.iter().rposition(|mark| *mark <= least).unwrap_or(0);
            let last = every.iter().position(|mark| *mark >= most).unwrap_or(every.len() - 1);
            every[first..=last].to_vec()
        } else {
            let rough = most / 5.0;
            let power = 10f64.powf(rough.log10().floor());
            let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * power).into_iter().find(|step| *step >= rough);
            let step = step.unwrap_or(rough);
            (0..=(most / step).ceil() as usize).map(|mark| mark as f64 * step).collect()
        };
        Scale { marks, logarithmic: chart.logarithmic }
    }

    fn y(&self, value: f64) -> f64 {
        let on = |value: f64| if self.logarithmic { value.ln() } else { value };
        let (bottom, top) = (on(self.marks[0]), on(self.marks[self.marks.len() - 1]));
        HEIGHT - BOTTOM - (on(value) - bottom) / (top - bottom) * (HEIGHT - BOTTOM - TOP)
    }
}

impl Chart {
    pub fn svg(&self) -> String {
        let scale = Scale::of(self);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             font-family=\"DejaVu Sans, Verdana, Helvetica, sans-serif\" font-size=\"12\" fill=\"{INK}\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\" fill=\"{PAPER}\"/>\n"
        );
        text(&mut out, 20.0, 28.0, "start", "font-size=\"16\" font-weight=\"bold\"", self.title);
        text(&mut out, 20.0, 47.0, "start", "fill=\"#57606a\" font-size=\"11\"", &self.note);
        self.legend(&mut out);
        self.axes(&mut out, &scale);
        let bars = self.series.iter().filter(|series| series.shape == Shape::Bar).count();
        let mut bar = 0;
        for series in &self.series {
            if series.shape == Shape::Bar {
                self.bars(&mut out, &scale, series, bar, bars);
                bar += 1;
            } else {
                self.line(&mut out, &scale, series);
            }
        }
        out.push_str("</svg>\n");
        out
    }

    fn legend(&self, out: &mut String) {
        let mut x = 20.0;
        for series in &self.series {
            let (colour, y) = (series.colour, 70.0);
            let _ = match series.shape {
                Shape::Bar => {
                    writeln!(out, "<rect x=\"{x}\" y=\"{}\" width=\"22\" height=\"10\" fill=\"{colour}\"/>", y - 5.0)
                }
                shape => {
                    writeln!(out, "<path d=\"M{x} {y}h22\" stroke=\"{colour}\" stroke-width=\"2.5\"{}/>", dashes(shape))
                }
            };
            text(out, x + 28.0, y + 4.0, "start", "", &series.name);
            x += 28.0 + 6.7 * series.name.chars().count() as f64 + 22.0;
        }
    }

    fn axes(&self, out: &mut String, scale: &Scale) {
        for mark in &scale.marks {
            let y = scale.y(*mark);
            let _ = writeln!(out, "<path d=\"M{LEFT} {y:.1}H{}\" stroke=\"{FAINT}\"/>", WIDTH - RIGHT);
            text(out, LEFT - 8.0, y + 4.0, "end", "", &short(*mark));
        }
        let _ = writeln!(out, "<path d=\"M{LEFT} {}H{}\" stroke=\"{INK}\"/>", HEIGHT - BOTTOM, WIDTH - RIGHT);
        for (index, column) in self.columns.iter().enumerate() {
            text(out, self.x(index), HEIGHT - BOTTOM + 18.0, "middle", "", column);
        }
        text(out, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 16.0, "middle", "", self.x_title);
        text(out, LEFT - 56.0, TOP - 16.0, "start", "", self.y_title);
    }

    /// The middle of a column.
    fn x(&self, column: usize) -> f64 {
        LEFT + (column as f64 + 0.5) * self.column_width()
    }

    fn column_width(&self) -> f64 {
        (WIDTH - LEFT - RIGHT) / self.columns.len() as f64
    }

    fn line(&self, out: &mut String, scale: &Scale, series: &Series) {
        let colour = series.colour;
        let points: Vec<(f64, &Spread)> = series
            .points
            .iter()
            .enumerate()
            .filter_map(|(index, point)| Some((self.x(index), point.as_ref()?)))
            .collect();
        let path: Vec<String> =
            points.iter().map(|(x, point)| format!("{x:.1} {:.1}", scale.y(point.median()))).collect();
        let _ = writeln!(
            out,
            "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"{}/>",
            path.join("L"),
            dashes(series.shape)
        );
        let alone = self.series.iter().filter(|series| series.shape == Shape::Line).count() == 1;
        for (x, point) in points {
            if series.shape == Shape::Mark {
                continue; // nobody measured it
            }
            if alone && series.shape == Shape::Line {
                text(out, x, scale.y(point.most()) - 10.0, "middle", "font-size=\"11\"", &short(point.median()));
            }
            whisker(out, scale, x, point, colour);
            let _ = writeln!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"/>",
                scale.y(point.median())
            );
        }
    }

    fn bars(&self, out: &mut String, scale: &Scale, series: &Series, place: usize, places: usize) {
        let width = (self.column_width() * 0.7 / places as f64).min(64.0);
        for (index, point) in series.points.iter().enumerate() {
            let Some(point) = point else { continue };
            let x = self.x(index) + (place as f64 - places as f64 / 2.0) * width;
            let y = scale.y(point.median());
            let _ = writeln!(
                out,
                "<rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
                x + 2.0,
                width - 4.0,
                HEIGHT - BOTTOM - y,
                series.colour
            );
            whisker(out, scale, x + width / 2.0, point, INK);
            text(
                out,
                x + width / 2.0,
                scale.y(point.most()) - 6.0,
                "middle",
                "font-size=\"11\"",
                &short(point.median()),
            );
        }
    }
}

/// From the least round to the most.
fn whisker(out: &mut String, scale: &Scale, x: f64, point: &Spread, colour: &str) {
    let (low, high) = (scale.y(point.least()), scale.y(point.most()));
    let (from, to) = (x - 3.0, x + 3.0);
    let _ = writeln!(
        out,
        "<path d=\"M{x:.1} {low:.1}V{high:.1}M{from:.1} {low:.1}H{to:.1}M{from:.1} {high:.1}H{to:.1}\" stroke=\"{colour}\" opacity=\"0.7\"/>"
    );
}

fn dashes(shape: Shape) -> &'static str {
    if matches!(shape, Shape::Dashed | Shape::Mark) { " stroke-dasharray=\"6 4\"" } else { "" }
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, more: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {more}>{content}</text>");
}

fn short(value: f64) -> String {
    if value >= 100.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}
