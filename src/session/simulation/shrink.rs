//! A run that fails, shrunk to the steps that it takes.

use super::{run, steps};

/// Runs spent on shrinking.
const RUNS: u32 = 3_000;

/// What there is to say about a seed that fails.
pub(super) fn report(seed: u64) -> String {
    let all = steps(seed);
    let few = shrink(seed, all.clone());
    let (result, trace) = run(seed, &few, true);
    let what = result.err().unwrap_or_else(|| "it does not fail again".to_owned());
    format!(
        "seed {seed}: {what}\nafter {} of its {} steps:\n{trace}\
         To run it again: {}={seed} cargo test -p transom --lib simulation -- --nocapture",
        few.len(),
        all.len(),
        super::SEED,
    )
}

/// Leaves out as many steps as may be left out, for the run to fail still, by halves, quarters and so on.
fn shrink(seed: u64, mut steps: Vec<u32>) -> Vec<u32> {
    let (mut runs, mut piece) = (0, steps.len().div_ceil(2));
    while piece > 0 && runs < RUNS {
        let (mut at, mut shrunk) = (0, false);
        while at < steps.len() && runs < RUNS {
            let fewer: Vec<u32> = steps
                .iter()
                .enumerate()
                .filter(|(n, _)| !(at..at + piece).contains(n))
                .map(|(_, step)| *step)
                .collect();
            runs += 1;
            if run(seed, &fewer, false).0.is_err() {
                steps = fewer;
                shrunk = true;
            } else {
                at += piece;
            }
        }
        if !shrunk || piece > 1 {
            piece /= 2;
        }
    }
    steps
}
