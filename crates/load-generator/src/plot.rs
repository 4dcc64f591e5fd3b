//! A plot of latencies by percentile, as SVG. It shows the tail, so both axes are logarithmic.

use std::fmt::Write;

use crate::latency::Latency;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
const COLOURS: [&str; 6] = ["#1b6ca8", "#c8553d", "#2f8f5b", "#8f5bb0", "#b08a1b", "#5b6770"];
/// Each additional nine takes as much room as the one before.
const TICKS: [f64; 5] = [0.0, 90.0, 99.0, 99.9, 99.99];
const NINES: f64 = 4.0;
const POINTS: u32 = 160;

/// Draws these named curves; their values are in milliseconds.
#[must_use]
pub fn percentile_curves(title: &str, curves: &[(&str, &Latency)]) -> String {
    let values = || curves.iter().flat_map(|(_, latency)| [latency.at(0.0), latency.at(99.99)]);
    let low = values().fold(f64::INFINITY, f64::min).clamp(0.01, 1e6).log10().floor();
    let high = values().fold(0.0, f64::max).clamp(0.1, 1e6).log10().ceil().max(low + 1.0);
    let x = |percentile: f64| LEFT + -(1.0 - percentile / 100.0).log10() / NINES * (WIDTH - LEFT - RIGHT);
    let y = |ms: f64| {
        let share = (ms.max(10f64.powf(low)).log10() - low) / (high - low);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{title}</text>\n"
    );
    for tick in TICKS {
        line(&mut svg, (x(tick), TOP), (x(tick), HEIGHT - BOTTOM));
        text(&mut svg, (x(tick), HEIGHT - BOTTOM + 18.0), "middle", &format!("{tick} %"));
    }
    for decade in low as i32..=high as i32 {
        let ms = 10f64.powi(decade);
        line(&mut svg, (LEFT, y(ms)), (WIDTH - RIGHT, y(ms)));
        text(&mut svg, (LEFT - 8.0, y(ms) + 4.0), "end", &format!("{ms} ms"));
    }
    for (place, ((name, latency), colour)) in curves.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let percentile = |point| 100.0 * (1.0 - 10f64.powf(-NINES * f64::from(point) / f64::from(POINTS)));
        let points = (0..=POINTS).map(percentile);
        let points: Vec<String> =
            points.map(|share| format!("{:.1},{:.1}", x(share), y(latency.at(share)))).collect();
        let points = points.join(" ");
        // Writing to a String does not fail.
        let _ = writeln!(
            svg,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <text x=\"{}\" y=\"{}\" fill=\"{colour}\">{name}</text>",
            LEFT + 12.0,
            TOP + 16.0 + 16.0 * place as f64
        );
    }
    svg + "</svg>\n"
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ =
        writeln!(svg, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#ddd\"/>");
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}
