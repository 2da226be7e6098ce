//! Which kernel a series' newest is.

use anyhow::{Context, Result};

use super::Series;
use crate::apt::Apt;
use crate::outcome::Cannot;
use crate::suite::Suite;

/// Depends on the newest kernel of its suite.
const META: &str = "linux-image-amd64";

impl Series {
    /// The apt with its package lists.
    pub fn apt(self) -> Result<Apt> {
        match self {
            Series::V6_1 | Series::V6_12 | Series::Rt => Ok(Apt::SYSTEM),
            Series::Newest => Suite::TrixieBackports.apt(),
        }
    }
}

/// The release of the newest kernel; `refresh` asks the archive what there is.
pub fn release(series: Series, refresh: bool) -> Result<String> {
    let (before, after) = match series {
        Series::V6_1 => ("linux-image-6.1.0-", "-amd64"),
        Series::V6_12 => ("linux-image-6.12.", "+deb12-amd64"),
        Series::Rt => ("linux-image-6.12.", "+deb12-rt-amd64"),
        Series::Newest => {
            let apt = series.apt()?;
            if refresh {
                apt.update()?;
            }
            let depends = apt.field(META, "Depends")?;
            return Ok(depended(&depends)
                .with_context(|| format!("{META} depends on no image: {depends}"))?
                .to_owned());
        }
    };
    let newest = || -> Result<Option<String>> {
        Ok(newest(before, after, &Apt::SYSTEM.names(before)?).map(str::to_owned))
    };
    let mut image = newest()?;
    if image.is_none() {
        Apt::SYSTEM.update()?;
        image = newest()?;
    }
    let image = image.ok_or_else(|| {
        Cannot(format!(
            "apt has no package {before}NN{after}: add Debian 12's bookworm, bookworm-updates and bookworm-security to its sources"
        ))
    })?;
    let release = image.strip_prefix("linux-image-");
    Ok(release.context("an image's name")?.to_owned())
}

/// The newest image package among `names`; flavours (rt, cloud, unsigned, dbg)
/// have more than a number between the affixes.
fn newest<'a>(before: &str, after: &str, names: &'a [String]) -> Option<&'a str> {
    let number = |name: &str| -> Option<u32> {
        name.strip_prefix(before)?.strip_suffix(after)?.parse().ok()
    };
    names
        .iter()
        .filter(|name| number(name).is_some())
        .max_by_key(|name| number(name))
        .map(String::as_str)
}

/// The release of the image that a list of dependencies names.
fn depended(depends: &str) -> Option<&str> {
    depends.split([',', '|']).find_map(|one| {
        let name = one.trim().split(' ').next()?;
        name.strip_prefix("linux-image-")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn the_newest_is_chosen_by_number() {
        let known = names(&[
            "linux-image-6.1.0-9-amd64",
            "linux-image-6.1.0-47-amd64",
            "linux-image-6.1.0-10-amd64",
        ]);
        assert_eq!(
            newest("linux-image-6.1.0-", "-amd64", &known),
            Some("linux-image-6.1.0-47-amd64")
        );
    }

    #[test]
    fn flavours_and_other_releases_are_left_out() {
        let known = names(&[
            "linux-image-6.1.0-50-amd64-unsigned",
            "linux-image-6.1.0-50-cloud-amd64",
            "linux-image-6.1.0-50-rt-amd64",
            "linux-image-6.1.0-50-amd64-dbg",
            "linux-image-6.12.107+deb13-amd64",
            "linux-image-6.12-amd64",
            "linux-image-6.12.117+deb12-rt-amd64",
            "linux-image-6.12.117+deb12-rt-amd64-dbg",
        ]);
        assert_eq!(newest("linux-image-6.1.0-", "-amd64", &known), None);
        assert_eq!(newest("linux-image-6.12.", "+deb12-amd64", &known), None);
        assert_eq!(
            newest("linux-image-6.12.", "+deb12-rt-amd64", &known),
            Some("linux-image-6.12.117+deb12-rt-amd64")
        );
    }

    #[test]
    fn the_meta_package_names_the_newest() {
        let depends = "linux-base-amd64 (= 7.3.4-1~bpo13+1), linux-image-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1)";
        assert_eq!(depended(depends), Some("7.3.4+deb13-amd64"));
        assert_eq!(depended("linux-base-amd64"), None);
    }
}
