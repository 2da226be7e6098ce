//! The demo's last part: a real VMM, whose migration the tracer shows.

use anyhow::Result;

use crate::driver;
use crate::kernel::{self, Series};
use crate::lab;
use crate::process::step;
use crate::scenario::Scenario;
use crate::spec::{Driver, Spec};
use crate::watch::Output;

/// How a story of the scenario begins.
const STORY: &str = "=== ";

/// Runs the scenario and shows its output; it checks itself.
pub fn show(series: Series, title: &str) -> Result<()> {
    let kernel = kernel::ensure(series, false)?;
    let module = driver::ensure(&kernel)?;
    println!("=== {title}: remap trace beside QEMU, which migrates a virtual machine ===");
    let scenario = Scenario::QemuMigration;
    let mut spec = Spec::new(kernel, Driver::Built(module), scenario.command());
    scenario.equip(&mut spec)?;
    let outcome = step(&format!("booting {}", spec.kernel.release), || {
        lab::run(&spec, Output::Captured)
    })?;
    print!("{}", shortened(&String::from_utf8_lossy(&outcome.stdout)));
    eprint!("{}", String::from_utf8_lossy(&outcome.stderr));
    outcome.succeeded("the scenario")
}

/// The first time line whole; of the others the title and the judgement; all of the rest.
fn shortened(text: &str) -> String {
    let mut short = String::new();
    let mut stories = 0;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with(STORY) {
            stories += 1;
        }
        // What is left out has a time.
        if stories > 1 && line.starts_with('+') {
            let mut more = 1;
            while lines.next_if(|line| line.starts_with('+')).is_some() {
                more += 1;
            }
            short.push_str(&format!("  … {more} lines …\n"));
            continue;
        }
        short.push_str(line);
        short.push('\n');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::{STORY, shortened};

    #[test]
    fn the_first_story_is_whole_and_no_judgement_is_left_out() {
        let story =
            |name: &str| format!("{STORY}{name} ===\n+0.1 x\n+0.2 y\n  found: z\njudged: good\n\n");
        let text = format!(
            "{}{}{STORY}what it cost ===\nthere 1 ms\n",
            story("one"),
            story("two")
        );
        assert_eq!(
            shortened(&text),
            format!(
                "{}{STORY}two ===\n  … 2 lines …\n  found: z\njudged: good\n\n{STORY}what it cost ===\nthere 1 ms\n",
                story("one")
            )
        );
    }
}
