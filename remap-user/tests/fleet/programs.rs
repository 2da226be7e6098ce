//! Prometheus and promtool as processes.

use std::{
    ffi::OsString,
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::Series;

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program in the folder that `cargo xtask test` gives.
fn program(name: &str) -> Command {
    let folder: OsString = std::env::var_os("REMAP_PROMETHEUS")
        .expect("REMAP_PROMETHEUS: the folder of prometheus and promtool");
    Command::new(PathBuf::from(folder).join(name))
}

/// The body of an answer with status 200.
fn ask(address: SocketAddr, target: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {target} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let good = head.split(' ').nth(1) == Some("200");
    good.then(|| body.to_owned())
}

/// Reads a page.
pub fn get(address: SocketAddr, target: &str) -> String {
    ask(address, target).unwrap_or_else(|| panic!("no {target} at {address}"))
}

/// Runs promtool in a folder; it must succeed.
pub fn promtool(arguments: &[&str], folder: &Path, input: Option<&str>) {
    let mut command = program("promtool");
    command.args(arguments).current_dir(folder);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(input.unwrap_or_default().as_bytes())
        .unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(
        output.status.success(),
        "promtool {arguments:?}: {out}{err}"
    );
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Polls until there is an answer.
fn until<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = poll() {
            return answer;
        }
        assert!(Instant::now() < end, "timed out waiting for {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn encoded(query: &str) -> String {
    query.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The answer of a Prometheus to a query.
fn query(address: SocketAddr, query: &str) -> Option<Value> {
    let answer = ask(address, &format!("/api/v1/query?query={}", encoded(query)))?;
    Some(serde_json::from_str(&answer).unwrap())
}

/// The queries of a dashboard.
fn queries(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    let queries = targets.filter_map(|target| target["expr"].as_str());
    queries
        .map(|query| query.replace("$__rate_interval", "1m"))
        .collect()
}

/// What a Prometheus with the configuration of docs/fleet has scraped of an address. It must also
/// accept every query of the dashboard.
pub fn scraped(target: SocketAddr, dashboard: &Value) -> Series {
    let folder = tempfile::tempdir().unwrap();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/fleet");
    let config = fs::read_to_string(docs.join("prometheus.yml")).unwrap();
    let config = config
        .replace("127.0.0.1:9464", &target.to_string())
        .replace("15s", "1s");
    fs::write(folder.path().join("prometheus.yml"), config).unwrap();
    let rules = "remap.rules.yml";
    fs::copy(docs.join(rules), folder.path().join(rules)).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let mut command = program("prometheus");
    command
        .arg(format!(
            "--config.file={}",
            folder.path().join("prometheus.yml").display()
        ))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.path().join("data").display()
        ))
        .arg(format!("--web.listen-address={address}"));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let running = Running(command.spawn().unwrap());
    let result = until("a scrape", || {
        let answer = query(address, "{__name__=~\"remap_.+\"}")?;
        let result = answer["data"]["result"].as_array()?.clone();
        (!result.is_empty()).then_some(result)
    });
    let queries = queries(dashboard);
    assert!(queries.len() > 5, "{queries:?}");
    for text in queries {
        let answer = query(address, &text).unwrap_or_else(|| panic!("refused: {text}"));
        assert_eq!(answer["status"], "success", "{text}");
    }
    drop(running);
    result.iter().map(sample).collect()
}

/// One series of an answer, without the labels that Prometheus adds.
fn sample(result: &Value) -> (String, f64) {
    let labels = result["metric"].as_object().unwrap().iter();
    let own = labels.filter(|(key, _)| !["__name__", "job", "instance"].contains(&key.as_str()));
    let own = own.map(|(key, value)| format!("{key}=\"{}\"", value.as_str().unwrap()));
    let mut own: Vec<_> = own.collect();
    own.sort_unstable();
    let name = result["metric"]["__name__"].as_str().unwrap();
    let series = match own.is_empty() {
        true => name.to_owned(),
        false => format!("{name}{{{}}}", own.join(",")),
    };
    (
        series,
        result["value"][1].as_str().unwrap().parse().unwrap(),
    )
}
