//! Draws how the cost grows, as SVG.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;

use crate::growth::{Growth, Point};

const SIZE: (u32, u32) = (720, 360);

/// Each drawing step has an error type of its own.
type Drawn = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A name, a colour, and what of a point it shows.
type Line = (&'static str, RGBColor, fn(&Point) -> f64);

/// Writes one picture per curve into `dir`; gives their files.
pub fn draw(growth: &Growth, dir: &Path) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    let curves = [
        ("facilities", "jails", &growth.facilities),
        ("subscribers", "agencies", &growth.subscribers),
        ("subscriptions", "subscriptions", &growth.subscriptions),
        ("backlog", "events waiting", &growth.backlog),
    ];
    curves
        .into_iter()
        .map(|(name, x, points)| {
            let file = dir.join(format!("cost-by-{name}-r{}.svg", growth.replicas));
            curve(&file, x, points).map_err(|error| anyhow!("draw {}: {error}", file.display()))?;
            Ok(file)
        })
        .collect()
}

fn curve(file: &Path, what: &str, points: &[Point]) -> Drawn {
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let most = points.iter().map(|p| p.relay_us.max(p.servers_us)).fold(1.0, f64::max) * 1.2;
    let last = points.iter().map(|p| p.x).max().unwrap_or(1).max(2);
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("Processor time for one notice, by {what}"), ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((1_u64..last).log_scale(), 0.0..most)?;
    chart.configure_mesh().x_desc(what).y_desc("microseconds a notice").light_line_style(WHITE).draw()?;
    let lines: [Line; 2] = [("relay", BLUE, |p| p.relay_us), ("nats-server", RED, |p| p.servers_us)];
    for (name, color, y) in lines {
        chart
            .draw_series(LineSeries::new(points.iter().map(|p| (p.x, y(p))), color.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        chart.draw_series(points.iter().map(|p| Circle::new((p.x, y(p)), 3, color.filled())))?;
    }
    chart.configure_series_labels().border_style(BLACK).background_style(WHITE).draw()?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_picture_names_what_grows_and_holds_both_lines() {
        let point =
            |x, us| Point { x, relay_us: us, servers_us: us * 2.0, notices_per_s: 1.0, relay_mib: 1.0 };
        let points = vec![point(1, 100.0), point(100, 120.0), point(3_143, 125.0)];
        let growth = Growth {
            replicas: 1,
            facilities: points.clone(),
            subscribers: points.clone(),
            subscriptions: points.clone(),
            backlog: points,
        };
        let dir = std::env::temp_dir().join(format!("sallyport-plot-{}", std::process::id()));
        let files = draw(&growth, &dir).unwrap();
        let text = std::fs::read_to_string(&files[0]).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(files.len(), 4);
        assert!(text.contains("by jails") && text.matches("<polyline").count() >= 2, "{text}");
    }
}
