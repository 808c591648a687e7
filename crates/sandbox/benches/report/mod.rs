//! What benchmarks print: a line for people, and with `--json` a line for programs.

/// Prints a benchmark's figures, each with its name.
#[expect(clippy::print_stdout, reason = "a benchmark's output is its product")]
pub(crate) fn print(benchmark: &str, figures: &[(&str, f64)]) {
    if std::env::args().any(|argument| argument == "--json") {
        let fields: Vec<_> = figures
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        println!("{{\"benchmark\":\"{benchmark}\",{}}}", fields.join(","));
        return;
    }
    let fields: Vec<_> = figures
        .iter()
        .map(|(name, value)| format!("{name} {value:.3}"))
        .collect();
    println!("{benchmark}: {}", fields.join(", "));
}

/// Returns the median.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
