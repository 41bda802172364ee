//! How far a long capture has been read, on terminals only.

use crate::input::capture::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// Captures from this size on are long.
const LONG_BYTES: u64 = 8 << 20;

/// A progress bar on standard error; nothing where that is no terminal, or the capture is short or
/// its end not known.
#[must_use]
pub fn bar(progress: Option<&Progress>) -> ProgressBar {
    let bytes = progress.and_then(|progress| progress.bytes);
    match bytes.filter(|&bytes| bytes >= LONG_BYTES) {
        None => ProgressBar::hidden(),
        Some(bytes) => {
            let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
            let template = "{bar:32} {bytes} of {total_bytes}, {msg}, {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("━╸─"));
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        }
    }
}
