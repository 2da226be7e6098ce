//! Dependencies have a licence that deny.toml allows, and come in one version each.
//!
//! The file is cargo-deny's; cargo-deny itself takes minutes to build on a fresh machine, and its
//! third check, of advisories, needs a database that it downloads.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use cargo_metadata::{CargoOpt, MetadataCommand, Package};
use serde::Deserialize;
use spdx::{Expression, ParseMode};

use super::tree::Tree;
use crate::cache;

/// What this rule reads of deny.toml.
#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    skip: Vec<Skip>,
}

#[derive(Deserialize)]
struct Skip {
    /// `NAME@VERSION`, of which the version may be cut short.
    #[serde(rename = "crate")]
    name: String,
}

pub fn check(tree: &Tree) -> Result<Vec<String>> {
    let file = tree.get("deny.toml").context("deny.toml is missing")?;
    let deny: Deny = toml::from_str(&file.text).context("parsing deny.toml")?;
    let mut command = MetadataCommand::new();
    command.manifest_path(cache::root().join("Cargo.toml"));
    command.features(CargoOpt::AllFeatures);
    command.other_options(vec![
        "--filter-platform".into(),
        "x86_64-unknown-linux-gnu".into(),
    ]);
    let packages = command.exec().context("cargo metadata")?.packages;
    let mut found = Vec::new();
    for package in &packages {
        if let Some(why) = refused(package, &deny.licenses) {
            let id = format!("{} {}", package.name, package.version);
            found.push(format!(
                "{id}: {why}: use another crate, or allow the licence in deny.toml"
            ));
        }
    }
    let versions = packages
        .iter()
        .map(|package| (package.name.to_string(), package.version.to_string()));
    found.extend(duplicates(versions, &deny.bans));
    Ok(found)
}

/// Why a package's licence is not allowed.
fn refused(package: &Package, licenses: &Licenses) -> Option<String> {
    let Some(license) = &package.license else {
        return Some("no licence is named".to_owned());
    };
    let own = licenses.exceptions.iter();
    let own = own.filter(|exception| exception.name == package.name.as_str());
    let allowed: Vec<&str> = own
        .flat_map(|exception| &exception.allow)
        .chain(&licenses.allow)
        .map(String::as_str)
        .collect();
    (!allows(license, &allowed)).then(|| format!("its licence is {license}"))
}

fn allows(license: &str, allowed: &[&str]) -> bool {
    // Lax: older crates write `MIT/Apache-2.0`.
    Expression::parse_mode(license, ParseMode::LAX).is_ok_and(|expression| {
        expression.evaluate(|wanted| {
            let id = wanted.license.id();
            wanted.addition.is_none() && id.is_some_and(|id| allowed.contains(&id.name))
        })
    })
}

/// Crates in more than one version, but for those that deny.toml skips.
fn duplicates(
    packages: impl Iterator<Item = (String, String)>,
    bans: &Bans,
) -> impl Iterator<Item = String> {
    let skipped = |name: &str, version: &str| {
        bans.skip.iter().any(|skip| {
            let known = skip.name.split_once('@');
            known.is_some_and(|(crate_, start)| crate_ == name && begins(version, start))
        })
    };
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, version) in packages {
        if !skipped(&name, &version) {
            all.entry(name).or_default().push(version);
        }
    }
    all.into_iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, versions)| {
            format!(
                "{name} in versions {}: move to one (`cargo tree -i {name}`), or skip one in deny.toml",
                versions.join(" and ")
            )
        })
}

/// Whether a version begins with these whole numbers.
fn begins(version: &str, start: &str) -> bool {
    let rest = version.strip_prefix(start);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_expressions() {
        let allowed = ["MIT", "Zlib"];
        assert!(allows("MIT/Apache-2.0", &allowed));
        assert!(allows("GPL-2.0-only OR Zlib", &allowed));
        assert!(!allows("MIT AND GPL-2.0-only", &allowed));
        assert!(!allows("nonsense", &allowed));
    }

    #[test]
    fn a_duplicate_is_found_unless_it_is_skipped() {
        let all = [
            ("syn", "2.0.1"),
            ("syn", "3.0.0"),
            ("a", "1.0.0"),
            ("a", "1.2.0"),
        ];
        let all = all.map(|(name, version)| (name.to_owned(), version.to_owned()));
        let skip = vec![Skip {
            name: "syn@2".to_owned(),
        }];
        let found: Vec<_> = duplicates(all.into_iter(), &Bans { skip }).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("a in versions 1.0.0 and 1.2.0"));
    }
}
