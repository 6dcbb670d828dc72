//! Bar charts as SVG, with nothing but text.

use std::fmt::Write;

/// One bar.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) what: String,
    pub(crate) value: f64,
    /// Drawn in full colour.
    pub(crate) is_good: bool,
    /// A line across the bar at this value.
    pub(crate) mark: Option<f64>,
}

const LABELS: f64 = 440.0;
const BARS: f64 = 320.0;
const LINE: f64 = 24.0;
const TOP: f64 = 40.0;
/// For readers in the light and in the dark.
const STYLE: &str = "<style>\
    .paper{fill:#ffffff}text{fill:#1f2430}.good{fill:#2f6fbb}.other{fill:#c0844a}.mark{stroke:#1f2430}\
    @media(prefers-color-scheme:dark){.paper{fill:#14161b}text{fill:#e4e6eb}.good{fill:#5b9be6}\
    .other{fill:#d09a63}.mark{stroke:#e4e6eb}}</style>";

/// A chart with one line per bar, in the given order.
pub(crate) fn chart(title: &str, bars: &[Bar]) -> String {
    let most = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let scale = if most > 0.0 { BARS / most } else { 0.0 };
    let width = LABELS + BARS + 80.0;
    let height = TOP + LINE * bars.len() as f64 + 10.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n{STYLE}\n\
         <rect width=\"{width}\" height=\"{height}\" class=\"paper\"/>\n\
         <text x=\"10\" y=\"24\" font-size=\"15\">{}</text>\n",
        escaped(title)
    );
    let mut y = TOP;
    for bar in bars {
        line(&mut svg, bar, y, scale);
        y += LINE;
    }
    svg + "</svg>\n"
}

fn line(svg: &mut String, bar: &Bar, y: f64, scale: f64) {
    let class = if bar.is_good { "good" } else { "other" };
    let (text, width) = (y + 13.0, bar.value * scale);
    let value = match bar.value {
        value if value >= 100.0 => thousands(value),
        value => format!("{value:.2}"),
    };
    // Writing into a string cannot fail.
    let _ = write!(
        svg,
        "<text x=\"{:.0}\" y=\"{text}\" text-anchor=\"end\">{}</text>\n\
         <rect x=\"{LABELS}\" y=\"{y}\" width=\"{width:.1}\" height=\"16\" class=\"{class}\"/>\n\
         <text x=\"{:.1}\" y=\"{text}\">{value}</text>\n",
        LABELS - 8.0,
        escaped(&bar.what),
        LABELS + width + 6.0,
    );
    if let Some(mark) = bar.mark {
        let x = LABELS + mark * scale;
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.0}\" y2=\"{:.0}\" class=\"mark\"/>",
            y - 4.0,
            y + 20.0
        );
    }
}

/// A whole number with a comma before each three digits.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fills_the_width_and_the_others_are_in_proportion() {
        let bar = |value| Bar {
            what: "a & b".into(),
            value,
            is_good: true,
            mark: None,
        };
        let svg = chart("rates", &[bar(50.0), bar(200.0)]);
        assert!(svg.contains("width=\"320.0\"") && svg.contains("width=\"80.0\""));
        assert!(svg.contains("a &amp; b") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn large_numbers_are_in_groups_of_three_digits() {
        assert_eq!(thousands(123.0), "123");
        assert_eq!(thousands(1_234.4), "1,234");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
    }

    #[test]
    fn a_chart_of_nothing_is_a_chart() {
        assert!(chart("rates", &[]).contains("rates"));
    }
}
