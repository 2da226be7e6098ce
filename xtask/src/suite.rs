//! Debian suites beside those that the system's sources name, with package
//! lists of their own in the cache: the system's are neither read nor changed.

use fs_err as fs;
use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;

use crate::apt::Apt;
use crate::cache;
use crate::outcome::Cannot;
use crate::process::{command, step, text};

/// A suite, with those that complete it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Debian 12.
    Bookworm,
    /// Debian 12 with its backports.
    BookwormBackports,
    /// Debian 13 with its backports.
    TrixieBackports,
}

/// Signs every suite above; a part of any Debian.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

impl Suite {
    /// The distributions to read; the last one is preferred.
    fn distributions(self) -> &'static [&'static str] {
        match self {
            Suite::Bookworm => &["bookworm"],
            Suite::BookwormBackports => &["bookworm", "bookworm-backports"],
            Suite::TrixieBackports => &["trixie", "trixie-backports"],
        }
    }

    /// The suite's name in the archive.
    pub fn label(self) -> &'static str {
        self.distributions().last().copied().unwrap_or_default()
    }

    /// An apt with the package lists of this suite, in which nothing is installed.
    pub fn apt(self) -> Result<Apt> {
        let place = cache::directory()?.join("apt").join(self.label());
        let apt = Apt::with(self.options(&place));
        if place.join("complete").exists() {
            return Ok(apt);
        }
        let partial = place.join("lists/partial");
        fs::create_dir_all(&partial)?;
        fs::write(place.join("status"), "")?;
        fs::write(place.join("sources.list"), self.sources(&archive()?))?;
        let what = format!("fetching the package lists of {}", self.label());
        step(&what, || apt.update())?;
        fs::write(place.join("complete"), "")?;
        Ok(apt)
    }

    /// apt's sources: the packages alone, without translations and the like.
    fn sources(self, archive: &str) -> String {
        self.distributions()
            .iter()
            .map(|name| format!("deb [signed-by={KEYS} target=Packages] {archive} {name} main\n"))
            .collect()
    }

    /// The words that turn apt away from the system's lists and state.
    fn options(self, place: &Path) -> Vec<String> {
        let at = |name: &str| place.join(name).display().to_string();
        [
            format!("Dir::State::lists={}", at("lists")),
            format!("Dir::State::status={}", at("status")),
            format!("Dir::State::extended_states={}", at("extended")),
            format!("Dir::Cache={}", place.display()),
            format!("Dir::Etc::sourcelist={}", at("sources.list")),
            "Dir::Etc::sourceparts=/dev/null".into(),
            "Dir::Etc::preferences=/dev/null".into(),
            "Dir::Etc::preferencesparts=/dev/null".into(),
            format!("APT::Default-Release={}", self.label()),
            // An archive that cannot be read is otherwise no more than a warning.
            "APT::Update::Error-Mode=any".into(),
            // The cache belongs to this user, and nothing is installed from it.
            "APT::Sandbox::User=".into(),
            "Debug::NoLocking=1".into(),
        ]
        .into_iter()
        .flat_map(|option| ["-o".to_owned(), option])
        .collect()
    }
}

/// Where the system takes Debian 12 from: the other suites lie beside it.
fn archive() -> Result<String> {
    let format = "$(RELEASE) $(CODENAME) $(REPO_URI)";
    let targets = text(&mut command(
        "apt-get",
        ["indextargets", "--format", format, "Created-By: Packages"],
    ))?;
    find_archive(&targets).map(str::to_owned).ok_or_else(|| {
        let text = "apt's sources name no archive of Debian 12: add its bookworm to them";
        Cannot(text.into()).into()
    })
}

/// The archive of Debian 12 among `targets`, one a line: release, codename, URI.
fn find_archive(targets: &str) -> Option<&str> {
    targets.lines().find_map(|line| {
        let [release, codename, uri] = line
            .split_whitespace()
            .collect::<Vec<_>>()
            .try_into()
            .ok()?;
        let ours = [release, codename].contains(&"bookworm");
        (ours && !uri.starts_with("cdrom:")).then_some(uri)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_that_of_debian_12() {
        let targets = "\
nodistro $(CODENAME) https://tool.example/repo/
bookworm-security bookworm-security http://one.example/debian-security/
bookworm bookworm cdrom:[Debian]/
oldstable bookworm http://two.example/debian/
";
        assert_eq!(find_archive(targets), Some("http://two.example/debian/"));
        assert_eq!(
            find_archive("bookworm $(CODENAME) http://three.example/\n"),
            Some("http://three.example/")
        );
        assert_eq!(find_archive("trixie trixie http://x.example/\n"), None);
    }

    #[test]
    fn every_distribution_is_signed() {
        let sources = Suite::TrixieBackports.sources("http://two.example/debian/");
        assert_eq!(sources.lines().count(), 2);
        assert!(sources.lines().all(|line| line.contains(KEYS)));
        assert!(sources.ends_with(" trixie-backports main\n"));
    }
}
