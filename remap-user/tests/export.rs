//! `remap export --to perf`, opened by perf: it has the cycles and the times of the report.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../remap-core/tests/fixtures")
        .join(name)
}

/// Runs a command that has to succeed. Returns its stdout.
fn output(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn remap(arguments: &[&str], files: &[&Path]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_remap"));
    output(command.args(arguments).args(files))
}

fn perf(arguments: &[&str], file: &Path) -> String {
    output(Command::new("perf").args(arguments).arg("-i").arg(file))
}

#[test]
#[ignore = "needs perf, which cargo xtask test installs"]
fn perf_finds_the_cycles_of_the_report() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["drill-6.12", "migration-6.12", "drill-6.1"] {
        let recording = fixture(&format!("{name}.perf.data"));
        let file = folder.path().join(name);
        let to_perf = ["export", "--to", "perf", "-o"];
        remap(&to_perf, &[&file, &recording]);
        let reported = remap(&["report", "--json"], &[&recording]);
        let lines = reported
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let script = perf(&["script", "--ns"], &file);
        let sampled = |event: &str| script.lines().filter(|line| line.contains(event)).count();
        let (mut cycles, mut changes) = (0, 0);
        for line in lines {
            let expected = match line["type"].as_str().unwrap() {
                "cycle" => {
                    cycles += 1;
                    let [begin, end] =
                        ["trigger_ns", "released_ns"].map(|key| line[key].as_u64().unwrap());
                    format!(
                        "{}.{:09}: remap:cycle: device={} region={} trigger_id={} transition_id={} outcome={} \
                         errno= begin_ns={begin} duration_ns={} ",
                        end / 1_000_000_000,
                        end % 1_000_000_000,
                        line["device"].as_str().unwrap(),
                        line["region"],
                        line["trigger_id"],
                        line["transition"]["id"],
                        line["outcome"].as_str().unwrap(),
                        end - begin,
                    )
                }
                "transition" => {
                    changes += 1;
                    let [begin, end] =
                        ["begin_ns", "end_ns"].map(|key| line[key].as_u64().unwrap());
                    let (from, to) = (&line["from"], &line["to"]);
                    format!(
                        "remap:transition: device={} transition_id={} from={} to={} errno={} begin_ns={begin} \
                         duration_ns={} ",
                        line["device"].as_str().unwrap(),
                        line["id"],
                        from.as_str().unwrap_or_default(),
                        to.as_str().unwrap(),
                        line["result"].as_str().unwrap(),
                        end - begin,
                    )
                }
                _ => continue,
            };
            let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ") + " ";
            let found = script
                .lines()
                .any(|line| squeezed(line).contains(&expected));
            assert!(found, "{name}: perf script has no {expected}");
        }
        assert_eq!(sampled("remap:cycle:"), cycles, "{name}");
        assert_eq!(sampled("remap:transition:"), changes, "{name}");
        assert!(
            sampled("remap:call:") > 0 && sampled("remap:step:") > 0,
            "{name}"
        );
        let sorted = perf(
            &["report", "--stdio", "--sort", "device,region,outcome"],
            &file,
        );
        let column = |line: &str| line.split_whitespace().last() == Some("remapped");
        assert_eq!(sorted.lines().any(column), cycles > 0, "{name}: {sorted}");
        assert!(perf(&["evlist", "-v"], &file).contains("remap:finding: type: 2"));
        let json = folder.path().join("json");
        let to = json.to_str().unwrap();
        perf(&["data", "convert", "--force", "--to-json", to], &file);
        let json: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
        assert!(
            json["samples"]
                .as_array()
                .is_some_and(|samples| samples.len() > cycles)
        );
        let again = remap(&["report", "--json"], &[&file]);
        assert_eq!(again, reported, "{name}: the records are in it too");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let recording = fixture("drill-6.12.perf.data");
    let existing = folder.path().join("existing");
    fs::write(&existing, "kept").unwrap();
    let cases = [
        (existing.as_path(), "it exists; --force overwrites it"),
        (Path::new("/nonexistent/file"), "ENOENT"),
        (Path::new("/dev/full"), "failed"),
    ];
    for format in ["json", "csv", "perf", "otlp"] {
        for (path, reason) in cases {
            let mut command = Command::new(env!("CARGO_BIN_EXE_remap"));
            command
                .args(["export", "--to", format, "-o"])
                .arg(path)
                .arg(&recording);
            let output = command.output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{stderr}");
            assert!(
                stderr.contains(reason) && stderr.lines().count() == 1,
                "{stderr}"
            );
        }
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_remap"));
        command
            .args(["export", "--to", format, "-o", "-"])
            .arg(&recording)
            .stdout(full);
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{format}: {stderr}");
        assert!(
            stderr.contains("ENOSPC") && stderr.lines().count() == 1,
            "{stderr}"
        );
    }
    assert_eq!(fs::read_to_string(&existing).unwrap(), "kept");
}
