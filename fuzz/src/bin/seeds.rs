//! Writes the seeds of a target into a folder, a file each: `remap-fuzz-seeds TARGET FOLDER`.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let target = arguments
        .next()
        .and_then(|name| remap_fuzz::target::named(&name));
    let (Some(target), Some(folder)) = (target, arguments.next()) else {
        eprintln!("usage: remap-fuzz-seeds TARGET FOLDER");
        return ExitCode::from(2);
    };
    let folder = PathBuf::from(folder);
    for (number, seed) in (target.seeds)().iter().enumerate() {
        if let Err(error) = std::fs::write(folder.join(format!("seed-{number:03}")), seed) {
            eprintln!("remap-fuzz-seeds: {}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
