//! The chart: run time as a share of the kernel's.

use crate::{Column, Times};
use std::fmt::Write;
use std::path::Path;

const SERIES: [(Column, &str, &str); 3] = [
    (Column::Proved, "ubpf JIT", "#2b6cb0"),
    (Column::Native, "native, not vectorised", "#a0aec0"),
    (Column::Rbpf, "rbpf JIT", "#dd6b20"),
];
const ROW: f64 = 34.0;
const BAR: f64 = 9.0;
const LEFT: f64 = 120.0;
/// Pixels for the kernel's time, and what is shown at most.
const UNIT: f64 = 280.0;
const MOST: f64 = 2.0;

/// Writes it.
pub fn write(rows: &[(String, Times)]) {
    let rows: Vec<_> = rows.iter().filter(|(_, t)| t.of(Column::Kernel).is_finite()).collect();
    let height = ROW.mul_add(rows.len() as f64, 60.0);
    let width = UNIT.mul_add(MOST, LEFT + 60.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <text x=\"{LEFT}\" y=\"16\">run time, kernel JIT = 1 (shorter is better)</text>\n"
    );
    let mut x = LEFT;
    for (_, title, colour) in SERIES {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"24\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"33\">{title}</text>",
            x + 14.0
        );
        x += 170.0;
    }
    for (n, (name, times)) in rows.iter().enumerate() {
        let y = ROW.mul_add(n as f64, 48.0);
        let _ = writeln!(svg, "<text x=\"8\" y=\"{}\">{name}</text>", y + 18.0);
        for (index, (column, _, colour)) in SERIES.into_iter().enumerate() {
            let Some(ratio) = times.ratio(column, Column::Kernel) else { continue };
            let (top, long) = (BAR.mul_add(index as f64, y), UNIT * ratio.min(MOST));
            let _ = writeln!(
                svg,
                "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{long:.0}\" height=\"{}\" \
                 fill=\"{colour}\"/><text x=\"{:.0}\" y=\"{}\" font-size=\"9\">{ratio:.2}</text>",
                BAR - 1.0,
                LEFT + long + 3.0,
                top + 8.0
            );
        }
    }
    let one = LEFT + UNIT;
    let _ = writeln!(
        svg,
        "<line x1=\"{one}\" y1=\"42\" x2=\"{one}\" y2=\"{}\" stroke=\"black\" \
         stroke-dasharray=\"3\"/>\n</svg>",
        height - 8.0
    );
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let path = workspace.join("docs/src/engines.svg");
    match std::fs::write(&path, svg) {
        Ok(()) => println!("\nwrote {}", path.display()),
        Err(error) => println!("\ncannot write the chart: {error}"),
    }
}
